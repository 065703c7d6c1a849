// Package wholefile writes files that are there whole or not at all: a reader never
// sees half of one, and what stood there before stays when something goes wrong.
//
//	size, err := wholefile.Write("report.json", 0o644, func(w io.Writer) error {
//		return report.WriteJSON(w)
//	})
//
// It reads whole files too, of at most so many bytes.
//
// It is a leaf: everything that reads or writes a file may import it.
//
// Non-goals: locking, and folders.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// TemporaryPrefix begins the names of unfinished files. One that is an hour old is
// what a killed program has left, and may be removed.
const TemporaryPrefix = ".hallmark-"

// ErrExists: the file is there and replacing it was not asked for.
var ErrExists = errors.New("file exists")

// Write replaces the file of a name, or makes it, with what fill writes; size is how
// much that was. On an error nothing has changed. A symbolic link of that name is
// replaced and never followed. The content is on the disk before the name is given.
func Write(name string, mode fs.FileMode, fill func(io.Writer) error) (size int64, err error) {
	s, err := Stage(name, mode, fill)
	if err != nil {
		return 0, err
	}
	defer s.Discard()
	return s.size, s.Replace()
}

// WriteBytes is [Write] for content that is at hand.
func WriteBytes(name string, mode fs.FileMode, content []byte) error {
	_, err := Write(name, mode, func(to io.Writer) error {
		_, err := to.Write(content)
		return err
	})
	return err
}

// Staged is a complete file beside the place that it is for. One goroutine uses it.
type Staged struct {
	name, temporary string
	size            int64
}

// Stage writes a complete file beside the name that it is for, and leaves that name
// alone. The caller ends with [Staged.Discard], also after giving it its name.
func Stage(name string, mode fs.FileMode, fill func(io.Writer) error) (*Staged, error) {
	file, err := os.CreateTemp(filepath.Dir(name), TemporaryPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	s := &Staged{name: name, temporary: file.Name()}
	if err := file.Chmod(mode); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, errors.Join(err, file.Close(), os.Remove(s.temporary)))
	}
	counter := &counted{to: file}
	if err := errors.Join(fill(counter), file.Sync(), file.Close()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, errors.Join(err, os.Remove(s.temporary)))
	}
	s.size = counter.size
	return s, nil
}

// counted counts what is written.
type counted struct {
	to   io.Writer
	size int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.size += int64(n)
	return n, err
}

// Temporary is the name of the file beside the place.
func (s *Staged) Temporary() string { return s.temporary }

// Discard removes the temporary file, where it is still there.
func (s *Staged) Discard() { os.Remove(s.temporary) }

// Replace gives the file its name, in the place of what stands there.
func (s *Staged) Replace() error {
	if err := os.Rename(s.temporary, s.name); err != nil {
		return fmt.Errorf("writing %s: %w", s.name, err)
	}
	return nil
}

// Create gives the file its name and replaces nothing: where the name has come to
// exist the error wraps [ErrExists]. A link fails there; a rename would not.
func (s *Staged) Create() error {
	err := os.Link(s.temporary, s.name)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = s.reserve() // a file system without links, such as vfat
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("writing %s: %w", s.name, ErrExists)
	case err != nil:
		return fmt.Errorf("writing %s: %w", s.name, err)
	}
	return nil
}

// reserve takes the name with an empty file, which the complete one then replaces.
func (s *Staged) reserve() error {
	file, err := os.OpenFile(s.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(file.Close(), os.Rename(s.temporary, s.name))
	if err != nil {
		os.Remove(s.name)
	}
	return err
}
