package oci

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Limits of one collection.
const (
	maxCollected      = 5_000     // manifests; a release index with evidence has a few hundred
	maxCollectedBytes = 256 << 20 // of all manifests together, which are kept in memory
	maxCollectedDepth = 4         // an index of indexes, or a signature on an SBOM on an image
	parallelCollects  = 8         // requests at a time
)

// Source is what images are collected from: a [Client] or a [Layout].
type Source interface {
	Resolve(ctx context.Context, r Reference) (Descriptor, error)
	Manifest(ctx context.Context, r Reference, d Descriptor) (*Manifest, error)
	TagManifest(ctx context.Context, r Reference, tag string) (*Manifest, error)
	Referrers(ctx context.Context, r Reference, d digest.Digest) (Referrers, error)
	ReferrersTag(ctx context.Context, r Reference, d digest.Digest) ([]Descriptor, error)
}

var _, _ Source = (*Client)(nil), (*Layout)(nil)

// CollectOptions say what belongs to an image.
type CollectOptions struct {
	// Platform, such as "linux/arm64", collects only that manifest of an index;
	// "" collects the index and everything below it.
	Platform string
	// Suffixes are those of tags "sha256-<hex>SUFFIX" that belong to a digest.
	Suffixes []string
}

// Collection is an image with everything that hangs on it: the manifests, whose
// bytes match their digests, and no blobs.
type Collection struct {
	// Top is what the reference named, or its one platform.
	Top Descriptor
	// Image holds the image's own manifests, each behind those that it lists.
	Image []*Manifest
	// Attached is what hangs on them, each behind what it hangs on.
	Attached []Attached
	// Skipped says what was listed as attached and is not: it does not exist, or
	// is about something else.
	Skipped []string
}

// Attached is one manifest that hangs on a digest.
type Attached struct {
	Manifest *Manifest
	// Parts are the manifests below it, should it be an index.
	Parts []*Manifest
	// Subject is the digest that it hangs on.
	Subject digest.Digest
	// Tag is the tag by which it is found; "" is a referrer.
	Tag string
}

// Collect reads all manifests of an image and of what hangs on it: the referrers
// of every manifest, through the API and the referrers tag, the tags with one of
// the suffixes, and what hangs on those in turn. The reference is resolved once.
// What cannot be read is an error: a collection is whole, or there is none.
func Collect(ctx context.Context, source Source, r Reference, o CollectOptions) (*Collection, error) {
	c := &collector{source: source, ref: r, options: o, seen: make(map[digest.Digest]bool)}
	top, err := source.Resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	m, err := c.fetch(ctx, top)
	if err != nil {
		return nil, err
	}
	if o.Platform != "" && m.IsIndex() {
		if m, err = c.platform(ctx, m); err != nil {
			return nil, err
		}
	}
	c.ref = r.At(m.Digest)
	whole := &Collection{Top: m.Descriptor()}
	if whole.Image, err = c.below(ctx, m, 0); err != nil {
		return nil, err
	}
	subjects := make([]digest.Digest, 0, len(whole.Image))
	for _, m := range whole.Image {
		subjects = append(subjects, m.Digest)
	}
	for depth := 0; len(subjects) > 0; depth++ {
		found, err := c.attached(ctx, subjects)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 && depth == maxCollectedDepth {
			return nil, fmt.Errorf("collecting %s: %w: evidence about evidence, more than %d deep", r, ErrLimit, maxCollectedDepth)
		}
		subjects = subjects[:0]
		for _, a := range found {
			subjects = append(subjects, a.Manifest.Digest)
		}
		whole.Attached = append(whole.Attached, found...)
	}
	whole.Skipped = c.skipped
	slices.Sort(whole.Skipped)
	return whole, nil
}

// collector is one run of [Collect].
type collector struct {
	source  Source
	ref     Reference
	options CollectOptions

	mu      sync.Mutex
	seen    map[digest.Digest]bool // manifests that are part of the collection
	bytes   int64
	skipped []string
}

// fetch reads one manifest within the collection's limits.
func (c *collector) fetch(ctx context.Context, d Descriptor) (*Manifest, error) {
	m, err := c.source.Manifest(ctx, c.ref, Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
	if err != nil {
		return nil, err
	}
	return m, c.count(m)
}

// count adds a manifest to the totals.
func (c *collector) count(m *Manifest) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += int64(len(m.Raw))
	if c.bytes > maxCollectedBytes {
		return fmt.Errorf("collecting %s: %w: more than %d bytes of manifests", c.ref, ErrLimit, maxCollectedBytes)
	}
	return nil
}

// claim marks a manifest as part of the collection; false if it was before.
func (c *collector) claim(d digest.Digest) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[d] {
		return false, nil
	}
	if len(c.seen) == maxCollected {
		return false, fmt.Errorf("collecting %s: %w: more than %d manifests", c.ref, ErrLimit, maxCollected)
	}
	c.seen[d] = true
	return true, nil
}

func (c *collector) skip(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped = append(c.skipped, fmt.Sprintf(format, args...))
}

// platform returns the manifest of the wanted platform.
func (c *collector) platform(ctx context.Context, index *Manifest) (*Manifest, error) {
	var names []string
	for _, d := range index.Manifests {
		if d.Platform.String() == c.options.Platform {
			return c.fetch(ctx, d)
		}
		if d.Platform != nil {
			names = append(names, short(d.Platform.String()))
		}
	}
	return nil, fmt.Errorf("collecting %s: %w: no platform %s; there are %q", c.ref, ErrNotFound, c.options.Platform, names)
}

// below returns a manifest and all below it, each behind those that it lists.
func (c *collector) below(ctx context.Context, m *Manifest, depth int) ([]*Manifest, error) {
	if fresh, err := c.claim(m.Digest); !fresh || err != nil {
		return nil, err
	}
	if !m.IsIndex() {
		return []*Manifest{m}, nil
	}
	if depth == maxCollectedDepth {
		return nil, fmt.Errorf("collecting %s: %w: indexes nest deeper than %d", c.ref, ErrLimit, maxCollectedDepth)
	}
	if len(m.Manifests) > maxCollected {
		return nil, fmt.Errorf("collecting %s: %w: more than %d manifests", c.ref, ErrLimit, maxCollected)
	}
	children := make([]*Manifest, len(m.Manifests))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCollects)
	for i, d := range m.Manifests {
		group.Go(func() (err error) {
			children[i], err = c.fetch(groupCtx, d)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []*Manifest
	for _, child := range children {
		part, err := c.below(ctx, child, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return append(all, m), nil
}

// attached returns what hangs on each of the digests, in their order.
func (c *collector) attached(ctx context.Context, subjects []digest.Digest) ([]Attached, error) {
	perSubject := make([][]Attached, len(subjects))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCollects)
	for i, d := range subjects {
		group.Go(func() (err error) {
			perSubject[i], err = c.attachedTo(groupCtx, d)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(perSubject...), nil
}

// attachedTo looks at every place of one digest, at all at a time.
func (c *collector) attachedTo(ctx context.Context, subject digest.Digest) ([]Attached, error) {
	var listed []Attached
	tagged := make([]*Manifest, len(c.options.Suffixes))
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		listed, err = c.referrers(groupCtx, subject)
		return err
	})
	for i, suffix := range c.options.Suffixes {
		group.Go(func() error {
			m, err := c.source.TagManifest(groupCtx, c.ref, FallbackTag(subject)+suffix)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			tagged[i] = m
			return c.count(m)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []Attached
	var err error
	for _, a := range listed {
		if all, err = c.add(ctx, all, a); err != nil {
			return nil, err
		}
	}
	for i, m := range tagged {
		if m == nil {
			continue
		}
		if all, err = c.add(ctx, all, Attached{Manifest: m, Subject: subject, Tag: FallbackTag(subject) + c.options.Suffixes[i]}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// referrers fetches what the registry and the referrers tag list for a digest.
func (c *collector) referrers(ctx context.Context, subject digest.Digest) ([]Attached, error) {
	list, err := c.source.Referrers(ctx, c.ref, subject)
	if err != nil {
		return nil, err
	}
	if list.Place == PlaceAPI {
		tagged, err := c.source.ReferrersTag(ctx, c.ref, subject)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		list.Descriptors = append(slices.Clip(list.Descriptors), tagged...)
	}
	var all []Attached
	asked := make(map[digest.Digest]bool)
	for _, d := range list.Descriptors {
		if asked[d.Digest] {
			continue
		}
		asked[d.Digest] = true
		// A list's annotations and types are the registry's word; only the digest counts.
		m, err := c.fetch(ctx, d)
		switch {
		case errors.Is(err, ErrNotFound):
			c.skip("%s is listed as a referrer of %s and does not exist", d.Digest, subject)
		case err != nil:
			return nil, err
		case m.Subject == nil || m.Subject.Digest != subject:
			c.skip("%s is listed as a referrer of %s and is about something else", d.Digest, subject)
		default:
			all = append(all, Attached{Manifest: m, Subject: subject})
		}
	}
	return all, nil
}

// add appends one attached manifest with all below it. One that is there already
// is added again under a tag only, since the tag must be kept.
func (c *collector) add(ctx context.Context, all []Attached, a Attached) ([]Attached, error) {
	parts, err := c.below(ctx, a.Manifest, 0)
	if err != nil || len(parts) == 0 && a.Tag == "" {
		return all, err
	}
	if len(parts) > 0 {
		a.Parts = parts[:len(parts)-1]
	}
	return append(all, a), nil
}

// Foreign reports whether layers of a media type need not be in the registry of
// their image (image-spec, layer.md, "Non-Distributable Layers").
func Foreign(mediaType string) bool {
	return strings.Contains(mediaType, ".nondistributable.") || strings.Contains(mediaType, ".foreign.")
}
