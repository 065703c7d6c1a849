package verifytest

import (
	"crypto"
	"crypto/rand"
	_ "crypto/sha1" // imprints that must be refused
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"
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
	oidTokenInfo       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidSigningCert     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidContentType     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSignedData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidHashes          = map[crypto.Hash]asn1.ObjectIdentifier{
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
// certificates of the bag stand in the given order, before the signer's own. No
// signing time is signed along: the token's is the one that counts.
func signToken(t testing.TB, info *TokenInfo, leaf *x509.Certificate, key crypto.Signer, bag []*x509.Certificate, withLeaf bool) []byte {
	t.Helper()
	content := der(t, *info, "")
	digest, certificate := sha256.Sum256(content), sha256.Sum256(leaf.Raw)
	type certID struct{ Hash []byte } // RFC 5816, section 3: ESSCertIDv2 of SHA-256
	attributes := []attribute{
		{oidContentType, []asn1.RawValue{{FullBytes: der(t, oidTokenInfo, "")}}},
		{oidMessageDigest, []asn1.RawValue{{FullBytes: der(t, digest[:], "")}}},
		{oidSigningCert, []asn1.RawValue{{FullBytes: der(t, struct{ Certs []certID }{[]certID{{certificate[:]}}}, "")}}},
	}
	// The signature is over the set as such, not under its tag in the signer info.
	sum := sha256.Sum256(der(t, attributes, "set"))
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oidHashes[crypto.SHA256]}
	signed := signedData{
		Version: 3, Digests: []pkix.AlgorithmIdentifier{algorithm},
		Content: encapsulated{oidTokenInfo, explicit(der(t, content, ""))},
		Signers: []signerInfo{{
			Version: 1, ID: issuerSerial{asn1.RawValue{FullBytes: leaf.RawIssuer}, leaf.SerialNumber},
			Digest: algorithm, Attributes: attributes, Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256}, Signature: sig,
		}},
	}
	if withLeaf {
		bag = append(slices.Clone(bag), leaf)
	}
	if len(bag) > 0 {
		signed.Certificates = asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true}
		for _, one := range bag {
			signed.Certificates.Bytes = append(signed.Certificates.Bytes, one.Raw...)
		}
	}
	token := encapsulated{oidSignedData, explicit(der(t, signed, ""))}
	return der(t, struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: der(t, token, "")}}, "")
}

// The parts of a CMS SignedData (RFC 5652, section 5).
type (
	encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      encapsulated
		Certificates asn1.RawValue `asn1:"optional"`
		Signers      []signerInfo  `asn1:"set"`
	}
	signerInfo struct {
		Version    int
		ID         issuerSerial
		Digest     pkix.AlgorithmIdentifier
		Attributes []attribute `asn1:"set,tag:0"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
	}
	issuerSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
)

// explicit is a value under the tag [0].
func explicit(value []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: value}
}
