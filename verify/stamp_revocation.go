package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

// checkStampers asks the revocation lists of a private authority about whoever signed
// a timestamp that counts, and about the chain above (RFC 3161, section 4: a token of
// a revoked authority is to be refused).
func (v *Verifier) checkStampers(e Evidence, parsed *entity) *Rejection {
	material := v.root.Sigstore()
	if len(material.Revocations) == 0 {
		return nil
	}
	signed, err := parsed.bundle.SignatureContent()
	if err != nil {
		return e.reject(StepParse, ReasonSignatureFormat, err)
	}
	stamps, err := parsed.bundle.Timestamps()
	if err != nil {
		return e.reject(StepParse, ReasonSignatureFormat, err)
	}
	for _, token := range stamps {
		for _, authority := range material.TimestampingAuthorities() {
			proved, err := authority.Verify(token, signed.Signature())
			if err != nil {
				continue // not this authority's
			}
			chains, err := stampChains(authority, token, proved.Time)
			if err != nil {
				return e.reject(StepTimestamp, ReasonCertificateChain, fmt.Errorf("asking the revocation lists about a timestamp: %w", err))
			}
			for _, chain := range chains {
				err := material.Revoked(chain, proved.Time, v.now())
				switch {
				case errors.Is(err, sigstore.ErrRevocationStale):
					return e.reject(StepTimestamp, ReasonTrustRootExpired, err)
				case err != nil:
					return e.reject(StepTimestamp, ReasonCertificateChain, err)
				}
			}
		}
	}
	return nil
}

// stampChains are the paths from the signer of a verified token to its authority.
func stampChains(authority root.TimestampingAuthority, token []byte, at time.Time) ([][]*x509.Certificate, error) {
	tsa, known := authority.(*root.SigstoreTimestampingAuthority)
	if !known || tsa.Root == nil {
		return nil, errors.New("the authority's certificates are not known")
	}
	response, err := timestamp.ParseResponse(token)
	if err != nil {
		return nil, err
	}
	message, err := pkcs7.Parse(response.RawToken)
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	}
	options.Roots.AddCert(tsa.Root)
	for _, certificate := range tsa.Intermediates {
		options.Intermediates.AddCert(certificate)
	}
	for _, certificate := range message.Certificates {
		options.Intermediates.AddCert(certificate)
	}
	if len(message.Certificates) == 0 && tsa.Leaf != nil {
		message.Certificates = []*x509.Certificate{tsa.Leaf}
	}
	signer := message.GetOnlySigner()
	if signer == nil {
		return nil, errors.New("the token has no signer")
	}
	return signer.Verify(options)
}
