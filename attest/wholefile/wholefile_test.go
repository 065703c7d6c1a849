package wholefile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/attest/wholefile"
)

func TestWriteReplaces(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"first", "second, longer"} {
		size, err := wholefile.Write(name, 0o640, func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		})
		if err != nil || size != int64(len(content)) {
			t.Fatalf("%d bytes, error %v", size, err)
		}
		holds(t, name, content)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

func TestAFailedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if err := wholefile.WriteBytes(name, 0o600, []byte("before")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	_, err := wholefile.Write(name, 0o600, func(w io.Writer) error {
		io.WriteString(w, "half")
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	holds(t, name, "before")
	alone(t, dir)
	if err := wholefile.WriteBytes(filepath.Join(dir, "no", "folder"), 0o600, nil); err == nil {
		t.Error("a file in no folder was written")
	}
	if err := wholefile.WriteBytes(dir, 0o600, nil); err == nil {
		t.Error("a folder was replaced")
	}
}

func TestALinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(target, []byte("theirs"), 0o600), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.WriteBytes(link, 0o600, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	holds(t, target, "theirs")
	holds(t, link, "ours")
}

func TestCreateReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	stage := func(content string) *wholefile.Staged {
		s, err := wholefile.Stage(name, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		holds(t, s.Temporary(), content)
		return s
	}
	first, second := stage("first"), stage("second")
	if err := first.Create(); err != nil {
		t.Fatal(err)
	}
	if err := second.Create(); !errors.Is(err, wholefile.ErrExists) {
		t.Errorf("error %v", err)
	}
	first.Discard()
	second.Discard()
	holds(t, name, "first")
	alone(t, dir)
}

func holds(t *testing.T, name, content string) {
	t.Helper()
	if raw, err := os.ReadFile(name); err != nil || string(raw) != content {
		t.Errorf("%s holds %q, want %q; error %v", name, raw, content, err)
	}
}

// alone fails where a temporary file was left.
func alone(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d files are left, error %v", len(entries), err)
	}
}
