package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// chainRejection finds which certificate was wrong, and how, by building the chain
// again with one demand less at a time. It only explains a refusal.
func (v *Verifier) chainRejection(e Evidence, parsed *entity, cause error) *Rejection {
	content, err := parsed.bundle.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return e.reject(StepCertificate, ReasonCertificateChain, cause)
	}
	leaf := content.Certificate()
	// The engine reads an otherName, which crypto/x509 does not.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, cryptoutils.SANOID.Equal)
	if n := len(leaf.UnhandledCriticalExtensions); n > 0 {
		return e.reject(StepCertificate, ReasonCertificateUsage, fmt.Errorf("%w: the leaf has a critical extension that is not known, %s", cause, leaf.UnhandledCriticalExtensions[0]))
	}
	fault := errors.New("no trusted authority issued it")
	for _, authority := range v.root.Sigstore().FulcioCertificateAuthorities() {
		fulcio, known := authority.(*root.FulcioCertificateAuthority)
		if !known || fulcio.Root == nil {
			continue
		}
		options := chainOptions(fulcio, content.Intermediates())
		options.CurrentTime = leaf.NotBefore.Add(time.Second)
		chains, err := leaf.Verify(options)
		if err != nil {
			var invalid x509.CertificateInvalidError
			var stranger x509.UnknownAuthorityError
			if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
				return e.reject(StepCertificate, ReasonCertificateExpired, fmt.Errorf("%w: %s was not valid even when the leaf began to be", cause, nameOf(invalid.Cert)))
			}
			if !errors.As(err, &stranger) {
				fault = err
			}
			continue
		}
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		if _, err := leaf.Verify(options); err != nil {
			return e.reject(StepCertificate, ReasonCertificateUsage, fmt.Errorf("%w: %w", cause, err))
		}
		reason, detail := v.outsideChain(parsed, chains[0], fulcio)
		return e.reject(StepCertificate, reason, fmt.Errorf("%w: %s", cause, detail))
	}
	return e.reject(StepCertificate, ReasonCertificateChain, fmt.Errorf("%w: %w", cause, fault))
}

// chainOptions builds paths to one authority, for any usage.
func chainOptions(fulcio *root.FulcioCertificateAuthority, supplied []*x509.Certificate) x509.VerifyOptions {
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	options.Roots.AddCert(fulcio.Root)
	for _, certificate := range slices.Concat(fulcio.Intermediates, supplied) {
		options.Intermediates.AddCert(certificate)
	}
	return options
}

// outsideChain finds the proven time that a right chain does not cover. A time
// outside of the leaf's life or of the authority's window in the trust root is a wrong
// time; one that an issuing certificate does not cover is that certificate's end.
func (v *Verifier) outsideChain(parsed *entity, chain []*x509.Certificate, fulcio *root.FulcioCertificateAuthority) (Reason, string) {
	logged, err := v.keyless.VerifyTransparencyLogInclusion(parsed.bundle)
	if err != nil {
		return ReasonCertificateExpired, "the signing time is outside of a certificate's validity"
	}
	times, err := v.keyless.VerifyObserverTimestamps(parsed.bundle, logged)
	if err != nil {
		return ReasonCertificateExpired, "the signing time is outside of a certificate's validity"
	}
	for _, t := range times {
		at := t.Timestamp
		for i, certificate := range chain {
			if !at.Before(certificate.NotBefore) && !at.After(certificate.NotAfter) {
				continue
			}
			reason, name := ReasonCertificateExpired, nameOf(certificate)
			if i == 0 {
				reason, name = ReasonTimeOutside, "the leaf"
			}
			return reason, fmt.Sprintf("signed at %s, and %s is valid from %s to %s", stamp(at), name, stamp(certificate.NotBefore), stamp(certificate.NotAfter))
		}
		if at.Before(fulcio.ValidityPeriodStart) || !fulcio.ValidityPeriodEnd.IsZero() && at.After(fulcio.ValidityPeriodEnd) {
			return ReasonTimeOutside, fmt.Sprintf("signed at %s, when the trust root did not trust %s", stamp(at), nameOf(fulcio.Root))
		}
	}
	return ReasonCertificateChain, "no path to the authority holds at every signing time"
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

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
