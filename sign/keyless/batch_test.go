package keyless_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestBatch: one certificate serves a hundred signatures. The number of requests is a
// budget: it may fall and not rise.
func TestBatch(t *testing.T) {
	t.Parallel()
	const signatures = 100
	for name, row := range map[string]struct {
		services func(*kit) keyless.Services
		budget   func(*kit) map[*verifytest.Service]int
	}{
		"Rekor v1": {(*kit).v1, func(k *kit) map[*verifytest.Service]int {
			return map[*verifytest.Service]int{k.Fulcio: 1, k.Rekor1: signatures}
		}},
		"Rekor v2": {(*kit).v2, func(k *kit) map[*verifytest.Service]int {
			return map[*verifytest.Service]int{k.Fulcio: 1, k.Rekor2: signatures, k.TSA: signatures}
		}},
		"no log": {(*kit).stamped, func(k *kit) map[*verifytest.Service]int {
			return map[*verifytest.Service]int{k.Fulcio: 1, k.TSA: signatures}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			source := k.source(t, row.services(k))
			ctx := soon(t)
			for range signatures {
				if _, err := k.signImage(ctx, source); err != nil {
					t.Fatal(err)
				}
			}
			total := 0
			for service, most := range row.budget(k) {
				total += most
				if n := service.Requests(); n != most {
					t.Errorf("%s was asked %d times, want %d", service.URL, n, most)
				}
				// One, and on a busy machine now and then a second one that replaces it.
				if n := service.Connections(); n > 5 {
					t.Errorf("%d connections to %s, want one", n, service.URL)
				}
			}
			if n := k.Requests(); n != total {
				t.Errorf("%d requests in all, want %d", n, total)
			}
			if source.Issued() != 1 || k.tokens.Load() != 1 {
				t.Errorf("%d certificates with %d tokens, want one", source.Issued(), k.tokens.Load())
			}
		})
	}
}

// TestSideBySide: a source is shared by many goroutines; they wait for one certificate.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	services := k.v2()
	services.Logs = append(services.Logs, keyless.Log{URL: k.Rekor1.URL, Version: 1})
	source := k.source(t, services)
	reader := k.Instance.Verifier(t, trust.Requirement{LogEntries: 2, Timestamps: 2, SCTs: 1})
	var group sync.WaitGroup
	made := make([][]sign.Evidence, 8)
	for i := range made {
		group.Go(func() {
			for _, way := range ways()[:3] {
				signer, err := source.Signer(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				evidence, err := way.sign(t.Context(), signer)
				if err != nil {
					t.Error(err)
					return
				}
				made[i] = append(made[i], evidence)
			}
		})
	}
	group.Wait()
	for _, some := range made {
		for _, evidence := range some {
			k.check(t, reader, evidence)
		}
	}
	if source.Issued() != 1 || k.Fulcio.Requests() != 1 {
		t.Errorf("%d certificates, want one", source.Issued())
	}
}

// TestRenewal: a certificate is used while it lives long enough for a signature, and
// then replaced, with a new token and a new key.
func TestRenewal(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	source := k.source(t, k.v2())
	first, err := source.Signer(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		forward time.Duration
		issued  int
	}{{0, 1}, {8 * time.Minute, 1}, {40 * time.Second, 2}, {8 * time.Minute, 2}, {time.Hour, 3}} {
		k.Forward(step.forward)
		evidence, err := k.signImage(soon(t), source)
		if err != nil {
			t.Fatal(err)
		}
		k.check(t, k.Instance.Verifier(t, trust.Keyless()), evidence)
		if source.Issued() != step.issued || int(k.tokens.Load()) != step.issued || k.Fulcio.Requests() != step.issued {
			t.Errorf("%v later: %d certificates with %d tokens, want %d", step.forward, source.Issued(), k.tokens.Load(), step.issued)
		}
	}
	// A signer that was kept beyond its certificate makes nothing.
	evidence, err := image(soon(t), first)
	k.refused(t, evidence, err)
	last, err := source.Signer(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if one, same := first.Public().(interface{ Equal(any) bool }); same && one.Equal(last.Public()) {
		t.Error("a key was used for two certificates")
	}
}

// TestFailedRenewal: when no new certificate is to be had, the error is returned, and not
// the old signer.
func TestFailedRenewal(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	source := k.source(t, k.v2())
	if _, err := source.Signer(soon(t)); err != nil {
		t.Fatal(err)
	}
	k.Forward(time.Hour)
	k.Fulcio.Fail(verifytest.Fault{Status: 403, Text: "no"})
	signer, err := source.Signer(soon(t))
	if !errors.Is(err, keyless.ErrCertificate) || signer != nil {
		t.Fatalf("a signer %v and the error %v", signer, err)
	}
	k.Fulcio.Heal()
	if _, err := k.signImage(soon(t), source); err != nil || source.Issued() != 2 {
		t.Errorf("%d certificates, error %v", source.Issued(), err)
	}
}

// TestToken: the token is asked for when it is needed, and what is wrong with it is said.
func TestToken(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	none := errors.New("nobody is logged in")
	for name, row := range map[string]struct {
		token string
		err   error
	}{"none": {"", none}, "empty": {"", nil}, "no JWT": {"abc", nil}, "no JSON": {"a.YWJj.c", nil}, "no subject": {"a.e30.c", nil}} {
		options := k.options(t, k.v2())
		options.Token = func(context.Context) (string, error) { return row.token, row.err }
		source, err := keyless.New(options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Signer(soon(t)); !errors.Is(err, keyless.ErrCertificate) || row.err != nil && !errors.Is(err, row.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := k.Requests(); n != 0 {
		t.Errorf("%d requests without a token", n)
	}
}
