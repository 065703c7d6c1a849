// Package trust holds what a verification trusts: public keys and, for keyless
// evidence, the authorities and logs of a Sigstore trusted root.
//
//	key, err := trust.ParsePublicKey(pem)
//	root, err := trust.NewRoot(trust.WithKeys(key))
//
// A Root is immutable once made and safe for concurrent use. It reads no file
// and asks no network; package verify/trust/tuf refreshes one.
package trust

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

// Errors of [NewRoot].
var (
	// ErrEmpty: a root that trusts nothing verifies nothing; name a key or a
	// trusted root.
	ErrEmpty = errors.New("trust root is empty")
	// ErrRootInvalid: what is to be trusted cannot be read, or says something that
	// must not be trusted; nothing of it is. Get or make a new one.
	ErrRootInvalid = errors.New("trust root is invalid")
)

// Root is an immutable set of trust anchors.
type Root struct {
	keys      []Key
	materials []*sigstore.Material // as the options gave them
	parts     []digest.Digest      // of what the options read
	sigstore  *sigstore.Material   // all of them in one
	digest    digest.Digest
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

// WithKeys trusts the given keys, each in its own window (see [Key.Within]). A key
// that is given twice counts once, and cannot have two windows.
func WithKeys(keys ...Key) Option {
	return func(r *Root) error {
		for _, key := range keys {
			if key.id == "" {
				return errors.New("trusting a key: it is the zero Key")
			}
			known := slices.IndexFunc(r.keys, func(k Key) bool { return k.id == key.id })
			if known < 0 {
				r.keys = append(r.keys, key)
			} else if r.keys[known].window.String() != key.window.String() {
				return fmt.Errorf("trusting key %s: %w: it is given twice, with different windows", key.id, ErrRootInvalid)
			}
		}
		return nil
	}
}

// add keeps what an option has read; what is given twice counts once.
func (r *Root) add(material *sigstore.Material, part digest.Digest) {
	if !slices.Contains(r.parts, part) {
		r.materials, r.parts = append(r.materials, material), append(r.parts, part)
	}
}

// NewRoot returns a root of the given anchors. It is an error, [ErrEmpty], to
// trust nothing, and [ErrRootInvalid] if two anchors contradict each other.
func NewRoot(options ...Option) (*Root, error) {
	r := &Root{}
	for _, option := range options {
		if err := option(r); err != nil {
			return nil, err
		}
	}
	if len(r.keys) == 0 && len(r.materials) == 0 {
		return nil, ErrEmpty
	}
	merged, err := mergeMaterials(r.materials)
	if err != nil {
		return nil, fmt.Errorf("joining trust roots: %w: %w", ErrRootInvalid, err)
	}
	r.sigstore = merged
	slices.SortFunc(r.keys, func(a, b Key) int { return cmp.Compare(a.id, b.id) })
	r.digest = r.name()
	return r, nil
}

// name hashes the anchors; their order does not matter.
func (r *Root) name() digest.Digest {
	var names bytes.Buffer
	for _, key := range r.keys {
		names.WriteString(key.id)
		if !key.window.IsZero() {
			names.WriteString(" " + key.window.String())
		}
		names.WriteString("\n")
	}
	slices.SortFunc(r.parts, func(a, b digest.Digest) int { return cmp.Compare(a.String(), b.String()) })
	for i, part := range r.parts {
		if i > 0 {
			names.WriteString("\n")
		}
		names.WriteString(part.String())
	}
	return digest.FromBytes(names.Bytes())
}

// Keys returns the trusted keys, ordered by ID.
func (r *Root) Keys() []Key { return slices.Clone(r.keys) }

// Digest names the root's content: equal digests mean equal trust.
func (r *Root) Digest() digest.Digest { return r.digest }

// Keyless reports whether the root can verify certificates: whether it trusts an
// authority that issues them.
func (r *Root) Keyless() bool {
	return r.sigstore != nil && len(r.sigstore.FulcioCertificateAuthorities()) > 0
}

// Sigstore returns the engine's own trust material, or nil. Its type is
// internal to package verify and its parts.
func (r *Root) Sigstore() *sigstore.Material { return r.sigstore }
