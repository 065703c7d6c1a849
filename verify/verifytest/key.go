// Package verifytest makes genuine evidence for tests, and precisely broken
// evidence: each good piece has twins that differ in exactly one place.
//
//	key := verifytest.NewKey(t, "ecdsa-p256")
//	good := key.Bundle(t, statement)
//	for name, bad := range verifytest.Mutants(t, good) { … must be refused … }
//
// An [Instance] is a whole Sigstore for keyless evidence, in memory:
//
//	in := verifytest.NewInstance(t)
//	good := in.Sign(t, verifytest.Options{V2: true})
//	late := in.Sign(t, verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{At: in.Now.Add(time.Hour)}}})
//	v := in.Verifier(t, trust.Keyless()) // passes good, refuses late with TIME_OUTSIDE
//
// It is for tests only: nothing that ships may import it.
package verifytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// BundleMediaType is the media type of every bundle that is made here.
const BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Key is a private key of a test.
type Key struct {
	Trusted trust.Key
	signer  signature.Signer
	private crypto.Signer
}

// NewKey makes a fresh key: "ecdsa-p256", "ecdsa-p384", "ed25519" or "rsa-2048".
func NewKey(t testing.TB, algorithm string) *Key {
	t.Helper()
	var private crypto.Signer
	var err error
	hash := crypto.SHA256
	switch algorithm {
	case "ecdsa-p256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		hash = crypto.SHA384
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "rsa-2048":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no such algorithm: %s", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSigner(private, hash)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := trust.NewKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &Key{Trusted: trusted, signer: signer, private: private}
}

// Sign signs a message with the key's own hash.
func (k *Key) Sign(t testing.TB, message []byte) []byte {
	t.Helper()
	sig, err := k.signer.SignMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// Bundle signs payload as an in-toto statement in a Sigstore bundle.
func (k *Key) Bundle(t testing.TB, payload []byte) []byte {
	t.Helper()
	sig := k.Sign(t, attest.PAE(attest.PayloadType, payload))
	return encodeBundle(t, k.Trusted.Hint(), &protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		PayloadType: attest.PayloadType, Payload: payload, Signatures: []*protodsse.Signature{{Sig: sig}},
	}}})
}

// MessageBundle signs content itself as a message signature.
func (k *Key) MessageBundle(t testing.TB, content []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(content)
	return encodeBundle(t, k.Trusted.Hint(), &protobundle.Bundle{Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
		Signature:     k.Sign(t, content),
	}}})
}

func encodeBundle(t testing.TB, hint string, wire *protobundle.Bundle) []byte {
	t.Helper()
	wire.MediaType = BundleMediaType
	wire.VerificationMaterial = &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint}},
	}
	raw, err := protojson.Marshal(wire)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Signature returns bundle evidence that k signed the image.
func (k *Key) Signature(t testing.TB, image digest.Digest) verify.Evidence {
	t.Helper()
	return k.Attestation(t, image, verify.SignaturePredicateType, `{}`)
}

// Attestation returns bundle evidence of a statement of the given type.
func (k *Key) Attestation(t testing.TB, image digest.Digest, predicateType, predicate string) verify.Evidence {
	t.Helper()
	return verify.Evidence{Format: verify.FormatBundle, Raw: k.Bundle(t, Statement(t, image, predicateType, predicate))}
}

// LegacySignature returns evidence in cosign's tag format.
func (k *Key) LegacySignature(t testing.TB, image digest.Digest) verify.Evidence {
	t.Helper()
	payload := SimpleSigning(t, image)
	return verify.Evidence{
		Format: verify.FormatLegacySignature, Raw: payload,
		Annotations: map[string]string{verify.LegacySignatureAnnotation: base64.StdEncoding.EncodeToString(k.Sign(t, payload))},
	}
}

// LegacyAttestation returns a bare DSSE envelope as cosign's tag format has it.
func (k *Key) LegacyAttestation(t testing.TB, image digest.Digest, predicateType, predicate string) verify.Evidence {
	t.Helper()
	payload := Statement(t, image, predicateType, predicate)
	envelope := &attest.Envelope{
		PayloadType: attest.PayloadType, Payload: payload,
		Signatures: []attest.EnvelopeSignature{{Sig: k.Sign(t, attest.PAE(attest.PayloadType, payload))}},
	}
	raw, err := envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return verify.Evidence{Format: verify.FormatLegacyAttestation, Raw: raw, Annotations: map[string]string{"predicateType": predicateType}}
}

// Statement returns the JSON of a v1 statement about the image.
func Statement(t testing.TB, image digest.Digest, predicateType, predicate string) []byte {
	t.Helper()
	statement, err := attest.NewStatement("", image, predicateType, []byte(predicate))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(statement)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// SimpleSigning returns the payload of a legacy signature of the image.
func SimpleSigning(t testing.TB, image digest.Digest) []byte {
	t.Helper()
	var payload verify.SimpleSigning
	payload.Critical.Image.DockerManifestDigest = image.String()
	payload.Critical.Type = "cosign container image signature"
	raw, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Root trusts the given keys.
func Root(t testing.TB, keys ...*Key) *trust.Root {
	t.Helper()
	var all []trust.Key
	for _, key := range keys {
		all = append(all, key.Trusted)
	}
	root, err := trust.NewRoot(trust.WithKeys(all...))
	if err != nil {
		t.Fatal(err)
	}
	return root
}
