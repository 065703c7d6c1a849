package verifytest

import (
	"crypto"
	_ "crypto/sha1" // imprints that must be refused
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/digitorus/pkcs7"
)

// TokenInfo is what a timestamp token says (RFC 3161, section 2.4.2, TSTInfo).
type TokenInfo struct {
	Version int
	Policy  asn1.ObjectIdentifier
	Imprint Imprint
	Serial  *big.Int
	Time    asn1.RawValue
	Nonce   *big.Int `asn1:"optional"`
}

// Imprint is the hash of what was stamped.
type Imprint struct {
	Algorithm pkix.AlgorithmIdentifier
	Hash      []byte
}

var (
	oidTokenInfo   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidSigningCert = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidHashes      = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
)

// newTokenInfo stamps a message.
func newTokenInfo(t testing.TB, message []byte, hash crypto.Hash, at time.Time) *TokenInfo {
	t.Helper()
	hasher := hash.New()
	hasher.Write(message)
	return &TokenInfo{
		Version: 1, Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, Serial: serial(), Nonce: big.NewInt(7),
		Imprint: Imprint{Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidHashes[hash], Parameters: asn1.NullRawValue}, Hash: hasher.Sum(nil)},
		Time:    GeneralizedTime(at.UTC().Format("20060102150405Z")),
	}
}

// GeneralizedTime is a time as a token writes it, with whatever text.
func GeneralizedTime(text string) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(text)}
}

// signToken signs a token (RFC 5652) and wraps it in a granted response. The
// certificates of the bag stand in the given order, before the signer's own.
func signToken(t testing.TB, info *TokenInfo, leaf *x509.Certificate, key crypto.Signer, bag []*x509.Certificate, withLeaf bool) []byte {
	t.Helper()
	signed, err := pkcs7.NewSignedData(der(t, *info, ""))
	if err != nil {
		t.Fatal(err)
	}
	signed.SetDigestAlgorithm(oidHashes[crypto.SHA256])
	signed.SetContentType(oidTokenInfo)
	signed.GetSignedData().Version = 3
	for _, certificate := range bag {
		signed.AddCertificate(certificate)
	}
	sum := sha256.Sum256(leaf.Raw)
	type certID struct{ Hash []byte } // RFC 5816, section 3: ESSCertIDv2 of SHA-256
	signingCert := der(t, struct{ Certs []certID }{[]certID{{sum[:]}}}, "")
	err = signed.AddSigner(leaf, key, pkcs7.SignerInfoConfig{
		SkipCertificates:      !withLeaf,
		ExtraSignedAttributes: []pkcs7.Attribute{{Type: oidSigningCert, Value: asn1.RawValue{FullBytes: signingCert}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return der(t, struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: token}}, "")
}
