package airgap

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// refName is the annotation that keeps a tag in a layout (image-spec,
// annotations.md).
const refName = "org.opencontainers.image.ref.name"

// maxBlob bounds one blob that is sealed, as it is copied between registries.
const maxBlob = 256 << 30

// archive writes an OCI layout into a tar. Equal content gives equal bytes: no
// time and no owner stands in it. Each blob is written once.
type archive struct {
	tar     *tar.Writer
	written map[digest.Digest]bool
	entries []oci.Descriptor
	listed  map[string]digest.Digest // tags, and digests without a tag
}

func newArchive(out io.Writer) (*archive, error) {
	a := &archive{tar: tar.NewWriter(out), written: make(map[digest.Digest]bool), listed: make(map[string]digest.Digest)}
	return a, a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

func (a *archive) header(name string, size int64) error {
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (a *archive) file(name string, content []byte) error {
	return a.stream(name, int64(len(content)), bytes.NewReader(content))
}

func (a *archive) stream(name string, size int64, content io.Reader) error {
	if err := a.header(name, size); err != nil {
		return err
	}
	// The source is read to its end, where it says whether its bytes were the right ones.
	if _, err := io.Copy(a.tar, content); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func blobName(d digest.Digest) string { return "blobs/" + d.Algorithm() + "/" + d.Hex() }

// has reports whether a blob is there, and notes it as written.
func (a *archive) has(d digest.Digest) bool {
	before := a.written[d]
	a.written[d] = true
	return before
}

// content writes bytes that are known to be those of the digest.
func (a *archive) content(d digest.Digest, raw []byte) error {
	if a.has(d) {
		return nil
	}
	return a.file(blobName(d), raw)
}

// list puts a manifest into the index of the layout, under a tag or without. Two
// different manifests under one tag are an error: readers would see one of them.
func (a *archive) list(d oci.Descriptor, tag string) error {
	key := tag
	if tag == "" {
		key = d.Digest.String()
	}
	if other, there := a.listed[key]; there {
		if other != d.Digest {
			return fmt.Errorf("%w: the tag %s is %s in one repository and %s in another; save them into two files", oci.ErrAmbiguous, tag, other.Short(), d.Digest.Short())
		}
		return nil
	}
	a.listed[key] = d.Digest
	if tag != "" {
		d.Annotations = map[string]string{refName: tag}
	}
	a.entries = append(a.entries, d)
	return nil
}

// close writes the layout's index and ends the tar.
func (a *archive) close() error {
	raw, err := json.Marshal(struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		Manifests     []oci.Descriptor `json:"manifests"`
	}{2, oci.TypeIndex, a.entries})
	if err != nil {
		return fmt.Errorf("writing index.json: %w", err)
	}
	if len(raw) > oci.MaxManifestBytes {
		return fmt.Errorf("writing index.json: %w: %d manifests; save into two files", oci.ErrLimit, len(a.entries))
	}
	if err := a.file("index.json", raw); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return fmt.Errorf("ending the tar: %w", err)
	}
	return nil
}
