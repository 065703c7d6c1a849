// Package sign makes signatures and attestations in the formats that Sigstore's
// clients verify, and verifies its own output before it returns it.
//
//	evidence, err := sign.Image(ctx, digest, nil, signer)
//	evidence, err := sign.Statement(ctx, statement, digest, signer)
//
// It writes nowhere: package sign/publish does. Keys come from sign/keys, short-lived
// certificates from sign/keyless, or from anything else that is a [Signer].
package sign

import (
	"context"
	"crypto"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/hallmark-project/hallmark/verify"
)

// Signer signs messages with one private key. Implementations are safe for
// concurrent use.
type Signer interface {
	// Public returns the public key.
	Public() crypto.PublicKey
	// Sign signs the whole message with the key's own algorithm: ECDSA with the
	// curve's hash as ASN.1 DER, RSA PKCS #1 v1.5 with SHA-256, pure Ed25519.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// DigestSigner is a Signer that can sign a message by its digest alone, so that
// large content is streamed and never held.
type DigestSigner interface {
	Signer
	// Hash returns the hash whose digest SignDigest takes.
	Hash() crypto.Hash
	// SignDigest signs a message whose digest is given. For Ed25519 that is
	// Ed25519ph with SHA-512 (RFC 8032 section 5.1), which is not what Sign makes.
	SignDigest(ctx context.Context, digest []byte) ([]byte, error)
}

// Notary is a signer whose signatures are witnessed: an authority vouches for its
// key, logs and timestamp authorities for each signature. Package sign/keyless has
// one.
type Notary interface {
	DigestSigner
	// Notarize completes a bundle that has its content and its signature with the
	// certificate, the timestamps and the log entries. On an error nothing of the
	// bundle may be used.
	Notarize(ctx context.Context, wire *protobundle.Bundle) error
	// Verifier verifies what the notary has completed.
	Verifier() *verify.Verifier
}
