package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// verifyBlob are cosign's arguments for a blob's bundle, up to the key. Its capacity
// is its length: what is appended never lands in it.
var verifyBlob = slices.Clip([]string{"verify-blob", "--new-bundle-format", "--trusted-root", "root.json", "--insecure-ignore-tlog"})

// TestCosignBlobLimits: what cosign 2.6.5 cannot do, with the proof that it is
// cosign's limit: hallmark verifies the very bundle that cosign refuses, and refuses
// it for another file. When cosign learns one of these, README.md changes.
func TestCosignBlobLimits(t *testing.T) {
	t.Parallel()
	dir := workbench(t, "ed25519")
	hallmark(t, dir, "sign-blob", "p.json", "--key", "k.key", "--bundle", "ours.json").want(t, 0, "hallmark sign-blob")
	hallmark(t, dir, "verify-blob", "p.json", "--key", "k.pub", "--bundle", "ours.json").want(t, 0, "hallmark verify-blob")
	hallmark(t, dir, "verify-blob", "root.json", "--key", "k.pub", "--bundle", "ours.json").want(t, 1, "hallmark verify-blob of another file")
	refused := tool(t, dir, "cosign", append(verifyBlob, "--key", "k.pub", "--bundle", "ours.json", "p.json")...)
	refused.fails(t, "cosign verify-blob of an Ed25519ph signature")
	contains(t, refused.stderr, "could not verify message")

	crashed := tool(t, dir, "cosign", "sign-blob", "--key", "k.key", "--bundle", "theirs.json", "--new-bundle-format", "--tlog-upload=false", "--yes", "p.json")
	crashed.fails(t, "cosign sign-blob with an Ed25519 key")
	contains(t, crashed.stderr, "panic:")

	unrooted := []string{"verify-blob", "--new-bundle-format", "--insecure-ignore-tlog", "--key", "k.pub", "--bundle", "ours.json", "p.json"}
	refused = tool(t, dir, "cosign", unrooted...)
	refused.fails(t, "cosign verify-blob without a trusted root")
	contains(t, refused.stderr, "trusted root is required")
}

// TestDSSEBlobs: cosign's attest-blob names the file as its subject; hallmark wants
// that, and so does not take the attestation for another file.
func TestDSSEBlobs(t *testing.T) {
	t.Parallel()
	for keyName, key := range keyCases {
		t.Run(keyName, func(t *testing.T) {
			t.Parallel()
			dir := workbench(t, key.algorithm)
			tool(t, dir, "cosign", "attest-blob", "--key", "k.key", "--bundle", "b.json", "--new-bundle-format", "--tlog-upload=false", "--yes",
				"--type", predicateType, "--predicate", "p.json", "root.json").want(t, 0, "cosign attest-blob")
			hallmark(t, dir, "verify-blob", "root.json", "--key", "k.pub", "--bundle", "b.json").want(t, 0, "hallmark verify-blob of a statement")
			hallmark(t, dir, "verify-blob", "p.json", "--key", "k.pub", "--bundle", "b.json").want(t, 1, "hallmark verify-blob of a file that the statement does not name")
			hallmark(t, dir, "verify-blob", "root.json", "--key", "cosign.pub", "--bundle", "b.json").want(t, 1, "hallmark verify-blob with another key")
			breakSignature(t, filepath.Join(dir, "b.json"))
			hallmark(t, dir, "verify-blob", "root.json", "--key", "k.pub", "--bundle", "b.json").want(t, 1, "hallmark verify-blob of a broken signature")
		})
	}
}

// breakSignature changes one byte in the middle of a DSSE bundle's signature.
func breakSignature(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bundle map[string]json.RawMessage
	var envelope struct {
		Payload     []byte              `json:"payload"`
		PayloadType string              `json:"payloadType"`
		Signatures  []map[string][]byte `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &bundle); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(bundle["dsseEnvelope"], &envelope); err != nil {
		t.Fatal(err)
	}
	signature := envelope.Signatures[0]["sig"]
	signature[len(signature)/2] ^= 1
	if bundle["dsseEnvelope"], err = json.Marshal(envelope); err != nil {
		t.Fatal(err)
	}
	if raw, err = json.Marshal(bundle); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
