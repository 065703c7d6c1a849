package sbom_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

const dpkgStatus = `Package: base-files
Status: install ok installed
Priority: required
Section: admin
Maintainer: Nobody <nobody@example.com>
Architecture: amd64
Version: 12.4+deb12u5

Package: zlib1g
Status: install ok installed
Section: libs
Maintainer: Nobody <nobody@example.com>
Architecture: amd64
Version: 1:1.2.13.dfsg-1
`

const npmLock = `{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0","dependencies":{"left-pad":"1.3.0"}},"node_modules/left-pad":{"version":"1.3.0","license":"WTFPL"}}}`

// files is a small system: Debian packages, and a real Go program with its modules.
func files(t testing.TB) map[string][]byte {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"etc/os-release":                             []byte("ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n"),
		"var/lib/dpkg/status":                        []byte(dpkgStatus),
		"usr/bin/app":                                raw,
		"srv/app/package-lock.json":                  []byte(npmLock),
		"srv/app/node_modules/left-pad/package.json": []byte(`{"name":"left-pad","version":"1.3.0","license":"WTFPL"}`),
	}
}

func imageOf(t testing.TB, content map[string][]byte) v1.Image {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	writer := tar.NewWriter(zip)
	for name, raw := range content {
		if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(raw)), Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(writer.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: must(image.ConfigFile()).RootFS})
	if err != nil {
		t.Fatal(err)
	}
	return mutate.MediaType(image, types.OCIManifestSchema1)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func generate(t testing.TB, text string, o sbom.Options) []sbom.Document {
	t.Helper()
	targets, err := sbom.Open(t.Context(), text, sbom.OpenOptions{Client: oci.NewClient(oci.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) != 1 {
		t.Fatalf("%d targets", len(targets))
	}
	defer targets[0].Close()
	documents, err := sbom.Generate(t.Context(), targets[0], o)
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

// purls lists the package URLs of an SPDX document.
func purls(t testing.TB, raw []byte) string {
	t.Helper()
	var document struct {
		Packages []struct {
			ExternalRefs []struct {
				Type    string `json:"referenceType"`
				Locator string `json:"referenceLocator"`
			} `json:"externalRefs"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range document.Packages {
		for _, ref := range p.ExternalRefs {
			// The image itself is named after the place that it was read from.
			if ref.Type == "purl" && !strings.HasPrefix(ref.Locator, "pkg:oci/") && !strings.HasPrefix(ref.Locator, "pkg:docker/") {
				all = append(all, ref.Locator)
			}
		}
	}
	return strings.Join(all, "\n")
}

func TestOneImageInEveryPlace(t *testing.T) {
	t.Parallel()
	image := imageOf(t, files(t))
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", image)
	dir := t.TempDir()
	path, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "image.tar")
	tag, err := name.NewTag("example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(archive, tag, image); err != nil {
		t.Fatal(err)
	}
	reg.Reset()
	want := purls(t, generate(t, pushed.TagRef(), sbom.Options{})[0].Raw)
	if blobs := reg.Count("GET", registrytest.Blob); blobs != 2 {
		t.Errorf("%d blobs were fetched, want config and layer once each:\n%s", blobs, reg.Log())
	}
	for _, expected := range []string{"pkg:deb/debian/base-files@12.4%2Bdeb12u5", "pkg:deb/debian/zlib1g@", "pkg:golang/", "pkg:npm/left-pad@1.3.0"} {
		if !strings.Contains(want, expected) {
			t.Errorf("%s is missing in\n%.2000s", expected, want)
		}
	}
	for _, text := range []string{filepath.Join(dir, "layout"), archive} {
		if got := purls(t, generate(t, text, sbom.Options{})[0].Raw); got != want {
			t.Errorf("%s has other packages", filepath.Base(text))
		}
	}
}

// TestReproducible: the same bytes twice, in every format, and nothing of this
// machine in them (BM-12, KE-03).
func TestReproducible(t *testing.T) {
	secret := "marker-of-a-secret-in-the-environment"
	t.Setenv("HALLMARK_PASSWORD", secret)
	dir := filepath.Join(t.TempDir(), "app")
	if err := os.MkdirAll(filepath.Join(dir, "node_modules/left-pad"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"package-lock.json": npmLock, "node_modules/left-pad/package.json": `{"name":"left-pad","version":"1.3.0"}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := sbom.Options{Formats: sbom.Formats()}
	first, second := generate(t, dir, o), generate(t, "dir:"+dir, o)
	for i := range first {
		if !bytes.Equal(first[i].Raw, second[i].Raw) {
			t.Errorf("%s differs", first[i].Format)
		}
		for _, leak := range []string{secret, filepath.Dir(dir), os.TempDir() + "/"} {
			if bytes.Contains(first[i].Raw, []byte(leak)) {
				t.Errorf("%s tells %q", first[i].Format, leak)
			}
		}
		if !bytes.Contains(first[i].Raw, []byte("left-pad")) {
			t.Errorf("%s lacks the package", first[i].Format)
		}
	}
}

// TestCache: OC-39. A second run comes from the cache; a changed file does not.
func TestCache(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "package-lock.json")
	if err := os.WriteFile(file, []byte(npmLock), 0o600); err != nil {
		t.Fatal(err)
	}
	o := sbom.Options{CacheDir: t.TempDir()}
	first, second := generate(t, "file:"+file, o), generate(t, "file:"+file, o)
	if first[0].Cached || !second[0].Cached || !bytes.Equal(first[0].Raw, second[0].Raw) {
		t.Errorf("cached: %t, %t", first[0].Cached, second[0].Cached)
	}
	kept, err := filepath.Glob(filepath.Join(o.CacheDir, "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	raw, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(kept[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if third := generate(t, "file:"+file, o); third[0].Cached || !bytes.Equal(third[0].Raw, first[0].Raw) {
		t.Error("a changed file in the cache was taken for the document")
	}
}

func TestTargetsAreNotGuessed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"./nosuch", "/no/such/path", "dir:nosuch", "file:nosuch", "oci-dir:nosuch", "oci-archive:nosuch", "docker-archive:nosuch", "nosuch.tar"} {
		if _, err := sbom.Open(t.Context(), text, sbom.OpenOptions{}); !errors.Is(err, sbom.ErrNoTarget) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := sbom.Open(t.Context(), "Not/A/Reference", sbom.OpenOptions{}); !errors.Is(err, oci.ErrReference) {
		t.Errorf("a reference that is none: %v", err)
	}
}

// TestHostileLayers: OC-33, OC-34.
func TestHostileLayers(t *testing.T) {
	t.Parallel()
	t.Run("OC-34 a bomb", func(t *testing.T) {
		t.Parallel()
		var packed bytes.Buffer
		zip := gzip.NewWriter(&packed)
		chunk := make([]byte, 1<<20)
		for range 1200 {
			if _, err := zip.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := zip.Close(); err != nil {
			t.Fatal(err)
		}
		image := must(mutate.AppendLayers(empty.Image, rawLayer{static.NewLayer(packed.Bytes(), types.DockerLayer)}))
		reg := registrytest.New(t)
		pushed := reg.PushV1("team/bomb", "1", mutate.MediaType(image, types.OCIManifestSchema1))
		targets, err := sbom.Open(t.Context(), pushed.TagRef(), sbom.OpenOptions{Client: oci.NewClient(oci.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sbom.Generate(t.Context(), targets[0], sbom.Options{}); err == nil {
			t.Error("the bomb was unpacked")
		}
	})
	t.Run("OC-33 paths out of the image", func(t *testing.T) {
		t.Parallel()
		content := map[string][]byte{"../../../../tmp/hallmark-escaped": []byte("x"), "/etc/os-release": []byte("ID=debian\n")}
		reg := registrytest.New(t)
		pushed := reg.PushV1("team/escape", "1", imageOf(t, content))
		generate(t, pushed.TagRef(), sbom.Options{})
		if _, err := os.Stat("/tmp/hallmark-escaped"); err == nil {
			t.Error("a file was written outside")
		}
	})
}

// rawLayer claims a diff ID without unpacking.
type rawLayer struct{ v1.Layer }

func (l rawLayer) DiffID() (v1.Hash, error) { return l.Digest() }

func TestCancelledLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", imageOf(t, map[string][]byte{"a": []byte("b")}))
	ctx, cancel := context.WithCancel(t.Context())
	targets, err := sbom.Open(ctx, pushed.TagRef(), sbom.OpenOptions{Client: oci.NewClient(oci.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := sbom.Generate(ctx, targets[0], sbom.Options{}); err == nil {
		t.Error("a cancelled scan succeeded")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*hallmark*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestIndexGivesOneForEachPlatform(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	index := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
	client := oci.NewClient(oci.Options{})
	targets, err := sbom.Open(t.Context(), index.TagRef(), sbom.OpenOptions{Client: client})
	if err != nil || len(targets) != 2 || targets[0].Platform != "linux/amd64" || targets[1].Platform != "linux/arm64" {
		t.Fatalf("%v, %v", targets, err)
	}
	if _, err := sbom.Open(t.Context(), index.TagRef(), sbom.OpenOptions{Client: client, Platform: "linux/s390x"}); !errors.Is(err, sbom.ErrPlatform) {
		t.Errorf("a platform that is not there: %v", err)
	}
}

func TestSyftVersionIsTheLinkedOne(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), "github.com/anchore/syft "+sbom.SyftVersion+"\n") {
		t.Errorf("SyftVersion is %s, go.mod has another", sbom.SyftVersion)
	}
}

func ExampleGenerate() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "package-lock.json"), []byte(npmLock), 0o600); err != nil {
		panic(err)
	}
	targets, err := sbom.Open(context.Background(), "dir:"+dir, sbom.OpenOptions{})
	if err != nil {
		panic(err)
	}
	documents, err := sbom.Generate(context.Background(), targets[0], sbom.Options{Formats: []sbom.Format{sbom.CycloneDX}})
	if err != nil {
		panic(err)
	}
	fmt.Println(bytes.Contains(documents[0].Raw, []byte("pkg:npm/left-pad@1.3.0")))
	// Output: true
}

func BenchmarkGenerate(b *testing.B) {
	reg := registrytest.New(b)
	pushed := reg.PushV1("team/app", "1", imageOf(b, files(b)))
	for b.Loop() {
		generate(b, pushed.TagRef(), sbom.Options{})
	}
}
