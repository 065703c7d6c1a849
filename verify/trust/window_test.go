package trust_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/trust"
)

func testKey(t testing.TB, seed byte, window trust.Window) trust.Key {
	t.Helper()
	key, err := trust.NewKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public())
	if err != nil {
		t.Fatal(err)
	}
	if key, err = key.Within(window); err != nil {
		t.Fatal(err)
	}
	return key
}

func TestWindow(t *testing.T) {
	t.Parallel()
	start, end := epoch, epoch.AddDate(1, 0, 0)
	year := trust.Window{From: start, Until: end}
	leaked := trust.Window{From: start, CompromisedSince: end}
	for name, c := range map[string]struct {
		window      trust.Window
		proven, now time.Time
		want        error
	}{
		"TR-10 start-1s": {year, start.Add(-time.Second), end, trust.ErrNotYetValid},
		"TR-10 start":    {year, start, end, nil},
		"TR-10 end":      {year, end, end, nil},
		"TR-10 end+1s":   {year, end.Add(time.Second), start, trust.ErrExpired},
		"TR-11 key expired 2024, signature time 2026":     {trust.Window{Until: epoch.AddDate(-2, 0, 0)}, epoch, epoch, trust.ErrExpired},
		"TR-11 no proven time, key ended":                 {year, time.Time{}, end.Add(time.Second), trust.ErrExpired},
		"TR-11 no proven time, key in force":              {year, time.Time{}, end, nil},
		"TR-11 no proven time, key not begun":             {year, time.Time{}, start.Add(-time.Second), trust.ErrNotYetValid},
		"TR-17 signed before the compromise":              {leaked, end.Add(-time.Second), end.AddDate(1, 0, 0), nil},
		"TR-17 signed at the compromise":                  {leaked, end, end, trust.ErrCompromised},
		"TR-17 signed after the compromise":               {leaked, end.Add(time.Hour), end, trust.ErrCompromised},
		"TR-17 compromised later, no proven time":         {leaked, time.Time{}, start, trust.ErrCompromised},
		"TR-17 compromised since ever":                    {trust.Window{CompromisedSince: time.Unix(0, 0)}, start, start, trust.ErrCompromised},
		"no bounds, no proven time, and no working clock": {trust.Window{}, time.Time{}, time.Time{}, nil},
	} {
		if err := c.window.Check(c.proven, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	change := epoch.AddDate(1, 0, 0)
	former := testKey(t, 1, trust.Window{From: epoch, Until: change})
	latter := testKey(t, 2, trust.Window{From: change})
	root, err := trust.NewRoot(trust.WithKeys(former, latter))
	if err != nil {
		t.Fatal(err)
	}
	early, late := change.AddDate(0, -1, 0), change.AddDate(0, 1, 0)
	for name, c := range map[string]struct {
		key  trust.Key
		at   time.Time
		good bool
	}{
		"TR-12 former key, early": {former, early, true},
		"TR-12 former key, late":  {former, late, false},
		"TR-12 latter key, early": {latter, early, false},
		"TR-12 latter key, late":  {latter, late, true},
	} {
		for _, key := range root.Keys() {
			if key.ID() == c.key.ID() && (key.Window().Check(c.at, late) == nil) != c.good {
				t.Errorf("%s: %v", name, key.Window().Check(c.at, late))
			}
		}
	}
}

func TestKeysWithWindows(t *testing.T) {
	t.Parallel()
	free := testKey(t, 1, trust.Window{})
	bound := testKey(t, 1, trust.Window{Until: epoch})
	if _, err := trust.NewRoot(trust.WithKeys(free, bound)); !errors.Is(err, trust.ErrRootInvalid) {
		t.Errorf("a key with two windows: %v", err)
	}
	if _, err := free.Within(trust.Window{From: epoch, Until: epoch.Add(-1)}); err == nil {
		t.Error("an empty window is accepted")
	}
	one, err := trust.NewRoot(trust.WithKeys(free, free))
	if err != nil {
		t.Fatal(err)
	}
	two, err := trust.NewRoot(trust.WithKeys(bound))
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Keys()) != 1 {
		t.Errorf("%d keys", len(one.Keys()))
	}
	if one.Digest() == two.Digest() {
		t.Error("TR-16: a window does not change the digest of the root")
	}
}

func TestExpires(t *testing.T) {
	t.Parallel()
	root, err := trust.NewRoot(trust.WithKeys(
		testKey(t, 1, trust.Window{Until: epoch}), testKey(t, 2, trust.Window{Until: epoch.AddDate(0, 0, 9)}), testKey(t, 3, trust.Window{}),
	))
	if err != nil {
		t.Fatal(err)
	}
	for now, want := range map[time.Time]time.Time{
		epoch:                         epoch,
		epoch.Add(1):                  epoch.AddDate(0, 0, 9),
		epoch.AddDate(0, 0, 9):        epoch.AddDate(0, 0, 9),
		epoch.AddDate(0, 0, 9).Add(1): {},
	} {
		if got := root.Expires(now); !got.Equal(want) {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	text := encode(t, trustedRoot(t))
	root, err := trust.NewRoot(trust.WithTrustedRoot(text), trust.WithTrustedRoot(text))
	if err != nil {
		t.Fatal(err)
	}
	end := epoch.AddDate(10, 0, 0) // of each certificate
	want := []trust.Entry{
		{Kind: trust.KindCertificateAuthority, Name: "https://ca.test", Subject: "CN=acme root", From: epoch, Until: end},
		{Kind: trust.KindTransparencyLog, Name: "https://log.test", From: epoch, Until: epoch.AddDate(1, 0, 0)},
		{Kind: trust.KindCertificateLog, Name: "https://ct.test", From: epoch, Until: epoch.AddDate(1, 0, 0)},
		{Kind: trust.KindTimestampAuthority, Name: "https://time.test", Subject: "CN=acme time", From: epoch, Until: epoch.AddDate(2, 0, 0)},
	}
	got := root.Describe()
	if len(got) != len(want) {
		t.Fatalf("%d entries: %+v", len(got), got)
	}
	for i, entry := range got {
		if entry.ID == "" || entry.Algorithm != "ecdsa-p256" {
			t.Errorf("entry %d: %+v", i, entry)
		}
		entry.ID, entry.Algorithm = "", ""
		if entry != want[i] {
			t.Errorf("entry %d: %+v, want %+v", i, entry, want[i])
		}
	}
}

// TestDescribeCutsToCertificates: what an authority's certificates do not cover is
// not trusted, whatever the entry says.
func TestDescribeCutsToCertificates(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	authority := p.authority()
	authority.From, authority.Until = epoch.AddDate(-1, 0, 0), epoch.AddDate(50, 0, 0)
	authority.CRLs = [][]byte{revoke(t, p.root, &x509.RevocationList{})}
	r, err := trust.NewRoot(trust.WithAuthority(authority))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range r.Describe() {
		end := epoch.AddDate(10, 0, 0)
		if entry.Kind == trust.KindRevocationList {
			end = epoch.AddDate(0, 0, 30)
		}
		if !entry.From.Equal(epoch) || !entry.Until.Equal(end) {
			t.Errorf("entry %+v", entry)
		}
	}
	if len(r.Describe()) != 3 {
		t.Errorf("entries %+v", r.Describe())
	}
}
