//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package tuf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// staleLock is longer than any update takes: what is older was left by a process
// that died.
const staleLock = 15 * time.Minute

// lock keeps other updates out of the folder until release is called.
func lock(dir string) (release func() error, err error) {
	name := filepath.Join(dir, "lock")
	if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > staleLock {
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, err
	}
	return func() error { return errors.Join(file.Close(), os.Remove(name)) }, nil
}
