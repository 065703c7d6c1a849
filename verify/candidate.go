package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxSignatureBytes bounds one signature: RSA-8192 has 1024 bytes.
const maxSignatureBytes = 8 << 10

// candidate is one trusted key with the engines that check its signatures: one
// for each signature algorithm that the key may have signed with.
type candidate struct {
	id      string
	hint    string
	edwards bool // Ed25519: its pure form cannot be checked by digest alone
	window  trust.Window
	public  crypto.PublicKey
	engines []engine
}

// engine checks one signature algorithm of one key.
type engine struct {
	verifier *sigverify.Verifier
	material *root.TrustedPublicKeyMaterial
}

// newCandidate prepares the engines of one key. The algorithms are those of
// Sigstore's algorithm registry for the key's kind, the key's own hash first.
// P-384 and P-521 are also accepted with SHA-256, which cosign signs with: a
// weaker hash than the curve's, and not a weak one.
func newCandidate(key trust.Key) (candidate, error) {
	verifiers, err := keyVerifiers(key.Public())
	if err != nil {
		return candidate{}, fmt.Errorf("trusting key %s: %w", key.ID(), err)
	}
	_, edwards := key.Public().(ed25519.PublicKey)
	c := candidate{id: key.ID(), hint: key.Hint(), edwards: edwards, window: key.Window(), public: key.Public()}
	for _, verifier := range verifiers {
		expiring := root.NewExpiringKey(verifier, time.Time{}, time.Time{})
		material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return expiring, nil })
		checker, err := sigverify.NewVerifier(material, sigverify.WithNoObserverTimestamps(), sigverify.WithoutStatementPredicate())
		if err != nil {
			return candidate{}, fmt.Errorf("trusting key %s: %w", key.ID(), err)
		}
		c.engines = append(c.engines, engine{verifier: checker, material: material})
	}
	return c, nil
}

func keyVerifiers(public crypto.PublicKey) ([]signature.Verifier, error) {
	var all []signature.Verifier
	add := func(v signature.Verifier, err error) error {
		if err == nil {
			all = append(all, v)
		}
		return err
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		hashes := []crypto.Hash{crypto.SHA256}
		switch key.Curve {
		case elliptic.P384():
			hashes = []crypto.Hash{crypto.SHA384, crypto.SHA256}
		case elliptic.P521():
			hashes = []crypto.Hash{crypto.SHA512, crypto.SHA256}
		}
		for _, hash := range hashes {
			verifier, err := signature.LoadECDSAVerifier(key, hash)
			if err := add(strictECDSA{verifier}, err); err != nil {
				return nil, err
			}
		}
	case ed25519.PublicKey:
		if err := add(signature.LoadED25519Verifier(key)); err != nil {
			return nil, err
		}
		// Ed25519ph is domain-separated from Ed25519 (RFC 8032 section 5.1), so
		// accepting both for one key lets no signature count as another.
		if err := add(signature.LoadVerifierWithOpts(key, options.WithED25519ph())); err != nil {
			return nil, err
		}
	case *rsa.PublicKey:
		if err := add(signature.LoadRSAPKCS1v15Verifier(key, crypto.SHA256)); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: %T", trust.ErrKeyWeak, public)
	}
	return all, nil
}

// strictECDSA takes signatures as ASN.1 DER alone (RFC 3279 section 2.2.3): the
// library below it also takes r and s side by side, and then one signature has
// two spellings.
type strictECDSA struct{ *signature.ECDSAVerifier }

// VerifySignature implements signature.Verifier.
func (v strictECDSA) VerifySignature(sig, message io.Reader, options ...signature.VerifyOption) error {
	raw, err := io.ReadAll(io.LimitReader(sig, maxSignatureBytes))
	if err != nil {
		return err
	}
	var pair struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(raw, &pair)
	if err != nil || len(rest) > 0 {
		return errors.New("the signature is not one ASN.1 sequence of two integers")
	}
	return v.ECDSAVerifier.VerifySignature(bytes.NewReader(raw), message, options...)
}

// ordered returns the trusted keys with the one that the evidence names first.
// The name is a hint and decides nothing but the order of the attempts.
func (v *Verifier) ordered(hint string) []candidate {
	for i, c := range v.keys {
		if hint != "" && (c.hint == hint || c.id == hint) {
			sorted := make([]candidate, 0, len(v.keys))
			sorted = append(sorted, c)
			sorted = append(sorted, v.keys[:i]...)
			return append(sorted, v.keys[i+1:]...)
		}
	}
	return v.keys
}

// trusts reports whether the hint names one of the trusted keys.
func (v *Verifier) trusts(hint string) bool {
	for _, c := range v.keys {
		if hint != "" && (c.hint == hint || c.id == hint) {
			return true
		}
	}
	return false
}
