package trust_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// privateWorld is a private PKI whose leaf signed something that a private
// timestamp authority stamped.
type privateWorld struct {
	pki
	instance *verifytest.Instance
	signed   *verifytest.Signed
}

func newPrivateWorld(t *testing.T) privateWorld {
	t.Helper()
	w := privateWorld{pki: newPKI(t), instance: verifytest.NewInstance(t)}
	key := verifytest.NewKey(t, "ecdsa-p256")
	name, err := url.Parse("spiffe://acme.example/release")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), URIs: []*url.URL{name},
		NotBefore: verifytest.Now.Add(-time.Hour), NotAfter: verifytest.Now.Add(time.Hour),
	}
	asCodeSigner(template)
	der, err := x509.CreateCertificate(rand.Reader, template, w.middle.certificate, key.Trusted.Public(), w.middle.key)
	if err != nil {
		t.Fatal(err)
	}
	if w.leaf.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	w.signed = w.instance.Sign(t, verifytest.Options{
		Key: key, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{Embed: true}},
		Change: func(b *protobundle.Bundle) {
			b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: der}}
		},
	})
	return w
}

func (w privateWorld) authority() trust.Authority {
	tsa := w.instance.TSA
	return trust.Authority{
		Name: "acme", Roots: chainPEM(w.root), Intermediates: chainPEM(w.middle),
		TimestampRoots: chainPEM(&member{certificate: tsa.Root}, &member{certificate: tsa.Intermediate}, &member{certificate: tsa.Leaf}),
	}
}

// list revokes a certificate; the list is in force when the world is judged.
func (w privateWorld) list(t *testing.T, issuer, revoked *member, since time.Time, reason int) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: verifytest.Now.Add(-time.Hour), NextUpdate: verifytest.Now.Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revoked.certificate.SerialNumber, RevocationTime: since, ReasonCode: reason}},
	}, issuer.certificate, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestPrivateAuthorityEndToEnd: no part of Sigstore, but the same verification.
func TestPrivateAuthorityEndToEnd(t *testing.T) {
	t.Parallel()
	w, stranger := newPrivateWorld(t), newPKI(t)
	other := verifytest.NewInstance(t).TSA
	now, second := verifytest.Now, time.Second
	for name, c := range map[string]struct {
		change func(*trust.Authority)
		later  time.Duration
		want   verify.Reason // "" is a fact
	}{
		"good": {func(*trust.Authority) {}, 0, ""},
		"good, any leaf stamps": {func(a *trust.Authority) {
			a.TimestampRoots = chainPEM(&member{certificate: w.instance.TSA.Root}, &member{certificate: w.instance.TSA.Intermediate})
		}, 0, ""},
		"TR-13 another root": {func(a *trust.Authority) {
			a.Roots, a.Intermediates = chainPEM(stranger.root), chainPEM(stranger.middle)
		}, 0, verify.ReasonCertificateChain},
		"TR-13 another intermediate": {func(a *trust.Authority) { a.Intermediates = chainPEM(stranger.middle) }, 0, verify.ReasonCertificateChain},
		"TI-06 another TSA": {func(a *trust.Authority) {
			a.TimestampRoots = chainPEM(&member{certificate: other.Root}, &member{certificate: other.Intermediate}, &member{certificate: other.Leaf})
		}, 0, verify.ReasonCertificateChain},
		"TI-06 no TSA is trusted":  {func(a *trust.Authority) { a.TimestampRoots = nil }, 0, verify.ReasonCertificateChain},
		"TR-10 window ends now":    {func(a *trust.Authority) { a.Until = now }, 0, ""},
		"TR-10 window ended":       {func(a *trust.Authority) { a.Until = now.Add(-second) }, 0, verify.ReasonTimeOutside},
		"TR-10 window begins now":  {func(a *trust.Authority) { a.From = now }, 0, ""},
		"TR-10 window not begun":   {func(a *trust.Authority) { a.From = now.Add(second) }, 0, verify.ReasonTimeOutside},
		"TR-17 revoked before":     {func(a *trust.Authority) { a.CRLs = [][]byte{w.list(t, w.middle, w.leaf, now.Add(-second), 0)} }, 0, verify.ReasonCertificateChain},
		"TR-17 revoked later":      {func(a *trust.Authority) { a.CRLs = [][]byte{w.list(t, w.middle, w.leaf, now.Add(second), 4)} }, 0, ""},
		"TR-17 key stolen later":   {func(a *trust.Authority) { a.CRLs = [][]byte{w.list(t, w.middle, w.leaf, now.Add(second), 1)} }, 0, verify.ReasonCertificateChain},
		"TR-17 issuer revoked":     {func(a *trust.Authority) { a.CRLs = [][]byte{w.list(t, w.root, w.middle, now.Add(-second), 0)} }, 0, verify.ReasonCertificateChain},
		"TR-17 another is revoked": {func(a *trust.Authority) { a.CRLs = [][]byte{w.list(t, w.middle, stranger.leaf, now.Add(-second), 1)} }, 0, ""},
		"TR-02 list is stale":      {func(a *trust.Authority) { a.CRLs = [][]byte{w.list(t, w.middle, stranger.leaf, now, 0)} }, 2 * time.Hour, verify.ReasonTrustRootExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			authority := w.authority()
			c.change(&authority)
			root, err := trust.NewRoot(trust.WithAuthority(authority))
			if err != nil {
				t.Fatal(err)
			}
			verifier, err := verify.New(root, trust.Requirement{Timestamps: 1}, func() time.Time { return now.Add(c.later) })
			if err != nil {
				t.Fatal(err)
			}
			fact, err := verifier.Check(w.signed.Subject(), w.signed.Evidence(t))
			var refused *verify.Rejection
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want == "" && fact.Signer.Certificate == nil:
				t.Error("the fact has no certificate")
			case c.want != "" && (!errors.As(err, &refused) || refused.Reason != c.want):
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}
