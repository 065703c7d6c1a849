package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
)

// TestContainersImage: the library behind skopeo, podman and CRI-O, with a policy that
// wants a Sigstore signature by a key, takes hallmark's legacy signature and refuses
// an unsigned image. (Debian 12's own skopeo has that requirement switched off: it
// answers "Debian-local change: sigstore disabled".)
func TestContainersImage(t *testing.T) {
	t.Parallel()
	reg := inMemory(t, true)
	dir := workbench(t, "ecdsa-p256")
	attachments := filepath.Join(dir, "registries.d")
	if err := os.MkdirAll(attachments, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"registries.conf":       "",
		"registries.d/all.yaml": "default-docker:\n  use-sigstore-attachments: true\n",
		"policy.json":           fmt.Sprintf(`{"default":[{"type":"reject"}],"transports":{"docker":{%q:[{"type":"sigstoreSigned","keyPath":%q,"signedIdentity":{"type":"matchRepository"}}]}}}`, reg.host, filepath.Join(dir, "k.pub")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	policy, err := signature.NewPolicyFromFile(filepath.Join(dir, "policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	judge, err := signature.NewPolicyContext(policy)
	if err != nil {
		t.Fatal(err)
	}
	defer judge.Destroy()
	system := &types.SystemContext{
		RegistriesDirPath: attachments, DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
		SystemRegistriesConfPath: filepath.Join(dir, "registries.conf"), AuthFilePath: filepath.Join(dir, "none.json"),
	}
	allowed := func(text string) (bool, error) {
		ref, err := docker.ParseReference("//" + text)
		if err != nil {
			t.Fatal(err)
		}
		source, err := ref.NewImageSource(t.Context(), system)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		return judge.IsRunningImageAllowed(t.Context(), image.UnparsedInstance(source, nil))
	}
	signed, unsigned, foreign := reg.push("signed"), reg.push("unsigned"), reg.push("foreign")
	hallmark(t, dir, "sign", signed, "--key", "k.key", "--format", "legacy").want(t, 0, "hallmark sign")
	hallmark(t, dir, "key", "generate", "--out", "other").want(t, 0, "hallmark key generate")
	hallmark(t, dir, "sign", foreign, "--key", "other.key", "--format", "legacy").want(t, 0, "hallmark sign with another key")
	if ok, err := allowed(signed); !ok {
		t.Errorf("the signed image is refused: %v", err)
	}
	if ok, err := allowed(unsigned); ok || !strings.Contains(err.Error(), "signature") {
		t.Errorf("the unsigned image: %t, %v", ok, err)
	}
	if ok, err := allowed(foreign); ok {
		t.Errorf("an image that another key signed is allowed: %v", err)
	}
}
