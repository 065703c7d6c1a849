package verify

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// engineRejection names the step and the reason of a refusal by the engine. Its
// errors carry the failed step in their text and little else, so that the finer
// reasons are found by looking again. Nothing here changes a verdict.
func (v *Verifier) engineRejection(e Evidence, parsed *entity, err error) *Rejection {
	text := err.Error()
	switch {
	case errors.Is(err, errEnginePanic):
		return e.reject(StepParse, ReasonSignatureFormat, err)
	case strings.Contains(text, "failed to verify log inclusion"):
		_, detail, _ := strings.Cut(text, "failed to verify log inclusion: ")
		return e.reject(StepLog, v.logReason(parsed, detail), err)
	case strings.Contains(text, "failed to verify timestamps"):
		return e.reject(StepTimestamp, timeReason(parsed, text), err)
	case strings.Contains(text, "failed to summarize certificate"):
		return e.reject(StepCertificate, ReasonCertificateUsage, err)
	case strings.Contains(text, "leaf certificate"):
		return v.chainRejection(e, parsed, err)
	case strings.Contains(text, "signed certificate timestamp"):
		return e.reject(StepSCT, sctReason(parsed, text), err)
	case strings.Contains(text, "failed to fetch"):
		return e.reject(StepParse, ReasonSignatureFormat, err)
	case strings.Contains(text, "does not match"):
		return e.reject(StepSubject, ReasonDigestMismatch, err)
	}
	return e.reject(StepSignature, ReasonSignatureInvalid, err)
}

// logReason tells a missing entry, an entry about something else, an entry without
// proof, and too few entries apart.
func (v *Verifier) logReason(parsed *entity, text string) Reason {
	entries := parsed.bundle.GetVerificationMaterial().GetTlogEntries()
	switch {
	case len(entries) == 0:
		return ReasonLogMissing
	case strings.Contains(text, "outside certificate validity"):
		return ReasonTimeOutside
	case strings.Contains(text, "duplicate tlog entries"), strings.Contains(text, "too many tlog entries"):
		return ReasonThreshold
	case containsAny(text, "calculated root", "root hash", "tree head", "checkpoint", "inclusion proof", "inclusion: ", "note", "leaf index"):
		// A Rekor v2 entry is rebuilt from the bundle, so that one about something else
		// shows as a wrong proof; what it says of itself tells them apart.
		for _, entry := range entries {
			if speaksOfOther(entry, parsed) {
				return ReasonLogMismatch
			}
		}
		if !containsAny(text, "transparency log ") {
			return ReasonLogProof
		}
	}
	switch {
	case someProved(text):
		return ReasonThreshold
	case strings.Contains(text, "not enough verified log entries"):
		for _, entry := range entries {
			if v.outsideLog(entry) {
				return ReasonTimeOutside
			}
		}
		return ReasonLogProof
	case containsAny(text, "does not match", "mismatch", "is not a ", "unsupported", "recognizable", "missing signature", "missing verifier", "missing digest", "validation failure"):
		return ReasonLogMismatch
	}
	return ReasonLogProof
}

// outsideLog reports whether an entry's time lies outside of the validity of its log.
func (v *Verifier) outsideLog(entry *protorekor.TransparencyLogEntry) bool {
	log, known := v.root.Sigstore().RekorLogs()[hex.EncodeToString(entry.GetLogId().GetKeyId())]
	if !known || entry.GetIntegratedTime() == 0 {
		return false
	}
	at := time.Unix(entry.GetIntegratedTime(), 0)
	return !log.ValidityPeriodStart.IsZero() && at.Before(log.ValidityPeriodStart) ||
		!log.ValidityPeriodEnd.IsZero() && at.After(log.ValidityPeriodEnd)
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// below finds how many of the wanted witnesses the engine says that it proved.
var below = regexp.MustCompile(`(?:: |verify )([0-9]+)(?: < | SCT entries; unable to meet threshold of )([0-9]+)`)

// someProved reports whether a threshold was missed although not everything was wrong.
func someProved(text string) bool {
	found := below.FindStringSubmatch(text)
	return found != nil && found[1] != "0"
}

// timeReason tells a missing time, too few times, and a wrong time apart.
func timeReason(parsed *entity, text string) Reason {
	stamps := parsed.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	switch {
	case someProved(text):
		return ReasonThreshold
	case len(stamps) == 0:
		return ReasonTimeMissing
	case strings.Contains(text, "too many signed timestamps"):
		return ReasonLimitExceeded
	case containsAny(text, "weak", "SHA1", "sha1", "insecure algorithm"):
		return ReasonKeyWeak
	case containsAny(text, "hashed message", "hashes don't match", "validity period", "expired", "not yet valid"):
		return ReasonTimeOutside
	case containsAny(text, "certificate", "x509", "pkcs7"):
		return ReasonCertificateChain
	}
	return ReasonTimeOutside
}

// sctReason tells a missing SCT, too few and a wrong one apart.
func sctReason(parsed *entity, text string) Reason {
	if someProved(text) {
		return ReasonThreshold
	}
	content, err := parsed.bundle.VerificationContent()
	if err == nil && content.Certificate() != nil {
		for _, extension := range content.Certificate().Extensions {
			if extension.Id.String() == sctListOID {
				return ReasonSCTInvalid
			}
		}
	}
	return ReasonSCTMissing
}

// chainRejection finds which certificate was wrong, and how, by building the chain
// again with one demand less at a time.
func (v *Verifier) chainRejection(e Evidence, parsed *entity, cause error) *Rejection {
	content, err := parsed.bundle.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return e.reject(StepCertificate, ReasonCertificateChain, cause)
	}
	leaf := content.Certificate()
	for _, authority := range v.root.Sigstore().FulcioCertificateAuthorities() {
		fulcio, known := authority.(*root.FulcioCertificateAuthority)
		if !known || fulcio.Root == nil {
			continue
		}
		options := x509.VerifyOptions{
			Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
			CurrentTime: leaf.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		}
		options.Roots.AddCert(fulcio.Root)
		for _, certificate := range fulcio.Intermediates {
			options.Intermediates.AddCert(certificate)
		}
		for _, certificate := range content.Intermediates() {
			options.Intermediates.AddCert(certificate)
		}
		chains, err := leaf.Verify(options)
		if err != nil {
			var invalid x509.CertificateInvalidError
			if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
				return e.reject(StepCertificate, ReasonCertificateExpired, fmt.Errorf("%w: %s is not valid at the time of signing", cause, nameOf(invalid.Cert)))
			}
			continue
		}
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		if _, err := leaf.Verify(options); err != nil {
			return e.reject(StepCertificate, ReasonCertificateUsage, fmt.Errorf("%w: %w", cause, err))
		}
		// The chain is right, so the time is not.
		detail := "the signing time is outside of a certificate's validity, or of the authority's in the trust root"
		if len(chains) > 0 {
			detail += fmt.Sprintf("; the leaf is valid from %s to %s", leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
			for _, certificate := range chains[0][1:] {
				if certificate.NotAfter.Before(leaf.NotAfter) {
					detail += fmt.Sprintf(", %s until %s", nameOf(certificate), certificate.NotAfter.UTC().Format(time.RFC3339))
				}
			}
		}
		return e.reject(StepCertificate, ReasonCertificateExpired, fmt.Errorf("%w: %s", cause, detail))
	}
	return e.reject(StepCertificate, ReasonCertificateChain, fmt.Errorf("%w: no trusted authority issued it", cause))
}

// nameOf names a certificate for people.
func nameOf(certificate *x509.Certificate) string {
	if certificate == nil {
		return "a certificate"
	}
	if name := certificate.Subject.String(); name != "" {
		return fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("the certificate with serial number %x", certificate.SerialNumber)
}
