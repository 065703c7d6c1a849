package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/wholefile"
)

// Limits on the cache; the documents that were not used for the longest time go
// first.
const (
	maxCacheBytes = 1 << 30
	maxCacheFiles = 2000
	cacheSuffix   = ".sbom"
)

// cache keeps documents by what they are about and what made them. A cache that
// cannot be read or written is no reason to fail.
type cache struct{ dir string }

// name of a document in the cache; empty when it cannot be kept: a folder has no
// digest.
func (c cache) name(t *Target, f Format, created time.Time) string {
	if c.dir == "" || t.Digest.IsZero() {
		return ""
	}
	return filepath.Join(c.dir, identity(t, f, created).String()+cacheSuffix)
}

// sum binds a document to its name.
func (c cache) sum(name string, raw []byte) []byte {
	h := sha256.New()
	io.WriteString(h, filepath.Base(name)+"\n")
	h.Write(raw)
	return append([]byte(hex.EncodeToString(h.Sum(nil))), '\n')
}

// load returns a document whose file starts with the SHA-256 of its name and the
// rest: one that was changed on disk, or is another's, is no answer.
func (c cache) load(t *Target, f Format, created time.Time) ([]byte, bool) {
	name := c.name(t, f, created)
	if name == "" {
		return nil, false
	}
	raw, err := os.ReadFile(name)
	const head = 2*sha256.Size + 1
	if err != nil || len(raw) <= head || string(raw[:head]) != string(c.sum(name, raw[head:])) {
		return nil, false
	}
	now := time.Now()
	os.Chtimes(name, now, now) // it was used
	return raw[head:], true
}

// save keeps a document, whole or not at all.
func (c cache) save(t *Target, f Format, created time.Time, raw []byte) {
	name := c.name(t, f, created)
	if name == "" || os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	if wholefile.WriteBytes(name, 0o600, append(c.sum(name, raw), raw...)) != nil {
		return
	}
	c.trim()
}

// trim brings the cache back under its limits, and takes away what a run that was
// killed has left.
func (c cache) trim() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var kept []os.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasSuffix(info.Name(), cacheSuffix):
			kept = append(kept, info)
		case strings.HasPrefix(info.Name(), wholefile.TemporaryPrefix) && time.Since(info.ModTime()) > time.Hour:
			os.Remove(filepath.Join(c.dir, info.Name()))
		}
	}
	slices.SortFunc(kept, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var total int64
	for n, info := range kept {
		if total += info.Size(); total > maxCacheBytes || n >= maxCacheFiles {
			os.Remove(filepath.Join(c.dir, info.Name()))
		}
	}
}
