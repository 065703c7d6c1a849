package gate_test

import (
	"archive/tar"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// writeLayout copies an image with all its evidence into a layout, as a folder
// and as an archive.
func writeLayout(t *testing.T, w world) (dir, archive string) {
	t.Helper()
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	tagged := w.image.Descriptor
	tagged.Annotations = map[string]string{"org.opencontainers.image.ref.name": "1.0"}
	entries := []registrytest.Descriptor{tagged}
	entries = append(entries, w.Referrers(repository, w.image.Digest)...)
	if raw, mediaType, found := w.Manifest(repository, oci.FallbackTag(w.image.Digest)+".sig"); found {
		legacy := registrytest.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		legacy.Annotations = map[string]string{"org.opencontainers.image.ref.name": oci.FallbackTag(w.image.Digest) + ".sig"}
		entries = append(entries, legacy)
	}
	for _, d := range entries {
		raw, _, _ := w.Manifest(repository, d.Digest.String())
		files["blobs/sha256/"+d.Digest.Hex()] = raw
		var manifest struct {
			Layers []registrytest.Descriptor `json:"layers"`
		}
		if err := json.Unmarshal(raw, &manifest); err != nil {
			t.Fatal(err)
		}
		for _, layer := range manifest.Layers {
			files["blobs/sha256/"+layer.Digest.Hex()], _ = w.BlobContent(repository, layer.Digest)
		}
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": entries})
	if err != nil {
		t.Fatal(err)
	}
	files["index.json"] = index
	dir = t.TempDir()
	archive = filepath.Join(t.TempDir(), "image.tar")
	out, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	writer := tar.NewWriter(out)
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, archive
}

func TestLayoutsAreJudgedLikeRegistries(t *testing.T) {
	t.Parallel()
	for name, sign := range map[string]func(w world){
		"bundle": func(w world) { w.sign(w.image, w.key) },
		"legacy": func(w world) { w.signLegacy(w.image, w.key) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			sign(w)
			dir, archive := writeLayout(t, w)
			w.Close()
			folder, err := oci.OpenLayout(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			file, err := oci.OpenArchive(archive)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			targets := []gate.Target{
				gate.LayoutTarget("oci-dir:d:1.0", folder, "", "1.0"),
				gate.LayoutTarget("oci-dir:d@"+w.image.Digest.String(), folder, "", w.image.Digest.String()),
				gate.LayoutTarget("oci-archive:f:1.0", file, "", "1.0"),
			}
			for i, image := range newGate(byKey(t, w.key), gate.Options{}).JudgeTargets(t.Context(), targets) {
				want(t, image, policy.Allow, "")
				if origin := image.Demands[0].Tried[0].Origin; !strings.Contains(origin, targets[i].Layout) || strings.Count(targets[i].Layout, ":") != 1 || strings.Contains(origin, "layout.invalid") {
					t.Errorf("the evidence is said to lie in %q", origin)
				}
				if image.Image != targets[i].Text || image.Digest != w.image.Digest {
					t.Errorf("%s: %s", image.Image, image.Digest)
				}
			}
			image := newGate(byKey(t, w.stranger), gate.Options{}).JudgeTargets(t.Context(), targets[:1])[0]
			if image.Verdict != policy.Deny {
				t.Errorf("by a stranger's key: %s", image.Verdict)
			}
		})
	}
}

func TestLayoutDoesNotNameItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(w.image, w.key)
	dir, _ := writeLayout(t, w)
	layout, err := oci.OpenLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer layout.Close()
	yaml := strings.Replace(string(byKey(t, w.key).YAML()), `**`, "acme.example/prod/*", 1)
	p, err := policy.Parse("p", []byte(yaml), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	for name, reason := range map[string]string{"": "POLICY_NO_MATCH", "acme.example/prod/app": "", "Acme.example/prod": "REF_INVALID"} {
		image := newGate(p, gate.Options{}).JudgeTargets(t.Context(), []gate.Target{gate.LayoutTarget("x", layout, name, "1.0")})[0]
		if string(image.Reason) != reason {
			t.Errorf("as %q: %s %s, want %q", name, image.Verdict, image.Reason, reason)
		}
		if name == "" && !strings.Contains(image.Demands[0].Hint, "--as") {
			t.Errorf("without a name: %q", image.Demands[0].Hint)
		}
	}
}
