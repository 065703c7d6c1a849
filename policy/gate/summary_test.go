package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// heavy are the kinds of the large attestations.
const heavy = 6

// summarised is a world whose rule wants a signature and six statements, or a summary by
// the world's key. The summary is bound to that rule.
func summarised(t *testing.T, platforms string) (w world, withSummary, without *policy.Policy) {
	w = newWorld(t)
	wants := wantSignature + "\n      statements:\n"
	for i := range heavy {
		wants += fmt.Sprintf("        - {type: %q, from: [ops]}\n", heavyType(i))
	}
	return w, w.rule(platforms, wants+"      summary: {from: [ops]}"), w.rule(platforms, wants)
}

func heavyType(i int) string { return fmt.Sprintf("https://example.com/heavy/%d", i) }

// everything hangs on an image all that the rule asks for. The heavy ones do not fit
// into their manifests.
func (w world) everything(on registrytest.Pushed) {
	w.sign(on, w.key)
	for i := range heavy {
		w.attest(on, w.key, heavyType(i), `{"x":"`+strings.Repeat("y", 30<<10)+`"}`)
	}
}

// summary hangs the summary on an image that the verifier of p would make.
func (w world) summary(p *policy.Policy, on registrytest.Pushed, by *verifytest.Key, change func(*predicate.Summary)) {
	w.t.Helper()
	core, err := p.Core()
	if err != nil {
		w.t.Fatal(err)
	}
	var judged policy.Image
	image := newGate(core, gate.Options{Judged: func(i policy.Image, _ policy.Decision) { judged = i }}).Judge(w.t.Context(), on.Ref())
	all, err := core.Summarize(judged, judgedAt)
	if err != nil || image.Verdict != policy.Allow {
		w.t.Fatalf("%s %s: %v", image.Verdict, image.Reason, err)
	}
	for _, one := range all {
		if change != nil {
			change(&one.Summary)
		}
		raw, err := one.Summary.Predicate()
		if err != nil {
			w.t.Fatal(err)
		}
		about := registrytest.Pushed{Repository: on.Repository, Descriptor: on.Descriptor}
		for _, child := range on.Children {
			if child.Digest == one.Digest {
				about = child
			}
		}
		w.attest(about, by, predicate.TypeVSA, string(raw))
	}
}

var judgedAt = newClock().now()

// TestSummaryFirst: a summary costs no more requests than what it stands for, and what
// it stands for is not fetched.
func TestSummaryFirst(t *testing.T) {
	t.Parallel()
	at := gate.Options{Now: newClock().now}
	t.Run("the large ones are not fetched", func(t *testing.T) {
		t.Parallel()
		w, with, without := summarised(t, "index")
		w.everything(w.image)
		w.summary(with, w.image, w.key, nil)
		for ref, budget := range map[string][2]int{w.image.Ref(): {budgetByDigest, 15}, w.image.TagRef(): {budgetByTag, 16}} {
			w.Reset()
			image := newGate(with, at).Judge(t.Context(), ref)
			want(t, image, policy.Allow, "")
			if !image.Summarised() || image.Demands[0].Name != "summary" {
				t.Errorf("%+v", image.Demands)
			}
			if n, blobs := len(w.Requests()), w.Count("", registrytest.Blob); n != budget[0] || blobs != 0 {
				t.Errorf("%d requests, want %d; %d blobs:\n%s", n, budget[0], blobs, w.Log())
			}
			bytes := w.BytesOut()
			w.Reset()
			want(t, newGate(without, at).Judge(t.Context(), ref), policy.Allow, "")
			if n := len(w.Requests()); n != budget[1] || w.BytesOut() < 10*bytes {
				t.Errorf("without it %d requests, want %d; %d bytes instead of %d", n, budget[1], w.BytesOut(), bytes)
			}
		}
	})
	t.Run("no summary costs nothing", func(t *testing.T) {
		t.Parallel()
		w, with, without := summarised(t, "index")
		w.everything(w.image)
		w.Reset()
		want(t, newGate(with, at).Judge(t.Context(), w.image.Ref()), policy.Allow, "")
		first := len(w.Requests())
		w.Reset()
		want(t, newGate(without, at).Judge(t.Context(), w.image.Ref()), policy.Allow, "")
		if second := len(w.Requests()); first != second {
			t.Errorf("%d requests where a summary would count, and %d where not", first, second)
		}
	})
	t.Run("a summary that does not count hides nothing", func(t *testing.T) {
		t.Parallel()
		for name, change := range map[string]func(*predicate.Summary){
			"of another policy": func(s *predicate.Summary) { s.Policy = digest.FromBytes([]byte("another policy")) },
			"that failed":       func(s *predicate.Summary) { s.Result = predicate.SummaryFailed },
			"of another rule":   func(s *predicate.Summary) { s.Rule = "other" },
		} {
			w, with, _ := summarised(t, "index")
			w.everything(w.image)
			w.summary(with, w.image, w.key, change)
			image := newGate(with, at).Judge(t.Context(), w.image.Ref())
			want(t, image, policy.Allow, "")
			if image.Summarised() {
				t.Errorf("a summary %s counted", name)
			}
		}
		w, with, _ := summarised(t, "index")
		w.everything(w.image)
		w.summary(with, w.image, w.stranger, nil)
		if image := newGate(with, at).Judge(t.Context(), w.image.Ref()); image.Verdict != policy.Allow || image.Summarised() {
			t.Errorf("a stranger's summary: %s, %+v", image.Verdict, image.Demands)
		}
	})
	t.Run("a stranger's summary alone, and junk", func(t *testing.T) {
		t.Parallel()
		w, with, _ := summarised(t, "index")
		bare := w.PushImage("team/bare", "1", map[string]string{"b": "b"})
		w.hang(bare, predicate.TypeVSA, w.stranger.Attestation(t, bare.Digest, predicate.TypeVSA, `{}`).Raw)
		w.hang(bare, predicate.TypeVSA, []byte(`{"junk":1}`))
		if image := newGate(with, at).Judge(t.Context(), bare.Ref()); image.Verdict != policy.Deny {
			t.Errorf("%s %s", image.Verdict, image.Reason)
		}
	})
	t.Run("each platform needs its own", func(t *testing.T) {
		t.Parallel()
		w, with, _ := summarised(t, "all")
		index := w.PushIndex("team/multi", "1.0", "linux/amd64", "linux/arm64")
		for _, on := range append([]registrytest.Pushed{index}, index.Children...) {
			w.everything(on)
		}
		w.summary(with, index, w.key, nil)
		w.Reset()
		image := newGate(with, at).Judge(t.Context(), index.Ref())
		want(t, image, policy.Allow, "")
		if !image.Summarised() || w.Count("", registrytest.Blob) != 0 {
			t.Errorf("summarised %t:\n%s", image.Summarised(), w.Log())
		}
		other, with, _ := summarised(t, "all")
		index = other.PushIndex("team/multi", "1.0", "linux/amd64", "linux/arm64")
		for _, on := range append([]registrytest.Pushed{index}, index.Children...) {
			other.everything(on)
		}
		other.summary(with, index, other.key, func(s *predicate.Summary) { s.Result = predicate.SummaryFailed })
		if image := newGate(with, at).Judge(t.Context(), index.Ref()); image.Verdict != policy.Allow || image.Summarised() {
			t.Errorf("%s, summarised %t", image.Verdict, image.Summarised())
		}
	})
	t.Run("a list that cannot be read is asked for once", func(t *testing.T) {
		t.Parallel()
		w, with, _ := summarised(t, "index")
		w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500))
		image := newGate(with, at).Judge(t.Context(), w.image.Ref())
		want(t, image, policy.Undetermined, policy.ReasonUnreachable)
		if n := w.Count("", registrytest.Referrers); n != 1 || len(image.Unseen) != 1 {
			t.Errorf("%d lists were asked for, %+v", n, image.Unseen)
		}
	})
}

// TestASummaryThatEnds: a kept decision ends with the summary that it rests on, and then
// what the summary stood for is looked at.
func TestASummaryThatEnds(t *testing.T) {
	t.Parallel()
	w, _, _ := summarised(t, "index")
	p := w.rule("index", wantSignature+"\n      summary: {from: [ops], maxAge: 2d}")
	w.sign(w.image, w.key)
	w.summary(p, w.image, w.key, nil)
	at := newClock()
	cache := gate.NewCache(gate.CacheOptions{MaxAge: -1})
	t.Cleanup(cache.Close)
	g := newGate(p, gate.Options{Cache: cache, Now: at.now})
	for _, row := range []struct {
		wait               time.Duration
		cached, summarised bool
	}{{0, false, true}, {48*time.Hour - time.Nanosecond, true, true}, {time.Nanosecond, false, false}, {1000 * time.Hour, true, false}} {
		at.move(row.wait)
		image := g.Judge(t.Context(), w.image.Ref())
		want(t, image, policy.Allow, "")
		if image.Cached != row.cached || image.Summarised() != row.summarised {
			t.Errorf("after %s: cached %t, summarised %t, until %s", row.wait, image.Cached, image.Summarised(), image.Until)
		}
	}
}
