package sbom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// maxPlatforms bounds the images of one index; the largest official ones have a
// dozen.
const maxPlatforms = 64

// wholeLayerBytes is the size up to which a layer is fetched before it is unpacked:
// the time that a download may take depends on its size, and a small layer may
// unpack to much.
const wholeLayerBytes = 8 << 20

// store is where images are read from: a registry, a layout or an archive.
type store interface {
	Manifest(ctx context.Context, r oci.Reference, d oci.Descriptor) (*oci.Manifest, error)
	Blob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) ([]byte, error)
	OpenBlob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) (io.ReadCloser, error)
}

func openRegistry(ctx context.Context, text string, o OpenOptions) ([]*Target, error) {
	ref, err := oci.ParseReference(text)
	if err != nil {
		return nil, err
	}
	if o.Client == nil {
		return nil, errors.New("there is no client for registries")
	}
	d, err := o.Client.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	return openManifest(ctx, o.Client, ref, d, o.Platform, Target{Kind: KindRegistry, Name: ref.Name()})
}

// openLayout opens a layout's only image, or the one that a tag or digest behind
// the path names.
func openLayout(ctx context.Context, text string, o OpenOptions, kind Kind) ([]*Target, error) {
	path, ref, err := splitLayout(text)
	if err != nil {
		return nil, err
	}
	open := oci.OpenLayout
	if kind == KindArchive {
		open = oci.OpenArchive
	}
	l, err := open(path)
	if err != nil {
		if errors.Is(err, oci.ErrNotFound) {
			return nil, fmt.Errorf("%w: %w", ErrNoTarget, err)
		}
		return nil, err
	}
	d, err := l.Resolve(ctx, ref)
	if err != nil {
		l.Close()
		return nil, err
	}
	targets, err := openManifest(ctx, l, ref, d, o.Platform, Target{Kind: kind, Name: baseName(path)})
	if err != nil {
		l.Close()
		return nil, err
	}
	left := len(targets)
	for _, t := range targets {
		closed := false
		t.close = func() error {
			if closed {
				return nil
			}
			closed = true
			if left--; left == 0 {
				return l.Close()
			}
			return nil
		}
	}
	return targets, nil
}

// splitLayout takes "path", "path:tag" and "path@digest" apart.
func splitLayout(text string) (string, oci.Reference, error) {
	if _, err := os.Stat(text); err == nil {
		return text, oci.Reference{}, nil
	}
	if path, name, found := strings.Cut(text, "@"); found {
		d, err := digest.Parse(name)
		return path, oci.Reference{Digest: d}, err
	}
	if colon := strings.LastIndexByte(text, ':'); colon > 0 && !strings.Contains(text[colon:], "/") {
		return text[:colon], oci.Reference{Tag: text[colon+1:]}, nil
	}
	return text, oci.Reference{}, nil
}

// openManifest returns the image, or the images below an index.
func openManifest(ctx context.Context, s store, ref oci.Reference, d oci.Descriptor, platform string, pattern Target) ([]*Target, error) {
	m, err := s.Manifest(ctx, ref, d)
	if err != nil {
		return nil, err
	}
	below := []*oci.Manifest{m}
	if m.IsIndex() {
		if below, err = children(ctx, s, ref, m, platform); err != nil {
			return nil, err
		}
	}
	var targets []*Target
	var images []*image
	for _, m := range below {
		i, err := storedImage(ctx, s, ref, m)
		if err != nil {
			return nil, err
		}
		if !fits(platform, i.platform()) {
			return nil, fmt.Errorf("%w: the image is %s, not %s", ErrPlatform, i.platform(), platform)
		}
		t := pattern
		t.Digest, t.Descriptor, t.Platform, t.Created, t.image = m.Digest, m.Descriptor(), i.platform(), i.parsed.Created.Time, i
		targets, images = append(targets, &t), append(images, i)
	}
	shared := newShelf(images)
	for _, i := range images {
		i.uses(shared)
	}
	return targets, nil
}

// children fetches the manifests of an index that are images of a platform.
func children(ctx context.Context, s store, ref oci.Reference, index *oci.Manifest, platform string) ([]*oci.Manifest, error) {
	var all []*oci.Manifest
	var known []string
	for _, child := range index.Manifests {
		if child.MediaType != oci.TypeImage && child.MediaType != oci.TypeDockerImage || !imageConfig(child.ArtifactType) ||
			child.Annotations["vnd.docker.reference.type"] != "" || child.Platform.String() == "unknown/unknown" {
			continue
		}
		if known = append(known, child.Platform.String()); len(known) > maxPlatforms {
			return nil, fmt.Errorf("%w: more than %d platforms", ErrLimit, maxPlatforms)
		}
		if child.Platform != nil && !fits(platform, child.Platform.String()) {
			continue
		}
		m, err := s.Manifest(ctx, ref, child)
		if err != nil {
			return nil, err
		}
		if m.IsIndex() {
			return nil, fmt.Errorf("%w: an index below the index", oci.ErrMediaType)
		}
		all = append(all, m)
	}
	switch {
	case len(known) == 0:
		return nil, fmt.Errorf("%w: the index has no image", ErrPlatform)
	case len(all) == 0:
		return nil, fmt.Errorf("%w: the index has %s", ErrPlatform, strings.Join(known, ", "))
	}
	return all, nil
}

// imageConfig reports whether an entry's artifact type is that of a container
// image: none, or, as some writers have it, its config's media type.
func imageConfig(artifactType string) bool {
	switch artifactType {
	case "", oci.TypeConfig, "application/vnd.docker.container.image.v1+json":
		return true
	}
	return false
}

// fits reports whether a platform is the wanted one. A variant counts only where
// it is asked for, and arm64 means arm64/v8 (image-spec, image-index.md).
func fits(want, have string) bool {
	if want == "" || want == have || strings.HasPrefix(have, want+"/") && strings.Count(want, "/") == 1 {
		return true
	}
	return want == "linux/arm64/v8" && have == "linux/arm64"
}

// storedImage reads the config of one image.
func storedImage(ctx context.Context, s store, ref oci.Reference, m *oci.Manifest) (*image, error) {
	config, err := s.Blob(ctx, ref, m.Config, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	i := &image{ctx: ctx, mediaType: types.MediaType(m.MediaType), manifest: m.Raw, config: config}
	for _, d := range m.Layers {
		i.layers = append(i.layers, &layer{
			image: i, digest: d.Digest, size: d.Size, mediaType: types.MediaType(d.MediaType),
			open: func(ctx context.Context) (io.ReadCloser, error) {
				if d.Size > wholeLayerBytes {
					return s.OpenBlob(ctx, ref, d, maxLayerBytes)
				}
				raw, err := s.Blob(ctx, ref, d, wholeLayerBytes)
				return io.NopCloser(bytes.NewReader(raw)), err
			},
		})
	}
	return i, i.readConfig()
}
