// Package keys makes, reads and writes private keys in files: cosign's encrypted
// format and PKCS #8, encrypted or not.
//
//	pair, err := keys.Generate(keys.ECDSAP256)
//	private, err := pair.Encode(keys.FormatCosign, password)
//	signer, err := keys.Parse(private, func() ([]byte, error) { return password, nil })
//
// The password callback is called only for an encrypted key, and at most once.
// Passwords never stand in an error.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// Algorithm names a kind of key that [Generate] makes.
type Algorithm string

// The algorithms that keys are made for.
const (
	ECDSAP256 Algorithm = "ecdsa-p256"
	ECDSAP384 Algorithm = "ecdsa-p384"
	Ed25519   Algorithm = "ed25519"
	RSA3072   Algorithm = "rsa-3072"
)

// Algorithms returns all of them, the default first.
func Algorithms() []Algorithm { return []Algorithm{ECDSAP256, ECDSAP384, Ed25519, RSA3072} }

// ErrAlgorithm: no such algorithm; choose one of [Algorithms].
var ErrAlgorithm = errors.New("unknown key algorithm")

// Signer holds one private key in memory. It satisfies sign.Signer and
// sign.DigestSigner and is safe for concurrent use.
type Signer struct {
	private crypto.Signer
	hash    crypto.Hash
	key     trust.Key
}

// Generate makes a new key from crypto/rand.
func Generate(algorithm Algorithm) (*Signer, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case ECDSAP256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case RSA3072:
		private, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		return nil, fmt.Errorf("generating a key: %w: %q", ErrAlgorithm, algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("generating a key: %w", err)
	}
	return New(private)
}

// New wraps a private key that is already in memory. Weak and odd keys are
// refused; the error wraps trust.ErrKeyWeak.
func New(private crypto.Signer) (*Signer, error) {
	key, err := trust.NewKey(private.Public())
	if err != nil {
		return nil, fmt.Errorf("using a private key: %w", err)
	}
	s := &Signer{private: private, hash: crypto.SHA256, key: key}
	switch public := private.Public().(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P384():
			s.hash = crypto.SHA384
		case elliptic.P521():
			s.hash = crypto.SHA512
		}
	case ed25519.PublicKey:
		s.hash = crypto.SHA512
	}
	return s, nil
}

// WithSHA256 returns the same key signing with SHA-256, which is what cosign 2
// verifies in its tag format whatever the curve. Ed25519 is unchanged.
func (s *Signer) WithSHA256() *Signer {
	other := *s
	if _, edwards := s.private.Public().(ed25519.PublicKey); !edwards {
		other.hash = crypto.SHA256
	}
	return &other
}

// Public returns the public key.
func (s *Signer) Public() crypto.PublicKey { return s.private.Public() }

// Key returns the public key as a trust anchor, with its ID and PEM form.
func (s *Signer) Key() trust.Key { return s.key }

// Hash returns the hash of SignDigest.
func (s *Signer) Hash() crypto.Hash { return s.hash }

// Sign signs a whole message.
func (s *Signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if _, edwards := s.private.Public().(ed25519.PublicKey); edwards {
		return s.finish(s.private.Sign(rand.Reader, message, crypto.Hash(0)))
	}
	h := s.hash.New()
	h.Write(message)
	return s.SignDigest(ctx, h.Sum(nil))
}

// SignDigest signs a message by its digest of [Signer.Hash].
func (s *Signer) SignDigest(ctx context.Context, digest []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if len(digest) != s.hash.Size() {
		return nil, fmt.Errorf("signing: a digest of %d bytes, %v has %d", len(digest), s.hash, s.hash.Size())
	}
	return s.finish(s.private.Sign(rand.Reader, slices.Clone(digest), s.hash))
}

func (s *Signer) finish(sig []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", s.key.ID(), err)
	}
	return sig, nil
}
