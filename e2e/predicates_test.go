package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// provenanceText is SLSA v1 provenance with the fields that both tools demand.
const provenanceText = `{
  "buildDefinition": {
    "buildType": "https://example.com/build/v1",
    "externalParameters": {"source": "git+https://example.com/app"},
    "resolvedDependencies": [{"uri": "git+https://example.com/app@refs/tags/v1.0.0", "digest": {"gitCommit": "1111111111111111111111111111111111111111"}}]
  },
  "runDetails": {"builder": {"id": "https://example.com/builder"}, "metadata": {"invocationId": "run-1"}}
}`

// TestCosignPredicates: predicate type × format × direction × registry, and a
// demand of the policy that reads what the predicate says.
func TestCosignPredicates(t *testing.T) {
	dir := workbench(t, "ecdsa-p256")
	content := filepath.Join(dir, "content")
	if err := os.MkdirAll(content, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"slsa.json":                 provenanceText,
		"content/package.json":      `{"name":"app","version":"1.0.0"}`,
		"content/package-lock.json": `{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0"},"node_modules/ms":{"version":"2.1.3"}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for format, file := range map[string]string{"spdx": "spdx.json", "cyclonedx": "cyclonedx.json"} {
		hallmark(t, dir, "sbom", content, "--format", format, "--out", file).want(t, 0, "hallmark sbom")
	}
	for name, test := range map[string]struct {
		short  string // hallmark's name of the type
		cosign string // cosign's, whose "spdx" wraps the document in a string
		file   string
		wants  string // the demand that is met
		not    string // the same demand, for something else
	}{
		"slsaprovenance1": {
			"slsaprovenance1", "slsaprovenance1", "slsa.json",
			"provenance: {from: [k], builder: [https://example.com/builder]}", "provenance: {from: [k], builder: [https://example.com/other]}",
		},
		"spdx": {
			"spdx", "spdxjson", "spdx.json",
			"sbom: {from: [k], format: [spdx], deny: {packages: [\"pkg:npm/ms@<2.0.0\"]}}", "sbom: {from: [k], format: [spdx], deny: {packages: [\"pkg:npm/ms@2.1.3\"]}}",
		},
		"cyclonedx": {
			"cyclonedx", "cyclonedx", "cyclonedx.json",
			"sbom: {from: [k], format: [cyclonedx]}", "sbom: {from: [k], format: [spdx]}",
		},
		"custom": {
			"custom", "custom", "p.json",
			"statements: [{type: custom, from: [k]}]", "statements: [{type: test-result, from: [k]}]",
		},
	} {
		for registryName, start := range registries {
			t.Run(name+" on "+registryName, func(t *testing.T) {
				t.Parallel()
				reg := start(t)
				work := t.TempDir()
				for _, file := range []string{"k.key", "k.pub", "cosign.pub", "root.json", test.file} {
					raw, err := os.ReadFile(filepath.Join(dir, file))
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(work, file), raw, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				for file, demand := range map[string]string{"wants.yaml": test.wants, "not.yaml": test.not} {
					policyFile(t, work, file, "index", demand)
				}
				for _, format := range []string{"bundle", "legacy"} {
					image := reg.push("from-hallmark/" + format)
					hallmark(t, work, "attest", image, "--key", "k.key", "--format", format, "--type", test.short, "--predicate", test.file).want(t, 0, "hallmark attest")
					check := []string{"verify-attestation", image, "--type", test.cosign}
					tool(t, work, "cosign", append(check, verifyFlags(format, "k.pub")...)...).want(t, 0, "cosign verify-attestation")
					tool(t, work, "cosign", append(check, verifyFlags(format, "cosign.pub")...)...).fails(t, "cosign verify-attestation with another key")
					tool(t, work, "cosign", append([]string{"verify-attestation", image, "--type", "vuln"}, verifyFlags(format, "k.pub")...)...).fails(t, "cosign verify-attestation of another type")
					hallmark(t, work, "verify", image, "--policy", "wants.yaml").want(t, 0, "hallmark verify of its own attestation")

					image = reg.push("from-cosign/" + format)
					hallmark(t, work, "verify", image, "--policy", "wants.yaml").want(t, 1, "hallmark verify before anything was attested")
					tool(t, work, "cosign", append([]string{"attest", image, "--type", test.cosign, "--predicate", test.file}, signFlags(format)...)...).want(t, 0, "cosign attest")
					hallmark(t, work, "verify", image, "--policy", "wants.yaml").want(t, 0, "hallmark verify of cosign's attestation")
					hallmark(t, work, "verify", image, "--policy", "not.yaml").want(t, 1, "hallmark verify under a demand that is not met")
				}
			})
		}
	}
}

// policyFile writes a policy of one rule for every image of this machine's registries.
func policyFile(t *testing.T, dir, name, platforms, demand string) {
	t.Helper()
	text := "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: e2e}\nsigners:\n  k: {keys: [{file: k.pub}]}\n" +
		"rules:\n  - name: all\n    images: [\"**\"]\n    platforms: " + platforms + "\n    require: {" + demand + "}\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRecursive: an index and its platforms, signed at once by one tool, stand up
// to the other at every level; so do annotations.
func TestRecursive(t *testing.T) {
	t.Parallel()
	dir := workbench(t, "ecdsa-p256")
	policyFile(t, dir, "all.yaml", "all", "signatures: {from: [k]}")
	for _, referrers := range []bool{true, false} {
		reg := registrytest.New(t, registrytest.WithReferrers(referrers))
		for _, format := range []string{"bundle", "legacy"} {
			index := reg.PushIndex("ours/"+format, "1", "linux/amd64", "linux/arm64")
			hallmark(t, dir, "sign", index.TagRef(), "--recursive", "--key", "k.key", "--format", format).want(t, 0, "hallmark sign --recursive")
			for _, level := range append(index.Children, index) {
				tool(t, dir, "cosign", append([]string{"verify", level.Ref()}, verifyFlags(format, "k.pub")...)...).want(t, 0, "cosign verify of "+level.Ref())
			}

			index = reg.PushIndex("theirs/"+format, "1", "linux/amd64", "linux/arm64")
			tool(t, dir, "cosign", append([]string{"sign", index.TagRef()}, signFlags(format)...)...).want(t, 0, "cosign sign")
			hallmark(t, dir, "verify", index.TagRef(), "--policy", "all.yaml").want(t, 1, "hallmark verify of all platforms when only the index is signed")
			tool(t, dir, "cosign", append([]string{"sign", "--recursive", index.TagRef()}, signFlags(format)...)...).want(t, 0, "cosign sign --recursive")
			hallmark(t, dir, "verify", index.TagRef(), "--policy", "all.yaml").want(t, 0, "hallmark verify of all platforms")
		}
		image := reg.PushImage("annotated", "1", map[string]string{"a": "b"}).TagRef()
		hallmark(t, dir, "sign", image, "--key", "k.key", "--format", "legacy", "-a", "stage=prod").want(t, 0, "hallmark sign -a")
		tool(t, dir, "cosign", append([]string{"verify", "-a", "stage=prod", image}, verifyFlags("legacy", "k.pub")...)...).want(t, 0, "cosign verify -a")
		tool(t, dir, "cosign", append([]string{"verify", "-a", "stage=test", image}, verifyFlags("legacy", "k.pub")...)...).fails(t, "cosign verify with another annotation")
	}
}
