package sbom_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestPackages: the content of an image is the same from a registry and from a
// layout, comes from the cache the second time, and an index has none.
func TestPackages(t *testing.T) {
	t.Parallel()
	image := smallImage()
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", image)
	folder, _ := writeLayout(t, t.TempDir(), image)
	layout := must(oci.OpenLayout(folder))
	t.Cleanup(func() { layout.Close() })
	ref := must(oci.ParseReference(pushed.Ref()))
	client := oci.NewClient(oci.Options{})
	descriptor := must(client.Resolve(t.Context(), ref))
	options := sbom.Options{CacheDir: t.TempDir(), Formats: []sbom.Format{sbom.CycloneDX}}
	for name, source := range map[string]sbom.Source{"registry": client, "layout": layout} {
		for range 2 {
			target, err := sbom.OpenImage(t.Context(), source, ref, descriptor)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			packages, err := sbom.Packages(t.Context(), target, options)
			if closeErr := target.Close(); err != nil || closeErr != nil {
				t.Fatalf("%s: %v, %v", name, err, closeErr)
			}
			purls := purlsOf(packages)
			if !slices.Equal(purls, smallPackages) {
				t.Errorf("%s: %q", name, purls)
			}
		}
	}
	index := reg.PushV1Index("team/app", "index", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image}))
	top := must(oci.ParseReference(index.Ref()))
	if _, err := sbom.OpenImage(t.Context(), client, top, must(client.Resolve(t.Context(), top))); !errors.Is(err, sbom.ErrIndex) {
		t.Errorf("an index: %v", err)
	}
	missing := descriptor
	missing.Digest = digest.FromBytes([]byte("missing"))
	if _, err := sbom.OpenImage(t.Context(), client, ref, missing); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("no image: %v", err)
	}
}
