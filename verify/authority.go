package verify

import (
	"bytes"
	"crypto/x509"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// warmMaterial is a trust root for the engine whose authorities remember which of
// their intermediate certificates the root certificate has signed.
type warmMaterial struct {
	root.TrustedMaterial
	authorities []root.CertificateAuthority
}

func newWarmMaterial(cold root.TrustedMaterial) root.TrustedMaterial {
	warm := &warmMaterial{TrustedMaterial: cold}
	for _, authority := range cold.FulcioCertificateAuthorities() {
		fulcio, known := authority.(*root.FulcioCertificateAuthority)
		if !known {
			warm.authorities = append(warm.authorities, authority)
			continue
		}
		warm.authorities = append(warm.authorities, newWarmAuthority(fulcio))
	}
	return warm
}

// FulcioCertificateAuthorities implements root.TrustedMaterial.
func (m *warmMaterial) FulcioCertificateAuthorities() []root.CertificateAuthority {
	return m.authorities
}

// warmAuthority verifies as the engine's authority does, and leaves out one check whose
// answer cannot change: the root's signature over its own intermediate, which is half
// of the chain's cost. Everything else is checked for every leaf: the leaf's
// signature, usage and names, and every certificate's validity at the given time.
type warmAuthority struct {
	*root.FulcioCertificateAuthority
	issuers []*x509.Certificate // intermediates that the root has signed
}

// newWarmAuthority proves the intermediates once. Where the root limits what may stand
// below it, nothing is remembered and the engine's own check is used.
func newWarmAuthority(cold *root.FulcioCertificateAuthority) root.CertificateAuthority {
	top := cold.Root
	if top == nil || limitsNames(top) || top.BasicConstraintsValid && top.MaxPathLen == 0 || !top.IsCA {
		return cold
	}
	warm := &warmAuthority{FulcioCertificateAuthority: cold}
	roots := x509.NewCertPool()
	roots.AddCert(top)
	for _, issuer := range cold.Intermediates {
		at := issuer.NotBefore
		if top.NotBefore.After(at) {
			at = top.NotBefore
		}
		_, err := issuer.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		})
		if err == nil && issuer.IsCA && !limitsNames(issuer) && bytes.Equal(issuer.RawIssuer, top.RawSubject) {
			warm.issuers = append(warm.issuers, issuer)
		}
	}
	return warm
}

func limitsNames(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
		len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0 ||
		c.PermittedDNSDomainsCritical || len(c.UnhandledCriticalExtensions) > 0
}

// Verify implements root.CertificateAuthority.
func (a *warmAuthority) Verify(leaf *x509.Certificate, at time.Time) ([][]*x509.Certificate, error) {
	for _, issuer := range a.issuers {
		if !bytes.Equal(leaf.RawIssuer, issuer.RawSubject) || !within(at, a.ValidityPeriodStart, a.ValidityPeriodEnd) ||
			!within(at, issuer.NotBefore, issuer.NotAfter) || !within(at, a.Root.NotBefore, a.Root.NotAfter) {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(issuer)
		chains, err := leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		})
		if err != nil || len(chains) == 0 {
			continue
		}
		for i, chain := range chains {
			chains[i] = append(chain[:len(chain):len(chain)], a.Root)
		}
		return chains, nil
	}
	// The other way around, and the errors, are the engine's.
	return a.FulcioCertificateAuthority.Verify(leaf, at)
}

// within reports whether an instant lies in a window; a zero bound is none.
func within(at, from, until time.Time) bool {
	return (from.IsZero() || !at.Before(from)) && (until.IsZero() || !at.After(until))
}
