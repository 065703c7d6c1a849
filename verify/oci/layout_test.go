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

// TestHostileArchives: what an archive may hold beside an image.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	files, image, layer := layoutFiles()
	entries := func(change func(*tar.Writer)) string {
		var packed bytes.Buffer
		writer := tar.NewWriter(&packed)
		for name, raw := range files {
			addFile(t, writer, name, raw)
		}
		change(writer)
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		path string
		want error
	}{
		"OC-33 an absolute name":     {entries(func(w *tar.Writer) { addFile(t, w, "/etc/passwd", nil) }), oci.ErrMediaType},
		"OC-33 a name that leaves":   {entries(func(w *tar.Writer) { addFile(t, w, "blobs/../../x", nil) }), oci.ErrMediaType},
		"OC-43 two indexes":          {entries(func(w *tar.Writer) { addFile(t, w, "./index.json", []byte("{}")) }), oci.ErrAmbiguous},
		"docker's old format":        {writeArchive(t, map[string][]byte{"manifest.json": []byte("[]")}), oci.ErrMediaType},
		"no layout at all":           {writeArchive(t, map[string][]byte{"x": nil}), oci.ErrNotFound},
		"no tar":                     {filepath.Join(writeLayout(t, map[string][]byte{"x": bytes.Repeat([]byte("no tar "), 1000)}), "x"), oci.ErrMediaType},
		"OC-13 an index of too many": {writeArchive(t, map[string][]byte{"index.json": manyReferrers(50_000)}), oci.ErrLimit},
	} {
		l, err := oci.OpenArchive(test.path)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err == nil {
			l.Close()
		}
	}
	// A link is no blob, and a sparse file's bytes are those on disk.
	path := entries(func(w *tar.Writer) {
		for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink} {
			header := &tar.Header{Typeflag: kind, Name: fmt.Sprintf("blobs/sha256/%064d", kind), Linkname: "/etc/passwd"}
			if err := w.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
		}
	})
	l, err := oci.OpenArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink} {
		linked := digest.MustParse(fmt.Sprintf("sha256:%064d", kind))
		if _, err := l.Blob(t.Context(), oci.Reference{}, oci.Descriptor{Digest: linked, Size: -1}, 100); !errors.Is(err, oci.ErrNotFound) {
			t.Errorf("OC-35 a link in an archive: %v", err)
		}
	}
	if _, err := l.Blob(t.Context(), oci.Reference{}, oci.Descriptor{Size: -1}, 100); !errors.Is(err, oci.ErrReference) {
		t.Errorf("OC-29 no digest: %v", err)
	}
	for size, want := range map[int64]error{6: nil, -1: nil, 5: oci.ErrSizeMismatch, 7: oci.ErrSizeMismatch, 0: oci.ErrSizeMismatch, 101: oci.ErrLimit} {
		if _, err := l.Blob(t.Context(), oci.Reference{}, oci.Descriptor{Digest: layer, Size: size}, 100); !errors.Is(err, want) {
			t.Errorf("OC-31 size %d: %v, want %v", size, err, want)
		}
	}
	if m, err := l.Manifest(t.Context(), oci.Reference{}, oci.Descriptor{Digest: image, Size: -1}); err != nil || m.Digest != image {
		t.Errorf("the image by digest: %v, %v", m, err)
	}
}

// TestLayoutWithoutOwnTypes: a manifest need not name its own type (image-spec,
// manifest.md); then what the index says of it counts, also by digest.
func TestLayoutWithoutOwnTypes(t *testing.T) {
	t.Parallel()
	manifest := []byte(`{"schemaVersion":2,"config":{` + plain + `},"layers":[]}`)
	image := digest.FromBytes(manifest)
	index := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, oci.TypeImage, image, len(manifest))
	l, err := oci.OpenLayout(writeLayout(t, map[string][]byte{"index.json": index, "blobs/sha256/" + image.Hex(): manifest}))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := l.Manifest(t.Context(), oci.Reference{}, oci.Descriptor{Digest: image, Size: -1})
	if err != nil || m.MediaType != oci.TypeImage {
		t.Errorf("%+v, %v", m, err)
	}
}

func addFile(t testing.TB, writer *tar.Writer, name string, raw []byte) {
	t.Helper()
	if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(raw)), Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(raw); err != nil {
		t.Fatal(err)
	}
}

// TestOC35Folders: what is no regular file is not read, wherever it stands.
func TestOC35Folders(t *testing.T) {
	t.Parallel()
	files, image, layer := layoutFiles()
	t.Run("OC-35 index.json is a symbolic link", func(t *testing.T) {
		t.Parallel()
		dir := writeLayout(t, files)
		path := filepath.Join(dir, "index.json")
		if err := errors.Join(os.Rename(path, path+".real"), os.Symlink("index.json.real", path)); err != nil {
			t.Fatal(err)
		}
		if _, err := oci.OpenLayout(dir); !errors.Is(err, oci.ErrMediaType) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("OC-35 blobs lies outside", func(t *testing.T) {
		t.Parallel()
		dir, outside := writeLayout(t, files), writeLayout(t, files)
		path := filepath.Join(dir, "blobs")
		if err := errors.Join(os.RemoveAll(path), os.Symlink(filepath.Join(outside, "blobs"), path)); err != nil {
			t.Fatal(err)
		}
		l, err := oci.OpenLayout(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if raw, err := l.Blob(t.Context(), oci.Reference{}, oci.Descriptor{Digest: layer, Size: 6}, 100); err == nil {
			t.Errorf("read %q from outside", raw)
		}
	})
	t.Run("OC-39 any byte of any blob", func(t *testing.T) {
		t.Parallel()
		for _, d := range []digest.Digest{image, layer} {
			name := "blobs/sha256/" + d.Hex()
			for i := range files[name] {
				changed := map[string][]byte{}
				for other, raw := range files {
					changed[other] = raw
				}
				changed[name] = bytes.Clone(files[name])
				changed[name][i] ^= 1
				if i%7 != 0 { // one in seven is enough of a long manifest
					continue
				}
				l, err := oci.OpenLayout(writeLayout(t, changed))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := l.Blob(t.Context(), oci.Reference{}, oci.Descriptor{Digest: d, Size: -1}, 1000); !errors.Is(err, oci.ErrDigestMismatch) {
					t.Errorf("byte %d of %s: %v", i, d.Short(), err)
				}
				l.Close()
			}
		}
	})
}
