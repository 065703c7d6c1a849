package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

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
	return proved(verify.Evidence{
		Format: verify.FormatLegacySignature, Raw: raw,
		Annotations: map[string]string{verify.LegacySignatureAnnotation: base64.StdEncoding.EncodeToString(sig)},
	}, subject, "", s)
}

// LegacyStatement signs a statement as a bare DSSE envelope, as cosign's
// attestation tags hold them.
func LegacyStatement(ctx context.Context, statement *attest.Statement, subject digest.Digest, s Signer) (Evidence, error) {
	payload, sig, err := signStatement(ctx, statement, subject, s)
	if err != nil {
		return Evidence{}, err
	}
	envelope := &attest.Envelope{PayloadType: attest.PayloadType, Payload: payload, Signatures: []attest.EnvelopeSignature{{Sig: sig}}}
	raw, err := envelope.Encode()
	if err != nil {
		return Evidence{}, err
	}
	return proved(verify.Evidence{
		Format: verify.FormatLegacyAttestation, Raw: raw,
		Annotations: map[string]string{"predicateType": statement.PredicateType},
	}, subject, statement.PredicateType, s)
}
