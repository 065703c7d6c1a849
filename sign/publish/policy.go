package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// PolicyArtifactType is the artifactType of a trust policy in a registry, and the media
// type of its one layer, which is the policy in canonical form.
const PolicyArtifactType = "application/vnd.hallmark.policy.v1+yaml"

// annotationCreated tells readers which of two policies is the newer one (image-spec,
// annotations.md).
const annotationCreated = "org.opencontainers.image.created"

// StoredPolicy is a policy that is in a registry under its digest.
type StoredPolicy struct {
	// Descriptor is the manifest's, which is to be signed.
	Descriptor oci.Descriptor
	// Existing tells that the tag named this very policy already.
	Existing bool

	manifest []byte
}

// StorePolicy stores a policy under its digest only, for its signature to be attached
// before [Publisher.TagPolicy] shows it to readers. Where the tag of ref names the same
// policy already, nothing is stored and the older time stays.
func (p *Publisher) StorePolicy(ctx context.Context, ref oci.Reference, content []byte, created time.Time) (StoredPolicy, error) {
	if ref.Tag != "" {
		if same, err := p.samePolicy(ctx, ref, content, created); err != nil || same.Existing {
			return same, err
		}
	}
	s, err := newStoredPolicy(content, created)
	if err != nil {
		return StoredPolicy{}, err
	}
	uploads, uploadCtx := errgroup.WithContext(ctx)
	uploads.Go(func() error { return p.blob(uploadCtx, ref, emptyConfig) })
	uploads.Go(func() error { return p.blob(uploadCtx, ref, content) })
	if err := uploads.Wait(); err != nil {
		return StoredPolicy{}, notStored(fmt.Errorf("storing a policy in %s: %w", ref.Name(), err))
	}
	if _, err := p.manifest(ctx, ref, s.Descriptor.Digest.String(), oci.TypeImage, s.manifest, nil); err != nil {
		return StoredPolicy{}, notStored(fmt.Errorf("storing a policy in %s: %w", ref.Name(), err))
	}
	return s, nil
}

// newStoredPolicy makes the manifest of a policy.
func newStoredPolicy(content []byte, created time.Time) (StoredPolicy, error) {
	raw, err := json.Marshal(referrer{
		SchemaVersion: 2, MediaType: oci.TypeImage, ArtifactType: PolicyArtifactType,
		Config:      oci.Descriptor{MediaType: oci.TypeEmpty, Digest: digest.FromBytes(emptyConfig), Size: int64(len(emptyConfig)), Data: emptyConfig},
		Layers:      []oci.Descriptor{{MediaType: PolicyArtifactType, Digest: digest.FromBytes(content), Size: int64(len(content))}},
		Annotations: map[string]string{annotationCreated: created.UTC().Format(time.RFC3339Nano)},
	})
	if err != nil {
		return StoredPolicy{}, fmt.Errorf("encoding a manifest: %w", err)
	}
	d := oci.Descriptor{MediaType: oci.TypeImage, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return StoredPolicy{Descriptor: d, manifest: raw}, nil
}

// samePolicy looks whether the tag names this policy. As the manifest there will be
// signed, it counts only if it is, letter by letter, what would be written here at the
// time that it tells, which is not in the future. Anything else is no reason to stop:
// the tag will be moved.
func (p *Publisher) samePolicy(ctx context.Context, ref oci.Reference, content []byte, now time.Time) (StoredPolicy, error) {
	m, err := p.client.TagManifest(ctx, ref, ref.Tag)
	switch {
	case errors.Is(err, oci.ErrNotFound), errors.Is(err, oci.ErrMediaType), errors.Is(err, oci.ErrAmbiguous):
		return StoredPolicy{}, nil
	case err != nil:
		return StoredPolicy{}, err
	}
	created, err := time.Parse(time.RFC3339, m.Annotations[annotationCreated])
	if err != nil || created.After(now) {
		return StoredPolicy{}, nil //nolint:nilerr // it is not ours, so it is replaced
	}
	s, err := newStoredPolicy(content, created)
	s.Existing = err == nil && bytes.Equal(s.manifest, m.Raw)
	return s, err
}

// TagPolicy lets the tag of ref name a stored policy.
func (p *Publisher) TagPolicy(ctx context.Context, ref oci.Reference, s StoredPolicy) error {
	if _, err := p.manifest(ctx, ref, ref.Tag, oci.TypeImage, s.manifest, nil); err != nil {
		return notStored(fmt.Errorf("tagging the policy %s as %s: %w", s.Descriptor.Digest.Short(), ref.Tag, err))
	}
	return nil
}
