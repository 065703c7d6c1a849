package verify

import (
	"crypto/x509"
	"errors"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

// checkRevocation asks the revocation lists of a private authority about every
// certificate of the chain, at every trusted time (RFC 5280, section 6.3).
func (v *Verifier) checkRevocation(e Evidence, leaf *x509.Certificate, intermediates []*x509.Certificate, times []TrustedTime) *Rejection {
	material := v.root.Sigstore()
	if len(material.Revocations) == 0 {
		return nil
	}
	for _, t := range times {
		found := false
		for _, authority := range material.FulcioCertificateAuthorities() {
			if own, known := authority.(*root.FulcioCertificateAuthority); known && len(intermediates) > 0 {
				with := *own
				with.Intermediates = append(append([]*x509.Certificate(nil), own.Intermediates...), intermediates...)
				authority = &with
			}
			chains, err := authority.Verify(leaf, t.Time)
			if err != nil {
				continue
			}
			// Another path around a revoked certificate excuses nothing.
			for _, chain := range chains {
				found = true
				err := material.Revoked(chain, t.Time, v.now())
				switch {
				case errors.Is(err, sigstore.ErrRevocationStale):
					return e.reject(StepCertificate, ReasonTrustRootExpired, err)
				case err != nil:
					return e.reject(StepCertificate, ReasonCertificateChain, err)
				}
			}
		}
		if !found {
			return e.reject(StepCertificate, ReasonCertificateChain, errors.New("no chain to ask the revocation lists about"))
		}
	}
	return nil
}
