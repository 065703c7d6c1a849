package sbom_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// zeros is gzip of n times 16 MB of zeros.
func zeros(n int) []byte {
	var member bytes.Buffer
	writer := must(gzip.NewWriterLevel(&member, gzip.BestCompression))
	must(writer.Write(make([]byte, 16<<20)))
	check(writer.Close())
	return bytes.Repeat(member.Bytes(), n)
}

func TestBombs(t *testing.T) {
	t.Parallel()
	any := digest.FromBytes(nil)
	many := make(map[string][]byte)
	for n := range 300 {
		many[fmt.Sprintf("file-%d", n)] = nil
	}
	for name, test := range map[string]struct {
		layer v1.Layer
		o     sbom.Options
	}{
		"OC-34 gzip of zeros, by its ratio":  {rawLayer{zeros(70), any, types.OCILayer}, sbom.Options{}},
		"OC-34 gzip of zeros, by its size":   {rawLayer{zeros(4), any, types.OCILayer}, sbom.Options{MaxUnpackedBytes: 32 << 20}},
		"OC-34 too many files":               {layerOf(tarOf(many)), sbom.Options{MaxEntries: 200}},
		"OC-34 a zstd window of gigabytes":   {rawLayer{[]byte("\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00"), any, types.OCILayerZStd}, sbom.Options{}},
		"OC-34 zstd under gzip's media type": {rawLayer{[]byte("\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00"), any, types.OCILayer}, sbom.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			pushed := reg.PushV1("team/bomb", "1", imageOf(nil, test.layer))
			test.o.TempDir = t.TempDir()
			err := attempt(t.Context(), pushed.TagRef(), test.o)
			if !errors.Is(err, sbom.ErrLimit) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), test.o.TempDir) {
				t.Errorf("the error tells the folder: %v", err)
			}
			wantEmpty(t, test.o.TempDir)
		})
	}
}

func TestWrongLayers(t *testing.T) {
	t.Parallel()
	// A small layer is fetched as a whole, a large one is unpacked as it comes.
	large := small()
	large["srv/data"] = make([]byte, 9<<20)
	rand.NewChaCha8([32]byte{}).Read(large["srv/data"])
	for name, content := range map[string]map[string][]byte{"small": small(), "large": large} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrongLayers(t, tarOf(content))
		})
	}
}

func wrongLayers(t *testing.T, plain []byte) {
	good := layerOf(plain).(rawLayer)
	blob := registrytest.Match{Class: registrytest.Blob, After: 1} // the config passes
	for name, test := range map[string]struct {
		layer rawLayer
		fault registrytest.Fault
		want  error
	}{
		"OC-32 bytes behind the archive": {good, registrytest.Append([]byte("more")), oci.ErrSizeMismatch},
		"OC-32 another byte at the end":  {good, registrytest.FlipByte(-1), oci.ErrDigestMismatch},
		"OC-32 another byte":             {good, registrytest.FlipByte(len(good.content) / 2), nil},
		"a cut layer":                    {good, registrytest.CutBody(len(good.content) / 2), oci.ErrUnreachable},
		"another diff ID":                {rawLayer{good.content, digest.FromBytes([]byte("x")), types.OCILayer}, nil, oci.ErrDigestMismatch},
		"no tar":                         {layerOf([]byte(strings.Repeat("no tar", 1000))).(rawLayer), nil, nil},
		"half a gzip":                    {rawLayer{good.content[:len(good.content)/2], digest.FromBytes(plain), types.OCILayer}, nil, nil},
		"an unknown media type":          {rawLayer{good.content, digest.FromBytes(plain), "application/wasm"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			pushed := reg.PushV1("team/app", "1", imageOf(nil, test.layer))
			if test.fault != nil {
				reg.Inject(blob, test.fault)
			}
			o := sbom.Options{TempDir: t.TempDir(), CacheDir: t.TempDir()}
			err := attempt(t.Context(), pushed.TagRef(), o)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			wantEmpty(t, o.TempDir)
			wantEmpty(t, o.CacheDir)
		})
	}
}

// TestPathsOutOfTheImage: OC-33. Nothing is written outside, and nothing of this
// machine is read through links.
func TestPathsOutOfTheImage(t *testing.T) {
	t.Parallel()
	outside := folderOf(t, t.TempDir(), map[string][]byte{
		"node_modules/host/package.json": []byte(`{"name":"of-this-machine","version":"1.0.0"}`),
		"status":                         []byte(strings.ReplaceAll(dpkgStatus, "zlib1g", "of-this-machine")),
	})
	target := filepath.Join(outside, "written")
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	add := func(h tar.Header, content string) {
		h.Size, h.Mode = int64(len(content)), 0o755
		check(writer.WriteHeader(&h))
		must(writer.Write([]byte(content)))
	}
	up := strings.Repeat("../", 20)
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/os-release"}, osRelease)
	add(tar.Header{Typeflag: tar.TypeReg, Name: up + target}, "x")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "/" + target + "-2"}, "x")
	add(tar.Header{Typeflag: tar.TypeReg, Name: `C:\written`}, "x")
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "srv/app", Linkname: outside}, "")
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "srv/up", Linkname: up + outside}, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "srv/up/through"}, "x")
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "var/lib/dpkg/status", Linkname: filepath.Join(outside, "status")}, "")
	add(tar.Header{Typeflag: tar.TypeLink, Name: "var/lib/dpkg/status.d/x", Linkname: filepath.Join(outside, "status")}, "")
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "loop/a", Linkname: "b"}, "")
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "loop/b", Linkname: "a"}, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "srv/node_modules/x/package.json"}, leftPad)
	check(writer.Close())
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", imageOf(nil, layerOf(out.Bytes())))
	document := generate(t, pushed.TagRef(), sbom.Options{})[0]
	wantPackages(t, document, []string{"pkg:npm/left-pad@1.3.0"})
	for _, name := range []string{target, target + "-2", filepath.Join(outside, "through")} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

// TestNestedBomb: BM-10. A Java archive that unpacks to gigabytes costs neither
// time nor space, and what stands beside it is still found.
func TestNestedBomb(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	writer := zip.NewWriter(&out)
	for n := range 40 {
		file := must(writer.CreateRaw(&zip.FileHeader{
			Name: fmt.Sprintf("META-INF/lib/inner-%d.jar", n), Method: zip.Deflate,
			CompressedSize64: uint64(len(deflated())), UncompressedSize64: 64 << 20, CRC32: 0,
		}))
		must(file.Write(deflated()))
	}
	check(writer.Close())
	content := small()
	content["srv/bomb-1.0.jar"] = out.Bytes()
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", imageOf(nil, layerOf(tarOf(content))))
	temporary := t.TempDir()
	got := purls(t, generate(t, pushed.TagRef(), sbom.Options{TempDir: temporary})[0])
	for _, want := range smallPackages {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("%s is missing", want)
		}
	}
	wantEmpty(t, temporary)
}

// TestUnreadableIsNotSilent: BM-07. An inner archive that cannot be read is listed
// as such, and hides nothing beside it.
func TestUnreadableIsNotSilent(t *testing.T) {
	t.Parallel()
	content := small()
	content["srv/broken.jar"] = append([]byte("PK\x03\x04"), make([]byte, 200)...)
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", imageOf(nil, layerOf(tarOf(content))))
	documents := generate(t, pushed.TagRef(), sbom.Options{Formats: sbom.Formats()})
	for _, document := range documents {
		wantPackages(t, document, smallPackages)
	}
	var listed struct {
		Files []struct {
			Location struct{ Path string }
			Unknowns []string
		}
	}
	check(json.Unmarshal(documents[2].Raw, &listed))
	for _, file := range listed.Files {
		if file.Location.Path == "/srv/broken.jar" && len(file.Unknowns) > 0 {
			return
		}
	}
	t.Errorf("the broken archive is not listed: %+v", listed.Files)
}

// deflated is the raw stream of 64 MB of zeros.
func deflated() []byte {
	packed := zeros(1)
	return packed[10 : len(packed)-8]
}

// TestCancelled: RE-10. A scan that is cut short leaves nothing behind, at whatever point.
func TestCancelled(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", smallImage())
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		target := open(t, pushed.TagRef(), sbom.OpenOptions{})[0]
		cancel()
		o := sbom.Options{TempDir: t.TempDir(), CacheDir: t.TempDir()}
		if _, err := sbom.Generate(ctx, target, o); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wantEmpty(t, o.TempDir)
		wantEmpty(t, o.CacheDir)
	})
	t.Run("in a layer", func(t *testing.T) {
		t.Parallel()
		slow := registrytest.New(t)
		pushed := slow.PushV1("team/app", "1", smallImage())
		slow.Inject(registrytest.Match{Class: registrytest.Blob, After: 1}, registrytest.SlowBody(20*time.Millisecond))
		target := open(t, pushed.TagRef(), sbom.OpenOptions{})[0]
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		o := sbom.Options{TempDir: t.TempDir()}
		started := time.Now()
		if _, err := sbom.Generate(ctx, target, o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(started); took > 20*time.Second {
			t.Errorf("it took %v to notice", took)
		}
		wantEmpty(t, o.TempDir)
	})
	t.Run("while cataloguing", func(t *testing.T) {
		t.Parallel()
		target := open(t, pushed.TagRef(), sbom.OpenOptions{})[0]
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := sbom.Options{TempDir: t.TempDir()}
		done := make(chan error, 1)
		go func() {
			_, err := sbom.Generate(ctx, target, o)
			done <- err
		}()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if whole, _ := filepath.Glob(filepath.Join(o.TempDir, "*", "layers", "0-sha256-*")); len(whole) > 0 {
				break
			}
		}
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wantEmpty(t, o.TempDir)
	})
}
