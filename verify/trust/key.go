package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Errors of [ParsePublicKey] and [NewKey].
var (
	// ErrKeyFormat: the text is not exactly one PEM public key; export one.
	ErrKeyFormat = errors.New("not exactly one PEM public key")
	// ErrKeyWeak: the key is of a kind or size that is not trusted; make a new one.
	ErrKeyWeak = errors.New("weak or unsupported key")
)

const (
	maxKeyBytes = 64 << 10 // an RSA-16384 public key in PEM has 3 kB
	minRSABits  = 2048     // NIST SP 800-131A
	maxRSABits  = 8192     // larger ones only cost time (CVE-2023-29409)
)

// Key is one trusted public key. The zero Key is no key. Keys are immutable.
type Key struct {
	public crypto.PublicKey
	id     string
	hint   string
	pem    []byte
	window Window
}

// ParsePublicKey reads exactly one PEM block of type "PUBLIC KEY" (RFC 7468
// section 13) with an ECDSA P-256, P-384 or P-521, Ed25519, or RSA key of 2048
// to 8192 bits. Errors wrap [ErrKeyFormat] or [ErrKeyWeak].
func ParsePublicKey(text []byte) (Key, error) {
	if len(text) > maxKeyBytes {
		return Key{}, fmt.Errorf("reading a public key of %d bytes: %w", len(text), ErrKeyFormat)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return Key{}, fmt.Errorf("reading a public key: %w: no PEM block", ErrKeyFormat)
	}
	if block.Type != "PUBLIC KEY" {
		return Key{}, fmt.Errorf("reading a public key: %w: the block is %q", ErrKeyFormat, block.Type)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, fmt.Errorf("reading a public key: %w: something stands behind the block", ErrKeyFormat)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("reading a public key: %w: %w", ErrKeyFormat, err)
	}
	return NewKey(public)
}

// NewKey trusts a public key that is already parsed, under the same limits as
// [ParsePublicKey].
func NewKey(public crypto.PublicKey) (Key, error) {
	if err := CheckStrength(public); err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("encoding a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return Key{
		public: public,
		id:     "sha256:" + hex.EncodeToString(sum[:]),
		hint:   base64.StdEncoding.EncodeToString(sum[:]),
		pem:    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	}, nil
}

// CheckStrength refuses a public key that is too weak or too odd to trust or to
// sign with; the error wraps [ErrKeyWeak].
func CheckStrength(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("%w: ECDSA on this curve; P-256, P-384 and P-521 are accepted", ErrKeyWeak)
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("%w: RSA of %d bits; %d to %d are accepted", ErrKeyWeak, bits, minRSABits, maxRSABits)
		}
		if key.E < 65537 || key.E%2 == 0 {
			return fmt.Errorf("%w: RSA exponent %d; 65537 or a larger odd one is accepted", ErrKeyWeak, key.E)
		}
		return nil
	}
	return fmt.Errorf("%w: %T", ErrKeyWeak, public)
}

// ID returns "sha256:" and the hexadecimal SHA-256 of the key's DER
// SubjectPublicKeyInfo, or "" for the zero Key.
func (k Key) ID() string { return k.id }

// Hint returns the key's name in Sigstore bundles: the same hash in base64.
func (k Key) Hint() string { return k.hint }

// Public returns the parsed key.
func (k Key) Public() crypto.PublicKey { return k.public }

// PEM returns the key in PEM form.
func (k Key) PEM() []byte { return append([]byte(nil), k.pem...) }

// Algorithm names the key's kind, such as "ecdsa-p256" or "rsa-3072".
func (k Key) Algorithm() string {
	switch key := k.public.(type) {
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ecdsa-p%d", key.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return "ed25519"
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", key.N.BitLen())
	}
	return "none"
}
