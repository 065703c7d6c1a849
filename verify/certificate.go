package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// clockSkew is how far a trusted time may lie ahead of the local clock.
const clockSkew = 5 * time.Minute

// checkCertificate checks keyless evidence: log, time, chain, SCT, signature
// (Sigstore client specification, section "Verification"), and then what the
// engine leaves to its caller: usage, revocation, one name, one issuer.
func (v *Verifier) checkCertificate(fact *Fact, e Evidence, parsed *entity, artifact func() sigverify.ArtifactPolicyOption) *Rejection {
	if v.keyless == nil {
		rejection := e.reject(StepCertificate, ReasonKeyMismatch, errors.New("signed with a certificate; only keys are trusted here"))
		rejection.Found = "a certificate"
		return rejection
	}
	if rejection := checkEntryKinds(e, parsed); rejection != nil {
		return rejection
	}
	if rejection := v.proveKept(e, parsed); rejection != nil {
		return rejection
	}
	if rejection := checkStrength(e, parsed); rejection != nil {
		return rejection
	}
	result, err := v.engineVerify(parsed, artifact())
	if err != nil && parsed.dsse && parsed.message == nil && strings.Contains(err.Error(), "failed to verify signature") {
		// Tell a statement about something else from a wrong signature.
		bare, bareErr := v.engineVerify(parsed, sigverify.WithoutArtifactUnsafe())
		if bareErr == nil {
			result, err = bare, nil
		}
	}
	if err != nil {
		return v.engineRejection(e, parsed, err)
	}
	if result.Signature == nil || result.Signature.Certificate == nil || len(result.VerifiedTimestamps) == 0 {
		return e.reject(StepCertificate, ReasonInternal, errors.New("the engine reported no certificate or no time"))
	}
	for _, t := range result.VerifiedTimestamps {
		if t.Timestamp.After(v.now().Add(clockSkew)) {
			return e.reject(StepTimestamp, ReasonTimeOutside, errFuture(t.Timestamp))
		}
		source := "tsa"
		if t.Type == "Tlog" {
			source = "log"
		}
		fact.Times = append(fact.Times, TrustedTime{Time: t.Timestamp.UTC(), Source: source, URI: t.URI})
	}
	if rejection := v.checkStamps(e, parsed, fact.Times); rejection != nil {
		return rejection
	}
	content, err := parsed.bundle.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return e.reject(StepCertificate, ReasonSignatureFormat, errors.New("the bundle has no leaf certificate"))
	}
	leaf := content.Certificate()
	if rejection := checkLeaf(e, leaf); rejection != nil {
		return rejection
	}
	if rejection := v.checkRevocation(e, leaf, content.Intermediates(), fact.Times); rejection != nil {
		return rejection
	}
	identity, rejection := leafIdentity(e, leaf)
	if rejection != nil {
		return rejection
	}
	identity.Root = v.root.Digest()
	identity.Digest, identity.Lifetime = digest.FromBytes(leaf.Raw), leaf.NotAfter.Sub(leaf.NotBefore)
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	fact.Signer = Signer{KeyID: "sha256:" + hex.EncodeToString(sum[:]), Certificate: identity}
	if v.need.LogEntries > 0 {
		fact.Log = v.provedEntries(parsed, v.root.Sigstore())
		fact.Checks = append(fact.Checks, StepLog)
		if rejection := v.checkLogTimes(e, fact, v.root.Sigstore()); rejection != nil {
			return rejection
		}
	}
	fact.Checks = append(fact.Checks, StepTimestamp, StepCertificate)
	if v.need.SCTs > 0 {
		fact.Checks = append(fact.Checks, StepSCT)
	}
	fact.Checks = append(fact.Checks, StepSignature)
	return nil
}

// checkStrength refuses a leaf whose key is below the floor for all keys, before
// anything is checked with it.
func checkStrength(e Evidence, parsed *entity) *Rejection {
	content, err := parsed.bundle.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return e.reject(StepCertificate, ReasonSignatureFormat, errors.New("the bundle has no leaf certificate"))
	}
	if err := trust.CheckStrength(content.Certificate().PublicKey); err != nil {
		return e.reject(StepCertificate, ReasonKeyWeak, err)
	}
	return nil
}

// engineVerify asks the engine. A panic of the engine on hostile bytes is a
// refusal of those bytes.
func (v *Verifier) engineVerify(parsed *entity, artifact sigverify.ArtifactPolicyOption) (result *sigverify.VerificationResult, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			result, err = nil, fmt.Errorf("%w: %v", errEnginePanic, fault)
		}
	}()
	if parsed.message != nil {
		// The envelope's own digest is what was signed; readStatement binds the subject.
		message := parsed.message.GetMessageSignature().GetMessageDigest()
		name := map[protocommon.HashAlgorithm]string{
			protocommon.HashAlgorithm_SHA2_256: "sha256", protocommon.HashAlgorithm_SHA2_384: "sha384", protocommon.HashAlgorithm_SHA2_512: "sha512",
		}[message.GetAlgorithm()]
		return v.keyless.Verify(parsed.message, sigverify.NewPolicy(sigverify.WithArtifactDigest(name, message.GetDigest()), sigverify.WithoutIdentitiesUnsafe()))
	}
	engine := v.keyless
	if len(parsed.kept) > 0 {
		engine = v.unlogged // proveKept has proved the log entries
	}
	return engine.Verify(parsed.bundle, sigverify.NewPolicy(artifact, sigverify.WithoutIdentitiesUnsafe()))
}

// proveKept proves the log entries that the engine does not read.
func (v *Verifier) proveKept(e Evidence, parsed *entity) *Rejection {
	if len(parsed.kept) == 0 || v.need.LogEntries == 0 {
		return nil
	}
	content, err := parsed.bundle.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return e.reject(StepCertificate, ReasonSignatureFormat, errors.New("the bundle has no leaf certificate"))
	}
	return v.proveEnvelopes(e, parsed, content.Certificate().Raw, true, v.root.Sigstore())
}

// checkStamps refuses a bundle none of whose timestamps could be verified although
// the root trusts timestamp authorities: what is supplied is never passed over, also
// where a log tells the time. Then whoever stamped must not be revoked.
func (v *Verifier) checkStamps(e Evidence, parsed *entity, times []TrustedTime) *Rejection {
	stamps := parsed.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(stamps) == 0 || len(v.root.Sigstore().TimestampingAuthorities()) == 0 {
		return nil
	}
	if slices.ContainsFunc(times, func(t TrustedTime) bool { return t.Source == "tsa" }) {
		return v.checkStampers(e, parsed)
	}
	_, wrong, err := sigverify.VerifySignedTimestamp(parsed.bundle, v.root.Sigstore())
	cause := errors.Join(append(wrong, err)...)
	if cause == nil {
		cause = errors.New("no timestamp could be verified")
	}
	return e.reject(StepTimestamp, timeReason(parsed, cause.Error()), fmt.Errorf("verifying the timestamps: %w", cause))
}

func errFuture(at time.Time) error {
	return fmt.Errorf("the signing time %s lies in the future; is the system clock right?", at.UTC().Format(time.RFC3339))
}

// errEnginePanic: the engine could not even read the evidence.
var errEnginePanic = errors.New("the evidence is malformed")

// checkLeaf checks what RFC 5280 and Fulcio's certificate profile demand of a
// signing certificate and the engine does not look at.
func checkLeaf(e Evidence, leaf *x509.Certificate) *Rejection {
	switch {
	case leaf.IsCA:
		return e.reject(StepCertificate, ReasonCertificateUsage, errors.New("the leaf is a certificate authority"))
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return e.reject(StepCertificate, ReasonCertificateUsage, errors.New("the leaf's key usage has no digitalSignature"))
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning):
		return e.reject(StepCertificate, ReasonCertificateUsage, errors.New("the leaf's extended key usage has no codeSigning"))
	}
	return nil
}

// Chain returns the path from a certificate to the trusted authority that issued it
// as PEM blocks: the authority's certificates, the root last, without the leaf. It is
// judged at the certificate's own start, so it proves nothing; it is what formats
// want that carry the chain along.
func (v *Verifier) Chain(leaf []byte) ([]byte, error) {
	certificate, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	material := v.root.Sigstore()
	if material == nil {
		return nil, errors.New("finding a certificate's chain: no authority is trusted")
	}
	for _, authority := range material.FulcioCertificateAuthorities() {
		chains, err := authority.Verify(certificate, certificate.NotBefore)
		if err != nil || len(chains) == 0 {
			continue
		}
		var text []byte
		for _, one := range chains[0][1:] {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
		}
		return text, nil
	}
	return nil, errors.New("finding a certificate's chain: no trusted authority issued it")
}
