package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

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
		return e.reject(StepLog, v.logReason(parsed, text), err)
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

// logReason tells a missing entry, an entry of an unknown log, an entry about
// something else, and an entry without proof apart.
func (v *Verifier) logReason(parsed *entity, text string) Reason {
	entries := parsed.bundle.GetVerificationMaterial().GetTlogEntries()
	if len(entries) == 0 {
		return ReasonLogMissing
	}
	for _, about := range []string{"does not match", "mismatch", "is not a hashedrekord", "is not a dsse", "unsupported", "recognizable", "outside certificate validity"} {
		if strings.Contains(text, about) {
			if strings.Contains(text, "outside certificate validity") {
				return ReasonTimeOutside
			}
			return ReasonLogMismatch
		}
	}
	if strings.Contains(text, "duplicate tlog entries") {
		return ReasonThreshold
	}
	if strings.Contains(text, "not enough verified log entries") {
		proved := make(map[string]bool)
		for _, entry := range v.provedEntries(parsed) {
			proved[entry.LogID] = true
		}
		if len(proved) > 0 {
			return ReasonThreshold
		}
	}
	return ReasonLogProof
}

// timeReason tells a missing time, too few times, and a wrong time apart.
func timeReason(parsed *entity, text string) Reason {
	stamps := parsed.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	switch {
	case len(stamps) == 0:
		return ReasonTimeMissing
	case strings.Contains(text, "duplicate timestamps"):
		return ReasonThreshold
	case strings.Contains(text, "hashed message"), strings.Contains(text, "hashes don't match"), strings.Contains(text, "validity period"), strings.Contains(text, "expired"):
		return ReasonTimeOutside
	case strings.Contains(text, "certificate"), strings.Contains(text, "x509"), strings.Contains(text, "pkcs7"):
		return ReasonCertificateChain
	case strings.Contains(text, "threshold not met") && !strings.Contains(text, ": 0 <"):
		return ReasonThreshold
	}
	return ReasonTimeOutside
}

// sctReason tells a missing SCT from a wrong one.
func sctReason(parsed *entity, text string) Reason {
	content, err := parsed.bundle.VerificationContent()
	if err == nil && content.Certificate() != nil {
		for _, extension := range content.Certificate().Extensions {
			if extension.Id.String() == sctListOID {
				return ReasonSCTInvalid
			}
		}
	}
	_ = text
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
