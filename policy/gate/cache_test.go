package gate_test

import (
	"context"
	"fmt"
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

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// cached is a gate with a cache, a clock and one client.
type cached struct {
	world
	*clock
	cache  *gate.Cache
	client *oci.Client
}

func newCached(t *testing.T, o gate.CacheOptions, options ...registrytest.Option) cached {
	w := newWorld(t, options...)
	c := cached{w, newClock(), gate.NewCache(o), client()}
	t.Cleanup(c.cache.Close)
	return c
}

func (c cached) gate(p *policy.Policy) *gate.Gate {
	return gate.New(p, c.client, gate.Options{Cache: c.cache, Now: c.now})
}

// judge judges a reference and checks how many requests it took.
func (c cached) judge(p *policy.Policy, ref string, verdict policy.Verdict, reason verify.Reason, requests int, isCached bool) *report.Image {
	c.t.Helper()
	c.Reset()
	image := c.gate(p).Judge(c.t.Context(), ref)
	want(c.t, image, verdict, reason)
	if got := len(c.Requests()); got != image.Requests || requests >= 0 && got != requests {
		c.t.Errorf("%d requests, want %d; told were %d:\n%s", got, requests, image.Requests, c.Log())
	}
	if image.Cached != isCached {
		c.t.Errorf("cached: %t", image.Cached)
	}
	if image.Image != ref {
		c.t.Errorf("the answer is for %s", image.Image)
	}
	return image
}

func TestCachedDecisions(t *testing.T) {
	t.Parallel()
	t.Run("OC-03 by digest and not by tag", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		c.sign(c.image, c.key)
		p := byKey(t, c.key)
		first := c.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
		again := c.judge(p, c.image.Ref(), policy.Allow, "", 0, true)
		if again.Digest != first.Digest || len(again.Demands) != 1 {
			t.Errorf("the second answer is %+v", again)
		}
		byTag := c.judge(p, c.image.TagRef(), policy.Allow, "", 1, true)
		if byTag.Tag != "1.0" || byTag.Digest != c.image.Digest {
			t.Errorf("by tag: %+v", byTag)
		}
		c.PushImage(repository, "1.0", map[string]string{"app": "evil"})
		c.judge(p, c.image.TagRef(), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.judge(p, c.image.Ref(), policy.Allow, "", 0, true)
	})
	t.Run("AD-07 the same tag, and the registry moved", func(t *testing.T) {
		t.Parallel()
		for _, freshness := range []time.Duration{0, time.Minute} {
			c := newCached(t, gate.CacheOptions{TagFreshness: freshness})
			c.sign(c.image, c.key)
			p := byKey(t, c.key)
			c.judge(p, c.image.TagRef(), policy.Allow, "", 4, false)
			evil := c.PushImage(repository, "1.0", map[string]string{"app": "evil"})
			if freshness > 0 {
				c.move(freshness - time.Nanosecond)
				if image := c.judge(p, c.image.TagRef(), policy.Allow, "", 0, true); image.Digest != c.image.Digest {
					t.Errorf("AD-07 the verdict is about %s", image.Digest)
				}
				c.move(time.Nanosecond)
			}
			if image := c.judge(p, c.image.TagRef(), policy.Deny, policy.ReasonNoSignature, -1, false); image.Digest != evil.Digest {
				t.Errorf("AD-07 %s: judged %s", freshness, image.Digest)
			}
		}
	})
	t.Run("OC-04 another policy, name or platform", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		c.sign(c.image, c.key)
		c.judge(byKey(t, c.key), c.image.Ref(), policy.Allow, "", 3, false)
		c.judge(byKey(t, c.stranger), c.image.Ref(), policy.Deny, verify.ReasonKeyMismatch, -1, false)
		c.judge(byKey(t, c.key), c.image.Ref(), policy.Allow, "", 0, true)
		copied := c.PushImage("other/app", "1.0", map[string]string{"app": "x"})
		c.judge(byKey(t, c.key), copied.Ref(), policy.Deny, policy.ReasonNoSignature, -1, false)
		g := gate.New(byKey(t, c.key), c.client, gate.Options{Cache: c.cache, Now: c.now, Platform: "linux/s390x"})
		want(t, g.Judge(t.Context(), c.image.Ref()), policy.Deny, policy.ReasonNoPlatform)
	})
	t.Run("a platform of an index", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		index := c.PushIndex("team/multi", "1.0", "linux/amd64", "linux/arm64")
		c.sign(index.Children[1], c.key)
		p := byKey(t, c.key)
		for i, platform := range []string{"linux/arm64", "linux/arm64", "linux/amd64"} {
			c.Reset()
			image := gate.New(p, c.client, gate.Options{Cache: c.cache, Now: c.now, Platform: platform}).Judge(t.Context(), index.Ref())
			if i == 2 {
				want(t, image, policy.Deny, policy.ReasonNoSignature)
				break
			}
			want(t, image, policy.Allow, "")
			if image.Digest != index.Children[1].Digest || image.Platform != platform || image.Cached != (i == 1) || i == 1 && len(c.Requests()) != 0 {
				t.Errorf("%d: %s %s, cached %t:\n%s", i, image.Digest, image.Platform, image.Cached, c.Log())
			}
		}
	})
	t.Run("OC-05 what could not be checked is not kept", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		c.sign(c.image, c.key)
		for _, status := range []int{500, 401, 429} {
			c.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(status))
			if image := c.gate(byKey(t, c.key)).Judge(t.Context(), c.image.Ref()); image.Verdict != policy.Undetermined || image.Cached {
				t.Errorf("%d: %s", status, image.Verdict)
			}
			c.ClearFaults()
		}
		if s := c.cache.Stats(); s.Entries != 0 || s.Misses != 3 {
			t.Errorf("%+v", s)
		}
		c.judge(byKey(t, c.key), c.image.Ref(), policy.Allow, "", -1, false)
	})
	t.Run("a denial for a moment, and for one source", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		p := byKey(t, c.key)
		c.judge(p, c.image.Ref(), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.judge(p, c.image.Ref(), policy.Deny, policy.ReasonNoSignature, 0, true)
		c.sign(c.image, c.key)
		c.judge(p, c.image.Ref(), policy.Deny, policy.ReasonNoSignature, 0, true)
		other := c
		other.client = client()
		other.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
		c.judge(p, c.image.Ref(), policy.Allow, "", 0, true) // what is allowed is allowed for all
		c.image = c.PushImage(repository, "2.0", map[string]string{"app": "z"})
		c.judge(p, c.image.Ref(), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.sign(c.image, c.key)
		c.move(gate.DefaultDenyAge)
		c.judge(p, c.image.Ref(), policy.Allow, "", -1, false)
	})
	t.Run("denials are not kept where they shall not be", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{DenyAge: -1})
		c.judge(byKey(t, c.key), c.image.Ref(), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.judge(byKey(t, c.key), c.image.Ref(), policy.Deny, policy.ReasonNoSignature, -1, false)
	})
	t.Run("another tag beside a denied digest", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		p := byKey(t, c.key)
		with := func(tag string) string {
			return c.Host() + "/" + repository + ":" + tag + "@" + c.image.Digest.String()
		}
		c.judge(p, with("a"), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.judge(p, with("a"), policy.Deny, policy.ReasonNoSignature, 0, true)
		c.judge(p, with("b"), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.move(time.Minute)
		c.sign(c.image, c.key)
		c.judge(p, with("a"), policy.Allow, "", -1, false)
		c.judge(p, with("b"), policy.Allow, "", 0, true)
	})
}

// TestCacheEnds: a decision ends when the policy says, and at the cache's own age; a clock
// that goes back brings none back.
func TestCacheEnds(t *testing.T) {
	t.Parallel()
	until := func(c cached, end time.Duration) *policy.Policy {
		p := c.rule("index", wantSignature+"\n    until: "+c.now().Add(end).Format(time.RFC3339)+"\n  - name: later\n    images: [\"**\"]\n    from: "+
			c.now().Add(end).Format(time.RFC3339)+"\n    require:\n      statements: [{type: \"https://example.com/t/v1\", from: [ops]}]")
		return p
	}
	t.Run("at the age", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		c.sign(c.image, c.key)
		p := byKey(t, c.key)
		c.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
		c.move(gate.DefaultMaxAge - time.Nanosecond)
		c.judge(p, c.image.Ref(), policy.Allow, "", 0, true)
		c.move(time.Nanosecond)
		c.judge(p, c.image.Ref(), policy.Allow, "", -1, false)
	})
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{MaxAge: -1})
		c.sign(c.image, c.key)
		p := byKey(t, c.key)
		c.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
		c.move(10_000 * time.Hour)
		c.judge(p, c.image.Ref(), policy.Allow, "", 0, true)
	})
	for _, age := range []time.Duration{0, -1} {
		t.Run(fmt.Sprint("at the policy's own end ", age), func(t *testing.T) {
			t.Parallel()
			c := newCached(t, gate.CacheOptions{MaxAge: age})
			c.sign(c.image, c.key)
			p := until(c, 10*time.Minute)
			c.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
			c.move(10*time.Minute - time.Nanosecond)
			c.judge(p, c.image.Ref(), policy.Allow, "", 0, true)
			c.move(time.Nanosecond)
			c.judge(p, c.image.Ref(), policy.Deny, policy.ReasonNoAttestation, -1, false)
		})
	}
	t.Run("a clock that is set back", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{TagFreshness: time.Minute})
		c.sign(c.image, c.key)
		p := byKey(t, c.key)
		c.judge(p, c.image.TagRef(), policy.Allow, "", 4, false)
		other := c.PushImage(repository, "other", map[string]string{"app": "y"})
		c.move(gate.DefaultMaxAge) // ended, and nobody asks
		c.judge(p, other.Ref(), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.move(-30 * time.Minute)
		c.judge(p, c.image.TagRef(), policy.Allow, "", -1, false)
		if s := c.cache.Stats(); s.Entries != 1 || s.Hits != 0 || s.TagHits != 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a clock that goes back a little", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, gate.CacheOptions{})
		c.sign(c.image, c.key)
		p := byKey(t, c.key)
		c.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
		other := c.PushImage(repository, "other", map[string]string{"app": "y"})
		c.move(gate.DefaultMaxAge)
		c.judge(p, other.Ref(), policy.Deny, policy.ReasonNoSignature, -1, false)
		c.move(-time.Second)
		c.judge(p, other.Ref(), policy.Deny, policy.ReasonNoSignature, 0, true)
		c.judge(p, c.image.Ref(), policy.Allow, "", -1, false) // its end stands
	})
}

// TestWhatOnlyWarns: what a rule only warns about is kept like the verdict that it would
// have been.
func TestWhatOnlyWarns(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{})
	p := c.rule("index", wantSignature+"\n    mode: warn")
	c.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500))
	c.judge(p, c.image.Ref(), policy.Allow, "", -1, false)
	c.judge(p, c.image.Ref(), policy.Allow, "", -1, false)
	c.ClearFaults()
	if image := c.judge(p, c.image.Ref(), policy.Allow, "", -1, false); image.Warned == nil || image.Warned.Verdict != policy.Deny {
		t.Errorf("%+v", image.Decision)
	}
	c.judge(p, c.image.Ref(), policy.Allow, "", 0, true)
	c.move(gate.DefaultDenyAge)
	c.judge(p, c.image.Ref(), policy.Allow, "", -1, false)
}

// TestAHitIsACopy: who gets a decision may write to it.
func TestAHitIsACopy(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{})
	c.sign(c.image, c.key)
	p := byKey(t, c.key)
	for range 3 {
		image := c.judge(p, c.image.Ref(), policy.Allow, "", -1, c.cache.Stats().Entries > 0)
		if d := image.Demands[0]; d.Name != "signatures" || len(d.Tried) != 1 || d.Tried[0].Signer == "" || len(d.Tried[0].Checks) == 0 || d.Tried[0].Checks[0] == "x" {
			t.Fatalf("somebody wrote to it: %+v", d)
		}
		image.Demands[0].Tried[0].Checks[0] = "x"
		image.Demands[0].Tried[0] = policy.Attempt{}
		image.Demands[0] = policy.Demand{Verdict: policy.Deny}
	}
}

// TestCacheIsBounded: RE-02, by entries and by bytes, whatever is asked for; and what is
// denied throws out nothing that is allowed.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	fill := func(c cached) {
		p := byKey(t, c.key)
		for i := range 24 {
			image := c.PushImage(repository, fmt.Sprintf("v%d", i), map[string]string{"n": fmt.Sprint(i)})
			if i < 8 {
				c.sign(image, c.key)
				c.judge(p, image.TagRef(), policy.Allow, "", -1, false)
				continue
			}
			c.judge(p, image.TagRef(), policy.Deny, policy.ReasonNoSignature, -1, false)
		}
	}
	c := newCached(t, gate.CacheOptions{Entries: 4, Bytes: 1 << 20, TagFreshness: time.Hour})
	fill(c)
	if s := c.cache.Stats(); s.Entries != 5 || s.Bytes < 5*500 || s.Running != 0 {
		t.Errorf("%+v", s)
	}
	for i := 4; i < 8; i++ { // the last four that were allowed are still there
		raw, _, found := c.Manifest(repository, fmt.Sprintf("v%d", i))
		if !found {
			t.Fatal("there is no such image")
		}
		c.judge(byKey(t, c.key), c.Host()+"/"+repository+"@"+digestOf(raw), policy.Allow, "", 0, true)
	}
	small := newCached(t, gate.CacheOptions{Bytes: 64_000})
	fill(small)
	if s := small.cache.Stats(); s.Bytes > 64_000+16_000 || s.Entries > 24 {
		t.Errorf("%+v", s)
	}
}

// TestHostsBeforeTheCache: AD-22. A registry that is not allowed is a denial, also for an
// image that is kept, and nothing is sent.
func TestHostsBeforeTheCache(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{})
	c.sign(c.image, c.key)
	p := byKey(t, c.key)
	c.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
	c.client = oci.NewClient(oci.Options{Hosts: []string{"registry.example"}})
	for _, ref := range []string{c.image.Ref(), c.image.TagRef()} {
		image := c.judge(p, ref, policy.Deny, policy.ReasonHostRefused, 0, false)
		if image.Rule == "" || image.Error == "" || image.Hint == "" {
			t.Errorf("AD-22 %+v", image)
		}
	}
	// Without a cache, and by a source that cannot say it itself.
	type plain struct{ gate.Source }
	for _, source := range []gate.Source{c.client, plain{c.client}} {
		want(t, gate.New(p, source, gate.Options{}).Judge(t.Context(), c.image.TagRef()), policy.Deny, policy.ReasonHostRefused)
	}
	if image := gate.New(p, plain{c.client}, gate.Options{}).Judge(t.Context(), c.image.Ref()); image.Verdict == policy.Allow || image.Reason != policy.ReasonHostRefused {
		t.Errorf("AD-22 %s %s", image.Verdict, image.Reason)
	}
	if c.Count("", registrytest.Any) != 0 {
		t.Errorf("AD-22 requests:\n%s", c.Log())
	}
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestACachedAnswerNeedsNoTime: it comes even when the time is up.
func TestACachedAnswerNeedsNoTime(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{})
	c.sign(c.image, c.key)
	p := byKey(t, c.key)
	c.judge(p, c.image.Ref(), policy.Allow, "", 3, false)
	images := c.gate(p).JudgeAll(cancelled(t), c.image.Ref(), c.image.TagRef())
	want(t, images[0], policy.Allow, "")
	want(t, images[1], policy.Undetermined, policy.ReasonUnreachable)
}
