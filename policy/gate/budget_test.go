package gate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// The budgets in requests, the ping included and tokens not. They may only fall.
const (
	budgetByDigest       = 3   // ping, referrers, manifest with the bundle in it
	budgetByDigestNoData = 4   // and the blob
	budgetByTag          = 4   // and one HEAD
	budgetByTagNoAPI     = 5   // and the referrers tag after the API's 404
	budgetLegacy         = 5   // ping, referrers, referrers tag and signature tag at once, blob
	budgetAllPlatforms   = 8   // ping, index, and referrers and manifest of it and two platforms
	budgetUnsigned       = 5   // ping, referrers, two tags at once, the image itself
	budgetHundred        = 201 // 100 images by digest; asked for were 301
	budgetConnections    = 16
	budgetOneConnections = 1
)

// total counts all requests.
func total(w world) int { return len(w.Requests()) }

func TestBudgets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []registrytest.Option
		prepare func(w world)
		ref     func(w world) string
		policy  func(w world) *policy.Policy
		verdict policy.Verdict
		reason  string
		budget  int
		conns   int
	}{
		"by digest": {prepare: func(w world) { w.sign(w.image, w.key) }, verdict: policy.Allow, budget: budgetByDigest, conns: budgetOneConnections},
		"by digest, the bundle in a blob": {
			prepare: func(w world) {
				w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: w.key.Signature(w.t, w.image.Digest).Raw})
			},
			verdict: policy.Allow, budget: budgetByDigestNoData, conns: budgetOneConnections,
		},
		"by tag": {
			prepare: func(w world) { w.sign(w.image, w.key) }, ref: func(w world) string { return w.image.TagRef() },
			verdict: policy.Allow, budget: budgetByTag, conns: budgetOneConnections,
		},
		"by tag, no referrers API": {
			options: []registrytest.Option{registrytest.WithReferrers(false)},
			prepare: func(w world) { w.sign(w.image, w.key) }, ref: func(w world) string { return w.image.TagRef() },
			verdict: policy.Allow, budget: budgetByTagNoAPI, conns: budgetOneConnections,
		},
		"50 attestations beside one signature": {
			prepare: func(w world) {
				for i := range 50 {
					w.attest(w.image, w.key, fmt.Sprintf("https://example.com/%d", i), `{}`)
				}
				w.sign(w.image, w.key)
			},
			verdict: policy.Allow, budget: budgetByDigest, conns: budgetOneConnections,
		},
		"legacy": {prepare: func(w world) { w.signLegacy(w.image, w.key) }, verdict: policy.Allow, budget: budgetLegacy, conns: 2},
		"unsigned": {
			prepare: func(world) {}, verdict: policy.Deny, reason: "NO_SIGNATURE", budget: budgetUnsigned, conns: 2,
		},
		"index and both platforms": {
			prepare: func(w world) {
				index := w.PushIndex("team/multi", "1.0", "linux/amd64", "linux/arm64")
				w.sign(index, w.key)
				w.sign(index.Children[0], w.key)
				w.sign(index.Children[1], w.key)
			},
			ref: func(w world) string {
				raw, _, _ := w.Manifest("team/multi", "1.0")
				return w.Host() + "/team/multi@" + digestOf(raw)
			},
			policy:  func(w world) *policy.Policy { return w.rule("all", wantSignature) },
			verdict: policy.Allow, budget: budgetAllPlatforms, conns: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.options...)
			test.prepare(w)
			p, ref := byKey(t, w.key), w.image.Ref()
			if test.policy != nil {
				p = test.policy(w)
			}
			if test.ref != nil {
				ref = test.ref(w)
			}
			image := newGate(p, gate.Options{}).Judge(t.Context(), ref)
			if image.Verdict != test.verdict || string(image.Reason) != test.reason {
				t.Errorf("%s %s", image.Verdict, image.Reason)
			}
			if got := total(w); got > test.budget {
				t.Errorf("%d requests, budget %d:\n%s", got, test.budget, w.Log())
			} else if got < test.budget {
				t.Errorf("%d requests: the budget %d can fall", got, test.budget)
			}
			if got := w.Connections(); got > test.conns {
				t.Errorf("%d connections, budget %d:\n%s", got, test.conns, w.Log())
			}
		})
	}
}

// hundred pushes 100 signed images of as many repositories.
func hundred(t *testing.T, w world) []string {
	t.Helper()
	var refs []string
	for i := range 100 {
		image := w.PushImage(fmt.Sprintf("team/app%d", i), "1.0", map[string]string{"app": fmt.Sprint(i)})
		w.sign(image, w.key)
		refs = append(refs, image.Ref())
	}
	return refs
}

func TestBudgetHundredImages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registrytest.WithLatency(5*time.Millisecond))
	refs := hundred(t, w)
	images := newGate(byKey(t, w.key), gate.Options{}).JudgeAll(t.Context(), refs...)
	for i, image := range images {
		if image.Verdict != policy.Allow || image.Image != refs[i] {
			t.Fatalf("%d: %s %s: %s", i, image.Image, image.Verdict, image.Error)
		}
	}
	if got := total(w); got > budgetHundred {
		t.Errorf("%d requests, budget %d", got, budgetHundred)
	}
	if got := w.MaxConnections(); got > budgetConnections {
		t.Errorf("%d connections at a time, budget %d", got, budgetConnections)
	}
	if got := w.Connections(); got > budgetConnections {
		t.Errorf("%d connections, budget %d", got, budgetConnections)
	}
	if got := w.MaxConcurrent(); got < 8 {
		t.Errorf("%d requests at a time: they do not run in parallel", got)
	}
}

func TestSameImageTwiceInOneCallIsJudgedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(w.image, w.key)
	images := newGate(byKey(t, w.key), gate.Options{}).JudgeAll(t.Context(), w.image.Ref(), w.image.TagRef(), w.image.Ref(), w.image.TagRef())
	for _, image := range images {
		want(t, image, policy.Allow, "")
	}
	if got := total(w); got > budgetByTag {
		t.Errorf("%d requests, budget %d:\n%s", got, budgetByTag, w.Log())
	}
}

// BenchmarkHundredImages shows the time of 100 images by digest at 50 ms latency.
// The registry runs in the same process, on the same cores.
func BenchmarkHundredImages(b *testing.B) {
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(latency.String(), func(b *testing.B) {
			reg := registrytest.New(b, registrytest.WithLatency(latency))
			key := verifytest.NewKey(b, "ecdsa-p256")
			var refs []string
			for i := range 100 {
				image := reg.PushImage(fmt.Sprintf("team/app%d", i), "", map[string]string{"app": fmt.Sprint(i)})
				reg.Attach(image.Repository, image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: key.Signature(b, image.Digest).Raw, Embed: true})
				refs = append(refs, image.Ref())
			}
			p, err := policy.ForKey(key.Trusted)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, image := range newGate(p, gate.Options{}).JudgeAll(b.Context(), refs...) {
					if image.Verdict != policy.Allow {
						b.Fatal(image.Error)
					}
				}
			}
		})
	}
}

// TestDeniedByNameWithoutTime: AD-11: an image that no rule is about is denied, and not
// "could not check", also where other images took all the time that there was.
func TestDeniedByNameWithoutTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := strings.Replace(string(w.rule("index", wantSignature).YAML()), "**", w.Host()+"/**", 1)
	p, err := policy.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := newGate(p, gate.Options{Concurrency: 1})
	for range 20 { // as often as a select might choose otherwise
		images := g.JudgeAll(ctx, w.image.Ref(), "evil.example/app:1")
		want(t, images[0], policy.Undetermined, policy.ReasonUnreachable)
		want(t, images[1], policy.Deny, policy.ReasonNoMatch)
	}
}
