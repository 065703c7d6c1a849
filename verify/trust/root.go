// Package trust holds what a verification trusts: public keys and, for keyless
// evidence, the authorities and logs of a Sigstore trusted root.
//
//	key, err := trust.ParsePublicKey(pem)
//	root, err := trust.NewRoot(trust.WithKeys(key))
//
// A Root is immutable once made and safe for concurrent use. It reads no file
// and asks no network; package verify/trust/tuf will refresh one.
package trust

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

// ErrEmpty: a root that trusts nothing verifies nothing; name a key or a
// trusted root.
var ErrEmpty = errors.New("trust root is empty")

// maxTrustedRootBytes bounds a trusted_root.json; the public-good one has 7 kB.
const maxTrustedRootBytes = 8 << 20

// Root is an immutable set of trust anchors.
type Root struct {
	keys     []Key
	sigstore *sigstore.Material
	digest   digest.Digest
}

// Requirement says how many independent witnesses keyless evidence must have.
// The zero value asks for none, which only keys may have.
type Requirement struct {
	LogEntries int // entries of different transparency logs
	Timestamps int // trusted times, of different authorities or logs
	SCTs       int // signed certificate timestamps of different CT logs
}

// Keyless is the requirement of Sigstore's client specification: one log
// entry, one trusted time, one SCT.
func Keyless() Requirement { return Requirement{LogEntries: 1, Timestamps: 1, SCTs: 1} }

// Option adds anchors to a new [Root].
type Option func(*Root) error

// WithKeys trusts the given keys. A key that is given twice counts once.
func WithKeys(keys ...Key) Option {
	return func(r *Root) error {
		for _, key := range keys {
			if key.id == "" {
				return errors.New("trusting a key: it is the zero Key")
			}
			known := slices.ContainsFunc(r.keys, func(k Key) bool { return k.id == key.id })
			if !known {
				r.keys = append(r.keys, key)
			}
		}
		return nil
	}
}

// WithTrustedRoot trusts the authorities and logs of a Sigstore
// trusted_root.json (protobuf-specs, sigstore_trustroot.proto).
func WithTrustedRoot(json []byte) Option {
	return func(r *Root) error {
		if len(json) > maxTrustedRootBytes {
			return fmt.Errorf("reading a trusted root of %d bytes: more than %d", len(json), maxTrustedRootBytes)
		}
		parsed, err := root.NewTrustedRootFromJSON(json)
		if err != nil {
			return fmt.Errorf("reading a trusted root: %w", err)
		}
		r.sigstore = &sigstore.Material{TrustedMaterial: parsed}
		r.digest = digest.FromBytes(json)
		return nil
	}
}

// NewRoot returns a root of the given anchors. It is an error, [ErrEmpty], to
// trust nothing.
func NewRoot(options ...Option) (*Root, error) {
	r := &Root{}
	for _, option := range options {
		if err := option(r); err != nil {
			return nil, err
		}
	}
	if len(r.keys) == 0 && r.sigstore == nil {
		return nil, ErrEmpty
	}
	slices.SortFunc(r.keys, func(a, b Key) int { return bytes.Compare([]byte(a.id), []byte(b.id)) })
	var ids bytes.Buffer
	for _, key := range r.keys {
		ids.WriteString(key.id + "\n")
	}
	ids.WriteString(r.digest.String())
	r.digest = digest.FromBytes(ids.Bytes())
	return r, nil
}

// Keys returns the trusted keys, ordered by ID.
func (r *Root) Keys() []Key { return slices.Clone(r.keys) }

// Digest names the root's content: equal digests mean equal trust.
func (r *Root) Digest() digest.Digest { return r.digest }

// Keyless reports whether the root can verify certificates.
func (r *Root) Keyless() bool { return r.sigstore != nil }

// Sigstore returns the engine's own trust material, or nil. Its type is
// internal to package verify and its parts.
func (r *Root) Sigstore() *sigstore.Material { return r.sigstore }
