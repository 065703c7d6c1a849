package oci_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// layoutFiles is a layout of one image whose only layer says "bundle".
func layoutFiles() (files map[string][]byte, image, layer digest.Digest) {
	content, config := []byte("bundle"), []byte("{}")
	layer = digest.FromBytes(content)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":"x","digest":%q,"size":6,"urls":["http://169.254.169.254/layer"]}]}`,
		oci.TypeImage, oci.TypeConfig, digest.FromBytes(config), layer)
	image = digest.FromBytes(manifest)
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, oci.TypeIndex, oci.TypeImage, image, len(manifest))
	return map[string][]byte{
		"oci-layout":                  []byte(`{"imageLayoutVersion":"1.0.0"}`),
		"index.json":                  index,
		"blobs/sha256/" + image.Hex(): manifest,
		"blobs/sha256/" + layer.Hex(): content,
		"blobs/sha256/" + digest.FromBytes(config).Hex(): config,
	}, image, layer
}

func writeLayout(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, raw := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeArchive(t testing.TB, files map[string][]byte) string {
	t.Helper()
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for name, raw := range files {
		if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(raw)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLayoutAndArchive(t *testing.T) {
	t.Parallel()
	files, image, layer := layoutFiles()
	for name, open := range map[string]func() (*oci.Layout, error){
		"folder":  func() (*oci.Layout, error) { return oci.OpenLayout(writeLayout(t, files)) },
		"archive": func() (*oci.Layout, error) { return oci.OpenArchive(writeArchive(t, files)) },
	} {
		l, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d, err := l.Resolve(t.Context(), oci.Reference{})
		if err != nil || d.Digest != image {
			t.Errorf("%s: resolved %v, %v", name, d, err)
		}
		m, err := l.Manifest(t.Context(), oci.Reference{}, d)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		raw, err := l.Blob(t.Context(), oci.Reference{}, m.Layers[0], 100)
		if err != nil || digest.FromBytes(raw) != layer {
			t.Errorf("%s: blob %q, %v", name, raw, err)
		}
		if _, err := l.Blob(t.Context(), oci.Reference{}, m.Layers[0], 5); !errors.Is(err, oci.ErrLimit) {
			t.Errorf("%s: a blob over its limit: %v", name, err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileLayouts: OC-35, OC-39. Symbolic links are no blobs, and bytes that were
// changed on disk are not taken.
func TestHostileLayouts(t *testing.T) {
	t.Parallel()
	files, _, layer := layoutFiles()
	t.Run("OC-35 a blob is a symbolic link", func(t *testing.T) {
		t.Parallel()
		dir := writeLayout(t, files)
		path := filepath.Join(dir, "blobs/sha256", layer.Hex())
		outside := filepath.Join(t.TempDir(), "same-bytes")
		if err := errors.Join(os.WriteFile(outside, []byte("bundle"), 0o600), os.Remove(path), os.Symlink(outside, path)); err != nil {
			t.Fatal(err)
		}
		l, err := oci.OpenLayout(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if raw, err := l.Blob(t.Context(), oci.Reference{}, oci.Descriptor{Digest: layer, Size: 6}, 100); err == nil {
			t.Errorf("read %q through a link", raw)
		}
	})
	t.Run("OC-39 a changed blob", func(t *testing.T) {
		t.Parallel()
		dir := writeLayout(t, files)
		if err := os.WriteFile(filepath.Join(dir, "blobs/sha256", layer.Hex()), []byte("bungle"), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := oci.OpenLayout(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.Blob(t.Context(), oci.Reference{}, oci.Descriptor{Digest: layer, Size: 6}, 100); !errors.Is(err, oci.ErrDigestMismatch) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("OC-29 names that leave the archive", func(t *testing.T) {
		t.Parallel()
		bad := map[string][]byte{"../../etc/passwd": []byte("x")}
		for name, raw := range files {
			bad[name] = raw
		}
		if _, err := oci.OpenArchive(writeArchive(t, bad)); !errors.Is(err, oci.ErrMediaType) {
			t.Errorf("got %v", err)
		}
	})
	if _, err := oci.OpenLayout(filepath.Join(t.TempDir(), "nosuch")); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("a missing folder: %v", err)
	}
}

// TestOC23ForeignLayers: a descriptor's urls are never followed.
func TestOC23ForeignLayers(t *testing.T) {
	t.Parallel()
	victim := registrytest.NewVictim(t)
	reg := registrytest.New(t)
	missing := digest.FromBytes([]byte("elsewhere"))
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x","digest":%q,"size":9},"layers":[{"mediaType":"x","digest":%q,"size":9,"urls":[%q]}]}`,
		oci.TypeImage, missing, missing, victim.URL()+"/layer")
	pushed := reg.PutManifest("team/app", "1", oci.TypeImage, raw)
	client := oci.NewClient(oci.Options{})
	ref := parse(t, pushed.TagRef())
	m, err := client.Manifest(t.Context(), ref, oci.Descriptor{Digest: pushed.Digest, Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Blob(t.Context(), ref, m.Layers[0], 100); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
