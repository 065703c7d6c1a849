package sign

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// LegacyPayloadType is the critical type of cosign's simple signing payload.
const LegacyPayloadType = "cosign container image signature"

// Legacy signs an image in cosign's tag format (cosign specs/SIGNATURE_SPEC.md): a
// simple signing payload, whose signature stands in an annotation of its layer.
// reference is the image's name, a claim for readers.
func Legacy(ctx context.Context, reference string, subject digest.Digest, annotations map[string]string, s Signer) (Evidence, error) {
	if subject.IsZero() {
		return Evidence{}, fmt.Errorf("signing an image: %w", ErrNothingToSign)
	}
	var payload verify.SimpleSigning
	payload.Critical.Identity.DockerReference = reference
	payload.Critical.Image.DockerManifestDigest = subject.String()
	payload.Critical.Type = LegacyPayloadType
	for name, value := range annotations {
		if payload.Optional == nil {
			payload.Optional = make(map[string]any)
		}
		payload.Optional[name] = value
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return Evidence{}, fmt.Errorf("encoding a simple signing payload: %w", err)
	}
	sig, err := s.Sign(ctx, raw)
	if err != nil {
		return Evidence{}, fmt.Errorf("signing an image: %w", err)
	}
	sum := sha256.Sum256(raw)
	proof, err := legacyProof(ctx, s, &protobundle.Bundle{Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: sig,
	}}})
	if err != nil {
		return Evidence{}, err
	}
	proof[verify.LegacySignatureAnnotation] = base64.StdEncoding.EncodeToString(sig)
	return proved(verify.Evidence{Format: verify.FormatLegacySignature, Raw: raw, Annotations: proof}, subject, "", s)
}

// LegacyStatement signs a statement as a bare DSSE envelope, as cosign's
// attestation tags hold them.
func LegacyStatement(ctx context.Context, statement *attest.Statement, subject digest.Digest, s Signer) (Evidence, error) {
	payload, sig, err := signStatement(ctx, statement, subject, s)
	if err != nil {
		return Evidence{}, err
	}
	wire := &protodsse.Envelope{Payload: payload, PayloadType: attest.PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}}}
	// The very bytes that the engine sends to a Rekor v1: the entry holds their hash,
	// and cosign compares it with the layer.
	raw, err := json.Marshal(wire)
	if err != nil {
		return Evidence{}, fmt.Errorf("encoding an envelope: %w", err)
	}
	proof, err := legacyProof(ctx, s, &protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: wire}})
	if err != nil {
		return Evidence{}, err
	}
	// cosign stamps the whole envelope here and not its signature, so that one
	// timestamp cannot serve both readers: the log's promise tells the time.
	delete(proof, verify.LegacyTimestampAnnotation)
	proof["predicateType"] = statement.PredicateType
	return proved(verify.Evidence{Format: verify.FormatLegacyAttestation, Raw: raw, Annotations: proof}, subject, statement.PredicateType, s)
}

// legacyProof returns the annotations that hold what a bundle holds in its
// verification material; none for a key. The log must be a Rekor v1, for the format
// keeps the log's promise and has no place for a proof.
func legacyProof(ctx context.Context, s Signer, wire *protobundle.Bundle) (map[string]string, error) {
	notary, witnessed := s.(Notary)
	if !witnessed {
		return make(map[string]string), nil
	}
	if err := notary.Notarize(ctx, wire); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	proof, err := verify.LegacyAnnotations(wire.GetVerificationMaterial())
	if err != nil {
		return nil, err
	}
	chain, err := notary.Verifier().Chain(wire.GetVerificationMaterial().GetCertificate().GetRawBytes())
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	proof[verify.LegacyChainAnnotation] = string(chain)
	return proof, nil
}
