package sbom

import (
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// ErrIndex: the digest is an index, which has no content of its own; ask for one of
// its platforms.
var ErrIndex = errors.New("an index and no image")

// Source is where an image's manifest and layers are: an [oci.Client] or an
// [oci.Layout].
type Source interface{ store }

// OpenImage returns the target of one image by its descriptor, wherever it is. ref
// names the image for the source. The target must be closed; nothing but manifest
// and config is read yet. Errors wrap [ErrIndex] or those of package verify/oci.
func OpenImage(ctx context.Context, s Source, ref oci.Reference, d oci.Descriptor) (*Target, error) {
	targets, err := openManifest(ctx, s, ref, d, "", Target{Kind: KindRegistry, Name: ref.Name()})
	if err == nil && (len(targets) != 1 || targets[0].Digest != d.Digest) {
		for _, t := range targets {
			t.Close()
		}
		err = ErrIndex
	}
	if err != nil {
		return nil, fmt.Errorf("opening the image %s: %w", d.Digest.Short(), err)
	}
	return targets[0], nil
}

// Packages finds what a target contains, as the SBOM that [Generate] makes of it
// lists it. The formats of the options do not matter; documents are kept in their
// cache.
func Packages(ctx context.Context, t *Target, o Options) ([]predicate.Package, error) {
	o.Formats = []Format{SPDX}
	documents, err := Generate(ctx, t, o)
	if err != nil {
		return nil, err
	}
	bom, err := predicate.ReadSBOM(SPDX.PredicateType(), documents[0].Raw)
	if err != nil {
		return nil, fmt.Errorf("reading the SBOM of %s: %w", t.Name, err)
	}
	return bom.Packages, nil
}
