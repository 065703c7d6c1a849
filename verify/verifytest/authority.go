package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Window is a validity period. A zero end is open.
type Window struct{ Start, End time.Time }

// proto writes a window as a trusted root has it.
func (w Window) proto() *protocommon.TimeRange {
	wire := &protocommon.TimeRange{Start: timestamppb.New(w.Start)}
	if !w.End.IsZero() {
		wire.End = timestamppb.New(w.End)
	}
	return wire
}

// Authority is a certificate authority of two steps, a root and an intermediate,
// for signing certificates or for timestamps.
type Authority struct {
	URI                string
	Window             Window // what the trusted root says
	Root, Intermediate *x509.Certificate
	rootKey, key       *ecdsa.PrivateKey
}

// AuthorityOptions are the deviations of an authority. Zero values are the usual.
type AuthorityOptions struct {
	Root, Intermediate Window                     // validity of the certificates
	Change             func(*x509.Certificate)    // changes the intermediate before it is signed
	Usages             []x509.ExtKeyUsage         // of the intermediate
	Name               string                     // common name, such as "fulcio"
	Valid              func(now time.Time) Window // of the entry in the trusted root
}

// newAuthority makes an authority whose certificates live around now.
func newAuthority(t testing.TB, uri string, now time.Time, o AuthorityOptions) *Authority {
	t.Helper()
	year := 365 * 24 * time.Hour
	if o.Root == (Window{}) {
		o.Root = Window{now.Add(-year), now.Add(9 * year)}
	}
	if o.Intermediate == (Window{}) {
		o.Intermediate = o.Root
	}
	if o.Usages == nil {
		o.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}
	a := &Authority{URI: uri, Window: Window{Start: now.Add(-year)}, rootKey: newP256(t), key: newP256(t)}
	if o.Valid != nil {
		a.Window = o.Valid(now)
	}
	root := caTemplate(o.Name+" root", o.Root)
	a.Root = createCertificate(t, root, root, a.rootKey.Public(), a.rootKey)
	intermediate := caTemplate(o.Name+" intermediate", o.Intermediate)
	intermediate.ExtKeyUsage, intermediate.MaxPathLenZero = o.Usages, true
	if o.Change != nil {
		o.Change(intermediate)
	}
	a.Intermediate = createCertificate(t, intermediate, a.Root, a.key.Public(), a.rootKey)
	return a
}

// proto writes the authority as a trusted root has it.
func (a *Authority) proto(leaf ...*x509.Certificate) *prototrustroot.CertificateAuthority {
	wire := &prototrustroot.CertificateAuthority{
		Subject: &protocommon.DistinguishedName{Organization: "verifytest", CommonName: a.Root.Subject.CommonName},
		Uri:     a.URI, ValidFor: a.Window.proto(), CertChain: &protocommon.X509CertificateChain{},
	}
	for _, certificate := range append(leaf, a.Intermediate, a.Root) {
		wire.CertChain.Certificates = append(wire.CertChain.Certificates, &protocommon.X509Certificate{RawBytes: certificate.Raw})
	}
	return wire
}

// CrossSign certifies the authority's root by another one, as [Authority] chains
// that two roots share have it.
func (a *Authority) CrossSign(t testing.TB, by *Authority) *x509.Certificate {
	t.Helper()
	template := caTemplate(a.Root.Subject.CommonName, Window{a.Root.NotBefore, a.Root.NotAfter})
	return createCertificate(t, template, by.Root, a.rootKey.Public(), by.rootKey)
}

func caTemplate(name string, w Window) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"verifytest"}, CommonName: name},
		NotBefore: w.Start, NotAfter: w.End, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true,
	}
}

func createCertificate(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		// A certificate that nobody can read can be made: only its bytes are there.
		var parts struct {
			TBS       asn1.RawValue
			Algorithm pkix.AlgorithmIdentifier
			Signature asn1.BitString
		}
		if _, bad := asn1.Unmarshal(raw, &parts); bad != nil {
			t.Fatal(err)
		}
		return &x509.Certificate{Raw: raw, RawTBSCertificate: parts.TBS.FullBytes}
	}
	return certificate
}

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial() *big.Int {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return new(big.Int).SetBytes(raw)
}

// Forged is an authority of the same names with other keys.
func (a *Authority) Forged(t testing.TB) *Authority {
	t.Helper()
	forged := &Authority{URI: a.URI, Window: a.Window, rootKey: newP256(t), key: newP256(t)}
	root, intermediate := *a.Root, *a.Intermediate
	root.PublicKey, intermediate.PublicKey = nil, nil
	forged.Root = createCertificate(t, &root, &root, forged.rootKey.Public(), forged.rootKey)
	forged.Intermediate = createCertificate(t, &intermediate, forged.Root, forged.key.Public(), forged.rootKey)
	return forged
}

// PEM is the root and the intermediate as a PKI hands them out.
func (a *Authority) PEM() (root, intermediate []byte) {
	return pemCertificate(a.Root), pemCertificate(a.Intermediate)
}

// Sub makes an authority below this one's intermediate, whose path length does not
// allow it, or below a signing certificate and its key, which is no authority at all.
func (a *Authority) Sub(t testing.TB, leaf *x509.Certificate, by crypto.Signer) *Authority {
	t.Helper()
	sub := &Authority{URI: a.URI, Window: a.Window, Root: a.Root, key: newP256(t)}
	template := caTemplate("sub", Window{a.Intermediate.NotBefore, a.Intermediate.NotAfter})
	if leaf == nil {
		leaf, by = a.Intermediate, a.key
	}
	sub.Intermediate = createCertificate(t, template, leaf, sub.key.Public(), by)
	return sub
}

// Revoke is a revocation list of the authority's intermediate (RFC 5280, section 5),
// in force for the given window, that revokes the certificates since its start.
func (a *Authority) Revoke(t testing.TB, w Window, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: w.Start, NextUpdate: w.End}
	for _, certificate := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: certificate.SerialNumber, RevocationTime: w.Start,
		})
	}
	raw, err := x509.CreateRevocationList(rand.Reader, list, a.Intermediate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
