package keys

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var errFull = errors.New("no space left on device")

// fullAfter is a disk that takes n whole files and half of the next.
func fullAfter(n int) writer {
	return func(file io.Writer, content []byte) error {
		if n--; n < 0 {
			_, err := file.Write(content[:len(content)/2])
			return errors.Join(err, errFull)
		}
		return writeAll(file, content)
	}
}

// TestDiskFull: KE-04. Both files stand, or what stood before stands still.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		room  int
		force bool
		old   bool
	}{
		"KE-04 full at the private key":              {room: 0},
		"KE-04 full at the public key":               {room: 1},
		"KE-04 full at the private key, overwriting": {room: 0, force: true, old: true},
		"KE-04 full at the public key, overwriting":  {room: 1, force: true, old: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			prefix := filepath.Join(dir, "k")
			if test.old {
				if err := writePair(prefix, []byte("old private"), []byte("old public"), false, writeAll); err != nil {
					t.Fatal(err)
				}
			}
			if err := writePair(prefix, []byte("new private"), []byte("new public"), test.force, fullAfter(test.room)); !errors.Is(err, errFull) {
				t.Errorf("error %v, want %v", err, errFull)
			}
			want := map[string]string{}
			if test.old {
				want = map[string]string{"k.key": "old private", "k.pub": "old public"}
			}
			compareDir(t, dir, want)
		})
	}
}

// TestSecondNameFails: KE-04. The private key's name is given back where the public
// key cannot take its own.
func TestSecondNameFails(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		dir := t.TempDir()
		prefix := filepath.Join(dir, "k")
		want := map[string]string{}
		if force {
			want["k.key"] = "old private"
			if err := os.WriteFile(prefix+".key", []byte("old private"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// While the second file is written, a folder takes its name.
		calls := 0
		meddle := func(file io.Writer, content []byte) error {
			if calls++; calls == 2 {
				if err := os.MkdirAll(filepath.Join(prefix+".pub", "inside"), 0o700); err != nil {
					return err
				}
			}
			return writeAll(file, content)
		}
		if err := writePair(prefix, []byte("new private"), []byte("new public"), force, meddle); err == nil {
			t.Errorf("KE-04 force %v: a folder was replaced", force)
		}
		if err := os.RemoveAll(prefix + ".pub"); err != nil {
			t.Fatal(err)
		}
		compareDir(t, dir, want)
	}
}

// TestOverwrite: KE-04. With force both files are the new ones, and nothing else is left.
func TestOverwrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	prefix := filepath.Join(dir, "k")
	for _, generation := range []string{"first", "second"} {
		if err := writePair(prefix, []byte(generation+" private"), []byte(generation+" public"), true, writeAll); err != nil {
			t.Fatal(err)
		}
	}
	compareDir(t, dir, map[string]string{"k.key": "second private", "k.pub": "second public"})
}

// compareDir fails where a folder holds anything but the wanted files.
func compareDir(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if text, wanted := want[entry.Name()]; err != nil || !wanted || text != string(raw) {
			t.Errorf("KE-04 %s holds %q (%v), want %q", entry.Name(), raw, err, text)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("KE-04 %d files, want %d", len(entries), len(want))
	}
}
