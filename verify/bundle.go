package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxCertificates bounds the certificates of one bundle, before any chain is
// built from them. Sigstore's own chains have two or three.
const maxCertificates = 10

// entity is a bundle that is parsed and not yet checked.
type entity struct {
	bundle  *bundle.Bundle // what the engine reads
	entries []*protorekor.TransparencyLogEntry
	// message is the same bundle as a message signature over the envelope's encoding,
	// where its log entries record it so; see asMessage.
	message *bundle.Bundle
	// kept are log entries that the engine does not read; see keptEntries. The bundle
	// is then without them.
	kept    []*protorekor.TransparencyLogEntry
	payload []byte // the DSSE payload: the one buffer that is checked and parsed
	dsse    bool
	content bool // the artifact's own bytes are at hand
}

// checkBundle follows the Sigstore client specification: parse, log, time,
// certificate, signature, and then the statement and its subject.
func (v *Verifier) checkBundle(s Subject, content []byte, e Evidence) (Fact, error) {
	parsed, rejection := v.parseBundle(e)
	if rejection != nil {
		return Fact{}, rejection
	}
	return v.checkEntity(s, content, e, parsed)
}

// checkEntity checks a parsed bundle, whatever format it came in.
func (v *Verifier) checkEntity(s Subject, content []byte, e Evidence, parsed *entity) (Fact, error) {
	artifact, rejection := artifactOption(s, content, e, parsed)
	if rejection != nil {
		return Fact{}, rejection
	}
	fact := Fact{Subject: s, Kind: KindSignature, Origin: e.Origin, Checks: []Step{StepParse}}
	verification, err := parsed.bundle.VerificationContent()
	if err != nil && strings.Contains(err.Error(), "in certificate chain") {
		return Fact{}, e.reject(StepCertificate, ReasonCertificateChain, err) // what is no issuing certificate
	}
	if err != nil {
		return Fact{}, e.reject(StepParse, ReasonSignatureFormat, err)
	}
	if key := verification.PublicKey(); key != nil {
		rejection = v.checkKey(&fact, e, parsed, key.Hint(), artifact)
	} else {
		rejection = v.checkCertificate(&fact, e, parsed, artifact)
	}
	if rejection != nil {
		return Fact{}, rejection
	}
	if parsed.dsse {
		if rejection := readStatement(&fact, s, e, parsed.payload); rejection != nil {
			return Fact{}, rejection
		}
	} else {
		fact.Checks = append(fact.Checks, StepSubject)
	}
	return fact, nil
}

// parseBundle reads a bundle strictly (protobuf-specs, sigstore_bundle.proto).
func (v *Verifier) parseBundle(e Evidence) (*entity, *Rejection) {
	if err := attest.CheckJSON(e.Raw); err != nil {
		return nil, e.reject(StepParse, limitOr(err, ReasonSignatureFormat), err)
	}
	wire := &protobundle.Bundle{}
	if err := protojson.Unmarshal(e.Raw, wire); err != nil {
		return nil, e.reject(StepParse, ReasonSignatureFormat, err)
	}
	return v.newEntity(e, wire)
}

// bundleOptions are the engine's options for reading a bundle. Only for an authority
// of the caller's own may a bundle bring intermediate certificates along: a Sigstore
// instance's stand in its trusted root. The chain of an older bundle than v0.3 is read
// for its leaf alone.
func (v *Verifier) bundleOptions(wire *protobundle.Bundle) []bundle.Option {
	if old := wire.GetMediaType(); strings.HasSuffix(old, "version=0.1") || strings.HasSuffix(old, "version=0.2") {
		return nil
	}
	if material := v.root.Sigstore(); material != nil && material.Own && wire.GetVerificationMaterial().GetX509CertificateChain() != nil {
		return []bundle.Option{bundle.AllowCertificateChain()}
	}
	return nil
}

// knownType reports whether a media type is one that bundles have (protobuf-specs,
// sigstore_bundle.proto, media_type). The engine takes any patch version of a known
// version, whatever it may come to mean.
func knownType(mediaType string) bool {
	switch mediaType {
	case "application/vnd.dev.sigstore.bundle+json;version=0.1", "application/vnd.dev.sigstore.bundle+json;version=0.2",
		"application/vnd.dev.sigstore.bundle+json;version=0.3", "application/vnd.dev.sigstore.bundle.v0.3+json":
		return true
	}
	return false
}

// newEntity takes a bundle over whose shape the engine agrees. A panic of the
// engine on hostile bytes is a refusal of those bytes.
func (v *Verifier) newEntity(e Evidence, wire *protobundle.Bundle) (parsed *entity, rejection *Rejection) {
	defer func() {
		if fault := recover(); fault != nil {
			parsed, rejection = nil, e.reject(StepParse, ReasonSignatureFormat, fmt.Errorf("%w: %v", errEnginePanic, fault))
		}
	}()
	if !knownType(wire.GetMediaType()) {
		return nil, e.reject(StepParse, ReasonSignatureFormat, fmt.Errorf("a bundle of type %q, which is none of v0.1 to v0.3", wording.Short(wire.GetMediaType())))
	}
	chain := wire.GetVerificationMaterial().GetX509CertificateChain().GetCertificates()
	if len(chain) > maxCertificates {
		return nil, e.reject(StepParse, ReasonLimitExceeded, fmt.Errorf("%d certificates, at most %d are read", len(chain), maxCertificates))
	}
	entries := wire.GetVerificationMaterial().GetTlogEntries()
	wire, kept, rejection := keptEntries(e, wire)
	if rejection != nil {
		return nil, rejection
	}
	b, err := bundle.NewBundle(wire, v.bundleOptions(wire)...)
	switch {
	case err != nil && (strings.Contains(err.Error(), "inclusion proof") || strings.Contains(err.Error(), "inclusion promise")):
		return nil, e.reject(StepLog, ReasonLogProof, err)
	case err != nil && strings.Contains(err.Error(), "entry body is not a recognizable"):
		return nil, e.reject(StepLog, ReasonLogMismatch, err)
	}
	if err != nil {
		return nil, e.reject(StepParse, ReasonSignatureFormat, err)
	}
	switch body := b.Content.(type) {
	case *protobundle.Bundle_DsseEnvelope:
		envelope := body.DsseEnvelope
		if len(envelope.GetSignatures()) != 1 {
			return nil, e.reject(StepParse, ReasonSignatureFormat, fmt.Errorf("%d signatures in the envelope; a bundle has exactly one", len(envelope.GetSignatures())))
		}
		if envelope.GetPayloadType() != attest.PayloadType {
			return nil, e.reject(StepParse, ReasonPayloadType, fmt.Errorf("the envelope holds %q, not %q", envelope.GetPayloadType(), attest.PayloadType))
		}
		parsed = &entity{bundle: b, entries: entries, kept: kept, payload: envelope.GetPayload(), dsse: true}
		parsed.message, rejection = v.asMessage(e, parsed)
		return parsed, rejection
	case *protobundle.Bundle_MessageSignature:
		if len(body.MessageSignature.GetSignature()) == 0 {
			return nil, e.reject(StepParse, ReasonSignatureFormat, errors.New("the message signature is empty"))
		}
		if len(kept) > 0 {
			return nil, e.reject(StepLog, ReasonLogMismatch, errors.New("the log entry is about an envelope, and there is none"))
		}
		return &entity{bundle: b, entries: entries}, nil
	}
	return nil, e.reject(StepParse, ReasonSignatureFormat, errors.New("neither an envelope nor a message signature"))
}

// artifactOption says what the engine shall compare the signed bytes with.
func artifactOption(s Subject, content []byte, e Evidence, parsed *entity) (func() sigverify.ArtifactPolicyOption, *Rejection) {
	if parsed.dsse {
		return func() sigverify.ArtifactPolicyOption {
			return sigverify.WithArtifactDigest(s.Digest.Algorithm(), s.Digest.Bytes())
		}, nil
	}
	if content != nil {
		parsed.content = true
		return func() sigverify.ArtifactPolicyOption { return sigverify.WithArtifact(bytes.NewReader(content)) }, nil
	}
	claimed := parsed.bundle.GetMessageSignature().GetMessageDigest()
	algorithm := map[protocommon.HashAlgorithm]string{
		protocommon.HashAlgorithm_SHA2_256: "sha256",
		protocommon.HashAlgorithm_SHA2_384: "sha384",
		protocommon.HashAlgorithm_SHA2_512: "sha512",
	}[claimed.GetAlgorithm()]
	if algorithm != s.Digest.Algorithm() {
		return nil, e.reject(StepParse, ReasonDigestMismatch, fmt.Errorf("the bundle signs a %s digest, not a %s one", claimed.GetAlgorithm(), s.Digest.Algorithm()))
	}
	if !bytes.Equal(claimed.GetDigest(), s.Digest.Bytes()) {
		found, _ := digest.Parse(fmt.Sprintf("%s:%x", algorithm, claimed.GetDigest()))
		return nil, &Rejection{
			Origin: e.Origin, Step: StepSubject, Reason: ReasonDigestMismatch,
			Found: found.String(), Wanted: s.Digest.String(),
			Err: fmt.Errorf("the bundle is about %s, not %s", found.Short(), s.Digest.Short()),
		}
	}
	return func() sigverify.ArtifactPolicyOption {
		return sigverify.WithArtifactDigest(s.Digest.Algorithm(), s.Digest.Bytes())
	}, nil
}

// checkKey tries the trusted keys, the hinted one first. Which key the evidence
// names decides nothing; which key's signature it carries does.
func (v *Verifier) checkKey(fact *Fact, e Evidence, parsed *entity, hint string, artifact func() sigverify.ArtifactPolicyOption) *Rejection {
	var contentNeeded bool
	digestOnly := !parsed.dsse && !parsed.content
	for _, c := range v.ordered(hint) {
		for _, engine := range c.engines {
			_, err := engine.verifier.Verify(parsed.bundle, sigverify.NewPolicy(artifact(), sigverify.WithKey()))
			if err == nil || parsed.dsse && signedAnyway(engine, parsed) {
				// A signature that is right over a statement that is not about the
				// subject is named as such by readStatement.
				fact.Signer = Signer{KeyID: c.id}
				fact.Checks = append(fact.Checks, StepSignature)
				return v.checkKeyWitnesses(fact, e, parsed, c, engine)
			}
		}
		contentNeeded = contentNeeded || c.edwards && digestOnly
	}
	switch {
	case contentNeeded && v.trusts(hint):
		return e.reject(StepSignature, ReasonSignatureFormat, errors.New("an Ed25519 signature over content cannot be checked by digest alone; give the artifact itself"))
	case v.trusts(hint):
		return e.reject(StepSignature, ReasonSignatureInvalid, errors.New("the named key did not sign these bytes"))
	}
	rejection := e.reject(StepSignature, ReasonKeyMismatch, errors.New("none of the trusted keys signed it"))
	rejection.Found = wording.Short(hint)
	for _, c := range v.keys {
		rejection.Wanted += c.id + " "
	}
	rejection.Wanted = strings.TrimSpace(rejection.Wanted)
	return rejection
}

// signedAnyway reports whether the envelope's signature is right, whatever its
// payload says.
func signedAnyway(with engine, parsed *entity) bool {
	signed, err := parsed.bundle.SignatureContent()
	if err != nil {
		return false
	}
	material, err := parsed.bundle.VerificationContent()
	if err != nil {
		return false
	}
	return sigverify.VerifySignature(signed, material, with.material) == nil
}

// readStatement reads the signed payload and binds it to the subject.
func readStatement(fact *Fact, s Subject, e Evidence, payload []byte) *Rejection {
	statement, err := attest.ParseStatement(payload)
	if err != nil {
		reason := limitOr(err, ReasonStatementMalformed)
		if errors.Is(err, attest.ErrSubjectEmpty) {
			reason = ReasonSubjectEmpty
		}
		return e.reject(StepStatement, reason, err)
	}
	if !statement.Names(s.Digest) {
		found := "no digest of a known algorithm"
		if all := statement.Digests(); len(all) > 0 {
			found = all[0].String()
		}
		return &Rejection{
			Origin: e.Origin, Step: StepSubject, Reason: ReasonSubjectMismatch,
			Found: found, Wanted: s.Digest.String(),
			Err: fmt.Errorf("the statement is about %s, not %s", found, s.Digest),
		}
	}
	fact.Statement = statement
	fact.Kind = KindStatement
	if statement.PredicateType == SignaturePredicateType {
		fact.Kind = KindSignature
		fact.Annotations = signatureAnnotations(statement, s.Digest)
	}
	fact.Checks = append(slices.Clone(fact.Checks), StepStatement, StepSubject)
	return nil
}

// limitOr names a broken bound before the format's own reason.
func limitOr(err error, reason Reason) Reason {
	if errors.Is(err, attest.ErrLimit) {
		return ReasonLimitExceeded
	}
	return reason
}
