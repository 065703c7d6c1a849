package manifest_test

import (
	"bytes"
	"testing"

	"github.com/hallmark-project/hallmark/policy/manifest"
)

// BenchmarkRead1000 reads a rendered chart of a thousand Deployments, 4,000 images.
func BenchmarkRead1000(b *testing.B) {
	one := append(loadFile(b, "deployment.yaml"), "---\n"...)
	data := bytes.Repeat(one, 1000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		file, err := manifest.Read("x.yaml", data, manifest.Options{})
		if err != nil || len(file.Images) != 4000 {
			b.Fatal(err)
		}
	}
}
