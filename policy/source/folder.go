package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/policy"
)

const (
	// maxEntries bounds what a folder holds; policies of one cluster are some dozens.
	maxEntries = 1000
	// maxNamedBytes bounds one file that a policy names: a key has two kilobytes, a
	// trusted root some ten, a revocation list can have megabytes.
	maxNamedBytes = 16 << 20
)

// Folder is an open folder of policies. Close it after use; until then its methods are
// safe for concurrent use.
type Folder struct {
	// Files are the policies in it, by name.
	Files []policy.File

	root *os.Root
}

// OpenFolder reads the files of one policy, for [policy.ParseFiles]: every *.yaml, *.yml
// and *.json that lies directly in the folder. Other files and folders, such as one with
// keys, are only read where a policy names them. Nothing is passed over that could be
// meant as a policy: a hidden file is an error, and so is a link that leads out of the
// folder. Errors wrap [ErrFolder] or are those of the file system.
func OpenFolder(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{root: root}
	if err := f.read(dir); err != nil {
		root.Close()
		return nil, err
	}
	return f, nil
}

// Close releases the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Read reads a file that a policy of the folder names, which must lie in it.
func (f *Folder) Read(name string) ([]byte, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, fmt.Errorf("%q lies outside of the policy's folder: %w", name, ErrFolder)
	}
	return f.file(filepath.FromSlash(name), maxNamedBytes)
}

func (f *Folder) read(dir string) error {
	open, err := f.root.Open(".")
	if err != nil {
		return err
	}
	defer open.Close()
	entries, err := open.ReadDir(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(entries) > maxEntries {
		return fmt.Errorf("%s has more than %d entries: %w", dir, maxEntries, ErrFolder)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			return fmt.Errorf("%s is hidden: %w", filepath.Join(dir, name), ErrFolder)
		}
		if !slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(path.Ext(name))) {
			continue
		}
		raw, err := f.file(name, policy.MaxBytes)
		if err != nil {
			return err
		}
		f.Files = append(f.Files, policy.File{Name: filepath.Join(dir, name), Data: raw})
	}
	if len(f.Files) == 0 {
		return fmt.Errorf("%s holds no *.yaml, *.yml or *.json: %w", dir, ErrFolder)
	}
	return nil
}

// file reads a regular file of the folder. [os.Root] refuses links that leave it. A pipe
// is refused before it is opened: opening one can wait for ever.
func (f *Folder) file(name string, limit int64) ([]byte, error) {
	info, err := f.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file: %w", name, ErrFolder)
	}
	open, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	return wholefile.Read(open, name, limit)
}
