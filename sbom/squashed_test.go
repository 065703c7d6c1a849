package sbom_test

import (
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestSquashedView: BM-08, the packages are those of the file system that a container
// sees, all layers taken together: what an upper layer deletes, by a whiteout or an
// opaque folder, is not among them, and what it replaces is there once.
func TestSquashedView(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	client := oci.NewClient(oci.Options{})
	one := func(version string) []byte { return []byte(`{"name":"left-pad","version":"` + version + `"}`) }
	below := map[string][]byte{"srv/node_modules/left-pad/package.json": one("1.3.0"), "srv/node_modules/right-pad/package.json": []byte(`{"name":"right-pad","version":"1.0.1"}`)}
	const left, right = "pkg:npm/left-pad@1.3.0", "pkg:npm/right-pad@1.0.1"
	for name, row := range map[string]struct {
		above map[string][]byte
		want  []string
	}{
		"BM-08 nothing above":             {map[string][]byte{"etc/x": nil}, []string{left, right}},
		"BM-08 a whiteout":                {map[string][]byte{"srv/node_modules/.wh.left-pad": nil}, []string{right}},
		"BM-08 a whiteout of the package": {map[string][]byte{"srv/node_modules/left-pad/.wh.package.json": nil}, []string{right}},
		"BM-08 an opaque folder":          {map[string][]byte{"srv/node_modules/.wh..wh..opq": nil}, nil},
		"BM-08 another version":           {map[string][]byte{"srv/node_modules/left-pad/package.json": one("2.0.0")}, []string{"pkg:npm/left-pad@2.0.0", right}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pushed := reg.PushV1("team/app", "", imageOf(nil, layerOf(tarOf(below)), layerOf(tarOf(row.above))))
			ref := must(oci.ParseReference(pushed.Ref()))
			target, err := sbom.OpenImage(t.Context(), client, ref, must(client.Resolve(t.Context(), ref)))
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			packages, err := sbom.Packages(t.Context(), target, sbom.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := purlsOf(packages); !slices.Equal(got, row.want) {
				t.Errorf("found %q, expected %q", got, row.want)
			}
		})
	}
}

// purlsOf lists package URLs, sorted.
func purlsOf(packages []predicate.Package) []string {
	var purls []string
	for _, p := range packages {
		if !p.Root {
			purls = append(purls, p.PURL)
		}
	}
	slices.Sort(purls)
	return purls
}
