package keyless_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestCancel: whatever a service keeps a request waiting with, the end of the context
// ends it at once, and leaves no goroutine behind.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]verifytest.Fault{
		"hangs": {Hang: true}, "failing": {Status: http.StatusServiceUnavailable}, "later": {Status: http.StatusTooManyRequests, RetryAfter: 8},
	} {
		for _, target := range targets() {
			t.Run(target.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				k := newKit(t)
				service := target.service(k)
				service.Fail(fault)
				source, err := keyless.New(k.options(t, target.services(k))) // with its usual pauses
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var ended time.Time
				go func() {
					for service.Requests() == 0 {
						time.Sleep(time.Millisecond)
					}
					ended = time.Now()
					cancel()
				}()
				evidence, err := k.signImage(ctx, source)
				after := time.Since(ended)
				k.refused(t, evidence, err)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("not said to be cancelled: %v", err)
				}
				if after > 5*time.Second {
					t.Errorf("ended %v after its context", after)
				}
			})
		}
	}
}

// TestDeadline: a context that is over asks nothing.
func TestDeadline(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	signer := k.signer(t, k.v2())
	asked := k.Requests()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, way := range ways() {
		evidence, err := way.sign(ctx, signer)
		k.refused(t, evidence, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", way.name, err)
		}
	}
	if _, err := k.source(t, k.v2()).Signer(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a certificate: %v", err)
	}
	if n := k.Requests(); n != asked {
		t.Errorf("%d requests after the end", n-asked)
	}
}

// TestOneFails: when one service fails for good, the others are not waited for.
func TestOneFails(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	signer := k.signer(t, k.v2())
	k.Rekor2.Fail(verifytest.Fault{Hang: true})
	k.TSA.Fail(verifytest.Fault{Status: http.StatusBadRequest, Text: "no"})
	evidence, err := image(soon(t), signer)
	k.refused(t, evidence, err)
	if !errors.Is(err, keyless.ErrRefused) || !strings.Contains(err.Error(), "timestamp authority") {
		t.Errorf("the error is about another service: %v", err)
	}
}

// TestNoGoroutineIsLeft counts goroutines, and so runs while no other test does.
func TestNoGoroutineIsLeft(t *testing.T) {
	for name, row := range map[string]struct {
		services func(*kit) keyless.Services
		prepare  func(*kit)
	}{
		"signed":      {(*kit).v2, func(*kit) {}},
		"lost answer": {(*kit).v2, func(k *kit) { k.Rekor2.Fail(verifytest.Fault{Lose: true, Times: 1}) }},
		"hangs": {(*kit).v2, func(k *kit) {
			k.Rekor2.Fail(verifytest.Fault{Hang: true})
			k.TSA.Fail(verifytest.Fault{Hang: true})
		}},
		"refused": {(*kit).v1, func(k *kit) { k.Rekor1.Fail(verifytest.Fault{Status: http.StatusBadRequest}) }},
		"huge":    {(*kit).v1, func(k *kit) { k.Rekor1.Fail(verifytest.Fault{Huge: 64 << 20}) }},
		"no tile": {(*kit).v2, func(k *kit) {
			k.Rekor2.Fail(verifytest.Fault{Lose: true, Times: 1})
			k.Rekor2.Fail(verifytest.Fault{On: "GET /api/v2/tile", Status: http.StatusNotFound})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			options := k.options(t, row.services(k))
			transport := &http.Transport{}
			options.Transport = transport
			source, err := keyless.New(options)
			if err != nil {
				t.Fatal(err)
			}
			source.Hurry()
			row.prepare(k)
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _ = k.signImage(ctx, source) // other tests look at what is returned
			cancel()
			transport.CloseIdleConnections()
			left := func() int { return runtime.NumGoroutine() - before }
			for began := time.Now(); left() > 0 && time.Since(began) < 5*time.Second; {
				time.Sleep(time.Millisecond) // the servers' side ends a little later
			}
			if n := left(); n > 0 {
				stacks := make([]byte, 1<<20)
				t.Errorf("%d goroutines are left:\n%s", n, stacks[:runtime.Stack(stacks, true)])
			}
		})
	}
}
