package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// issueFor makes a certificate and its key; a nil parent signs itself.
func issueFor(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, by = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func caTemplate(name string, from, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1, KeyUsage: x509.KeyUsageCertSign,
	}
}

func leafTemplate(t *testing.T, from, until time.Time) *x509.Certificate {
	t.Helper()
	name, err := url.Parse("https://ci.example.com/app")
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		NotBefore: from, NotAfter: until, URIs: []*url.URL{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
}

// TestWarmAuthority: the authority that remembers says the same as the one that does
// not, at every edge of every window: CI-10, CI-11.
func TestWarmAuthority(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	top, topKey := issueFor(t, caTemplate("root", noon.Add(-10*day), noon.Add(10*day)), nil, nil)
	middle, middleKey := issueFor(t, caTemplate("middle", noon.Add(-5*day), noon.Add(5*day)), top, topKey)
	leaves := map[string]*x509.Certificate{}
	leaves["of a day"], _ = issueFor(t, leafTemplate(t, noon.Add(-day), noon.Add(day)), middle, middleKey)
	leaves["longer than all"], _ = issueFor(t, leafTemplate(t, noon.Add(-20*day), noon.Add(20*day)), middle, middleKey)
	server := leafTemplate(t, noon.Add(-day), noon.Add(day))
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaves["of a server"], _ = issueFor(t, server, middle, middleKey)
	leaves["of the root itself"], _ = issueFor(t, leafTemplate(t, noon.Add(-day), noon.Add(day)), top, topKey)
	stranger, strangerKey := issueFor(t, caTemplate("root", noon.Add(-10*day), noon.Add(10*day)), nil, nil)
	namesake, namesakeKey := issueFor(t, caTemplate("middle", noon.Add(-5*day), noon.Add(5*day)), stranger, strangerKey)
	leaves["of a namesake"], _ = issueFor(t, leafTemplate(t, noon.Add(-day), noon.Add(day)), namesake, namesakeKey)
	var times []time.Time
	for _, edge := range []time.Duration{-20 * day, -10 * day, -7 * day, -5 * day, -3 * day, -day, 0, day, 3 * day, 5 * day, 7 * day, 10 * day, 20 * day} {
		times = append(times, noon.Add(edge-time.Second), noon.Add(edge), noon.Add(edge+time.Second))
	}
	for _, window := range [][2]time.Time{{}, {noon.Add(-3 * day), noon.Add(3 * day)}, {noon.Add(-7 * day), {}}} {
		for _, intermediates := range [][]*x509.Certificate{{middle}, {namesake, middle}, {namesake}, nil} {
			cold := &root.FulcioCertificateAuthority{Root: top, Intermediates: intermediates, ValidityPeriodStart: window[0], ValidityPeriodEnd: window[1]}
			warm := newWarmAuthority(cold)
			for name, leaf := range leaves {
				for _, at := range times {
					want, wantErr := cold.Verify(leaf, at)
					got, err := warm.Verify(leaf, at)
					if (err == nil) != (wantErr == nil) {
						t.Fatalf("leaf %s at %s: %v, without memory %v", name, at, err, wantErr)
					}
					if !slices.EqualFunc(got, want, func(a, b []*x509.Certificate) bool {
						return slices.EqualFunc(a, b, (*x509.Certificate).Equal)
					}) {
						t.Fatalf("leaf %s at %s: another chain", name, at)
					}
				}
			}
		}
	}
}

// TestWarmAuthorityRemembersNothingUnderLimits: CI-17. A root that limits names or
// depth is asked anew for every leaf.
func TestWarmAuthorityRemembersNothingUnderLimits(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*x509.Certificate){
		"names":          func(c *x509.Certificate) { c.PermittedURIDomains = []string{"example.com"} },
		"excluded names": func(c *x509.Certificate) { c.ExcludedEmailAddresses = []string{"example.com"} },
		"depth":          func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true },
	} {
		template := caTemplate("root", noon.Add(-time.Hour), noon.Add(time.Hour))
		limit(template)
		top, topKey := issueFor(t, template, nil, nil)
		middle, _ := issueFor(t, caTemplate("middle", noon.Add(-time.Hour), noon.Add(time.Hour)), top, topKey)
		cold := &root.FulcioCertificateAuthority{Root: top, Intermediates: []*x509.Certificate{middle}}
		if got := newWarmAuthority(cold); got != root.CertificateAuthority(cold) {
			t.Errorf("%s: %T", name, got)
		}
	}
}
