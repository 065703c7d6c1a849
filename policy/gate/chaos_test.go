package gate_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// chaosDeadline is what a caller gives; chaosSlack what a loaded machine may need beyond.
const (
	chaosDeadline = 1500 * time.Millisecond
	chaosSlack    = 8 * time.Second
)

// TestChaos: docs/admission-chaos.md. Whatever a registry does, an image that is not kept
// is not allowed, the answer comes by the caller's deadline, and what is kept counts for
// its own life alone. When the registry is back, so is the answer.
func TestChaos(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		match  registrytest.Match
		fault  registrytest.Fault
		reason verify.Reason
		// early tells that the answer does not wait for the deadline.
		early bool
	}{
		"AD-11 slow: it accepts and says nothing": {registrytest.Match{}, registrytest.Hang(), policy.ReasonUnreachable, false},
		"AD-11 slow: the list of referrers":       {registrytest.Match{Class: registrytest.Referrers}, registrytest.Hang(), policy.ReasonUnreachable, false},
		"AD-11 slow: the evidence":                {registrytest.Match{Class: registrytest.Manifest}, registrytest.Hang(), policy.ReasonUnreachable, false},
		"AD-11 slow: one byte each half second":   {registrytest.Match{Class: registrytest.Manifest}, registrytest.SlowBody(500 * time.Millisecond), policy.ReasonUnreachable, false},
		"500":                                     {registrytest.Match{}, registrytest.Status(500), policy.ReasonUnreachable, true},
		"500 for the list":                        {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500), policy.ReasonUnreachable, true},
		"500 for the evidence":                    {registrytest.Match{Class: registrytest.Manifest}, registrytest.Status(500), policy.ReasonUnreachable, true},
		"503":                                     {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(503), policy.ReasonUnreachable, true},
		"504":                                     {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(504), policy.ReasonUnreachable, true},
		"429, come back in an hour":               {registrytest.Match{Class: registrytest.Referrers}, registrytest.TooManyRequests(3600), policy.ReasonUnreachable, true},
		"429, come back after the deadline":       {registrytest.Match{Class: registrytest.Referrers}, registrytest.TooManyRequests(20), policy.ReasonUnreachable, true},
		"429 for ever":                            {registrytest.Match{Class: registrytest.Referrers}, registrytest.TooManyRequests(0), policy.ReasonUnreachable, true},
		"cut connections":                         {registrytest.Match{Class: registrytest.Referrers}, registrytest.Drop(), policy.ReasonUnreachable, true},
		"cut bodies":                              {registrytest.Match{Class: registrytest.Referrers}, registrytest.CutBody(10), policy.ReasonUnreachable, true},
		"a web page":                              {registrytest.Match{}, registrytest.HTML(), policy.ReasonUnreachable, true},
		"an endless list":                         {registrytest.Match{Class: registrytest.Referrers}, registrytest.Endless(200, oci.TypeIndex, "{"), "", true},
		"401":                                     {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(401), policy.ReasonUnauthorized, true},
		"403":                                     {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(403), policy.ReasonUnauthorized, true},
		"a redirect to plain HTTP at another host":   {registrytest.Match{Class: registrytest.Referrers}, registrytest.Redirect(http.StatusFound, "http://registry.example/"), policy.ReasonRedirectDenied, true},
		"a list that is empty, and then the truth":   {registrytest.Match{Class: registrytest.Referrers}, registrytest.Answer(200, oci.TypeIndex, []byte(`{"schemaVersion":2,"mediaType":"`+oci.TypeIndex+`","manifests":[]}`)), policy.ReasonNoSignature, true},
		"evidence that lost a byte on its way":       {registrytest.Match{Class: registrytest.Manifest, Times: 1}, registrytest.FlipByte(-2), "", true},
		"an image that is gone, and then back again": {registrytest.Match{}, registrytest.Status(404), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, gate.CacheOptions{TagFreshness: time.Minute})
			c.sign(c.image, c.key)
			kept := c.PushImage(repository, "kept", map[string]string{"app": "kept"})
			c.sign(kept, c.key)
			p := byKey(t, c.key)
			c.judge(p, kept.TagRef(), policy.Allow, "", -1, false)
			c.client = client() // it has asked nothing yet, as after a restart
			c.Inject(test.match, test.fault)

			deadline := chaosDeadline
			if test.early {
				deadline = 10 * chaosDeadline // so that a slow machine does not need it
			}
			image, took := c.by(p, c.image.Ref(), deadline)
			if image.Verdict == policy.Allow {
				t.Fatalf("%s was allowed", image.Image)
			}
			if test.reason != "" && image.Reason != test.reason {
				t.Errorf("the reason is %s: %s", image.Reason, image.Error)
			}
			if took > deadline+chaosSlack {
				t.Errorf("answered after %s", took)
			}
			if late := strings.Contains(image.Error, "time is up"); late && test.early || image.Verdict == policy.Undetermined && image.Error == "" && len(image.Unseen) == 0 {
				t.Errorf("the answer does not say why: %s %+v", image.Error, image.Unseen)
			}
			t.Logf("%-45s %-13s %-22s %4d ms, %d requests", name, image.Verdict, image.Reason, took.Milliseconds(), image.Requests)

			// What is kept counts, while it does.
			image, _ = c.by(p, kept.Ref(), chaosDeadline)
			want(t, image, policy.Allow, "")
			c.move(gate.DefaultMaxAge)
			if image, _ = c.by(p, kept.TagRef(), chaosDeadline); test.match.Times == 0 && image.Verdict == policy.Allow {
				t.Errorf("%s was allowed beyond its time", image.Image)
			}

			c.ClearFaults()
			c.move(gate.DefaultDenyAge)
			image, _ = c.by(p, c.image.Ref(), time.Minute)
			want(t, image, policy.Allow, "")
		})
	}
}

// by judges by a deadline.
func (c cached) by(p *policy.Policy, ref string, deadline time.Duration) (*report.Image, time.Duration) {
	ctx, cancel := context.WithTimeout(c.t.Context(), deadline)
	defer cancel()
	start := time.Now()
	return c.gate(p).Judge(ctx, ref), time.Since(start)
}

// TestRegistryIsDown: nobody listens, or the machine behind the connection is gone.
func TestRegistryIsDown(t *testing.T) {
	t.Parallel()
	half, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { half.Close() }) // nobody accepts: the kernel completes the handshake, and that is all
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, host := range map[string]string{"down": closed.Addr().String(), "AD-11 half open": half.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, gate.CacheOptions{})
			for _, ref := range []string{host + "/app:1", host + "/app@" + c.image.Digest.String()} {
				image, took := c.by(byKey(t, c.key), ref, chaosDeadline)
				want(t, image, policy.Undetermined, policy.ReasonUnreachable)
				if took > chaosDeadline+chaosSlack || image.Hint == "" || image.Error == "" && len(image.Unseen) == 0 {
					t.Errorf("after %s: %+v", took, image)
				}
				t.Logf("%-45s %-13s %-22s %4d ms, %d requests", name, image.Verdict, image.Reason, took.Milliseconds(), image.Requests)
			}
		})
	}
}

// TestAllImagesEndByTheDeadline: AD-11. Twenty images at registries that hang, some of
// which wait for their turn, and two that need none.
func TestAllImagesEndByTheDeadline(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]*gate.Cache{"with a cache": gate.NewCache(gate.CacheOptions{}), "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, gate.CacheOptions{})
			c.cache = cache
			c.sign(c.image, c.key)
			p := byKey(t, c.key)
			want(t, c.gate(p).Judge(t.Context(), c.image.Ref()), policy.Allow, "")
			refs := []string{}
			for i := range 20 {
				refs = append(refs, fmt.Sprintf("%s/slow/app%d@%s", c.Host(), i, c.image.Digest))
			}
			for i := range 20 {
				c.Inject(registrytest.Match{Repository: fmt.Sprintf("slow/app%d", i)}, registrytest.Hang())
			}
			refs = append(refs, c.image.Ref(), "Bad/Name")
			ctx, cancel := context.WithTimeout(t.Context(), chaosDeadline)
			defer cancel()
			start := time.Now()
			images := gate.New(p, c.client, gate.Options{Cache: c.cache, Now: c.now, Concurrency: 4}).JudgeAll(ctx, refs...)
			if took := time.Since(start); took > chaosDeadline+chaosSlack {
				t.Errorf("AD-11 answered after %s", took)
			}
			for i, image := range images[:20] {
				if image.Verdict != policy.Undetermined || image.Reason != policy.ReasonUnreachable || image.Image != refs[i] {
					t.Errorf("AD-11 %d: %s %s %s", i, image.Image, image.Verdict, image.Reason)
				}
				if cache != nil && !strings.Contains(image.Error, "time is up while") {
					t.Errorf("AD-11 %d: it does not say what was waited for: %q", i, image.Error)
				}
			}
			if cache != nil {
				want(t, images[20], policy.Allow, "")
				cache.Close()
			}
		})
	}
}

// TestJoinedLook: callers of one Pod each ask for one digest at once: one look, and what it
// took is told to the one who began it.
func TestJoinedLook(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{}, registrytest.WithLatency(20*time.Millisecond))
	c.sign(c.image, c.key)
	g := c.gate(byKey(t, c.key))
	var group sync.WaitGroup
	var mu sync.Mutex
	told := 0
	for range 50 {
		group.Go(func() {
			image := g.Judge(t.Context(), c.image.Ref())
			want(t, image, policy.Allow, "")
			mu.Lock()
			defer mu.Unlock()
			told += image.Requests
		})
	}
	group.Wait()
	if n := len(c.Requests()); n != budgetByDigest || told != n {
		t.Errorf("%d requests, told were %d:\n%s", n, told, c.Log())
	}
	if s := c.cache.Stats(); s.Misses != 1 || s.Hits+s.Joined != 49 {
		t.Errorf("%+v", s)
	}
}

// TestALookThatOutlivesItsCallers: with a time of its own it ends, and the next caller
// finds what it found.
func TestALookThatOutlivesItsCallers(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{})
	c.sign(c.image, c.key)
	release := make(chan struct{})
	c.Inject(registrytest.Match{Class: registrytest.Referrers, Times: 1}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			next.ServeHTTP(w, r)
		})
	})
	g := gate.New(byKey(t, c.key), c.client, gate.Options{Cache: c.cache, Now: c.now, Timeout: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	image := g.Judge(ctx, c.image.Ref())
	want(t, image, policy.Undetermined, policy.ReasonUnreachable)
	if !strings.Contains(image.Error, "time is up while") {
		t.Errorf("it says %q", image.Error)
	}
	close(release)
	image = g.Judge(t.Context(), c.image.Ref())
	want(t, image, policy.Allow, "")
	if n := len(c.Requests()); n != budgetByDigest {
		t.Errorf("%d requests:\n%s", n, c.Log())
	}
}

// TestAFaultInAJoinedLook: a panic is an answer for all who wait, and is not kept.
func TestAFaultInAJoinedLook(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{})
	c.sign(c.image, c.key)
	source := faulty{c.client, c.image.Digest.String()}
	g := gate.New(byKey(t, c.key), source, gate.Options{Cache: c.cache, Now: c.now})
	for _, image := range g.JudgeAll(t.Context(), c.image.Ref(), c.image.TagRef(), c.image.Ref()) {
		want(t, image, policy.Undetermined, verify.ReasonInternal)
	}
	c.judge(byKey(t, c.key), c.image.Ref(), policy.Allow, "", -1, false)
}

// TestPlatformsThatCannotBeListed: an index whose parts cannot be read is not one without
// platforms.
func TestPlatformsThatCannotBeListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inner := outerOf(w, w.image)
	outer := w.PutJSON(repository, "", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{inner.Descriptor}})
	w.sign(outer, w.key)
	w.Inject(registrytest.Match{Class: registrytest.Manifest, Path: inner.Digest.String()}, registrytest.Status(500))
	want(t, newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), outer.Ref()), policy.Undetermined, policy.ReasonUnreachable)
}
