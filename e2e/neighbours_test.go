package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestBothOnOneImage: both tools write to the same image, with keys of their own, one
// after the other. Nobody's evidence is lost: on registries without the referrers API
// all of it stands in one index, or behind one tag, that each rewrites.
func TestBothOnOneImage(t *testing.T) {
	t.Parallel()
	for registryName, start := range registries {
		for _, format := range []string{"bundle", "legacy"} {
			t.Run(registryName+"/"+format, func(t *testing.T) {
				t.Parallel()
				dir := workbench(t, "ecdsa-p256")
				image := start(t).push("shared")
				flags := append(signFlags(format), "--key", "cosign.key")
				tool(t, dir, "cosign", append([]string{"sign", image}, flags...)...).want(t, 0, "cosign sign")
				hallmark(t, dir, "attest", image, "--key", "k.key", "--format", format, "--type", predicateType, "--predicate", "p.json").want(t, 0, "hallmark attest")
				tool(t, dir, "cosign", append([]string{"attest", image, "--type", predicateType, "--predicate", "p.json"}, flags...)...).want(t, 0, "cosign attest")
				hallmark(t, dir, "sign", image, "--key", "k.key", "--format", format).want(t, 0, "hallmark sign")
				for _, key := range []string{"k.pub", "cosign.pub"} {
					flags := verifyFlags(format, key)
					tool(t, dir, "cosign", append([]string{"verify", image}, flags...)...).want(t, 0, "cosign verify, "+key)
					tool(t, dir, "cosign", append([]string{"verify-attestation", image, "--type", predicateType}, flags...)...).want(t, 0, "cosign verify-attestation, "+key)
					hallmark(t, dir, "verify", image, "--key", key).want(t, 0, "hallmark verify, "+key)
				}
				strangersBundle(t, dir, image, format)
			})
		}
	}
}

// strangersBundle attaches an attestation by a third key, as anybody may who can push.
// It hides every legacy signature from cosign 2.6.5, which reads either bundles or
// tags; hallmark still finds what stands beside it, and does not take the stranger's.
func strangersBundle(t *testing.T, dir, image, format string) {
	t.Helper()
	hallmark(t, dir, "key", "generate", "--out", "stranger").want(t, 0, "hallmark key generate")
	hallmark(t, dir, "attest", image, "--key", "stranger.key", "--type", predicateType, "--predicate", "p.json").want(t, 0, "hallmark attest by a stranger")
	for _, key := range []string{"k.pub", "cosign.pub"} {
		hallmark(t, dir, "verify", image, "--key", key).want(t, 0, "hallmark verify beside a stranger's bundle, "+key)
		seen := tool(t, dir, "cosign", append([]string{"verify", image, "--trusted-root", "root.json"}, verifyFlags(format, key)...)...)
		if format == "legacy" {
			seen.fails(t, "cosign verify of a legacy signature beside a stranger's bundle")
		} else {
			seen.want(t, 0, "cosign verify beside a stranger's bundle")
		}
	}
	hallmark(t, dir, "verify", image, "--key", "stranger.pub").want(t, 1, "hallmark verify with the stranger's key, who only attested")
}

// TestSigningAgainAddsNothing: a valid signature by the same key is kept, whichever
// of the two tools made it.
func TestSigningAgainAddsNothing(t *testing.T) {
	t.Parallel()
	for registryName, start := range registries {
		t.Run(registryName, func(t *testing.T) {
			t.Parallel()
			dir := workbench(t, "ecdsa-p256")
			reg := start(t)
			for _, maker := range []string{"hallmark", "cosign"} {
				for _, format := range []string{"bundle", "legacy"} {
					image := reg.push("again/" + maker + "-" + format)
					if maker == "cosign" {
						tool(t, dir, "cosign", append([]string{"sign", image}, signFlags(format)...)...).want(t, 0, "cosign sign")
					} else if signAgain(t, dir, image, format) {
						t.Errorf("%s, %s: a signature stood there before anything was signed", maker, format)
					}
					if !signAgain(t, dir, image, format) {
						t.Errorf("%s, %s: signing again added a signature", maker, format)
					}
				}
			}
		})
	}
}

// signAgain signs, and tells whether hallmark says that the signature existed.
func signAgain(t *testing.T, dir, image, format string) bool {
	t.Helper()
	var line struct {
		Existing *bool `json:"existing"`
	}
	out := hallmark(t, dir, "sign", image, "--key", "k.key", "--format", format, "--output", "json").want(t, 0, "hallmark sign").stdout
	if err := json.Unmarshal([]byte(out), &line); err != nil || line.Existing == nil {
		t.Fatalf("reading hallmark's answer: %v\n%s", err, out)
	}
	return *line.Existing
}

// writers is how many processes sign one image at once.
const writers = 6

// TestManyWritersAtOnce: processes that sign one image at the same time, each with
// its own key, lose nothing, on real servers and without the referrers API.
func TestManyWritersAtOnce(t *testing.T) {
	t.Parallel()
	for registryName, start := range registries {
		for _, format := range []string{"bundle", "legacy"} {
			t.Run(registryName+"/"+format, func(t *testing.T) {
				t.Parallel()
				dir := workbench(t, "ecdsa-p256")
				image := start(t).push("busy")
				for i := range writers {
					hallmark(t, dir, "key", "generate", "--format", "pkcs8", "--no-password", "--out", fmt.Sprintf("w%d", i)).want(t, 0, "hallmark key generate")
				}
				results := make([]result, writers)
				var group sync.WaitGroup
				for i := range writers {
					group.Go(func() {
						results[i] = runIn(t, dir, hallmarkPath(t), "sign", image, "--key", fmt.Sprintf("w%d.key", i), "--format", format)
					})
				}
				group.Wait()
				for i, r := range results {
					r.want(t, 0, fmt.Sprintf("hallmark sign by writer %d", i))
					key := fmt.Sprintf("w%d.pub", i)
					hallmark(t, dir, "verify", image, "--key", key).want(t, 0, "hallmark verify by "+key)
					tool(t, dir, "cosign", append([]string{"verify", image}, verifyFlags(format, key)...)...).want(t, 0, "cosign verify by "+key)
				}
			})
		}
	}
}

// TestImportedKeys: key pairs of every algorithm that one tool made or imported sign
// for the other.
func TestImportedKeys(t *testing.T) {
	t.Parallel()
	for keyName, key := range keyCases {
		t.Run(keyName, func(t *testing.T) {
			t.Parallel()
			dir := workbench(t, key.algorithm)
			hallmark(t, dir, "key", "generate", "--algorithm", key.algorithm, "--format", "pkcs8", "--no-password", "--out", "plain").want(t, 0, "hallmark key generate")
			tool(t, dir, "cosign", "import-key-pair", "--key", "plain.key", "--output-key-prefix", "imported").want(t, 0, "cosign import-key-pair")
			for _, pair := range []string{"imported", "cosign"} {
				read := hallmark(t, dir, "key", "public", "--key", pair+".key").want(t, 0, "hallmark key public").stdout
				written := tool(t, dir, "cosign", "public-key", "--key", pair+".key").want(t, 0, "cosign public-key").stdout
				if strings.TrimSpace(read) != strings.TrimSpace(written) {
					t.Errorf("%s: hallmark reads\n%s\ncosign reads\n%s", pair, read, written)
				}
			}
			reg := inMemory(t, true)
			image := reg.push("by-hallmark")
			hallmark(t, dir, "sign", image, "--key", "imported.key", "--format", "legacy").want(t, 0, "hallmark sign with an imported key")
			tool(t, dir, "cosign", append([]string{"verify", image}, verifyFlags("legacy", "imported.pub")...)...).want(t, 0, "cosign verify")
			image = reg.push("by-cosign")
			tool(t, dir, "cosign", "sign", image, "--key", "imported.key", "--tlog-upload=false", "--yes", "--allow-http-registry", "--new-bundle-format").want(t, 0, "cosign sign with an imported key")
			hallmark(t, dir, "verify", image, "--key", filepath.Join(dir, "plain.pub")).want(t, 0, "hallmark verify with the key before its import")
			hallmark(t, dir, "verify", image, "--key", "cosign.pub").want(t, 1, "hallmark verify with another key")
		})
	}
}
