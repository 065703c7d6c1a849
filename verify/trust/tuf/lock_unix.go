//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package tuf

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps other updates out of the folder until release is called or the
// process ends.
func lock(dir string) (release func() error, err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrBusy
		}
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}
