package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Leaf says what stands in a signing certificate. Its zero value is a usual one:
// a workflow's URI, GitHub's issuer, ten minutes, one SCT.
type Leaf struct {
	// Names; several give a certificate with several.
	URIs, Emails, DNS []string
	Other             string // an otherName, as Fulcio's username identities have
	NoName            bool
	// Issuer stands in extensions 1.1 and 1.8; IssuerV1 sets another one in 1.1.
	Issuer, IssuerV1 string
	// Claims are further Fulcio extensions: the last number of the OID and the
	// text ("12" is the source repository's URI).
	Claims map[string]string
	// Extensions are added as they are.
	Extensions []pkix.Extension
	Valid      Window
	Algorithm  string // "ecdsa-p256" (default), "ecdsa-p384", "ed25519", "rsa-2048" and others
	CT         []SCT  // nil is one SCT of the instance's first CT log
	// Change edits the template before it is signed.
	Change func(*x509.Certificate)
}

// Defaults of a [Leaf].
const (
	DefaultURI    = "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main"
	DefaultIssuer = "https://token.actions.githubusercontent.com"
)

var (
	fulcioArc    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	oidSAN       = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidOtherName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 7}
)

// LeafLife is how long a usual signing certificate lives.
const LeafLife = 10 * time.Minute

// Issue makes a signing certificate and its key.
func (a *Authority) Issue(t testing.TB, now time.Time, l Leaf) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key := newLeafKey(t, l.Algorithm)
	if l.Valid == (Window{}) {
		l.Valid = Window{now.Add(-time.Minute), now.Add(-time.Minute + LeafLife)}
	}
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: l.Valid.Start, NotAfter: l.Valid.End,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: l.Emails, DNSNames: l.DNS,
	}
	for _, text := range l.URIs {
		uri, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	if len(l.URIs)+len(l.Emails)+len(l.DNS) == 0 && l.Other == "" && !l.NoName {
		template.URIs = []*url.URL{mustURL(t, DefaultURI)}
	}
	if l.Other != "" {
		template.ExtraExtensions = append(template.ExtraExtensions, otherNameSAN(t, l.Other))
	}
	template.ExtraExtensions = append(template.ExtraExtensions, l.claims(t)...)
	template.ExtraExtensions = append(template.ExtraExtensions, l.Extensions...)
	if l.Change != nil {
		l.Change(template)
	}
	certificate := createCertificate(t, template, a.Intermediate, key.Public(), a.key)
	if len(l.CT) == 0 {
		return certificate, key
	}
	// The SCTs sign the certificate without them (RFC 6962, section 3.2).
	template.ExtraExtensions = append(template.ExtraExtensions, sctList(t, l.CT, certificate, a.Intermediate))
	return createCertificate(t, template, a.Intermediate, key.Public(), a.key), key
}

// claims writes Fulcio's extensions (fulcio docs/oid-info.md).
func (l Leaf) claims(t testing.TB) []pkix.Extension {
	t.Helper()
	issuer := l.Issuer
	if issuer == "" {
		issuer = DefaultIssuer
	}
	old := l.IssuerV1
	if old == "" {
		old = issuer
	}
	all := []pkix.Extension{
		{Id: append(slices.Clone(fulcioArc), 1), Value: []byte(old)},
		{Id: append(slices.Clone(fulcioArc), 8), Value: der(t, issuer, "utf8")},
	}
	for _, last := range slices.Sorted(maps.Keys(l.Claims)) {
		n, err := strconv.Atoi(last)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pkix.Extension{Id: append(slices.Clone(fulcioArc), n), Value: der(t, l.Claims[last], "utf8")})
	}
	return all
}

// otherNameSAN is a subject alternative name of the kind otherName (RFC 5280,
// section 4.2.1.6), critical because the subject is empty.
func otherNameSAN(t testing.TB, text string) pkix.Extension {
	t.Helper()
	value := asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: der(t, text, "utf8")}
	inner := slices.Concat(der(t, oidOtherName, ""), der(t, value, ""))
	name := der(t, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}, "")
	return pkix.Extension{Id: oidSAN, Critical: true, Value: der(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: name}, "")}
}

func newLeafKey(t testing.TB, algorithm string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch {
	case algorithm == "", algorithm == "ecdsa-p256":
		return newP256(t)
	case algorithm == "ecdsa-p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case algorithm == "ecdsa-p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case algorithm == "ecdsa-p224":
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case algorithm == "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case strings.HasPrefix(algorithm, "rsa-"):
		bits, bad := strconv.Atoi(strings.TrimPrefix(algorithm, "rsa-"))
		if bad != nil {
			t.Fatal(bad)
		}
		key, err = rsa.GenerateKey(rand.Reader, bits)
	default:
		t.Fatalf("no such algorithm: %s", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func der(t testing.TB, value any, params string) []byte {
	t.Helper()
	raw, err := asn1.MarshalWithParams(value, params)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// PEM encodes a certificate.
func PEM(certificate *x509.Certificate) []byte { return pemCertificate(certificate) }
