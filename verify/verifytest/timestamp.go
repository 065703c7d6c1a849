package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"
)

// TSA is a timestamp authority with its signing certificate.
type TSA struct {
	*Authority
	Leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newTSA makes a timestamp authority. valid is the life of its signing certificate.
func newTSA(t testing.TB, uri string, now time.Time, valid Window, o AuthorityOptions) *TSA {
	t.Helper()
	o.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
	tsa := &TSA{Authority: newAuthority(t, uri, now, o), key: newP256(t)}
	if valid == (Window{}) {
		valid = Window{tsa.Intermediate.NotBefore, tsa.Intermediate.NotAfter}
	}
	tsa.Leaf = tsa.issueTSA(t, valid, nil)
	return tsa
}

// issueTSA makes a signing certificate for the authority's key.
func (a *TSA) issueTSA(t testing.TB, valid Window, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	usage := der(t, []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}, "")
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "tsa"},
		NotBefore: valid.Start, NotAfter: valid.End, KeyUsage: x509.KeyUsageDigitalSignature,
		// The usage must be critical (RFC 3161, section 2.3).
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}
	if change != nil {
		change(template)
	}
	return createCertificate(t, template, a.Intermediate, a.key.Public(), a.Authority.key)
}

// Stamp says how a signature is timestamped. Its zero value is a usual timestamp.
type Stamp struct {
	TSA *TSA // nil is the instance's first
	At  time.Time
	// Over is what is stamped instead of the signature.
	Over []byte
	Hash crypto.Hash // of the imprint; zero is SHA-256
	// Embed puts the signer's certificate into the token, after those of Bag.
	Embed bool
	Bag   []*x509.Certificate
	// Reissue signs with another certificate for the authority's key.
	Reissue func(*x509.Certificate)
	// Token changes the token's content before it is signed.
	Token func(*TokenInfo)
	// Change edits the finished response.
	Change func([]byte) []byte
}

// make returns a timestamp response (RFC 3161) over a signature.
func (s Stamp) make(t testing.TB, sig []byte) []byte {
	t.Helper()
	if s.Over != nil {
		sig = s.Over
	}
	if s.Hash == 0 {
		s.Hash = crypto.SHA256
	}
	info := newTokenInfo(t, sig, s.Hash, s.At)
	if s.Token != nil {
		s.Token(info)
	}
	leaf := s.TSA.Leaf
	if s.Reissue != nil {
		leaf = s.TSA.issueTSA(t, Window{leaf.NotBefore, leaf.NotAfter}, s.Reissue)
	}
	response := signToken(t, info, leaf, s.TSA.key, s.Bag, s.Embed)
	if s.Change != nil {
		response = s.Change(response)
	}
	return response
}
