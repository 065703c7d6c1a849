package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// clockSkew is how far a trusted time may lie ahead of the local clock.
const clockSkew = 5 * time.Minute

// checkCertificate checks keyless evidence: log, time, chain, SCT, signature.
func (v *Verifier) checkCertificate(fact *Fact, e Evidence, parsed *entity, artifact func() sigverify.ArtifactPolicyOption) *Rejection {
	if v.keyless == nil {
		rejection := e.reject(StepCertificate, ReasonKeyMismatch, errors.New("signed with a certificate; only keys are trusted here"))
		rejection.Found = "a certificate"
		return rejection
	}
	result, err := v.keyless.Verify(parsed.bundle, sigverify.NewPolicy(artifact(), sigverify.WithoutIdentitiesUnsafe()))
	if err != nil && parsed.dsse && strings.Contains(err.Error(), "failed to verify signature") {
		// Tell a statement about something else from a wrong signature.
		bare, bareErr := v.keyless.Verify(parsed.bundle, sigverify.NewPolicy(sigverify.WithoutArtifactUnsafe(), sigverify.WithoutIdentitiesUnsafe()))
		if bareErr == nil {
			result, err = bare, nil
		}
	}
	if err != nil {
		step, reason := engineReason(err, parsed)
		return e.reject(step, reason, err)
	}
	if result.Signature == nil || result.Signature.Certificate == nil {
		return e.reject(StepCertificate, ReasonInternal, errors.New("the engine reported no certificate"))
	}
	for _, t := range result.VerifiedTimestamps {
		if t.Timestamp.After(v.now().Add(clockSkew)) {
			return e.reject(StepTimestamp, ReasonTimeOutside, fmt.Errorf("the signing time %s lies in the future", t.Timestamp.UTC().Format(time.RFC3339)))
		}
		source := "tsa"
		if t.Type == "Tlog" {
			source = "log"
		}
		fact.Times = append(fact.Times, TrustedTime{Time: t.Timestamp, Source: source, URI: t.URI})
	}
	leaf, identity, rejection := leafIdentity(e, parsed, result.Signature.Certificate)
	if rejection != nil {
		return rejection
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	fact.Signer = Signer{KeyID: "sha256:" + hex.EncodeToString(sum[:]), Certificate: identity}
	if rejection := checkEntryKinds(e, parsed); rejection != nil {
		return rejection
	}
	fact.Log = logEntries(parsed)
	if len(fact.Log) > 0 {
		fact.Checks = append(fact.Checks, StepLog)
	}
	fact.Checks = append(fact.Checks, StepTimestamp, StepCertificate, StepSCT, StepSignature)
	return nil
}

// leafIdentity reads the identity out of the verified leaf. A certificate with
// several names is refused: it could be matched by one and mean another.
func leafIdentity(e Evidence, parsed *entity, summary *certificate.Summary) (*x509.Certificate, *Certificate, *Rejection) {
	content, err := parsed.bundle.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return nil, nil, e.reject(StepCertificate, ReasonSignatureFormat, errors.New("the bundle has no leaf certificate"))
	}
	leaf := content.Certificate()
	names := len(leaf.URIs) + len(leaf.EmailAddresses) + len(leaf.DNSNames) + len(leaf.IPAddresses)
	if names > 1 {
		return nil, nil, e.reject(StepCertificate, ReasonCertificateUsage, fmt.Errorf("the certificate has %d names; a signing certificate has one", names))
	}
	kind := "Other"
	switch {
	case len(leaf.URIs) == 1:
		kind = "URI"
	case len(leaf.EmailAddresses) == 1:
		kind = "Email"
	case len(leaf.DNSNames) == 1:
		kind = "DNS"
	}
	identity := &Certificate{Issuer: summary.Issuer, SAN: summary.SubjectAlternativeName, SANType: kind, Extensions: make(map[string]string)}
	for _, extension := range leaf.Extensions {
		oid := extension.Id.String()
		if strings.HasPrefix(oid, "1.3.6.1.4.1.57264.1.") {
			identity.Extensions[oid] = derText(extension.Value)
		}
	}
	if old, current := identity.Extensions[issuerV1], identity.Extensions[issuerV2]; old != "" && current != "" && old != current {
		return nil, nil, e.reject(StepCertificate, ReasonIssuerMismatch, fmt.Errorf("the certificate names two issuers, %q and %q", wording.Short(old), wording.Short(current)))
	}
	return leaf, identity, nil
}

// Fulcio's two issuer extensions (fulcio docs/oid-info.md).
const (
	issuerV1 = "1.3.6.1.4.1.57264.1.1"
	issuerV2 = "1.3.6.1.4.1.57264.1.8"
)

// checkEntryKinds compares what the bundle says of each log entry with what the
// entry says of itself: the engine reads only the latter.
func checkEntryKinds(e Evidence, parsed *entity) *Rejection {
	for _, entry := range parsed.bundle.GetVerificationMaterial().GetTlogEntries() {
		var body struct {
			Kind       string `json:"kind"`
			APIVersion string `json:"apiVersion"`
		}
		if err := json.Unmarshal(entry.GetCanonicalizedBody(), &body); err != nil {
			return e.reject(StepLog, ReasonLogMismatch, fmt.Errorf("reading a log entry's body: %w", err))
		}
		if claimed := entry.GetKindVersion(); claimed.GetKind() != body.Kind || claimed.GetVersion() != body.APIVersion {
			return e.reject(StepLog, ReasonLogMismatch, fmt.Errorf("the bundle calls the log entry %q %q, the entry calls itself %q %q",
				wording.Short(claimed.GetKind()), wording.Short(claimed.GetVersion()), body.Kind, body.APIVersion))
		}
	}
	return nil
}

// logEntries lists the entries whose inclusion the engine has proved.
func logEntries(parsed *entity) []LogEntry {
	var all []LogEntry
	for _, entry := range parsed.bundle.GetVerificationMaterial().GetTlogEntries() {
		one := LogEntry{LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()), Index: entry.GetLogIndex()}
		if seconds := entry.GetIntegratedTime(); seconds > 0 && entry.GetInclusionPromise() != nil {
			one.Time = time.Unix(seconds, 0).UTC()
		}
		all = append(all, one)
	}
	return all
}

// engineReason names the step and the reason of a refusal by the engine, whose
// errors carry the failed step in their text.
func engineReason(err error, parsed *entity) (Step, Reason) {
	text := err.Error()
	entries := len(parsed.bundle.GetVerificationMaterial().GetTlogEntries())
	switch {
	case strings.Contains(text, "failed to verify log inclusion"):
		switch {
		case entries == 0:
			return StepLog, ReasonLogMissing
		case strings.Contains(text, "threshold") || strings.Contains(text, "not enough"):
			return StepLog, ReasonThreshold
		case strings.Contains(text, "inclusion") || strings.Contains(text, "checkpoint"):
			return StepLog, ReasonLogProof
		}
		return StepLog, ReasonLogMismatch
	case strings.Contains(text, "failed to verify timestamps"):
		stamps := len(parsed.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps())
		switch {
		case stamps == 0:
			return StepTimestamp, ReasonTimeMissing
		case strings.Contains(text, "threshold"):
			return StepTimestamp, ReasonThreshold
		}
		return StepTimestamp, ReasonTimeOutside
	case strings.Contains(text, "leaf certificate"):
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) {
			switch invalid.Reason {
			case x509.Expired:
				return StepCertificate, ReasonCertificateExpired
			case x509.IncompatibleUsage:
				return StepCertificate, ReasonCertificateUsage
			}
		}
		return StepCertificate, ReasonCertificateChain
	case strings.Contains(text, "signed certificate timestamp"):
		if strings.Contains(text, "threshold") || strings.Contains(text, "no SCT") {
			return StepSCT, ReasonSCTMissing
		}
		return StepSCT, ReasonSCTInvalid
	case strings.Contains(text, "does not match"):
		return StepSubject, ReasonDigestMismatch
	}
	return StepSignature, ReasonSignatureInvalid
}
