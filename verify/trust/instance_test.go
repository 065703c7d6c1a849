package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/verify/trust"
)

func publicPEM(t testing.TB, seed byte) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func instance(t testing.TB) trust.Instance {
	t.Helper()
	p := newPKI(t)
	return trust.Instance{
		Fulcio:     []trust.Endpoint{{URL: "https://ca.test", PEM: chainPEM(p.root, p.middle)}}, // root first
		Timestamps: []trust.Endpoint{{URL: "https://time.test", PEM: chainPEM(p.stamper, p.stampRoot)}},
		RekorV1:    []trust.Endpoint{{URL: "https://log1.test", PEM: publicPEM(t, 1)}},
		RekorV2:    []trust.Endpoint{{URL: "https://log2.test:3003", PEM: publicPEM(t, 2)}},
		CTLogs:     []trust.Endpoint{{URL: "https://ct.test", PEM: publicPEM(t, 3)}},
		Issuers:    []string{"https://issuer.test"},
		From:       epoch,
	}
}

func TestInstance(t *testing.T) {
	t.Parallel()
	made := instance(t)
	text, err := made.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	again, err := made.TrustedRoot()
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("the same instance makes another file: %v", err)
	}
	r, err := trust.NewRoot(trust.WithTrustedRoot(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range r.Describe() {
		got = append(got, string(entry.Kind)+" "+entry.Name)
		if !entry.From.Equal(epoch) {
			t.Errorf("%s begins at %s", entry.Name, entry.From)
		}
	}
	want := []string{
		"certificate authority https://ca.test",
		"transparency log https://log1.test", "transparency log https://log2.test:3003",
		"certificate transparency log https://ct.test",
		"timestamp authority https://time.test",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for id, log := range r.Sigstore().RekorLogs() {
		// The ID of the second is over the host name without port (C2SP, signed-note).
		if len(log.ID) != 32 || id == "" {
			t.Errorf("log %s has the ID %x", log.BaseURL, log.ID)
		}
	}
	config, err := made.SigningConfig()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := root.NewSigningConfigFromJSON(config)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := root.SelectServices(parsed.RekorLogURLs(), parsed.RekorLogURLsConfig(), []uint32{1, 2}, epoch)
	if err != nil || len(logs) != 1 || logs[0].URL != "https://log2.test:3003" || logs[0].MajorAPIVersion != 2 {
		t.Errorf("logs %+v, %v", logs, err)
	}
	if stamps := parsed.TimestampAuthorityURLs(); len(stamps) != 1 || stamps[0].URL != "https://time.test/api/v1/timestamp" {
		t.Errorf("timestamp authorities %+v", stamps)
	}
}

// TestInstanceRotation: TR-12. The former log's entries stay good until its end, and
// who signs after it uses the latter.
func TestInstanceRotation(t *testing.T) {
	t.Parallel()
	made, change := instance(t), epoch.AddDate(0, 6, 0)
	made.RekorV1, made.RekorV2[0].Until = nil, change
	made.RekorV2 = append(made.RekorV2, trust.Endpoint{URL: "https://log3.test", PEM: publicPEM(t, 4), From: change.Add(time.Second)})
	text, err := made.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	r, err := trust.NewRoot(trust.WithTrustedRoot(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range r.Describe() {
		former, latter := entry.Name == "https://log2.test:3003", entry.Name == "https://log3.test"
		if former && (!entry.InForce(change) || entry.InForce(change.Add(time.Second))) || latter && (entry.InForce(change) || !entry.InForce(change.Add(time.Second))) {
			t.Errorf("entry %+v", entry)
		}
	}
	config, err := made.SigningConfig()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := root.NewSigningConfigFromJSON(config)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]string{change: "https://log2.test:3003", change.Add(time.Second): "https://log3.test"} {
		logs, err := root.SelectServices(parsed.RekorLogURLs(), parsed.RekorLogURLsConfig(), []uint32{1, 2}, at)
		if err != nil || len(logs) != 1 || logs[0].URL != want {
			t.Errorf("at %s: %+v, %v", at, logs, err)
		}
	}
}

func TestInstanceIsReadStrictly(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*trust.Instance){
		"nothing":                         func(i *trust.Instance) { *i = trust.Instance{From: epoch} },
		"TR-10 no beginning":              func(i *trust.Instance) { i.From = time.Time{} },
		"TR-10 log ends before it begins": func(i *trust.Instance) { i.RekorV2[0].Until = epoch.Add(-time.Second) },
		"TR-10 CA ends before it begins":  func(i *trust.Instance) { i.Fulcio[0].Until = epoch.Add(-time.Second) },
		"a key for a chain":               func(i *trust.Instance) { i.Fulcio[0].PEM = publicPEM(t, 1) },
		"a chain for a key":               func(i *trust.Instance) { i.CTLogs[0].PEM = i.Fulcio[0].PEM },
		"TR-09 TSA without root":          func(i *trust.Instance) { i.Timestamps[0].PEM = chainPEM(newPKI(t).stamper) },
		"two chains in one":               func(i *trust.Instance) { i.Fulcio[0].PEM = append(i.Fulcio[0].PEM, chainPEM(newPKI(t).root)...) },
		"no chain":                        func(i *trust.Instance) { i.Fulcio[0].PEM = nil },
		"a namesake's chain": func(i *trust.Instance) {
			i.Fulcio[0].PEM = chainPEM(newPKI(t).middle, newPKI(t).root)
		},
		"SB-10 one key is two logs": func(i *trust.Instance) {
			i.RekorV2 = append(i.RekorV2, trust.Endpoint{URL: "https://b.test", PEM: i.RekorV2[0].PEM})
		},
		"SB-10 one key in two kinds": func(i *trust.Instance) { i.RekorV2[0].PEM = i.RekorV1[0].PEM },
		"SB-11 one key is two TSAs": func(i *trust.Instance) {
			i.Timestamps = append(i.Timestamps, trust.Endpoint{URL: "https://b.test", PEM: i.Timestamps[0].PEM})
		},
		"no URL":               func(i *trust.Instance) { i.Fulcio[0].URL = "ca.test" },
		"credentials in a URL": func(i *trust.Instance) { i.RekorV1[0].URL = "https://user:word@log.test" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := instance(t)
			change(&made)
			if _, err := made.TrustedRoot(); !errors.Is(err, trust.ErrRootInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
}
