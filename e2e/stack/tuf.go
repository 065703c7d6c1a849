package stack

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Repository is a TUF repository with consistent snapshots and one key per role.
// It is not safe for concurrent use, but clients may read while it publishes.
type Repository struct {
	// URL is where clients find it.
	URL string
	// Root is its first root of trust (1.root.json).
	Root []byte
	// Dir holds its files.
	Dir string

	keys    map[string]ed25519.PrivateKey
	version int64
	targets map[string][]byte
}

// The targets that Sigstore's clients ask for.
const (
	TrustedRootTarget   = "trusted_root.json"
	SigningConfigTarget = "signing_config.v0.2.json"
)

// NewRepository makes a repository in an empty folder, valid until expires.
func NewRepository(dir string, expires time.Time, targets map[string][]byte) (*Repository, error) {
	r := &Repository{Dir: dir, keys: map[string]ed25519.PrivateKey{}, targets: map[string][]byte{}}
	if err := os.MkdirAll(filepath.Join(dir, "targets"), 0o700); err != nil {
		return nil, err
	}
	root := metadata.Root(expires)
	root.Signed.ConsistentSnapshot = true
	for _, role := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		r.keys[role] = private
		key, err := metadata.KeyFromPublicKey(public)
		if err != nil {
			return nil, err
		}
		if err := root.Signed.AddKey(key, role); err != nil {
			return nil, err
		}
	}
	if err := write(r, root, metadata.ROOT, "1.root.json"); err != nil {
		return nil, err
	}
	var err error
	if r.Root, err = os.ReadFile(filepath.Join(dir, "1.root.json")); err != nil {
		return nil, err
	}
	return r, r.Publish(expires, targets)
}

// Publish writes the next version of the metadata; the given targets replace those of
// the same names.
func (r *Repository) Publish(expires time.Time, targets map[string][]byte) error {
	r.version++
	all, snapshot, timestamp := metadata.Targets(expires), metadata.Snapshot(expires), metadata.Timestamp(expires)
	all.Signed.Version, snapshot.Signed.Version, timestamp.Signed.Version = r.version, r.version, r.version
	for name, content := range targets {
		r.targets[name] = content
	}
	for name, content := range r.targets {
		file, err := metadata.TargetFile().FromBytes(name, content, "sha256")
		if err != nil {
			return err
		}
		all.Signed.Targets[name] = file
		if err := os.WriteFile(filepath.Join(r.Dir, "targets", file.Hashes["sha256"].String()+"."+name), content, 0o600); err != nil {
			return err
		}
	}
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(r.version)
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.version)
	if err := write(r, all, metadata.TARGETS, fmt.Sprintf("%d.targets.json", r.version)); err != nil {
		return err
	}
	if err := write(r, snapshot, metadata.SNAPSHOT, fmt.Sprintf("%d.snapshot.json", r.version)); err != nil {
		return err
	}
	return write(r, timestamp, metadata.TIMESTAMP, "timestamp.json")
}

// write signs the metadata of a role and writes it.
func write[T metadata.Roles](r *Repository, meta *metadata.Metadata[T], role, name string) error {
	signer, err := signature.LoadSigner(r.keys[role], crypto.Hash(0))
	if err != nil {
		return err
	}
	if _, err := meta.Sign(signer); err != nil {
		return fmt.Errorf("signing the %s metadata: %w", role, err)
	}
	return meta.ToFile(filepath.Join(r.Dir, name), true)
}

// startRepository publishes the trusted root and the signing configuration.
func (s *Stack) startRepository() error {
	config, err := s.services.SigningConfig()
	if err != nil {
		return fmt.Errorf("making the signing configuration: %w", err)
	}
	s.TUF, err = NewRepository(s.path("tuf"), time.Now().AddDate(1, 0, 0).UTC(), map[string][]byte{TrustedRootTarget: s.TrustedRoot, SigningConfigTarget: config})
	if err != nil {
		return fmt.Errorf("making the TUF repository: %w", err)
	}
	s.TUF.URL = "http://" + s.addresses.repository
	return s.serve(s.addresses.repository, http.FileServer(http.Dir(s.TUF.Dir)))
}
