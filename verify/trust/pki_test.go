package trust_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync/atomic"
	"testing"
	"time"
)

// epoch is when everything in these tests begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var serials atomic.Int64

// member is one certificate of a test's PKI with its key.
type member struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// pem returns the certificates as one text.
func chainPEM(members ...*member) []byte {
	var text bytes.Buffer
	for _, m := range members {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.certificate.Raw}))
	}
	return text.Bytes()
}

// issue makes a certificate for a new key, signed by issuer or, if that is nil, by
// itself. Each change edits the template.
func issue(t testing.TB, name string, issuer *member, changes ...func(*x509.Certificate)) *member {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueFor(t, key, name, issuer, changes...)
}

func issueFor(t testing.TB, key crypto.Signer, name string, issuer *member, changes ...func(*x509.Certificate)) *member {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: epoch, NotAfter: epoch.AddDate(10, 0, 0),
	}
	for _, change := range changes {
		change(template)
	}
	m := &member{key: key}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if m.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return m
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

func asCodeSigner(c *x509.Certificate) {
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
}

func asStamper(c *x509.Certificate) {
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
}

// revoke makes a list in force for 30 days from epoch. The given one, which tests share,
// stays as it is.
func revoke(t testing.TB, issuer *member, list *x509.RevocationList) []byte {
	t.Helper()
	dated := *list
	dated.Number, dated.ThisUpdate, dated.NextUpdate = big.NewInt(1), epoch, epoch.AddDate(0, 0, 30)
	der, err := x509.CreateRevocationList(rand.Reader, &dated, issuer.certificate, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
