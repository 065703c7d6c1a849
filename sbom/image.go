package sbom

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// ErrLimit: a layer grows beyond every honest size when it is unpacked.
var ErrLimit = errors.New("limit exceeded")

// Limits on layers.
const (
	maxConfigBytes = 8 << 20
	maxLayerBytes  = 32 << 30 // compressed
	// A layer may unpack to maxRatio times its size, and any layer to freeBytes: text
	// packs to a tenth, and the most regular of honest layers to a fiftieth.
	maxRatio  = 200
	freeBytes = 1 << 30
)

// store is where an image's content is read from.
type store interface {
	Blob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) ([]byte, error)
	OpenBlob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) (io.ReadCloser, error)
}

// image reads one image manifest through a store, as go-containerregistry's type.
// Every blob is checked against its descriptor as it streams by.
type image struct {
	ctx      context.Context
	store    store
	ref      oci.Reference
	manifest *oci.Manifest
	config   []byte
	parsed   *v1.ConfigFile
}

func newImage(ctx context.Context, s store, ref oci.Reference, m *oci.Manifest) (*image, error) {
	config, err := s.Blob(ctx, ref, m.Config, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	parsed, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("reading the image's config: %w", err)
	}
	if len(parsed.RootFS.DiffIDs) != len(m.Layers) {
		return nil, fmt.Errorf("reading the image's config: %d layers, the manifest has %d; is it a container image?", len(parsed.RootFS.DiffIDs), len(m.Layers))
	}
	return &image{ctx: ctx, store: s, ref: ref, manifest: m, config: config, parsed: parsed}, nil
}

// The methods of v1.Image.
func (i *image) MediaType() (types.MediaType, error) {
	return types.MediaType(i.manifest.MediaType), nil
}
func (i *image) Size() (int64, error)                { return int64(len(i.manifest.Raw)), nil }
func (i *image) ConfigName() (v1.Hash, error)        { return hashOf(i.manifest.Config.Digest) }
func (i *image) ConfigFile() (*v1.ConfigFile, error) { return i.parsed.DeepCopy(), nil }
func (i *image) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *image) Digest() (v1.Hash, error)            { return hashOf(i.manifest.Digest) }
func (i *image) RawManifest() ([]byte, error)        { return i.manifest.Raw, nil }
func (i *image) Manifest() (*v1.Manifest, error) {
	return v1.ParseManifest(bytes.NewReader(i.manifest.Raw))
}
func (i *image) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	return i.find(func(l *layer) bool { return l.diffID == h })
}
func (i *image) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	return i.find(func(l *layer) bool { return l.descriptor.Digest.String() == h.String() })
}

// Layers returns the layers in order.
func (i *image) Layers() ([]v1.Layer, error) {
	var all []v1.Layer
	for n := range i.manifest.Layers {
		all = append(all, i.layer(n))
	}
	return all, nil
}

func (i *image) layer(n int) *layer {
	return &layer{image: i, descriptor: i.manifest.Layers[n], diffID: i.parsed.RootFS.DiffIDs[n]}
}

func (i *image) find(match func(*layer) bool) (v1.Layer, error) {
	for n := range i.manifest.Layers {
		if l := i.layer(n); match(l) {
			return l, nil
		}
	}
	return nil, fmt.Errorf("looking for a layer: %w", oci.ErrNotFound)
}

func hashOf(d digest.Digest) (v1.Hash, error) { return v1.NewHash(d.String()) }

// layer is one layer of an image.
type layer struct {
	image      *image
	descriptor oci.Descriptor
	diffID     v1.Hash
}

// The methods of v1.Layer.
func (l *layer) Digest() (v1.Hash, error) { return hashOf(l.descriptor.Digest) }
func (l *layer) DiffID() (v1.Hash, error) { return l.diffID, nil }
func (l *layer) Size() (int64, error)     { return l.descriptor.Size, nil }
func (l *layer) MediaType() (types.MediaType, error) {
	return types.MediaType(l.descriptor.MediaType), nil
}
func (l *layer) Compressed() (io.ReadCloser, error) {
	return l.image.store.OpenBlob(l.image.ctx, l.image.ref, l.descriptor, maxLayerBytes)
}

// Uncompressed streams the layer's tar. The stream ends in an error if the packed
// bytes do not match their descriptor, or if it grows beyond its bound.
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	packed, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(packed, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		packed.Close()
		return nil, err
	}
	var plain io.Reader = buffered
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		if plain, err = gzip.NewReader(buffered); err != nil {
			packed.Close()
			return nil, fmt.Errorf("unpacking layer %s: %w", l.descriptor.Digest.Short(), err)
		}
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		decoder, err := zstd.NewReader(buffered, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			packed.Close()
			return nil, fmt.Errorf("unpacking layer %s: %w", l.descriptor.Digest.Short(), err)
		}
		plain = decoder.IOReadCloser()
	}
	limit := max(l.descriptor.Size*maxRatio, freeBytes)
	return &unpacked{plain: plain, rest: buffered, packed: packed, left: limit, name: l.descriptor.Digest.Short()}, nil
}

// unpacked bounds an unpacked stream, and reads the packed one to its true end, so
// that its digest is checked and bytes behind the archive are noticed.
type unpacked struct {
	plain  io.Reader
	rest   io.Reader
	packed io.Closer
	left   int64
	name   string
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.plain.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return 0, fmt.Errorf("unpacking layer %s: %w: it grows without end", u.name, ErrLimit)
	}
	if err == io.EOF {
		if _, restErr := io.Copy(io.Discard, u.rest); restErr != nil {
			return n, fmt.Errorf("unpacking layer %s: %w", u.name, restErr)
		}
	}
	return n, err
}

func (u *unpacked) Close() error { return u.packed.Close() }
