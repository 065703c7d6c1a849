package sbom_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// dockerSave writes a docker archive as older versions of docker do, with equal
// layers linked.
func dockerSave(t testing.TB, change func(files map[string][]byte, links map[string]string)) string {
	t.Helper()
	layer := tarOf(small())
	sum := sha256.Sum256(layer)
	diffID := "sha256:" + hex.EncodeToString(sum[:])
	config := must(json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diffID, diffID}},
	}))
	files := map[string][]byte{
		"config.json": config, "a/layer.tar": layer,
		"manifest.json": []byte(`[{"Config":"config.json","RepoTags":["app:1"],"Layers":["a/layer.tar","b/layer.tar"]}]`),
	}
	links := map[string]string{"b/layer.tar": "../a/layer.tar"}
	if change != nil {
		change(files, links)
	}
	var out bytes.Buffer
	out.Write(bytes.TrimRight(tarOf(files), "\x00"))
	out.Write(make([]byte, (512-out.Len()%512)%512))
	writer := tar.NewWriter(&out)
	for name, target := range links {
		check(writer.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}))
	}
	check(writer.Close())
	path := filepath.Join(t.TempDir(), "app.tar")
	check(os.WriteFile(path, out.Bytes(), 0o600))
	return path
}

func TestDockerArchive(t *testing.T) {
	t.Parallel()
	path := dockerSave(t, nil)
	wantPackages(t, generate(t, path, sbom.Options{})[0], smallPackages)
	target := open(t, path, sbom.OpenOptions{Platform: "linux/amd64"})[0]
	if target.Kind != sbom.KindDockerArchive || target.Digest.IsZero() || target.Created.Year() != 2026 {
		t.Errorf("%+v", target)
	}
}

func TestHostileDockerArchives(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret.tar")
	check(os.WriteFile(secret, tarOf(small()), 0o600))
	type edit = func(files map[string][]byte, links map[string]string)
	for name, test := range map[string]struct {
		change edit
		want   error
	}{
		"two images": {func(f map[string][]byte, _ map[string]string) { f["manifest.json"] = []byte(`[{},{}]`) }, oci.ErrReference},
		"no image":   {func(f map[string][]byte, _ map[string]string) { f["manifest.json"] = []byte(`[]`) }, oci.ErrReference},
		"no JSON":    {func(f map[string][]byte, _ map[string]string) { f["manifest.json"] = []byte(`[`) }, oci.ErrAmbiguous},
		"OC-43 layers twice": {func(f map[string][]byte, _ map[string]string) {
			f["manifest.json"] = []byte(`[{"Config":"config.json","Layers":[],"Layers":["a/layer.tar"]}]`)
		}, oci.ErrAmbiguous},
		"no config":     {func(f map[string][]byte, _ map[string]string) { delete(f, "config.json") }, oci.ErrNotFound},
		"another layer": {func(f map[string][]byte, _ map[string]string) { f["a/layer.tar"] = tarOf(nil) }, oci.ErrDigestMismatch},
		"a layer too few": {func(f map[string][]byte, _ map[string]string) {
			f["manifest.json"] = []byte(`[{"Config":"config.json","Layers":["a/layer.tar"]}]`)
		}, oci.ErrMediaType},
		"OC-33 a link outside": {func(_ map[string][]byte, l map[string]string) { l["b/layer.tar"] = "../../../../../../.." + secret }, oci.ErrNotFound},
		"OC-33 absolute":       {func(_ map[string][]byte, l map[string]string) { l["b/layer.tar"] = secret }, oci.ErrNotFound},
		"OC-33 links in a loop": {func(_ map[string][]byte, l map[string]string) {
			l["b/layer.tar"], l["c/layer.tar"] = "../c/layer.tar", "../b/layer.tar"
		}, oci.ErrNotFound},
		"a huge config": {func(f map[string][]byte, _ map[string]string) { f["config.json"] = make([]byte, 9<<20) }, sbom.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := attempt(t.Context(), "docker-archive:"+dockerSave(t, test.change), sbom.Options{TempDir: t.TempDir()})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
