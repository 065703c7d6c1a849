package verify

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// Annotations and types of cosign's tag format (cosign specs/SIGNATURE_SPEC.md).
const (
	LegacySignatureAnnotation   = "dev.cosignproject.cosign/signature"
	LegacyCertificateAnnotation = "dev.sigstore.cosign/certificate"
	legacyPayloadType           = "cosign container image signature"
)

// maxLegacyPayload bounds a simple signing payload; an honest one has 300 bytes.
const maxLegacyPayload = 1 << 20

// SimpleSigning is the payload of a legacy signature: containers' "simple
// signing" format as cosign writes it.
type SimpleSigning struct {
	Critical SimpleSigningCritical `json:"critical"`
	Optional map[string]any        `json:"optional"`
}

// SimpleSigningCritical is the part of the payload that binds.
type SimpleSigningCritical struct {
	Identity struct {
		DockerReference string `json:"docker-reference"`
	} `json:"identity"`
	Image struct {
		DockerManifestDigest string `json:"docker-manifest-digest"`
	} `json:"image"`
	Type string `json:"type"`
}

// checkLegacySignature checks a simple signing payload whose signature stands
// in an annotation. The engine checks it as a message signature over the payload.
func (v *Verifier) checkLegacySignature(s Subject, e Evidence) (Fact, error) {
	if len(e.Raw) > maxLegacyPayload {
		return Fact{}, e.reject(StepParse, ReasonLimitExceeded, fmt.Errorf("a payload of %d bytes, at most %d are read", len(e.Raw), maxLegacyPayload))
	}
	text := e.Annotations[LegacySignatureAnnotation]
	if text == "" {
		return Fact{}, e.reject(StepParse, ReasonSignatureFormat, fmt.Errorf("the layer has no annotation %q", LegacySignatureAnnotation))
	}
	sig, err := attest.DecodeBase64(text)
	if err != nil || len(sig) == 0 {
		return Fact{}, e.reject(StepParse, ReasonSignatureFormat, errors.New("the signature annotation is not base64"))
	}
	material, rejection := legacyMaterial(e)
	if rejection != nil {
		return Fact{}, rejection
	}
	algorithm := hashName{crypto.SHA256, protocommon.HashAlgorithm_SHA2_256}
	if entries := material.GetTlogEntries(); len(entries) > 0 && entries[0].GetKindVersion().GetKind() == kindHashedRekord {
		if algorithm, err = recordedHash(entries[0]); err != nil {
			return Fact{}, e.reject(StepLog, ReasonLogMismatch, err)
		}
	}
	h := algorithm.hash.New()
	h.Write(e.Raw)
	parsed, rejection := v.legacyEntity(e, material, &protobundle.Bundle{Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: algorithm.name, Digest: h.Sum(nil)},
		Signature:     sig,
	}}})
	if rejection != nil {
		return Fact{}, rejection
	}
	fact := Fact{Subject: s, Kind: KindSignature, Origin: e.Origin, Checks: []Step{StepParse}}
	parsed.content = true
	payload := func() sigverify.ArtifactPolicyOption { return sigverify.WithArtifact(bytes.NewReader(e.Raw)) }
	if e.Annotations[LegacyCertificateAnnotation] != "" {
		rejection = v.checkCertificate(&fact, e, parsed, payload)
	} else {
		rejection = v.checkKey(&fact, e, parsed, "", payload)
	}
	if rejection != nil {
		return Fact{}, rejection
	}
	if rejection := readSimpleSigning(&fact, s, e); rejection != nil {
		return Fact{}, rejection
	}
	return fact, nil
}

// checkLegacyAttestation checks a bare DSSE envelope from an attestation tag.
func (v *Verifier) checkLegacyAttestation(s Subject, e Evidence) (Fact, error) {
	envelope, err := attest.ParseEnvelope(e.Raw)
	if err != nil {
		return Fact{}, e.reject(StepParse, limitOr(err, ReasonSignatureFormat), err)
	}
	wire := &protodsse.Envelope{PayloadType: envelope.PayloadType, Payload: envelope.Payload}
	for _, signature := range envelope.Signatures {
		wire.Signatures = append(wire.Signatures, &protodsse.Signature{Sig: signature.Sig, Keyid: signature.KeyID})
	}
	material, rejection := legacyMaterial(e)
	if rejection != nil {
		return Fact{}, rejection
	}
	parsed, rejection := v.legacyEntity(e, material, &protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: wire}})
	if rejection != nil {
		return Fact{}, rejection
	}
	return v.checkEntity(s, nil, e, parsed)
}

// legacyEntity dresses legacy evidence as the bundle that says the same, so that
// there is one way through the checks. With a log entry it is a v0.1 bundle, which
// may rest on the log's promise.
func (v *Verifier) legacyEntity(e Evidence, material *protobundle.VerificationMaterial, wire *protobundle.Bundle) (*entity, *Rejection) {
	wire.MediaType, wire.VerificationMaterial = legacyBundleType, material
	return v.newEntity(e, wire)
}

// legacyBundleType is the oldest bundle (protobuf-specs, sigstore_bundle.proto).
const legacyBundleType = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// readSimpleSigning reads the signed payload and binds it to the subject.
func readSimpleSigning(fact *Fact, s Subject, e Evidence) *Rejection {
	if err := attest.CheckJSON(e.Raw); err != nil {
		return e.reject(StepStatement, limitOr(err, ReasonStatementMalformed), err)
	}
	var payload SimpleSigning
	decoder := json.NewDecoder(bytes.NewReader(e.Raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&payload); err != nil {
		return e.reject(StepStatement, ReasonStatementMalformed, fmt.Errorf("reading the simple signing payload: %w", err))
	}
	if payload.Critical.Type != legacyPayloadType {
		return e.reject(StepStatement, ReasonPayloadType, fmt.Errorf("the payload is a %q, not a %q", wording.Short(payload.Critical.Type), legacyPayloadType))
	}
	signed, err := digest.Parse(payload.Critical.Image.DockerManifestDigest)
	if err != nil {
		return e.reject(StepStatement, ReasonStatementMalformed, fmt.Errorf("reading the simple signing payload: %w", err))
	}
	if signed != s.Digest {
		return &Rejection{
			Origin: e.Origin, Step: StepSubject, Reason: ReasonSubjectMismatch,
			Found: signed.String(), Wanted: s.Digest.String(),
			Err: fmt.Errorf("the signature is about %s, not %s", signed, s.Digest),
		}
	}
	fact.Reference = payload.Critical.Identity.DockerReference
	fact.Annotations = textAnnotations(payload.Optional)
	fact.Checks = append(fact.Checks, StepStatement, StepSubject)
	return nil
}

// signatureAnnotations reads the annotations of a signature in bundle form from
// the subject that is the signed image.
func signatureAnnotations(statement *attest.Statement, image digest.Digest) map[string]string {
	for _, subject := range statement.Subject {
		if subject.Digest[image.Algorithm()] == image.Hex() {
			return textAnnotations(subject.Annotations)
		}
	}
	return nil
}

// textAnnotations keeps the annotations that are texts.
func textAnnotations(all map[string]any) map[string]string {
	var texts map[string]string
	for name, value := range all {
		if text, isText := value.(string); isText {
			if texts == nil {
				texts = make(map[string]string)
			}
			texts[name] = text
		}
	}
	return texts
}
