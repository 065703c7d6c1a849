package sbom_test

import (
	"math/rand/v2"
	"testing"

	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// BenchmarkImage scans a small image whose layer comes from a registry.
func BenchmarkImage(b *testing.B) {
	reg := registrytest.New(b)
	pushed := reg.PushV1("team/app", "1", smallImage())
	for b.Loop() {
		generate(b, pushed.TagRef(), sbom.Options{})
	}
}

// BenchmarkLayer scans an image of one large layer that does not pack well.
func BenchmarkLayer(b *testing.B) {
	content := make([]byte, 256<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	reg := registrytest.New(b)
	pushed := reg.PushV1("team/app", "1", imageOf(nil, layerOf(tarOf(map[string][]byte{"srv/data": content}))))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		generate(b, pushed.TagRef(), sbom.Options{})
	}
}

// BenchmarkCached makes three documents of an unchanged digest.
func BenchmarkCached(b *testing.B) {
	reg := registrytest.New(b)
	pushed := reg.PushV1("team/app", "1", smallImage())
	o := sbom.Options{Formats: sbom.Formats(), CacheDir: b.TempDir()}
	generate(b, pushed.TagRef(), o)
	for b.Loop() {
		generate(b, pushed.TagRef(), o)
	}
}
