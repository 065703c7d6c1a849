package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Limits on the files of a cache: a manifest has a kilobyte.
const (
	maxManifestBytes = 64 << 10
	maxSeenBytes     = 4 << 10
	// maxKept bounds the policies that are kept; the oldest go first. What tags were seen
	// with is never forgotten: it has some hundred bytes for each tag.
	maxKept = 200
)

// Cache keeps policies in a folder: each under its digest and the signer that it was
// proved for, and for each tag the newest policy that it was seen with. What is read
// from it is checked against the digest that was asked for. A folder that cannot be
// read or written is as good as none.
type Cache struct {
	// Dir is the folder; "" keeps nothing.
	Dir string
}

// seen is what a tag was last seen to name.
type seen struct {
	Created time.Time     `json:"created"`
	Digest  digest.Digest `json:"digest"`
}

func (c Cache) path(kind string, parts ...string) string {
	key, _ := json.Marshal(parts) // strings only: it cannot fail
	return filepath.Join(c.Dir, kind+"-"+digest.FromBytes(key).Hex())
}

// load returns manifest and policy: the manifest's line, then the rest.
func (c Cache) load(d, signer digest.Digest) (manifest, data []byte, found bool) {
	if c.Dir == "" {
		return nil, nil, false
	}
	raw, err := wholefile.ReadFile(c.path("policy", d.String(), signer.String()), maxManifestBytes+policy.MaxBytes)
	if err != nil {
		return nil, nil, false
	}
	length := 0
	head, rest, cut := bytes.Cut(raw, []byte("\n"))
	if _, err := fmt.Sscanf(string(head), "%d", &length); !cut || err != nil || length < 0 || length > len(rest) {
		return nil, nil, false
	}
	return rest[:length], rest[length:], true
}

func (c Cache) save(d, signer digest.Digest, manifest, data []byte) {
	if c.Dir == "" || len(manifest) > maxManifestBytes-20 {
		return
	}
	raw := fmt.Appendf(nil, "%d\n", len(manifest))
	_ = c.write(c.path("policy", d.String(), signer.String()), append(append(raw, manifest...), data...)) // it is fetched again
	c.trim()
}

// trim takes away the oldest policies above the limit.
func (c Cache) trim() {
	names, err := fs.Glob(os.DirFS(c.Dir), "policy-*")
	if err != nil || len(names) <= maxKept {
		return
	}
	written := func(name string) time.Time {
		info, err := os.Lstat(filepath.Join(c.Dir, name))
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(names, func(a, b string) int { return written(a).Compare(written(b)) })
	for _, name := range names[:len(names)-maxKept] {
		os.Remove(filepath.Join(c.Dir, name))
	}
}

// forward refuses an older policy under a tag than the newest that was seen there with
// the same signer, and remembers a newer one.
func (c Cache) forward(ref oci.Reference, signer digest.Digest, now seen) error {
	if c.Dir == "" {
		return nil
	}
	name := c.path("tag", ref.Name(), ref.Tag, signer.String())
	var before seen
	if raw, err := wholefile.ReadFile(name, maxSeenBytes); err == nil {
		if err := json.Unmarshal(raw, &before); err != nil {
			return fmt.Errorf("reading what %s was before: %s is damaged: %w", ref, name, err)
		}
	}
	switch {
	case before.Digest == now.Digest:
		return nil
	case now.Created.Before(before.Created):
		return fmt.Errorf("%w: %s of %s, and %s of %s was seen before", ErrOlder,
			now.Digest.Short(), when(now.Created), before.Digest.Short(), when(before.Created))
	}
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	_ = c.write(name, raw) // a later look remembers it
	return nil
}

func when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// write writes a file whole or not at all.
func (c Cache) write(name string, raw []byte) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	return wholefile.WriteBytes(name, 0o600, raw)
}
