package gate_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// expected is a question and its answer.
type expected struct {
	ref     string
	verdict policy.Verdict
	reason  verify.Reason
}

// TestParallelVerdicts: AD-25. 200 callers with mixed images, while the policy is swapped
// to and fro, decisions end, tags move, and some callers leave: each verdict is the one of
// the policy that was asked.
func TestParallelVerdicts(t *testing.T) {
	t.Parallel()
	c := newCached(t, gate.CacheOptions{Entries: 8, TagFreshness: time.Minute})
	ours, theirs := byKey(t, c.key), byKey(t, c.stranger)
	var both [2][]expected // by our policy, and by theirs
	add := func(ref string, v policy.Verdict, r verify.Reason, v2 policy.Verdict, r2 verify.Reason) {
		both[0] = append(both[0], expected{ref, v, r})
		both[1] = append(both[1], expected{ref, v2, r2})
	}
	for i := range 4 {
		image := c.PushImage(repository, fmt.Sprintf("ours%d", i), map[string]string{"o": fmt.Sprint(i)})
		c.sign(image, c.key)
		add(image.Ref(), policy.Allow, "", policy.Deny, verify.ReasonKeyMismatch)
		add(image.TagRef(), policy.Allow, "", policy.Deny, verify.ReasonKeyMismatch)
		image = c.PushImage(repository, fmt.Sprintf("theirs%d", i), map[string]string{"t": fmt.Sprint(i)})
		c.sign(image, c.stranger)
		add(image.Ref(), policy.Deny, verify.ReasonKeyMismatch, policy.Allow, "")
		image = c.PushImage(repository, fmt.Sprintf("none%d", i), map[string]string{"n": fmt.Sprint(i)})
		add(image.TagRef(), policy.Deny, policy.ReasonNoSignature, policy.Deny, policy.ReasonNoSignature)
	}
	add("Bad/Name", policy.Undetermined, policy.ReasonReference, policy.Undetermined, policy.ReasonReference)
	add(c.Host()+"/team/missing:1", policy.Undetermined, policy.ReasonNoImage, policy.Undetermined, policy.ReasonNoImage)
	broken := c.PushImage("team/broken", "1", map[string]string{"b": "b"})
	c.Inject(registrytest.Match{Repository: "team/broken"}, registrytest.Status(500))
	add(broken.Ref(), policy.Undetermined, policy.ReasonUnreachable, policy.Undetermined, policy.ReasonUnreachable)

	gates := [2]*gate.Gate{}
	for i, p := range []*policy.Policy{ours, theirs} {
		gates[i] = gate.New(p, c.client, gate.Options{Cache: c.cache, Now: c.now, Timeout: time.Minute})
	}
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			which := i % 2
			var refs []string
			for n := range both[which] {
				refs = append(refs, both[which][(n+i)%len(both[which])].ref)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%10 == 9 {
				cancel() // this one leaves, and takes nobody along
			}
			for n, image := range gates[which].JudgeAll(ctx, refs...) {
				wanted := both[which][(n+i)%len(both[which])]
				if i%10 == 9 && image.Verdict == policy.Undetermined {
					continue
				}
				if image.Verdict != wanted.verdict || image.Reason != wanted.reason || image.Image != wanted.ref {
					t.Errorf("AD-25 caller %d: %s is %s %s, want %s %s: %s", i, image.Image, image.Verdict, image.Reason, wanted.verdict, wanted.reason, image.Error)
				}
			}
			if i%20 == 0 {
				c.move(time.Minute)
			}
		})
	}
	group.Wait()
}

// TestManyChildren: RE-13. An index of ten thousand, and one of as many as are looked at:
// so many requests at a time and no more.
func TestManyChildren(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registrytest.WithLatency(2*time.Millisecond))
	indexOf := func(n, different int) registrytest.Pushed {
		images := []registrytest.Pushed{w.image}
		for i := range different {
			images = append(images, w.PushImage(repository, "", map[string]string{"n": fmt.Sprint(i)}))
		}
		var children []any
		for i := range n {
			child := images[i%len(images)]
			children = append(children, map[string]any{
				"mediaType": child.MediaType, "digest": child.Digest.String(), "size": child.Size,
				"platform": map[string]string{"os": "linux", "architecture": fmt.Sprintf("a%d", i)},
			})
		}
		return w.PutJSON(repository, "", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": children})
	}
	p := w.rule("all", wantSignature)
	huge := indexOf(9_000, 0)
	w.sign(huge, w.key)
	g := newGate(p, gate.Options{})
	image := g.Judge(t.Context(), huge.Ref())
	want(t, image, policy.Undetermined, verify.ReasonLimitExceeded)
	if n := len(w.Requests()); n > 10 {
		t.Errorf("RE-13 %d requests for an index of 9,000", n)
	}
	large := indexOf(64, 63)
	w.sign(large, w.key)
	w.Reset()
	want(t, g.Judge(t.Context(), large.Ref()), policy.Deny, policy.ReasonNoSignature)
	if got := w.MaxConcurrent(); got > budgetConnections {
		t.Errorf("RE-13 %d requests at a time, at most %d", got, budgetConnections)
	}
	if got := w.MaxConnections(); got > budgetConnections {
		t.Errorf("RE-13 %d connections, at most %d", got, budgetConnections)
	}
}

// TestNothingLeaks: RE-09. After a thousand failing verifications there are as many
// goroutines and open files as before. It runs alone, since it counts those of the process.
func TestNothingLeaks(t *testing.T) {
	reg := registrytest.New(t)
	image := reg.PushImage(repository, "1.0", map[string]string{"app": "x"})
	key := verifytest.NewKey(t, "ecdsa-p256")
	reg.Attach(repository, image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: key.Signature(t, image.Digest).Raw})
	p := byKey(t, key)
	cache := gate.NewCache(gate.CacheOptions{DenyAge: -1})
	source := client()
	faults := []struct {
		match registrytest.Match
		fault registrytest.Fault
	}{
		{registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500)},
		{registrytest.Match{Class: registrytest.Referrers}, registrytest.HTML()},
		{registrytest.Match{Class: registrytest.Referrers}, registrytest.CutBody(20)},
		{registrytest.Match{Class: registrytest.Referrers}, registrytest.Hang()},
		{registrytest.Match{Class: registrytest.Manifest}, registrytest.Status(403)},
		{registrytest.Match{Class: registrytest.Manifest}, registrytest.TooManyRequests(3600)},
		{registrytest.Match{Class: registrytest.Manifest}, registrytest.FlipByte(-2)},
		{registrytest.Match{Class: registrytest.Blob}, registrytest.Append([]byte("x"))},
		{registrytest.Match{Class: registrytest.Blob}, registrytest.Hang()},
		{registrytest.Match{Class: registrytest.Blob}, registrytest.Redirect(http.StatusFound, "http://registry.example/")},
	}
	round := func(times int) {
		for _, f := range faults {
			reg.ClearFaults()
			reg.Inject(f.match, f.fault)
			for i := range times {
				options := gate.Options{}
				if i%2 == 0 {
					options.Cache = cache
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
				var images []*report.Image
				if i%4 < 2 {
					images = gate.New(p, source, options).JudgeAll(ctx, image.Ref(), image.Ref())
				} else {
					images = gate.New(p, source, options).JudgeAll(ctx, image.TagRef())
				}
				cancel()
				for _, image := range images {
					if image.Verdict == policy.Allow {
						t.Fatalf("allowed: %+v", image)
					}
				}
			}
		}
	}
	round(10)
	goroutines, files := settled(0, 0)
	round(100)
	// Connections that wait for their next use, and their readers and writers, may be
	// other ones than before.
	const slack = 4 * budgetConnections
	after, filesAfter := settled(goroutines, files)
	if after > goroutines+slack || filesAfter > files+slack {
		t.Errorf("RE-09 %d goroutines and %d files before, %d and %d after", goroutines, files, after, filesAfter)
	}
	cache.Close()
	if s := cache.Stats(); s.Running != 0 {
		t.Errorf("RE-09 %d looks still run", s.Running)
	}
}

// settled counts goroutines and open files until they are not more than before, or do
// not get fewer.
func settled(goroutines, files int) (g, f int) {
	for range 100 {
		g = runtime.NumGoroutine()
		if list, err := os.ReadDir("/proc/self/fd"); err == nil {
			f = len(list)
		}
		if goroutines > 0 && g <= goroutines && f <= files {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return g, f
}
