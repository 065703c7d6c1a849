package live

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wholefile"
)

const (
	// maxNamedBytes bounds one file that a policy names: a key has two kilobytes, a
	// trusted root some ten, a revocation list can have megabytes.
	maxNamedBytes = 16 << 20
	// maxStateBytes is the bound of package tuf for its own file.
	maxStateBytes = 64 << 20
	// maxEntries bounds what a folder holds: a cluster has thousands of namespaces at
	// most.
	maxEntries = 10_000
	// volumeLink is the link by which Kubernetes swaps a mounted volume in one step.
	volumeLink = "..data"
)

// reading remembers what a load read, so that a change can be noticed without
// compiling anything.
type reading struct {
	files   map[string]string // path: digest of the content, or the error
	folders map[string]string // path: names, or the error
}

// changed reports whether anything that was read is different now.
func (r *reading) changed() bool {
	for path, was := range r.files {
		if now := fingerprint(path); now != was {
			return true
		}
	}
	for path, was := range r.folders {
		if _, now := listing(path); now != was {
			return true
		}
	}
	return false
}

// took records a file by the bytes that a load used.
func (r *reading) took(path string, raw []byte, err error) {
	if err != nil {
		r.files[path] = fingerprint(path)
		return
	}
	sum := sha256.Sum256(raw)
	r.files[path] = string(sum[:])
}

// file reads a file and remembers it.
func (r *reading) file(path string, limit int64) ([]byte, error) {
	raw, err := wholefile.ReadRegular(path, limit)
	r.took(path, raw, err)
	return raw, err
}

// folder lists a folder and remembers it.
func (r *reading) folder(path string) ([]string, error) {
	names, text := listing(path)
	r.folders[path] = text
	if rest, failed := strings.CutPrefix(text, "error: "); failed {
		return nil, fmt.Errorf("reading the folder %s: %s", path, rest)
	}
	return names, nil
}

// fingerprint is the digest of a file's content, or its error as text.
func fingerprint(path string) string {
	file, err := wholefile.OpenRegular(path)
	if err != nil {
		return "error: " + cause(err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(file, maxStateBytes+1)); err != nil {
		return "error: " + cause(err)
	}
	return string(hash.Sum(nil))
}

// listing are the names in a folder, in order, as a list and as one text.
func listing(path string) (names []string, text string) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, "error: " + cause(err)
	}
	defer folder.Close() //nolint:errcheck // it was only read
	names, err = folder.Readdirnames(maxEntries + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, "error: " + cause(err)
	case len(names) > maxEntries:
		return nil, fmt.Sprintf("error: more than %d entries", maxEntries)
	}
	slices.Sort(names)
	return names, strings.Join(names, "\x00")
}

// cause is an error without the path, which may be that of a link that moved.
func cause(err error) string { return wholefile.Pathless(err).Error() }

// settle returns the folder that a mounted folder stands for at this moment: the one
// that its ..data leads to, or itself. What is read below it is of one volume.
func settle(dir string) string {
	if real, err := filepath.EvalSymlinks(filepath.Join(dir, volumeLink)); err == nil {
		return real
	}
	return dir
}

// volume is a folder as it stands at one moment and the path by which it is found
// again later.
type volume struct {
	now, later string
}

// openVolume settles a folder. A folder without ..data is watched as it is.
func openVolume(dir string) volume {
	if now := settle(dir); now != dir {
		return volume{now, filepath.Join(dir, volumeLink)}
	}
	return volume{dir, dir}
}
