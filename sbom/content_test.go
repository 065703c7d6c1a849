package sbom_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
)

const (
	dpkgStatus = `Package: base-files
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
	osRelease = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n"
	npmLock   = `{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0","dependencies":{"left-pad":"1.3.0"}},"node_modules/left-pad":{"version":"1.3.0","license":"WTFPL"}}}`
	leftPad   = `{"name":"left-pad","version":"1.3.0","license":"WTFPL"}`
)

// small is a little Debian with an npm package and a jar.
func small() map[string][]byte {
	return map[string][]byte{
		"etc/os-release":                             []byte(osRelease),
		"var/lib/dpkg/status":                        []byte(dpkgStatus),
		"srv/app/package-lock.json":                  []byte(npmLock),
		"srv/app/node_modules/left-pad/package.json": []byte(leftPad),
		"usr/share/java/widget-2.1.jar":              jar("com.example", "widget", "2.1"),
	}
}

// smallPackages are what syft finds in small.
var smallPackages = []string{
	"pkg:deb/debian/base-files@12.4%2Bdeb12u5?arch=amd64&distro=debian-12",
	"pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=amd64&distro=debian-12",
	"pkg:maven/com.example/widget@2.1",
	"pkg:npm/left-pad@1.3.0",
}

// jar is a Java archive with Maven's own record of what it is.
func jar(group, artifact, version string) []byte {
	var out bytes.Buffer
	writer := zip.NewWriter(&out)
	for _, file := range [][2]string{
		{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nImplementation-Title: " + artifact + "\nImplementation-Version: " + version + "\n"},
		{"META-INF/maven/" + group + "/" + artifact + "/pom.properties", "groupId=" + group + "\nartifactId=" + artifact + "\nversion=" + version + "\n"},
	} {
		must(must(writer.Create(file[0])).Write([]byte(file[1])))
	}
	check(writer.Close())
	return out.Bytes()
}

// program builds a real Go binary with two modules, and returns its path.
func program(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./testdata/program")
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOPROXY=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return path
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// tarOf packs files in the order of their names.
func tarOf(content map[string][]byte) []byte {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		check(writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content[name])), Mode: 0o755}))
		must(writer.Write(content[name]))
	}
	check(writer.Close())
	return out.Bytes()
}

// layerOf is a gzip layer of a tar; it claims the tar's diff ID.
func layerOf(plain []byte) v1.Layer {
	var packed bytes.Buffer
	writer := must(gzip.NewWriterLevel(&packed, gzip.BestSpeed))
	must(writer.Write(plain))
	check(writer.Close())
	return rawLayer{content: packed.Bytes(), diffID: digest.FromBytes(plain), mediaType: types.OCILayer}
}

// imageOf makes an image of layers, for linux/amd64 unless configure says else.
func imageOf(configure func(*v1.ConfigFile), layers ...v1.Layer) v1.Image {
	image := must(mutate.AppendLayers(empty.Image, layers...))
	config := must(image.ConfigFile()).DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Created = v1.Time{Time: time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)}
	if configure != nil {
		configure(config)
	}
	image = must(mutate.ConfigFile(image, config))
	return mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
}

func smallImage() v1.Image { return imageOf(nil, layerOf(tarOf(small()))) }

// rawLayer is a layer of exactly these bytes that claims a diff ID.
type rawLayer struct {
	content   []byte
	diffID    digest.Digest
	mediaType types.MediaType
}

func (l rawLayer) Digest() (v1.Hash, error)            { return v1.NewHash(digest.FromBytes(l.content).String()) }
func (l rawLayer) DiffID() (v1.Hash, error)            { return v1.NewHash(l.diffID.String()) }
func (l rawLayer) Size() (int64, error)                { return int64(len(l.content)), nil }
func (l rawLayer) MediaType() (types.MediaType, error) { return l.mediaType, nil }
func (l rawLayer) Compressed() (io.ReadCloser, error) {
	return noClose{bytes.NewReader(l.content)}, nil
}

func (l rawLayer) Uncompressed() (io.ReadCloser, error) { return nil, errors.New("not unpacked here") }

type noClose struct{ *bytes.Reader }

func (noClose) Close() error { return nil }

// open returns the targets and closes them with the test.
func open(t testing.TB, text string, o sbom.OpenOptions) []*sbom.Target {
	t.Helper()
	if o.Client == nil {
		o.Client = oci.NewClient(oci.Options{})
	}
	targets, err := sbom.Open(t.Context(), text, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, target := range targets {
			if err := target.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return targets
}

// generate makes the documents of a text that names one target.
func generate(t testing.TB, text string, o sbom.Options) []sbom.Document {
	t.Helper()
	targets := open(t, text, sbom.OpenOptions{})
	if len(targets) != 1 {
		t.Fatalf("%d targets", len(targets))
	}
	documents, err := sbom.Generate(t.Context(), targets[0], o)
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

// attempt opens and generates, and returns the first error.
func attempt(ctx context.Context, text string, o sbom.Options) error {
	targets, err := sbom.Open(ctx, text, sbom.OpenOptions{Client: oci.NewClient(oci.Options{})})
	if err != nil {
		return err
	}
	for _, target := range targets {
		defer target.Close()
		if _, err := sbom.Generate(ctx, target, o); err != nil {
			return err
		}
	}
	return nil
}

// purls lists the package URLs of a document, without the document's own subject.
func purls(t testing.TB, d sbom.Document) []string {
	t.Helper()
	bom, err := predicate.ReadSBOM(d.Format.PredicateType(), d.Raw)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range bom.Packages {
		if !p.Root && p.PURL != "" {
			all = append(all, p.PURL)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func wantPackages(t testing.TB, d sbom.Document, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, purls(t, d)); diff != "" {
		t.Errorf("packages of %s (-want +got):\n%s", d.Format, diff)
	}
}

// folderOf writes files below dir.
func folderOf(t testing.TB, dir string, content map[string][]byte) string {
	t.Helper()
	for name, raw := range content {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, raw, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantEmpty checks that a temporary folder was left empty.
func wantEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("left behind: %s", entry.Name())
	}
}

// one keeps lines short where a slice of one is wanted.
func one(f sbom.Format) []sbom.Format { return []sbom.Format{f} }
