package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// emptyRoot is a trusted root without any anchor: cosign 2.6.5 asks for one before
// it reads bundles, also when a key is all that it needs.
const emptyRoot = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`

const predicateText = `{"reviewer":"somebody","result":"PASSED"}`

const predicateType = "https://example.com/review/v1"

// keyCase is one kind of key. What cosign 2.6.5 cannot do with it is stated, and
// tested: a test fails when cosign learns it.
type keyCase struct {
	algorithm string
	// digest is the hash that cosign must be told for a bundle: it verifies every
	// ECDSA key with SHA-256 unasked, its own bundles too.
	digest string
	// noBlob: neither direction works; TestCosignBlobLimits says why.
	noBlob bool
}

var keyCases = map[string]keyCase{
	"ECDSA P-256": {algorithm: "ecdsa-p256"},
	"ECDSA P-384": {algorithm: "ecdsa-p384", digest: "sha384"},
	"Ed25519":     {algorithm: "ed25519", noBlob: true},
	"RSA-3072":    {algorithm: "rsa-3072"},
}

// flags of cosign for a format.
func signFlags(format string) []string {
	flags := []string{"--key", "k.key", "--tlog-upload=false", "--yes", "--allow-http-registry"}
	if format == "bundle" {
		flags = append(flags, "--new-bundle-format")
	}
	return flags
}

func verifyFlags(format, key string) []string {
	flags := []string{"--key", key, "--insecure-ignore-tlog", "--allow-http-registry"}
	if format == "bundle" {
		flags = append(flags, "--new-bundle-format", "--trusted-root", "root.json")
	}
	return flags
}

// workbench is a folder with a key pair in cosign's format, made by hallmark, and
// another pair, made by cosign.
func workbench(t *testing.T, algorithm string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"root.json": emptyRoot, "p.json": predicateText} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hallmark(t, dir, "key", "generate", "--algorithm", algorithm, "--format", "cosign", "--out", "k").want(t, 0, "hallmark key generate")
	tool(t, dir, "cosign", "generate-key-pair").want(t, 0, "cosign generate-key-pair")
	return dir
}

// TestCosignMatrix: format × key × direction × registry.
func TestCosignMatrix(t *testing.T) {
	for keyName, key := range keyCases {
		t.Run(keyName, func(t *testing.T) {
			t.Parallel()
			dir := workbench(t, key.algorithm)
			for registryName, start := range registries {
				reg := start(t)
				for _, format := range []string{"bundle", "legacy"} {
					t.Run(registryName+"/"+format, func(t *testing.T) {
						hallmarkToCosign(t, dir, reg, format, key)
						cosignToHallmark(t, dir, reg, format)
					})
				}
			}
		})
	}
}

func hallmarkToCosign(t *testing.T, dir string, reg registry, format string, key keyCase) {
	t.Helper()
	image := reg.push("from-hallmark/" + format)
	var extra []string
	if key.digest != "" && format == "bundle" {
		extra = []string{"--signature-digest-algorithm", key.digest}
		defer func() {
			tool(t, dir, "cosign", append([]string{"verify", image}, verifyFlags(format, "k.pub")...)...).fails(t, "cosign verify with the wrong hash")
		}()
	}
	tool(t, dir, "cosign", append([]string{"verify", image}, verifyFlags(format, "k.pub")...)...).fails(t, "cosign verify before anything was signed")
	hallmark(t, dir, "sign", image, "--key", "k.key", "--format", format).want(t, 0, "hallmark sign")
	tool(t, dir, "cosign", append(append([]string{"verify", image}, verifyFlags(format, "k.pub")...), extra...)...).want(t, 0, "cosign verify")
	tool(t, dir, "cosign", append([]string{"verify", image}, verifyFlags(format, "cosign.pub")...)...).fails(t, "cosign verify with another key")
	attested := reg.push("attested-by-hallmark/" + format)
	hallmark(t, dir, "attest", attested, "--key", "k.key", "--format", format, "--type", predicateType, "--predicate", "p.json").want(t, 0, "hallmark attest")
	arguments := append(append([]string{"verify-attestation", attested, "--type", predicateType}, verifyFlags(format, "k.pub")...), extra...)
	tool(t, dir, "cosign", arguments...).want(t, 0, "cosign verify-attestation")
}

func cosignToHallmark(t *testing.T, dir string, reg registry, format string) {
	t.Helper()
	image := reg.push("from-cosign/" + format)
	hallmark(t, dir, "verify", image, "--key", "k.pub").want(t, 1, "hallmark verify before anything was signed")
	tool(t, dir, "cosign", append([]string{"sign", image}, signFlags(format)...)...).want(t, 0, "cosign sign")
	hallmark(t, dir, "verify", image, "--key", "k.pub").want(t, 0, "hallmark verify")
	refused := hallmark(t, dir, "verify", image, "--key", "cosign.pub").want(t, 1, "hallmark verify with another key")
	contains(t, refused.stdout, "KEY_MISMATCH")
	attested := reg.push("attested-by-cosign/" + format)
	tool(t, dir, "cosign", append([]string{"attest", attested, "--type", predicateType, "--predicate", "p.json"}, signFlags(format)...)...).want(t, 0, "cosign attest")
	// An attestation is not a signature.
	hallmark(t, dir, "verify", attested, "--key", "k.pub").want(t, 1, "hallmark verify of an image that was only attested")
	policy := "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: e2e}\nsigners:\n  k: {keys: [{file: k.pub}]}\n" +
		"rules:\n  - name: all\n    images: [\"" + reg.host + "/**\"]\n    require:\n      statements:\n        - {type: " + predicateType + ", from: [k], cel: [\"statement.predicate.result == 'PASSED'\"]}\n"
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	hallmark(t, dir, "verify", attested, "--policy", "policy.yaml").want(t, 0, "hallmark verify of cosign's attestation")
}

func (r result) fails(t testing.TB, what string) {
	t.Helper()
	if r.code == 0 {
		t.Fatalf("%s succeeded\n%s", what, r.stdout)
	}
}

// TestKeysBothWays: each reads what the other wrote.
func TestKeysBothWays(t *testing.T) {
	t.Parallel()
	dir := workbench(t, "ecdsa-p256")
	ours := hallmark(t, dir, "key", "public", "--key", "k.key").want(t, 0, "hallmark key public").stdout
	theirs := tool(t, dir, "cosign", "public-key", "--key", "k.key").want(t, 0, "cosign public-key").stdout
	if ours != theirs {
		t.Errorf("hallmark reads\n%s\ncosign reads\n%s", ours, theirs)
	}
	written, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if read := hallmark(t, dir, "key", "public", "--key", "cosign.key").want(t, 0, "hallmark key public of cosign's key").stdout; read != string(written) {
		t.Errorf("hallmark reads\n%s\ncosign wrote\n%s", read, written)
	}
	hallmark(t, dir, "key", "generate", "--algorithm", "rsa-3072", "--format", "pkcs8", "--no-password", "--out", "plain").want(t, 0, "hallmark key generate")
	tool(t, dir, "cosign", "import-key-pair", "--key", "plain.key", "--output-key-prefix", "imported").want(t, 0, "cosign import-key-pair")
	if read := hallmark(t, dir, "key", "public", "--key", "imported.key").want(t, 0, "hallmark key public of an imported key").stdout; len(read) == 0 {
		t.Error("no public key")
	}
}

// TestBlobsBothWays: message signatures in bundles.
func TestBlobsBothWays(t *testing.T) {
	t.Parallel()
	for keyName, key := range keyCases {
		if key.noBlob {
			continue
		}
		t.Run(keyName, func(t *testing.T) {
			t.Parallel()
			dir := workbench(t, key.algorithm)
			hallmark(t, dir, "sign-blob", "p.json", "--key", "k.key", "--bundle", "ours.json").want(t, 0, "hallmark sign-blob")
			verify := verifyBlob
			if key.digest != "" {
				tool(t, dir, "cosign", append(verifyBlob, "--key", "k.pub", "--bundle", "ours.json", "p.json")...).fails(t, "cosign verify-blob with the wrong hash")
				verify = append(verifyBlob, "--signature-digest-algorithm", key.digest)
			}
			tool(t, dir, "cosign", append(verify, "--key", "k.pub", "--bundle", "ours.json", "p.json")...).want(t, 0, "cosign verify-blob")
			tool(t, dir, "cosign", append(verify, "--key", "k.pub", "--bundle", "ours.json", "root.json")...).fails(t, "cosign verify-blob of another file")
			tool(t, dir, "cosign", "sign-blob", "--key", "k.key", "--bundle", "theirs.json", "--new-bundle-format", "--tlog-upload=false", "--yes", "p.json").want(t, 0, "cosign sign-blob")
			hallmark(t, dir, "verify-blob", "p.json", "--key", "k.pub", "--bundle", "theirs.json").want(t, 0, "hallmark verify-blob")
			hallmark(t, dir, "verify-blob", "root.json", "--key", "k.pub", "--bundle", "theirs.json").want(t, 1, "hallmark verify-blob of another file")
		})
	}
}
