package main

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// twoPackages is an image with two npm packages.
var twoPackages = map[string]string{
	"srv/node_modules/left-pad/package.json":  `{"name":"left-pad","version":"1.3.0"}`,
	"srv/node_modules/right-pad/package.json": `{"name":"right-pad","version":"1.0.1"}`,
}

// contentPolicy demands an SBOM by the key that lists what is in the image.
func contentPolicy(t *testing.T, public, platforms string) string {
	t.Helper()
	return newFile(t, "policy.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: content}
signers: {release: {keys: [{file: `+public+`}]}}
rules: [{name: all, images: ["**"], platforms: `+platforms+`, require: {sbom: {from: [release], matchesContent: true}}}]
`)
}

// TestVerifyMatchesContent: the SBOM that was made from an image is accepted, and
// its twins are not: one that leaves a package out, and one of another image.
func TestVerifyMatchesContent(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	private, public := newKeyPair(t, keys.ECDSAP256)
	policy := contentPolicy(t, public, "index")
	judge := func(ref string) outcome {
		return runVerb(t.Context(), nil, "verify", "--no-cache", "--policy", policy, ref)
	}
	honest := reg.PushImage("team/app", "honest", twoPackages)
	for _, format := range []string{"spdx", "cyclonedx"} {
		if got := runVerb(t.Context(), nil, "sbom", "--no-cache", "--attest", "--format", format, "--key", private, honest.TagRef()); got.code != cli.ExitAllow {
			t.Fatalf("%+v", got)
		}
	}
	if got := judge(honest.TagRef()); got.code != cli.ExitAllow {
		t.Errorf("an honest SBOM: %+v", got)
	}
	// What was found in the layers stands in the record, which needs no image.
	recorded := t.TempDir() + "/seen.record"
	if got := runVerb(t.Context(), nil, "verify", "--no-cache", "--record", recorded, "--policy", policy, honest.TagRef()); got.code != cli.ExitAllow {
		t.Errorf("recording: %+v", got)
	}
	if got := runVerb(t.Context(), nil, "replay", recorded); got.code != cli.ExitAllow {
		t.Errorf("judged again: %+v", got)
	}
	made := runVerb(t.Context(), nil, "sbom", "--no-cache", honest.TagRef())
	attest := func(ref, body string) {
		t.Helper()
		if got := runVerb(t.Context(), nil, "attest", "--key", private, "--type", "spdxjson", "--predicate", newFile(t, "sbom.json", body), ref); got.code != cli.ExitAllow {
			t.Fatalf("%+v", got)
		}
	}
	other := reg.PushImage("team/app", "other", packageFiles)
	attest(other.TagRef(), made.stdout)
	wantDenied(t, judge(other.TagRef()), "BM-02", "SBOM_OTHER_SUBJECT")
	attest(other.TagRef(), strings.ReplaceAll(strings.ReplaceAll(made.stdout, honest.Digest.String(), other.Digest.String()), honest.Digest.Hex(), other.Digest.Hex()))
	wantDenied(t, judge(other.TagRef()), "one package too many", "not in the image: pkg:npm/right-pad@1.0.1")

	liar := reg.PushImage("team/app", "liar", map[string]string{
		"srv/node_modules/left-pad/package.json": twoPackages["srv/node_modules/left-pad/package.json"], "srv/node_modules/evil/package.json": `{"name":"evil","version":"6.6.6"}`,
	})
	attest(liar.TagRef(), strings.NewReplacer("right-pad", "evil", "1.0.1", "0.0.1", honest.Digest.Hex(), liar.Digest.Hex()).Replace(made.stdout))
	wantDenied(t, judge(liar.TagRef()), "BM-04", "SBOM_MISMATCH", "missing in the SBOM: pkg:npm/evil@6.6.6")
}

// TestVerifyMatchesContentOfEach: the platforms of an index, in a registry and in
// an archive, are compared with an SBOM each.
func TestVerifyMatchesContentOfEach(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	private, public := newKeyPair(t, keys.ECDSAP256)
	index := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
	for _, child := range index.Children {
		body := `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[{"SPDXID":"SPDXRef-1","name":"none","versionInfo":"1"}]}`
		if got := runVerb(t.Context(), nil, "attest", "--key", private, "--type", "spdxjson", "--predicate", newFile(t, "sbom.json", body), child.Ref()); got.code != cli.ExitAllow {
			t.Fatalf("%+v", got)
		}
	}
	archive := t.TempDir() + "/layout.tar"
	if got := runVerb(t.Context(), nil, "copy", index.TagRef(), "oci-archive:"+archive); got.code != cli.ExitAllow {
		t.Fatalf("copying: %+v", got)
	}
	for _, ref := range []string{index.TagRef(), "oci-archive:" + archive} {
		got := runVerb(t.Context(), nil, "verify", "--no-cache", "--policy", contentPolicy(t, public, "all"), ref)
		wantDenied(t, got, ref, "0 packages in the image; not in the image: none@1")
		if strings.Count(got.stdout, "SBOM_MISMATCH") < 2 {
			t.Errorf("%s: not both platforms were looked into: %s", ref, got.stdout)
		}
		got = runVerb(t.Context(), nil, "verify", "--no-cache", "--policy", contentPolicy(t, public, "index"), ref)
		if got.code == cli.ExitAllow {
			t.Errorf("%s: an index is allowed: %+v", ref, got)
		}
	}
}

func wantDenied(t *testing.T, got outcome, name string, words ...string) {
	t.Helper()
	if got.code != cli.ExitDeny {
		t.Errorf("%s: %+v", name, got)
	}
	for _, word := range words {
		if !strings.Contains(got.stdout, word) {
			t.Errorf("%s: %q does not stand in:\n%s", name, word, got.stdout)
		}
	}
}

// TestContentCache: CL-07, with --no-cache nothing that a cache says is believed.
func TestContentCache(t *testing.T) {
	t.Parallel()
	if dir := contentOptions(true).CacheDir; dir != "" {
		t.Errorf("with --no-cache, %s is used", dir)
	}
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", packageFiles)
	cache := t.TempDir()
	look := func(options sbom.Options) string {
		g := gate.New(nil, oci.NewClient(oci.Options{}), gate.Options{})
		packages, err := contentFunc(options)(t.Context(), g.Target(image.TagRef()), verify.Subject{Digest: image.Digest})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range packages {
			all = append(all, p.PURL)
		}
		return strings.Join(all, " ")
	}
	fresh := look(sbom.Options{})
	if !strings.Contains(fresh, "pkg:npm/left-pad@1.3.0") || look(sbom.Options{CacheDir: cache}) != fresh {
		t.Errorf("found %s", fresh)
	}
	before := reg.Count("", registrytest.Blob)
	if again := look(sbom.Options{CacheDir: cache}); again != fresh || reg.Count("", registrytest.Blob) > before+1 {
		t.Errorf("the second look found %s, with %d more blobs", again, reg.Count("", registrytest.Blob)-before)
	}
}

// TestSealedContent: a sealed file has the layers, so that SBOMs are compared with
// them where there is no network.
func TestSealedContent(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	private, public := newKeyPair(t, keys.ECDSAP256)
	policy := contentPolicy(t, public, "index")
	image := reg.PushImage("team/app", "1", packageFiles)
	if got := runVerb(t.Context(), nil, "sbom", "--no-cache", "--attest", "--key", private, image.TagRef()); got.code != cli.ExitAllow {
		t.Fatalf("%+v", got)
	}
	file := t.TempDir() + "/sealed.tar"
	if got := runVerb(t.Context(), nil, "bundle", "save", image.TagRef(), "--policy", policy, "--out", file, "--offline"); got.code != cli.ExitAllow {
		t.Fatalf("%+v", got)
	}
	reg.Close()
	if got := runVerb(t.Context(), nil, "verify", "--no-cache", "--bundle-file", file, "--policy", policy); got.code != cli.ExitAllow {
		t.Errorf("%+v", got)
	}
}
