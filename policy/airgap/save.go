package airgap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// Source is where blobs come from: an [oci.Client] or an [oci.Layout].
type Source interface {
	Blob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) ([]byte, error)
	OpenBlob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) (io.ReadCloser, error)
}

// Item is one image to seal.
type Item struct {
	Reference oci.Reference // as it was named
	Source    Source
	Whole     *oci.Collection
	// Judged is the gate's answer about the very digest of Whole.
	Judged *report.Image
}

// Options say how a file is made.
type Options struct {
	Policy   *policy.Policy // required
	Created  time.Time      // required
	Version  string         // of the program
	Contents Contents       // zero is [Whole]
	// Ends says until when a root may be used, and why, beside what stands in the
	// root itself: one that came from a repository grows old. Nil knows nothing.
	Ends func(*trust.Root) (until time.Time, because string)
	// Progress is called with the blobs that were written and those there are, in
	// bytes; nil is silence.
	Progress func(done, all int64)
}

// Save writes a sealed file. Everything is checked against its digest while it is
// written; after an error what was written so far is worthless.
func Save(ctx context.Context, out io.Writer, items []Item, o Options) (Index, error) {
	if o.Contents == "" {
		o.Contents = Whole
	}
	index := Index{
		Schema: Schema, Created: o.Created.UTC().Truncate(time.Second), Hallmark: o.Version, Contents: o.Contents,
		Policy: Policy{Name: o.Policy.Name(), Digest: o.Policy.Digest()},
	}
	var names []string
	for _, item := range items {
		if item.Judged.Digest != item.Whole.Top.Digest {
			return Index{}, fmt.Errorf("sealing %s: %w: %s was judged, and %s is there now", item.Reference, oci.ErrDigestMismatch, item.Judged.Digest, item.Whole.Top.Digest)
		}
		tag := item.Reference.Tag
		if !item.Reference.Digest.IsZero() {
			tag = "" // beside a digest it is a remark that nothing has checked
		}
		index.Images = append(index.Images, Image{
			Name: item.Reference.Name(), Tag: tag, Digest: item.Whole.Top.Digest,
			Verdict: item.Judged.Verdict, Reason: item.Judged.Reason, Rule: item.Judged.Rule,
		})
		names = append(names, item.Reference.Name())
	}
	index.JudgeUntil, index.Because = limit(o.Policy, names, o.Created, o.Ends)
	raw, err := json.Marshal(index)
	if err != nil {
		return Index{}, fmt.Errorf("encoding the index: %w", err)
	}
	if _, err := parseIndex(raw); err != nil { // what cannot be read is not written
		return Index{}, err
	}
	a, err := newArchive(out)
	if err != nil {
		return Index{}, err
	}
	if err := seal(a, raw, o.Policy.YAML()); err != nil {
		return Index{}, err
	}
	s := &saving{archive: a, contents: o.Contents, progress: o.Progress}
	for _, item := range items {
		s.all += s.size(item)
	}
	for _, item := range items {
		tag := "" // repositories share a file, so the whole name is the tag
		if item.Reference.Tag != "" && item.Reference.Digest.IsZero() {
			tag = item.Reference.String()
		}
		if err := s.item(ctx, item, tag); err != nil {
			return Index{}, fmt.Errorf("sealing %s: %w", item.Reference, err)
		}
	}
	return index, a.close()
}

// WriteArchive writes one image with its evidence as a plain OCI archive, without
// policy and index, and without having judged it. The image gets the tag, if that is
// not empty.
func WriteArchive(ctx context.Context, out io.Writer, item Item, tag string, progress func(done, all int64)) error {
	a, err := newArchive(out)
	if err != nil {
		return err
	}
	s := &saving{archive: a, contents: Whole, progress: progress}
	s.all = s.size(item)
	if err := s.item(ctx, item, tag); err != nil {
		return fmt.Errorf("writing %s: %w", item.Reference, err)
	}
	return a.close()
}

// seal writes the artifact with the index and the policy.
func seal(a *archive, index, policyYAML []byte) error {
	empty := []byte("{}")
	layer := func(mediaType string, raw []byte) oci.Descriptor {
		return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	}
	manifest, err := json.Marshal(struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		ArtifactType  string           `json:"artifactType"`
		Config        oci.Descriptor   `json:"config"`
		Layers        []oci.Descriptor `json:"layers"`
	}{2, oci.TypeImage, artifactType, layer(oci.TypeEmpty, empty), []oci.Descriptor{layer(typeIndex, index), layer(typePolicy, policyYAML)}})
	if err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	for _, raw := range [][]byte{empty, index, policyYAML, manifest} {
		if err := a.content(digest.FromBytes(raw), raw); err != nil {
			return err
		}
	}
	return a.list(layer(oci.TypeImage, manifest), Tag)
}

// saving is one run of [Save] or [WriteArchive].
type saving struct {
	archive   *archive
	contents  Contents
	progress  func(done, all int64)
	done, all int64
}

// part is a manifest and whether its layers are sealed.
type part struct {
	manifest *oci.Manifest
	layers   bool
}

func (s *saving) parts(item Item) []part {
	var all []part
	for _, m := range item.Whole.Image {
		all = append(all, part{m, s.contents == Whole})
	}
	for _, a := range item.Whole.Attached {
		for _, m := range append(a.Parts[:len(a.Parts):len(a.Parts)], a.Manifest) {
			all = append(all, part{m, true})
		}
	}
	return all
}

func (p part) blobs() []oci.Descriptor {
	var all []oci.Descriptor
	if !p.manifest.Config.Digest.IsZero() {
		all = append(all, p.manifest.Config)
	}
	if p.layers {
		all = append(all, p.manifest.Layers...)
	}
	return all
}

func (s *saving) size(item Item) (sum int64) {
	for _, p := range s.parts(item) {
		for _, d := range p.blobs() {
			sum += d.Size
		}
	}
	return sum
}

func (s *saving) item(ctx context.Context, item Item, tag string) error {
	for _, p := range s.parts(item) {
		for _, d := range p.blobs() {
			if err := s.blob(ctx, item, d); err != nil {
				return err
			}
		}
		if err := s.archive.content(p.manifest.Digest, p.manifest.Raw); err != nil {
			return err
		}
	}
	if err := s.archive.list(item.Whole.Top, tag); err != nil {
		return err
	}
	for _, a := range item.Whole.Attached {
		if err := s.archive.list(a.Manifest.Descriptor(), a.Tag); err != nil {
			return err
		}
	}
	return nil
}

func (s *saving) blob(ctx context.Context, item Item, d oci.Descriptor) error {
	if !s.archive.has(d.Digest) {
		body, err := open(ctx, item, d)
		if errors.Is(err, oci.ErrNotFound) && oci.Foreign(d.MediaType) {
			return nil // its registry does not have it, nor need the next
		}
		if err != nil {
			return err
		}
		defer body.Close()
		if err := s.archive.stream(blobName(d.Digest), d.Size, body); err != nil {
			return err
		}
	}
	if s.done += d.Size; s.progress != nil {
		s.progress(s.done, s.all)
	}
	return nil
}

// open streams a blob from the source, or from the descriptor itself.
func open(ctx context.Context, item Item, d oci.Descriptor) (io.ReadCloser, error) {
	if d.Data == nil {
		return item.Source.OpenBlob(ctx, item.Reference, d, maxBlob)
	}
	raw, err := item.Source.Blob(ctx, item.Reference, d, maxBlob)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}
