package registrytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is the registry's own certificate authority and its server
// certificate.
type authority struct {
	certificate *x509.Certificate
	server      tls.Certificate
}

func newAuthority(t testing.TB, names []string) *authority {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registrytest authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registrytest"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: append([]string{"localhost"}, names...),
	}
	rawLeaf, err := x509.CreateCertificate(rand.Reader, leaf, certificate, serverKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, tls.Certificate{Certificate: [][]byte{rawLeaf}, PrivateKey: serverKey}}
}

func (a *authority) serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.server}, MinVersion: tls.VersionTLS12}
}

// CAs returns a pool that holds the registry's authority and nothing else. It
// is nil without [WithTLS].
func (r *Registry) CAs() *x509.CertPool {
	if r.ca == nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(r.ca.certificate)
	return pool
}

// CAFile writes the authority as PEM into the test's temporary folder and
// returns its path, for commands and SSL_CERT_FILE. It needs [WithTLS].
func (r *Registry) CAFile() string {
	r.t.Helper()
	if r.ca == nil {
		r.t.Fatal("registrytest: CAFile without WithTLS")
	}
	path := filepath.Join(r.t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.certificate.Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}
