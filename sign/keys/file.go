package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/hallmark-project/hallmark/attest/wholefile"
)

// ErrExists: the file is there and overwriting was not asked for.
var ErrExists = wholefile.ErrExists

// ErrNotRegular: a symbolic link, a folder or a device stands where the file is
// wanted, and is not replaced; name another place.
var ErrNotRegular = errors.New("no regular file")

// WriteFile writes a file completely or not at all: a temporary file beside it,
// then a link or rename. Without force nothing is replaced: the error wraps
// [ErrExists] or [ErrNotRegular]. A symbolic link is never followed.
func WriteFile(name string, content []byte, mode fs.FileMode, force bool) error {
	if !force {
		if err := free(name); err != nil {
			return err
		}
	}
	s, err := stage(name, content, mode, writeAll)
	if err != nil {
		return err
	}
	defer s.Discard()
	return s.commit(force)
}

// CheckFree reports whether [Signer.WritePair] would find its two names free, so
// that a person need not think of a password in vain. It promises nothing: the
// files may come to exist before they are written.
func CheckFree(prefix string, force bool) error {
	for _, name := range pairNames(prefix) {
		err := free(name)
		if force && errors.Is(err, ErrExists) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WritePair writes prefix+".key" with mode 0600 and prefix+".pub" with mode 0644:
// both, or neither. What is no regular file, such as a symbolic link, is refused
// with force too: the error wraps [ErrNotRegular]. Without force an existing file
// is an error that wraps [ErrExists].
func (s *Signer) WritePair(prefix string, format Format, password []byte, force bool) error {
	private, err := s.Encode(format, password)
	if err != nil {
		return err
	}
	return writePair(prefix, private, s.key.PEM(), force, writeAll)
}

func pairNames(prefix string) [2]string { return [2]string{prefix + ".key", prefix + ".pub"} }

func writePair(prefix string, private, public []byte, force bool, write writer) error {
	if err := CheckFree(prefix, force); err != nil {
		return err
	}
	names := pairNames(prefix)
	key, err := stage(names[0], private, 0o600, write)
	if err != nil {
		return err
	}
	defer key.Discard()
	pub, err := stage(names[1], public, 0o644, write)
	if err != nil {
		return err
	}
	defer pub.Discard()
	// All that can run out of room is on the disk now. The old key is kept under
	// another name until the new public key stands too.
	undo, err := key.keepOld(force)
	if err != nil {
		return err
	}
	if err := key.commit(force); err != nil {
		return errors.Join(err, undo(force))
	}
	if err := pub.commit(force); err != nil {
		return errors.Join(err, undo(true))
	}
	return undo(false)
}

// free reports that nothing stands at name.
func free(name string) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("writing %s: %w", name, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("writing %s: %w stands there", name, ErrNotRegular)
	}
	return fmt.Errorf("writing %s: %w", name, ErrExists)
}

// writer writes the whole content, or fails. Tests have other disks.
type writer func(file io.Writer, content []byte) error

func writeAll(file io.Writer, content []byte) error {
	_, err := file.Write(content)
	return err
}

// staged is a complete temporary file beside the place it is for.
type staged struct {
	*wholefile.Staged
	name string
}

func stage(name string, content []byte, mode fs.FileMode, write writer) (*staged, error) {
	s, err := wholefile.Stage(name, mode, func(to io.Writer) error { return write(to, content) })
	if err != nil {
		return nil, err
	}
	return &staged{s, name}, nil
}

// commit gives the file its name. Without force it replaces nothing.
func (s *staged) commit(force bool) error {
	if force {
		return s.Replace()
	}
	return s.Create()
}

// keepOld gives the file that force replaces a second name. undo forgets it; with
// restore it puts the place back as it was before the commit.
func (s *staged) keepOld(force bool) (undo func(restore bool) error, err error) {
	if err := free(s.name); err == nil || !force {
		return func(restore bool) error {
			if restore {
				return remove(s.name)
			}
			return nil
		}, nil
	}
	old := s.Temporary() + ".old"
	if err := os.Link(s.name, old); err != nil {
		if err := os.Rename(s.name, old); err != nil {
			return nil, fmt.Errorf("writing %s: %w", s.name, err)
		}
	}
	return func(restore bool) error {
		if restore {
			if err := os.Rename(old, s.name); err != nil {
				return err
			}
		}
		return remove(old) // which stays where both were names of one file
	}, nil
}

// remove removes a file that may be gone.
func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
