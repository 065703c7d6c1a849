package sbom

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// shelf keeps unpacked layers that more than one platform of an index has, from
// the first scan that needs them to the last, so that none is downloaded twice.
type shelf struct {
	mu     sync.Mutex
	dir    string // made when the first layer is put there
	wanted map[digest.Digest]int
}

// newShelf counts in how many images each layer stands.
func newShelf(images []*image) *shelf {
	s := &shelf{wanted: make(map[digest.Digest]int)}
	for _, i := range images {
		for d := range i.digests() {
			s.wanted[d]++
		}
	}
	return s
}

func (i *image) uses(s *shelf) { i.shelf = s }

// digests returns the different layers of an image, each with one of its numbers.
func (i *image) digests() map[digest.Digest]int {
	all := make(map[digest.Digest]int)
	for n, l := range i.layers {
		all[l.digest] = n
	}
	return all
}

// place returns where a layer lies or would lie; "" when nothing lies there yet.
func (s *shelf) place(d digest.Digest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return ""
	}
	return filepath.Join(s.dir, d.Hex())
}

// keep moves the layers of a scanned image that other images want to the shelf,
// and takes away what nobody wants any more.
func (i *image) keep(temporary string) error {
	s := i.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, n := range i.digests() {
		if s.wanted[d] < 2 {
			continue
		}
		if s.dir == "" {
			dir, err := os.MkdirTemp(temporary, "hallmark-sbom-layers-")
			if err != nil {
				return err
			}
			s.dir = dir
		}
		place := filepath.Join(s.dir, d.Hex())
		if _, err := os.Stat(place); err == nil {
			continue
		}
		if err := os.Rename(i.unpackedName(n), place); err != nil {
			return err
		}
	}
	return nil
}

// release says that an image needs its layers no more. A second call does nothing.
func (i *image) release() error {
	s := i.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.layers == nil {
		return nil
	}
	var failures []error
	for d := range i.digests() {
		if s.wanted[d]--; s.wanted[d] == 0 && s.dir != "" {
			failures = append(failures, ignoreMissing(os.Remove(filepath.Join(s.dir, d.Hex()))))
		}
	}
	i.layers = nil
	for _, count := range s.wanted {
		if count > 0 {
			return errors.Join(failures...)
		}
	}
	if s.dir != "" {
		failures = append(failures, os.RemoveAll(s.dir))
		s.dir = ""
	}
	return errors.Join(failures...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
