package keyless_test

import (
	"testing"

	"github.com/hallmark-project/hallmark/sign/keyless"
)

// BenchmarkSignKeyless signs images in a batch, with services in the same process: what
// is left is the client's work, the loopback interface and the services' signatures.
func BenchmarkSignKeyless(b *testing.B) {
	for name, services := range map[string]func(*kit) keyless.Services{
		"v1": (*kit).v1, "v2": (*kit).v2, "stamped": (*kit).stamped,
	} {
		b.Run(name, func(b *testing.B) {
			k := newKit(b)
			source := k.source(b, services(k))
			if _, err := k.signImage(b.Context(), source); err != nil {
				b.Fatal(err)
			}
			before := k.Requests()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.signImage(b.Context(), source); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(k.Requests()-before)/float64(b.N), "requests/op")
			if source.Issued() != 1 {
				b.Errorf("%d certificates", source.Issued())
			}
		})
	}
}
