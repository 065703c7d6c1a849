package gate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// signedImages pushes images with a key's signature, and returns their references.
func signedImages(b *testing.B, n int) (reg *registrytest.Registry, p *policy.Policy, byDigest, byTag []string) {
	b.Helper()
	reg = registrytest.New(b)
	key := verifytest.NewKey(b, "ecdsa-p256")
	for i := range n {
		image := reg.PushImage(fmt.Sprintf("team/app%d", i), "1.0", map[string]string{"app": fmt.Sprint(i)})
		reg.Attach(image.Repository, image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: key.Signature(b, image.Digest).Raw, Embed: true})
		byDigest, byTag = append(byDigest, image.Ref()), append(byTag, image.TagRef())
	}
	p, err := policy.ForKey(key.Trusted)
	if err != nil {
		b.Fatal(err)
	}
	return reg, p, byDigest, byTag
}

// BenchmarkJudgeCached judges a Pod of three images whose decisions are kept.
func BenchmarkJudgeCached(b *testing.B) {
	_, p, byDigest, byTag := signedImages(b, 3)
	for name, refs := range map[string][]string{"digest": byDigest, "tag": byTag} {
		b.Run(name, func(b *testing.B) {
			cache := gate.NewCache(gate.CacheOptions{TagFreshness: time.Hour})
			b.Cleanup(cache.Close)
			g := newGate(p, gate.Options{Cache: cache})
			g.JudgeAll(b.Context(), refs...)
			b.ReportAllocs()
			for b.Loop() {
				for _, image := range g.JudgeAll(b.Context(), refs...) {
					if image.Verdict != policy.Allow || !image.Cached {
						b.Fatal(image.Verdict, image.Error)
					}
				}
			}
		})
	}
}

// BenchmarkJudgeCold judges one image that is not kept, with a client that knows the
// registry. The registry runs in the same process, on the same cores; "requests" is the
// part of it and of HTTP: the same requests without any judging.
func BenchmarkJudgeCold(b *testing.B) {
	_, p, byDigest, _ := signedImages(b, 1)
	source := client()
	b.Run("judge", func(b *testing.B) {
		g := gate.New(p, source, gate.Options{})
		b.ReportAllocs()
		for b.Loop() {
			if image := g.Judge(b.Context(), byDigest[0]); image.Verdict != policy.Allow {
				b.Fatal(image.Error)
			}
		}
	})
	b.Run("requests", func(b *testing.B) {
		target := gate.New(p, source, gate.Options{}).Target(byDigest[0])
		b.ReportAllocs()
		for b.Loop() {
			list, err := source.Referrers(b.Context(), target.Reference, target.Reference.Digest)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := source.Manifest(b.Context(), target.Reference, list.Descriptors[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
