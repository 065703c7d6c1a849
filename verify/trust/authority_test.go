package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// pki is a root, an intermediate, a leaf, and a time stamper.
type pki struct{ root, middle, leaf, stampRoot, stamper *member }

func newPKI(t testing.TB) pki {
	t.Helper()
	var p pki
	p.root = issue(t, "acme root", nil, asCA)
	p.middle = issue(t, "acme issuing", p.root, asCA)
	p.leaf = issue(t, "release", p.middle, asCodeSigner)
	p.stampRoot = issue(t, "acme time root", nil, asCA)
	p.stamper = issue(t, "acme time", p.stampRoot, asStamper)
	return p
}

func (p pki) authority() trust.Authority {
	return trust.Authority{
		Name: "acme", Roots: chainPEM(p.root), Intermediates: chainPEM(p.middle),
		TimestampRoots: chainPEM(p.stamper, p.stampRoot),
		From:           epoch, Until: epoch.AddDate(1, 0, 0),
	}
}

func (p pki) chain() []*x509.Certificate {
	return []*x509.Certificate{p.leaf.certificate, p.middle.certificate, p.root.certificate}
}

func TestAuthorityVerifiesItsLeaves(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	r, err := trust.NewRoot(trust.WithAuthority(p.authority()))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Keyless() {
		t.Error("a root with an authority is not keyless")
	}
	issuers := r.Sigstore().FulcioCertificateAuthorities()
	if len(issuers) != 1 {
		t.Fatalf("%d authorities", len(issuers))
	}
	end := epoch.AddDate(1, 0, 0)
	for name, c := range map[string]struct {
		at   time.Time
		good bool
	}{
		"TR-10 start-1s": {epoch.Add(-time.Second), false},
		"TR-10 start":    {epoch, true},
		"TR-10 end":      {end, true},
		"TR-10 end+1s":   {end.Add(time.Second), false},
	} {
		if _, err := issuers[0].Verify(p.leaf.certificate, c.at); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := newPKI(t)
	if _, err := issuers[0].Verify(other.leaf.certificate, epoch); err == nil {
		t.Error("TR-13: another authority's leaf passes")
	}
	stamps := r.Sigstore().TimestampingAuthorities()
	if len(stamps) != 1 {
		t.Fatalf("%d timestamp authorities", len(stamps))
	}
	stamp, ok := stamps[0].(*root.SigstoreTimestampingAuthority)
	if ok && (!stamp.ValidityPeriodStart.Equal(epoch) || !stamp.ValidityPeriodEnd.Equal(end)) {
		t.Errorf("TR-10: the time stamper's window is %s to %s", stamp.ValidityPeriodStart, stamp.ValidityPeriodEnd)
	}
	if !ok || stamp.Leaf == nil || !stamp.Leaf.Equal(p.stamper.certificate) || !stamp.Root.Equal(p.stampRoot.certificate) {
		t.Errorf("the time stamper is %+v", stamps[0])
	}
}

func TestAuthorityIsReadStrictly(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*trust.Authority){
		"no name":          func(a *trust.Authority) { a.Name = "" },
		"nothing":          func(a *trust.Authority) { a.Roots, a.TimestampRoots = nil, nil },
		"a leaf as root":   func(a *trust.Authority) { a.Roots = chainPEM(p.leaf) },
		"a leaf as issuer": func(a *trust.Authority) { a.Intermediates = chainPEM(p.leaf) },
		"CA without keyCertSign": func(a *trust.Authority) {
			a.Roots = chainPEM(issue(t, "odd", nil, asCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
		},
		"no CA with keyCertSign": func(a *trust.Authority) {
			a.Roots = chainPEM(issue(t, "odd", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }))
		},
		"TSA root without keyCertSign": func(a *trust.Authority) {
			a.TimestampRoots = chainPEM(issue(t, "odd", nil, asCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
		},
		"a certificate by another name": func(a *trust.Authority) {
			a.Roots = bytes.ReplaceAll(a.Roots, []byte(" CERTIFICATE"), []byte(" TRUSTED CERTIFICATE"))
		},
		"a list by another name": func(a *trust.Authority) {
			a.CRLs = [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CRL", Bytes: revoke(t, p.root, &x509.RevocationList{})})}
		},
		"two lists in one": func(a *trust.Authority) {
			one := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: revoke(t, p.root, &x509.RevocationList{})})
			a.CRLs = [][]byte{append(one, one...)}
		},
		"a list of an entry with a condition": func(a *trust.Authority) {
			a.CRLs = [][]byte{revoke(t, p.root, &x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{{
				SerialNumber: p.middle.certificate.SerialNumber, RevocationTime: epoch,
				ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}},
			}}})}
		},
		"a private key": func(a *trust.Authority) {
			a.Roots = append(a.Roots, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})...)
		},
		"text behind": func(a *trust.Authority) { a.Roots = append(a.Roots, "hello"...) },
		"no PEM":      func(a *trust.Authority) { a.Roots = []byte("<html>404</html>") },
		"truncated":   func(a *trust.Authority) { a.Roots = a.Roots[:len(a.Roots)/2] },
		"broken DER": func(a *trust.Authority) {
			a.Roots = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})
		},
		"weak root": func(a *trust.Authority) { a.Roots = chainPEM(issueFor(t, weak, "weak", nil, asCA)) },
		"too large": func(a *trust.Authority) { a.Roots = bytes.Repeat([]byte("\n"), 1<<20+1) },
		"too many roots": func(a *trust.Authority) {
			var all []*member
			for range 21 {
				all = append(all, issue(t, "one of many", nil, asCA))
			}
			a.Roots = chainPEM(all...)
		},
		"TR-09 TSA without root": func(a *trust.Authority) { a.TimestampRoots = chainPEM(p.stamper) },
		"ends before it begins":  func(a *trust.Authority) { a.Until = a.From.Add(-time.Second) },
		"a list that is none":    func(a *trust.Authority) { a.CRLs = [][]byte{[]byte("none")} },
		"a list of a foreign CA": func(a *trust.Authority) { a.CRLs = [][]byte{revoke(t, newPKI(t).root, &x509.RevocationList{})} },
		"a list of a namesake": func(a *trust.Authority) {
			a.CRLs = [][]byte{revoke(t, issue(t, "acme root", nil, asCA), &x509.RevocationList{})}
		},
		"too many lists":           func(a *trust.Authority) { a.CRLs = make([][]byte, 21) },
		"a list of a part of them": func(a *trust.Authority) { a.CRLs = [][]byte{revoke(t, p.root, partial())} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			authority := p.authority()
			change(&authority)
			if _, err := trust.NewRoot(trust.WithAuthority(authority)); !errors.Is(err, trust.ErrRootInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestRevocationOfNamesakes: a list speaks for the certificates of its issuer's key,
// not for those of another of its name.
func TestRevocationOfNamesakes(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	authority := p.authority()
	authority.CRLs = [][]byte{revoke(t, p.middle, &x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{
		{SerialNumber: p.leaf.certificate.SerialNumber, RevocationTime: epoch},
	}})}
	r, err := trust.NewRoot(trust.WithAuthority(authority))
	if err != nil {
		t.Fatal(err)
	}
	namesake := issue(t, "acme issuing", p.root, asCA)
	twin := issue(t, "release", namesake, asCodeSigner, func(c *x509.Certificate) { c.SerialNumber = p.leaf.certificate.SerialNumber })
	chain := []*x509.Certificate{twin.certificate, namesake.certificate, p.root.certificate}
	if err := r.Sigstore().Revoked(chain, epoch, epoch); err != nil {
		t.Errorf("TR-17: %v", err)
	}
	if err := r.Sigstore().Revoked(p.chain(), epoch, epoch); !errors.Is(err, trust.ErrRevoked) {
		t.Errorf("TR-17: %v", err)
	}
}

func partial() *x509.RevocationList {
	return &x509.RevocationList{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}}}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	since := epoch.AddDate(0, 0, 10)
	before, after := since.Add(-time.Second), since.Add(time.Second)
	now := epoch.AddDate(0, 0, 20)
	entry := func(reason int) *x509.RevocationList {
		return &x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{
			{SerialNumber: p.leaf.certificate.SerialNumber, RevocationTime: since, ReasonCode: reason},
		}}
	}
	invalid, err := asn1.MarshalWithParams(before.Add(-time.Hour), "generalized")
	if err != nil {
		t.Fatal(err)
	}
	dated := entry(0)
	dated.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Value: invalid}}
	middle := &x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{
		{SerialNumber: p.middle.certificate.SerialNumber, RevocationTime: since},
	}}
	twice := entry(1)
	twice.RevokedCertificateEntries = append(twice.RevokedCertificateEntries, entry(0).RevokedCertificateEntries...)
	earlier := entry(0)
	earlier.RevokedCertificateEntries = append(earlier.RevokedCertificateEntries, entry(0).RevokedCertificateEntries...)
	earlier.RevokedCertificateEntries[0].RevocationTime = before.Add(-time.Hour)
	const fine, revoked, stale = "", "is revoked", "not in force"
	for name, c := range map[string]struct {
		issuer      *member
		list        *x509.RevocationList
		signed, now time.Time
		want        string
	}{
		"not in the list":                         {p.middle, &x509.RevocationList{}, after, now, fine},
		"signed after":                            {p.middle, entry(4), after, now, revoked},
		"signed at the instant":                   {p.middle, entry(4), since, now, revoked},
		"signed before":                           {p.middle, entry(4), before, now, fine},
		"signed at an unproven time":              {p.middle, entry(4), time.Time{}, now, revoked},
		"signed before, key compromised":          {p.middle, entry(1), before, now, revoked},
		"signed before, CA compromised":           {p.middle, entry(2), before, now, revoked},
		"signed after invalidity":                 {p.middle, dated, before, now, revoked},
		"in the list twice, once with compromise": {p.middle, twice, before, now, revoked},
		"in the list twice, the earlier counts":   {p.middle, earlier, before, now, revoked},
		"intermediate revoked":                    {p.root, middle, after, now, revoked},
		"intermediate revoked later":              {p.root, middle, before, now, fine},
		"list not yet in force":                   {p.middle, entry(4), before, epoch.Add(-time.Second), stale},
		"list no longer in force":                 {p.middle, entry(4), before, epoch.AddDate(0, 0, 31), stale},
		"another CA's list says nothing":          {p.root, entry(1), after, now, fine},
	} {
		t.Run("TR-17 "+name, func(t *testing.T) {
			t.Parallel()
			authority := p.authority()
			authority.CRLs = [][]byte{pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: revoke(t, c.issuer, c.list)})}
			r, err := trust.NewRoot(trust.WithAuthority(authority))
			if err != nil {
				t.Fatal(err)
			}
			err = r.Sigstore().Revoked(p.chain(), c.signed, c.now)
			if c.want == fine && err != nil || c.want != fine && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzAuthority gives a good authority one part of another content.
func FuzzAuthority(f *testing.F) {
	p := newPKI(f)
	good := p.authority()
	list := revoke(f, p.middle, &x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{
		{SerialNumber: p.leaf.certificate.SerialNumber, RevocationTime: epoch, ReasonCode: 1},
	}})
	for i, seed := range [][]byte{good.Roots, good.Intermediates, good.TimestampRoots, list} {
		f.Add(byte(i), seed)
	}
	f.Fuzz(func(t *testing.T, which byte, content []byte) {
		authority := good
		switch which % 4 {
		case 0:
			authority.Roots = content
		case 1:
			authority.Intermediates = content
		case 2:
			authority.TimestampRoots = content
		case 3:
			authority.CRLs = [][]byte{content}
		}
		r, err := trust.NewRoot(trust.WithAuthority(authority))
		if err != nil {
			if !errors.Is(err, trust.ErrRootInvalid) || r != nil {
				t.Fatalf("error %v", err)
			}
			return
		}
		for _, entry := range r.Describe() {
			if entry.ID == "" || entry.Algorithm == "none" {
				t.Fatalf("entry %+v", entry)
			}
		}
		// A list that its issuer has not signed is none: what is accepted revokes the leaf.
		if err := r.Sigstore().Revoked(p.chain(), epoch, epoch); which%4 == 3 && !errors.Is(err, trust.ErrRevoked) {
			t.Fatalf("a changed list is accepted: %v", err)
		}
	})
}
