package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify"
)

// TestRevocationListsEnd: a decision that rests on a certificate ends with the
// revocation list of its root, for then nothing can be said of it; one that rests on a
// key does not.
func TestRevocationListsEnd(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "own"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(9, 0, 0), SubjectKeyId: []byte{1},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	end := noon.AddDate(0, 0, 5)
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: noon.AddDate(0, 0, -1), NextUpdate: end}, authority, private)
	if err != nil {
		t.Fatal(err)
	}
	text := replaceOnce(t, keyless(host), "{roots: corp.pem, intermediates: issuing.pem, timestampRoots: tsa.pem}", "{roots: own.pem, crl: own.crl, timestampRoots: tsa.pem}")
	text = replaceOnce(t, text, "  it:\n", "  a: {keys: [{file: a.pub}]}\n  it:\n")
	text = replaceOnce(t, text, "{from: [it]}", "{from: [it, a]}")
	p, err := Parse("policy.yaml", []byte(text), func(path string) ([]byte, error) {
		switch path {
		case "own.pem":
			return certificatePEM(authority), nil
		case "own.crl":
			return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}), nil
		}
		return keyFiles(t)(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	certificate := certified(t, p, "corp", &verify.Certificate{SANType: "DNS", SAN: "build.acme.example"})
	for name, row := range map[string]struct {
		facts []verify.Fact
		until time.Time
	}{
		"a certificate":           {[]verify.Fact{certificate}, end},
		"a key":                   {[]verify.Fact{signed(t, "a")}, time.Time{}},
		"either":                  {[]verify.Fact{certificate, signed(t, "a")}, time.Time{}},
		"a certificate, stranger": {[]verify.Fact{certificate, signed(t, "x")}, end},
	} {
		d := p.Decide(found(row.facts...), noon)
		expect(t, d, Allow, "")
		if !d.Until.Equal(row.until) {
			t.Errorf("%s: until %s, expected %s", name, d.Until, row.until)
		}
	}
}
