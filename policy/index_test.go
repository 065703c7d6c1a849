package policy

import (
	"testing"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// TestAnIndexNeedsNoSBOMOfItsOwn: under `platforms: all` each platform needs one,
// the index none. A platform without one is denied, and an index that claims to
// have no platforms is no way around it (OC-22).
func TestAnIndexNeedsNoSBOMOfItsOwn(t *testing.T) {
	t.Parallel()
	p := parse(t, policyOf("  - name: one\n    images: [registry.acme.example/**]\n    platforms: all\n    require:\n      sbom: {from: [a], format: [spdx]}\n"))
	index, amd64 := digest.FromBytes([]byte("index")), digest.FromBytes([]byte("amd64"))
	about := func(d digest.Digest) Findings {
		statement, err := attest.NewStatement("", d, predicate.TypeSPDX, []byte(`{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-1","name":"zlib","versionInfo":"1"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		return Findings{Facts: []verify.Fact{{
			Subject: verify.Subject{Digest: d}, Kind: verify.KindStatement, Statement: statement, Signer: verify.Signer{KeyID: key(t, "a").ID()},
		}}}
	}
	part := func(d digest.Digest, platform string, f Findings) Part {
		return Part{Subject: verify.Subject{Digest: d}, Platform: platform, Findings: f}
	}
	for name, test := range map[string]struct {
		image Image
		want  Verdict
	}{
		"each platform has one":     {Image{Name: image, Index: true, Target: part(index, "", Findings{}), Platforms: []Part{part(amd64, "linux/amd64", about(amd64))}}, Allow},
		"a platform has none":       {Image{Name: image, Index: true, Target: part(index, "", about(index)), Platforms: []Part{part(amd64, "linux/amd64", Findings{})}}, Deny},
		"an index without any":      {Image{Name: image, Index: true, Target: part(index, "", about(index))}, Deny},
		"an image that is no index": {Image{Name: image, Target: part(amd64, "", Findings{})}, Deny},
	} {
		if got := p.Decide(test.image, noon); got.Verdict != test.want {
			t.Errorf("%s: %s, want %s: %+v", name, got.Verdict, test.want, got.Demands)
		}
	}
}
