package sbom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// maxImageLayers bounds the layers of an image; overlayfs mounts at most 500.
const maxImageLayers = 1024

// image is one image as stereoscope reads it. Of go-containerregistry's interface
// it has what stereoscope asks for.
type image struct {
	ctx       context.Context // of the reading call: the interface has no place for it
	mediaType types.MediaType
	manifest  []byte // nil for a docker archive
	config    []byte
	parsed    *v1.ConfigFile
	layers    []*layer

	shelf *shelf
	// dir is where stereoscope unpacks layers to, while the image is scanned.
	dir    string
	budget *budget
}

// layer is one layer of an image.
type layer struct {
	image     *image
	digest    digest.Digest // of the packed bytes
	size      int64         // of the packed bytes
	mediaType types.MediaType
	diffID    v1.Hash
	// open streams the packed bytes and checks them.
	open func(ctx context.Context) (io.ReadCloser, error)
}

// readConfig reads the image's config and matches it with the layers.
func (i *image) readConfig() error {
	parsed, err := v1.ParseConfigFile(bytes.NewReader(i.config))
	if err != nil {
		return fmt.Errorf("reading the image's config: %w: %w", oci.ErrMediaType, err)
	}
	if len(parsed.RootFS.DiffIDs) != len(i.layers) {
		return fmt.Errorf("reading the image's config: %w: it has %d layers, the manifest %d; is it a container image?",
			oci.ErrMediaType, len(parsed.RootFS.DiffIDs), len(i.layers))
	}
	if len(i.layers) > maxImageLayers {
		return fmt.Errorf("reading the image's config: %w: %d layers", ErrLimit, len(i.layers))
	}
	for n, l := range i.layers {
		l.diffID = parsed.RootFS.DiffIDs[n]
		if l.diffID.Algorithm != "sha256" {
			return fmt.Errorf("reading the image's config: %w: layer %d is named by %s", oci.ErrMediaType, n, l.diffID.Algorithm)
		}
	}
	i.parsed = parsed
	return nil
}

func (i *image) platform() string {
	p := oci.Platform{OS: i.parsed.OS, Architecture: i.parsed.Architecture, Variant: i.parsed.Variant}
	return p.String()
}

// errUnused: stereoscope does not ask for it.
var errUnused = errors.New("not kept of an image")

// The methods of v1.Image.
func (i *image) MediaType() (types.MediaType, error) { return i.mediaType, nil }
func (i *image) Size() (int64, error)                { return int64(len(i.manifest)), nil }
func (i *image) ConfigName() (v1.Hash, error) {
	return v1.NewHash(digest.FromBytes(i.config).String())
}
func (i *image) ConfigFile() (*v1.ConfigFile, error)     { return i.parsed.DeepCopy(), nil }
func (i *image) RawConfigFile() ([]byte, error)          { return i.config, nil }
func (i *image) Digest() (v1.Hash, error)                { return v1.Hash{}, errUnused }
func (i *image) RawManifest() ([]byte, error)            { return nil, errUnused }
func (i *image) Manifest() (*v1.Manifest, error)         { return nil, errUnused }
func (i *image) LayerByDiffID(v1.Hash) (v1.Layer, error) { return nil, errUnused }
func (i *image) LayerByDigest(v1.Hash) (v1.Layer, error) { return nil, errUnused }
func (i *image) Layers() (all []v1.Layer, err error) {
	for _, l := range i.layers {
		all = append(all, l)
	}
	return all, nil
}

// The methods of v1.Layer.
func (l *layer) Digest() (v1.Hash, error)            { return v1.NewHash(l.digest.String()) }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return l.mediaType, nil }
func (l *layer) Compressed() (io.ReadCloser, error)  { return l.open(l.image.ctx) }

// Uncompressed streams the layer's tar: from where the same layer was unpacked
// before, else from the store, each only once.
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	if name, found := l.unpackedBefore(); found {
		return os.Open(name)
	}
	packed, err := l.open(l.image.ctx)
	if err != nil {
		return nil, l.image.budget.fail(err)
	}
	stream, err := unpack(l.image.ctx, packed, l, l.image.budget)
	if err != nil {
		packed.Close()
		return nil, l.image.budget.fail(err)
	}
	return stream, nil
}

// unpackedBefore finds the layer among those of the image and on the shelf.
// stereoscope fetches layers one after another, and renames each when it is whole.
func (l *layer) unpackedBefore() (string, bool) {
	names := []string{l.image.shelf.place(l.digest)}
	for n, other := range l.image.layers {
		if other.digest == l.digest && other.diffID == l.diffID {
			names = append(names, l.image.unpackedName(n))
		}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		if _, err := os.Stat(name); err == nil {
			return name, true
		}
	}
	return "", false
}

// unpackedName is where stereoscope puts layer n.
func (i *image) unpackedName(n int) string {
	return filepath.Join(i.dir, fmt.Sprintf("%d-%s", n, strings.ReplaceAll(i.layers[n].diffID.String(), ":", "-")))
}
