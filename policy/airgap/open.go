package airgap

import (
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// File is an open sealed file. Its methods are safe for concurrent use; Close it
// after use.
type File struct {
	Index Index
	// Policy is the policy inside, compiled. It is as trustworthy as the file.
	Policy *policy.Policy

	path   string
	layout *oci.Layout
}

// Open reads a sealed file of any origin: no path leaves it, every blob that is
// read is checked against its digest, index and policy are read strictly, and the
// policy must be the one that the index names. It connects to nothing. Whether the
// file is out of date is for [Index.Expired] to say.
func Open(ctx context.Context, path string) (*File, error) {
	layout, err := oci.OpenArchive(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, layout: layout}
	if err := f.read(ctx); err != nil {
		layout.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return f, nil
}

// Close releases the file.
func (f *File) Close() error { return f.layout.Close() }

// Layout is the file as an OCI layout.
func (f *File) Layout() *oci.Layout { return f.layout }

func (f *File) read(ctx context.Context) error {
	m, err := f.layout.TagManifest(ctx, oci.Reference{}, Tag)
	if errors.Is(err, oci.ErrNotFound) {
		return fmt.Errorf("%w: it is a layout without index and policy", ErrNotSealed)
	}
	if err != nil {
		return err
	}
	if m.ArtifactType != artifactType || len(m.Layers) != 2 || m.Layers[0].MediaType != typeIndex || m.Layers[1].MediaType != typePolicy {
		return fmt.Errorf("%w: under %s is something else", ErrNotSealed, Tag)
	}
	raw, err := f.layout.Blob(ctx, oci.Reference{}, m.Layers[0], maxIndexBytes)
	if err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	if f.Index, err = parseIndex(raw); err != nil {
		return err
	}
	yaml, err := f.layout.Blob(ctx, oci.Reference{}, m.Layers[1], policy.MaxBytes)
	if err != nil {
		return fmt.Errorf("its policy: %w", err)
	}
	// Files are not read: the policy holds all that it needs.
	if f.Policy, err = policy.Parse("the policy in "+f.path, yaml, nil); err != nil {
		return err
	}
	if f.Policy.Digest() != f.Index.Policy.Digest {
		return fmt.Errorf("%w: its policy is %s, its index names %s", ErrNotSealed, f.Policy.Digest(), f.Index.Policy.Digest)
	}
	for _, image := range f.Index.Images {
		if _, err := f.layout.Exists(ctx, oci.Reference{}, image.Digest); err != nil {
			return fmt.Errorf("%w: its image %s: %w", ErrNotSealed, image, err)
		}
	}
	return nil
}

// Find returns the image that a reference names: by digest, or by a tag that the
// file says named it. Name and registry must be those of the file.
func (f *File) Find(text string) (Image, error) {
	ref, err := oci.ParseReference(text)
	if err != nil {
		return Image{}, err
	}
	for _, image := range f.Index.Images {
		if image.Name != ref.Name() {
			continue
		}
		if image.Digest == ref.Digest || ref.Digest.IsZero() && image.Tag == ref.Tag {
			return image, nil
		}
	}
	return Image{}, fmt.Errorf("looking for %s in %s: %w", ref, f.path, ErrNoImage)
}

// Target returns what a gate judges an image of the file by: the name is that of
// the image, the bytes are those of the file.
func (f *File) Target(image Image) gate.Target {
	t := gate.Target{Text: image.String(), Name: image.Name, Source: f.layout, Layout: f.path}
	if t.Reference, t.Err = f.Reference(image); t.Err != nil {
		t.Err = fmt.Errorf("reading the reference: %w", t.Err)
	}
	return t
}

// Reference is the digest of an image under its name.
func (f *File) Reference(image Image) (oci.Reference, error) {
	ref, err := oci.ParseReference(image.String())
	return ref.At(ref.Digest), err
}
