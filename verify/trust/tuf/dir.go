package tuf

import (
	"errors"
	"path/filepath"
)

// DefaultDir names the folder of the state: $HALLMARK_TRUST_DIR, else
// hallmark/trust under $XDG_DATA_HOME, else under ~/.local/share.
func DefaultDir(getenv func(string) string) (string, error) {
	if dir := getenv("HALLMARK_TRUST_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	// The XDG specification says to ignore what is not absolute.
	if data := getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "hallmark", "trust"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "hallmark", "trust"), nil
	}
	return "", errors.New("finding the folder of the trust root: neither HALLMARK_TRUST_DIR nor HOME is set")
}
