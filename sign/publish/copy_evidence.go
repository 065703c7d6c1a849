package publish

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// attached copies what hangs on the image and makes it findable: first all of its
// content, then the lists and tags.
func (c *copying) attached(ctx context.Context, all []oci.Attached) error {
	var parts, tagged []*oci.Manifest
	bySubject := make(map[digest.Digest][]*oci.Manifest)
	var order []digest.Digest
	var tags []oci.Attached
	for _, a := range all {
		parts = append(parts, a.Parts...)
		if a.Tag != "" {
			tags = append(tags, a)
			tagged = append(tagged, a.Manifest)
			continue
		}
		if len(bySubject[a.Subject]) == 0 {
			order = append(order, a.Subject)
		}
		bySubject[a.Subject] = append(bySubject[a.Subject], a.Manifest)
	}
	if err := c.content(ctx, parts); err != nil {
		return err
	}
	if _, err := c.layers(ctx, tagged); err != nil {
		return err
	}
	for _, subject := range order {
		if err := c.referrers(ctx, subject, bySubject[subject]); err != nil {
			return err
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCopies)
	for _, a := range tags {
		group.Go(func() error { return c.legacy(groupCtx, a) })
	}
	return group.Wait()
}

// referrers copies what names one subject and sees to it that it is listed: by the
// registry, or under the referrers tag.
func (c *copying) referrers(ctx context.Context, subject digest.Digest, manifests []*oci.Manifest) error {
	p := c.publisher
	list, err := p.client.Referrers(ctx, c.to, subject)
	if err != nil {
		return err
	}
	listed := func(d digest.Digest) bool {
		return slices.ContainsFunc(list.Descriptors, func(l oci.Descriptor) bool { return l.Digest == d })
	}
	manifests = slices.DeleteFunc(slices.Clone(manifests), func(m *oci.Manifest) bool { return listed(m.Digest) })
	if err := c.content(ctx, manifests); err != nil {
		return err
	}
	if len(manifests) == 0 {
		return nil
	}
	if list.Place == oci.PlaceAPI {
		return c.relist(ctx, subject, manifests)
	}
	entries := make([]oci.Descriptor, 0, len(manifests))
	for _, m := range manifests {
		entries = append(entries, listEntry(m))
	}
	if err := p.list(ctx, c.to, subject, entries...); err != nil {
		return err
	}
	c.note(func(r *CopyResult) { r.Written++ })
	return nil
}

// relist makes sure that a registry with the referrers API lists what it has: one
// that had a manifest before it knew of referrers learns of it by another write.
func (c *copying) relist(ctx context.Context, subject digest.Digest, manifests []*oci.Manifest) error {
	list, err := c.publisher.client.Referrers(ctx, c.to, subject)
	if err != nil {
		return err
	}
	for _, m := range manifests {
		found := slices.ContainsFunc(list.Descriptors, func(l oci.Descriptor) bool { return l.Digest == m.Digest })
		if found {
			continue
		}
		if _, err := c.put(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// listEntry is a referrer's entry of the referrers tag (distribution-spec,
// "Referrers Tag Schema").
func listEntry(m *oci.Manifest) oci.Descriptor {
	d := m.Descriptor()
	if d.ArtifactType = m.ArtifactType; d.ArtifactType == "" {
		d.ArtifactType = m.Config.MediaType
	}
	d.Annotations = m.Annotations
	return d
}

// legacy brings one of cosign's tags over. Where the destination has the tag with
// other layers, both sides' layers stand there afterwards.
func (c *copying) legacy(ctx context.Context, a oci.Attached) error {
	p := c.publisher
	if a.Manifest.IsIndex() {
		return fmt.Errorf("%w: the tag %s is an index", oci.ErrMediaType, a.Tag)
	}
	wrote := false
	err := p.merge(ctx, c.to, a.Tag, func(current *oci.Manifest) (raw []byte, mediaType string, listed bool, err error) {
		if current == nil {
			wrote = true
			return a.Manifest.Raw, a.Manifest.MediaType, false, nil
		}
		if current.Digest == a.Manifest.Digest || containsAll(current.Layers, a.Manifest.Layers) {
			return nil, "", true, nil
		}
		wrote = true
		if containsAll(a.Manifest.Layers, current.Layers) {
			return a.Manifest.Raw, a.Manifest.MediaType, false, nil
		}
		if current.IsIndex() {
			return nil, "", false, fmt.Errorf("%w: the tag %s is an index", oci.ErrMediaType, a.Tag)
		}
		layers := slices.Clone(current.Layers)
		for _, l := range a.Manifest.Layers {
			if !hasLayer(layers, l) {
				layers = append(layers, l)
			}
		}
		raw, err = p.legacyOf(ctx, c.to, layers)
		return raw, oci.TypeImage, false, err
	})
	if err == nil && wrote {
		c.note(func(r *CopyResult) { r.Written++ })
	}
	return err
}

// containsAll reports whether every layer of some is one of layers.
func containsAll(layers, some []oci.Descriptor) bool {
	for _, l := range some {
		if !hasLayer(layers, l) {
			return false
		}
	}
	return len(layers) > 0
}
