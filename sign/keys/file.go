package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrExists: the file is there and overwriting was not asked for.
var ErrExists = errors.New("file exists")

// WriteFile writes a file completely or not at all: a temporary file beside it,
// then a link or rename. A private key has mode 0600. Without force an existing
// file is left alone and the error wraps [ErrExists]; a symbolic link is never
// followed, and never replaced without force.
func WriteFile(name string, content []byte, mode fs.FileMode, force bool) (err error) {
	if _, statErr := os.Lstat(name); statErr == nil && !force {
		return fmt.Errorf("writing %s: %w", name, ErrExists)
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), ".hallmark-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			temporary.Close()
			err = fmt.Errorf("writing %s: %w", name, err)
		}
		os.Remove(temporary.Name())
	}()
	if err := temporary.Chmod(mode); err != nil {
		return err
	}
	if _, err := temporary.Write(content); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	if force {
		return os.Rename(temporary.Name(), name)
	}
	// A link fails where the name has come to exist meanwhile; a rename would not.
	if err := os.Link(temporary.Name(), name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return err
	}
	return nil
}

// WritePair writes prefix+".key" with mode 0600 and prefix+".pub" with mode 0644:
// both, or neither.
func (s *Signer) WritePair(prefix string, format Format, password []byte, force bool) error {
	private, err := s.Encode(format, password)
	if err != nil {
		return err
	}
	public := prefix + ".pub"
	if _, err := os.Lstat(public); err == nil && !force {
		return fmt.Errorf("writing %s: %w", public, ErrExists)
	}
	if err := WriteFile(prefix+".key", private, 0o600, force); err != nil {
		return err
	}
	if err := WriteFile(public, s.key.PEM(), 0o644, force); err != nil {
		if !force {
			os.Remove(prefix + ".key")
		}
		return err
	}
	return nil
}
