package wholefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/wholefile"
)

// TestReadIsBounded: a file of the limit is read, and one byte more is an error that names
// the file; a folder is no regular file.
func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "four")
	if err := os.WriteFile(name, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func(string, int64) ([]byte, error){"file": wholefile.ReadFile, "regular": wholefile.ReadRegular} {
		if raw, err := read(name, 4); err != nil || string(raw) != "four" {
			t.Errorf("%s: %q, %v", what, raw, err)
		}
		if raw, err := read(name, 3); err == nil || err.Error() != name+" has more than 3 bytes" || raw != nil {
			t.Errorf("%s: %q, %v", what, raw, err)
		}
		_, err := read(filepath.Join(dir, "none"), 4)
		if err == nil || !os.IsNotExist(err) || wholefile.Pathless(err).Error() != "no such file or directory" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := wholefile.OpenRegular(dir); err == nil || !strings.HasSuffix(err.Error(), "is no file") {
		t.Errorf("a folder: %v", err)
	}
}
