package tuf_test

import (
	"bytes"
	"errors"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// FuzzMetadata gives a client one file of another content. Nothing but a good
// trusted root may come of it, and no other error than the named ones.
func FuzzMetadata(f *testing.F) {
	r := newRepo(f)
	r.root, r.timestamp, r.snapshot, r.targets = 1, 1, 1, 1
	root := r.publish()
	paths := []string{"/1.root.json", "/2.root.json", "/timestamp.json", "/1.snapshot.json", "/1.targets.json"}
	for i, path := range paths {
		f.Add(byte(i), r.served[path])
		f.Add(byte(i), bytes.Replace(r.served[path], []byte(`"version":1`), []byte(`"version":-1`), 1))
	}
	f.Add(byte(0), []byte(`{"signed":{"_type":"root"},"signatures":null}`))
	f.Fuzz(func(t *testing.T, which byte, content []byte) {
		path := paths[int(which)%len(paths)]
		mirror := &repo{t: t, served: maps.Clone(r.served)}
		mirror.served[path] = content
		anchor := root
		if path == "/1.root.json" {
			anchor = content
		}
		store := tuf.NewStore(filepath.Join(t.TempDir(), "trust"), tuf.WithTransport(mirror), tuf.WithClock(func() time.Time { return epoch }))
		state, err := store.Init(t.Context(), tuf.Source{Mirror: "http://127.0.0.1:1", Root: anchor})
		if err == nil {
			if !bytes.Equal(state.TrustedRoot(), trustedRoot) {
				t.Fatalf("a trusted root from nowhere: %s", state.TrustedRoot())
			}
			return
		}
		for _, known := range []error{trust.ErrRootInvalid, tuf.ErrExpired, tuf.ErrRollback, tuf.ErrUnreachable, tuf.ErrNoAnchor} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("an error without a name: %v", err)
	})
}
