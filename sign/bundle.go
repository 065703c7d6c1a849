package sign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// BundleMediaType is the media type of the bundles that are made here
// (protobuf-specs, sigstore_bundle.proto, v0.3).
const BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// ErrNothingToSign: there is no digest, or no statement; give one.
var ErrNothingToSign = errors.New("nothing to sign")

// Evidence is one signed piece, verified before it was returned.
type Evidence struct {
	verify.Evidence
	// PredicateType of the statement inside; for an image signature in bundle
	// form verify.SignaturePredicateType, for a legacy one empty.
	PredicateType string
	// Signer is who signed it, as the verification proved.
	Signer verify.Signer
	// Fact is all that the verification proved.
	Fact verify.Fact
	// Subject is what it is about.
	Subject digest.Digest
}

// Statement signs an in-toto statement about one digest and returns a Sigstore
// bundle: a DSSE envelope (attest.PAE) with the key's hint.
func Statement(ctx context.Context, statement *attest.Statement, subject digest.Digest, s Signer) (Evidence, error) {
	payload, sig, err := signStatement(ctx, statement, subject, s)
	if err != nil {
		return Evidence{}, err
	}
	raw, err := encodeBundle(ctx, s, &protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		Payload: payload, PayloadType: attest.PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
	}}})
	if err != nil {
		return Evidence{}, err
	}
	return proved(verify.Evidence{Format: verify.FormatBundle, Raw: raw}, subject, statement.PredicateType, s)
}

// Image signs an image in bundle form: a statement without predicate of the type
// that cosign uses. annotations may be nil; they stand in the subject.
func Image(ctx context.Context, subject digest.Digest, annotations map[string]string, s Signer) (Evidence, error) {
	if subject.IsZero() {
		return Evidence{}, fmt.Errorf("signing an image: %w", ErrNothingToSign)
	}
	statement := &attest.Statement{
		Type:          attest.StatementTypeV1,
		Subject:       []attest.Subject{{Digest: map[string]string{subject.Algorithm(): subject.Hex()}}},
		PredicateType: verify.SignaturePredicateType,
	}
	for name, value := range annotations {
		if statement.Subject[0].Annotations == nil {
			statement.Subject[0].Annotations = make(map[string]any)
		}
		statement.Subject[0].Annotations[name] = value
	}
	return Statement(ctx, statement, subject, s)
}

// signStatement returns a statement's bytes and the signature over their DSSE
// encoding, which every format of attestations carries.
func signStatement(ctx context.Context, statement *attest.Statement, subject digest.Digest, s Signer) (payload, sig []byte, err error) {
	if payload, err = encodeStatement(statement, subject); err != nil {
		return nil, nil, err
	}
	if sig, err = s.Sign(ctx, attest.PAE(attest.PayloadType, payload)); err != nil {
		return nil, nil, fmt.Errorf("signing a statement: %w", err)
	}
	return payload, sig, nil
}

// encodeStatement returns the bytes that are signed, after the same reading that a
// verifier will give them.
func encodeStatement(statement *attest.Statement, subject digest.Digest) ([]byte, error) {
	if statement == nil || subject.IsZero() {
		return nil, fmt.Errorf("signing a statement: %w", ErrNothingToSign)
	}
	payload, err := json.Marshal(statement)
	if err != nil {
		return nil, fmt.Errorf("encoding a statement: %w", err)
	}
	parsed, err := attest.ParseStatement(payload)
	if err != nil {
		return nil, fmt.Errorf("signing a statement: %w", err)
	}
	if !parsed.Names(subject) {
		return nil, fmt.Errorf("signing a statement: it is not about %s", subject)
	}
	return payload, nil
}

// encodeBundle completes a bundle with the key's hint, or with what the notary's
// witnesses say.
func encodeBundle(ctx context.Context, s Signer, wire *protobundle.Bundle) ([]byte, error) {
	wire.MediaType = BundleMediaType
	if notary, witnessed := s.(Notary); witnessed {
		if err := notary.Notarize(ctx, wire); err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		return marshalBundle(wire)
	}
	key, err := trust.NewKey(s.Public())
	if err != nil {
		return nil, fmt.Errorf("making a bundle: %w", err)
	}
	wire.VerificationMaterial = &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: key.Hint()}},
	}
	return marshalBundle(wire)
}

// marshalBundle writes a bundle so that equal bundles are equal bytes.
func marshalBundle(wire *protobundle.Bundle) ([]byte, error) {
	raw, err := protojson.Marshal(wire)
	if err != nil {
		return nil, fmt.Errorf("encoding a bundle: %w", err)
	}
	// protojson varies its white space from build to build; JSON does not.
	var compact json.RawMessage
	if err := json.Unmarshal(raw, &compact); err != nil {
		return nil, fmt.Errorf("encoding a bundle: %w", err)
	}
	if raw, err = json.Marshal(compact); err != nil {
		return nil, fmt.Errorf("encoding a bundle: %w", err)
	}
	return raw, nil
}

// proved verifies one's own evidence: what does not verify is never returned.
func proved(e verify.Evidence, subject digest.Digest, predicateType string, s Signer) (Evidence, error) {
	v, err := verifierOf(s)
	if err != nil {
		return Evidence{}, err
	}
	fact, err := v.Check(verify.Subject{Digest: subject}, e)
	if err != nil {
		return Evidence{}, fmt.Errorf("verifying the new signature: %w", err)
	}
	return Evidence{Evidence: e, PredicateType: predicateType, Signer: fact.Signer, Subject: subject, Fact: fact}, nil
}

// verifierOf trusts exactly the signer's own key, or what a notary trusts.
func verifierOf(s Signer) (*verify.Verifier, error) {
	if notary, witnessed := s.(Notary); witnessed {
		return notary.Verifier(), nil
	}
	key, err := trust.NewKey(s.Public())
	if err != nil {
		return nil, fmt.Errorf("using the signer's key: %w", err)
	}
	root, err := trust.NewRoot(trust.WithKeys(key))
	if err != nil {
		return nil, fmt.Errorf("using the signer's key: %w", err)
	}
	// A key signature carries no trusted time, so the clock is never asked.
	return verify.New(root, trust.Requirement{}, func() time.Time { return time.Time{} })
}

// Verifier returns a verifier that trusts exactly the signer's own key, or, of a
// [Notary], what it trusts, for
// callers that look for signatures which the signer has made before.
func Verifier(s Signer) (*verify.Verifier, error) { return verifierOf(s) }
