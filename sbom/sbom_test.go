package sbom_test

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// writeLayout writes an image into an OCI layout, and that into a tar beside it.
func writeLayout(t testing.TB, dir string, image v1.Image) (folder, archive string) {
	t.Helper()
	folder, archive = filepath.Join(dir, "app"), filepath.Join(dir, "app.tar")
	path := must(layout.Write(folder, empty.Index))
	check(path.AppendImage(image))
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	check(writer.AddFS(os.DirFS(folder)))
	check(writer.Close())
	check(os.WriteFile(archive, out.Bytes(), 0o600))
	return folder, archive
}

func TestOneImageInEveryPlace(t *testing.T) {
	t.Parallel()
	image := smallImage()
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", image)
	folder, archive := writeLayout(t, t.TempDir(), image)
	docker := filepath.Join(t.TempDir(), "docker.tar")
	check(tarball.WriteToFile(docker, must(name.NewTag("example.com/app:1")), image))
	both := sbom.Options{Formats: sbom.Formats()}
	for _, text := range []string{pushed.TagRef(), pushed.Ref(), "registry:" + pushed.TagRef(), folder, "oci-dir:" + folder, archive, "oci-archive:" + archive, docker, "docker-archive:" + docker} {
		for _, document := range generate(t, text, both) {
			wantPackages(t, document, smallPackages)
			if document.Platform != "linux/amd64" {
				t.Errorf("%s is for %q", text, document.Platform)
			}
			bom, err := predicate.ReadSBOM(document.Format.PredicateType(), document.Raw)
			if err != nil {
				t.Fatal(err)
			}
			isDocker := strings.Contains(text, "docker.tar")
			if !isDocker && (len(bom.Subjects) != 1 || bom.Subjects[0] != pushed.Digest) {
				t.Errorf("BM-02 %s: %s names %v, want %s", text, document.Format, bom.Subjects, pushed.Digest)
			}
		}
	}
}

func TestLayersAreFetchedOnce(t *testing.T) {
	t.Parallel()
	base, empty := layerOf(tarOf(small())), layerOf(tarOf(nil))
	reg := registrytest.New(t)
	// As in real images, an empty layer stands in it more than once.
	pushed := reg.PushV1("team/app", "1", imageOf(nil, base, empty, empty))
	reg.Reset()
	temporary := t.TempDir()
	wantPackages(t, generate(t, pushed.TagRef(), sbom.Options{Formats: sbom.Formats(), TempDir: temporary})[0], smallPackages)
	if got := reg.Count("GET", registrytest.Blob); got != 3 || reg.Budgeted() != 5 {
		t.Errorf("%d blobs in %d requests, want config and two layers in five:\n%s", got, reg.Budgeted(), reg.Log())
	}
	wantEmpty(t, temporary)
}

func TestRealGoProgram(t *testing.T) {
	t.Parallel()
	path := program(t)
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", imageOf(nil, layerOf(tarOf(map[string][]byte{"usr/bin/app": must(os.ReadFile(path))}))))
	image, file := generate(t, pushed.TagRef(), sbom.Options{})[0], generate(t, path, sbom.Options{})[0]
	wanted := []string{"pkg:golang/github.com/google/go-cmp@", "pkg:golang/github.com/hallmark-project/hallmark", "pkg:golang/golang.org/x/mod@", "pkg:golang/stdlib@"}
	got := purls(t, image)
	if len(got) != len(wanted) {
		t.Fatalf("the program has %v", got)
	}
	for n, want := range wanted {
		if !strings.HasPrefix(got[n], want) {
			t.Errorf("%s is missing: %v", want, got)
		}
	}
	wantPackages(t, file, got)
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, filepath.Join(t.TempDir(), "app"), small())
	// As the syft command does, a folder's installed and declared packages count.
	for _, document := range generate(t, dir, sbom.Options{Formats: sbom.Formats()}) {
		got := purls(t, document)
		for _, want := range smallPackages {
			if !slices.Contains(got, want) {
				t.Errorf("%s lacks %s", document.Format, want)
			}
		}
	}
}

func TestZstdLayer(t *testing.T) {
	t.Parallel()
	plain := tarOf(small())
	packed := must(zstd.NewWriter(nil)).EncodeAll(plain, nil)
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", imageOf(nil, rawLayer{packed, digest.FromBytes(plain), "application/vnd.oci.image.layer.v1.tar+zstd"}))
	wantPackages(t, generate(t, pushed.TagRef(), sbom.Options{})[0], smallPackages)
}

// TestIndex: BM-09. One document for each platform, about that platform; a layer
// that two of them share is fetched once, and is gone in the end.
func TestIndex(t *testing.T) {
	t.Parallel()
	shared := layerOf(tarOf(small()))
	platforms := []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}}
	var adds []mutate.IndexAddendum
	for _, p := range platforms {
		own := layerOf(tarOf(map[string][]byte{"srv/" + p.Architecture + "/node_modules/x/package.json": []byte(`{"name":"on-` + p.Architecture + `","version":"1.0.0"}`)}))
		image := imageOf(func(c *v1.ConfigFile) { c.Architecture, c.Variant = p.Architecture, p.Variant }, shared, own)
		adds = append(adds, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &p}})
	}
	// BuildKit's attestations stand in the index too.
	adds = append(adds, mutate.IndexAddendum{Add: imageOf(nil), Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"},
	}})
	reg := registrytest.New(t)
	pushed := reg.PushV1Index("team/app", "1", mutate.AppendManifests(empty.Index, adds...))
	reg.Reset()
	temporary := t.TempDir()
	targets, err := sbom.Open(t.Context(), pushed.TagRef(), sbom.OpenOptions{Client: oci.NewClient(oci.Options{})})
	if err != nil || len(targets) != 2 {
		t.Fatalf("%d targets, %v", len(targets), err)
	}
	for n, target := range targets {
		document := must(sbom.Generate(t.Context(), target, sbom.Options{TempDir: temporary}))[0]
		want := append([]string{"pkg:npm/on-" + platforms[n].Architecture + "@1.0.0"}, smallPackages...)
		slices.Sort(want)
		wantPackages(t, document, want)
		bom := must(predicate.ReadSBOM(document.Format.PredicateType(), document.Raw))
		if len(bom.Subjects) != 1 || bom.Subjects[0] != target.Digest || target.Digest == pushed.Digest {
			t.Errorf("the document of %s names %v", target.Platform, bom.Subjects)
		}
	}
	if got := reg.Count("GET", registrytest.Blob); got != 5 {
		t.Errorf("%d blobs, want two configs and three layers:\n%s", got, reg.Log())
	}
	for _, target := range targets {
		check(target.Close())
		check(target.Close()) // twice is harmless
	}
	wantEmpty(t, temporary)
	for want, count := range map[string]int{"linux/arm64": 1, "linux/arm64/v8": 1, "linux/amd64": 1} {
		if got := open(t, pushed.TagRef(), sbom.OpenOptions{Platform: want}); len(got) != count || !strings.HasPrefix(got[0].Platform, want) {
			t.Errorf("%s: %v", want, got)
		}
	}
	for _, want := range []string{"linux/s390x", "linux/arm64/v9", "linux", "arm64"} {
		_, err := sbom.Open(t.Context(), pushed.TagRef(), sbom.OpenOptions{Client: oci.NewClient(oci.Options{}), Platform: want})
		if !errors.Is(err, sbom.ErrPlatform) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestImageErrors(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	chart := reg.PutBlob("team/chart", "application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"chart"}`))
	content := reg.PutBlob("team/chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte("x"))
	helm := reg.PutJSON("team/chart", "1", registrytest.MediaTypeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": registrytest.MediaTypeManifest, "config": chart, "layers": []any{content},
	})
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"OC-44 a helm chart": {helm.TagRef(), oci.ErrMediaType},
		"no such image":      {reg.Host() + "/team/none:1", oci.ErrNotFound},
		"no such digest":     {reg.Host() + "/team/chart@sha256:" + strings.Repeat("0", 64), oci.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := attempt(t.Context(), test.text, sbom.Options{}); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestFormatsAreChecked(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, t.TempDir(), map[string][]byte{"package-lock.json": []byte(npmLock)})
	for _, formats := range [][]sbom.Format{{"xml"}, {sbom.SPDX, sbom.SPDX}, {""}} {
		if err := attempt(t.Context(), dir, sbom.Options{Formats: formats}); !errors.Is(err, sbom.ErrFormat) {
			t.Errorf("%q: %v", formats, err)
		}
	}
}

// TestLinked: what syft needs at run time and no compiler asks for.
func TestLinked(t *testing.T) {
	t.Parallel()
	if !slices.Contains(sql.Drivers(), "sqlite") {
		t.Error("no SQLite driver is linked: RPM databases cannot be read")
	}
	if raw := must(os.ReadFile("../go.mod")); !strings.Contains(string(raw), "github.com/anchore/syft "+sbom.SyftVersion+"\n") {
		t.Errorf("SyftVersion is %s, go.mod has another", sbom.SyftVersion)
	}
}

func ExampleGenerate() {
	dir := must(os.MkdirTemp("", "example"))
	defer os.RemoveAll(dir)
	check(os.WriteFile(filepath.Join(dir, "package-lock.json"), []byte(npmLock), 0o600))
	ctx := context.Background()
	targets, err := sbom.Open(ctx, "dir:"+dir, sbom.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, target := range targets {
		defer target.Close()
		documents, err := sbom.Generate(ctx, target, sbom.Options{Formats: []sbom.Format{sbom.CycloneDX}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(bytes.Contains(documents[0].Raw, []byte("pkg:npm/left-pad@1.3.0")))
	}
	// Output: true
}
