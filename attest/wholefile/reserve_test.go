package wholefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestWithoutLinks: KE-04, a file system without hard links gets its files too, and
// replaces none.
func TestWithoutLinks(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	for n, content := range []string{"new", "newer"} {
		s, err := Stage(name, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.reserve(); (err == nil) != (n == 0) || n > 0 && !errors.Is(err, fs.ErrExist) {
			t.Errorf("file %d: %v", n, err)
		}
		s.Discard()
	}
	if raw, err := os.ReadFile(name); err != nil || string(raw) != "new" {
		t.Errorf("it holds %q (%v)", raw, err)
	}
}
