package kubernetes

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkPodCreate measures a dry-run create of a Pod at the API server, with a
// webhook that does nothing and with hallmark-verify in turns, so that both see the same
// machine. "over-ms" is the difference of the medians.
func BenchmarkPodCreate(b *testing.B) {
	i := newImages(b)
	idle := newTrivial(b, nil)
	v := serve(b, i.policy(), settings{})
	nothing, trivialSpace, ours := namespace(b, "latency-none"), namespace(b, "latency-trivial"), namespace(b, "latency-ours")
	register(b, idle.address, idle.authority, nil, trivialSpace)
	register(b, v.address, v.authority, nil, ours)
	effective(b, ours)
	warm := i.signed("team/app", "1")
	v.eventually("the trivial webhook is asked", func() bool {
		in(b, trivialSpace, "pods/v1").try(pod("app", warm.Ref()))
		return idle.asked.Load() > 0
	})
	create := func(namespace, image string) time.Duration {
		b.Helper()
		pods := in(b, namespace, "pods/v1")
		text := pod("app", image)
		began := time.Now()
		if _, err := pods.try(text); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	for _, c := range []struct {
		name  string
		image func(n int) string
	}{
		{"cached by digest", func(int) string { return warm.Ref() }},
		{"cached by tag", func(int) string { return warm.TagRef() }},
		{"cold", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			image := c.image
			if image == nil {
				// Signing takes longer than what is measured.
				var cold []string
				for range b.N {
					cold = append(cold, i.signed("cold/app", unique(b)).TagRef())
				}
				image = func(n int) string { return cold[n] }
			} else {
				create(ours, image(0))
			}
			var none, other, own []time.Duration
			b.ResetTimer()
			for n := range b.N {
				none = append(none, create(nothing, image(n)))
				other = append(other, create(trivialSpace, image(n)))
				own = append(own, create(ours, image(n)))
			}
			b.StopTimer()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(none), "none-p50-ms")
			b.ReportMetric(median(other), "trivial-p50-ms")
			b.ReportMetric(median(own), "ours-p50-ms")
			b.ReportMetric(median(own)-median(other), "over-ms")
		})
	}
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2]) / float64(time.Millisecond)
}
