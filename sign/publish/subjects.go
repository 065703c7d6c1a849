package publish

import (
	"context"
	"fmt"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Limits on what is signed below one index.
const (
	maxSubjects = 1000 // a release index has dozens of platforms
	maxDepth    = 4    // an index of indexes is rare, deeper ones are a mistake
)

// Subjects returns the descriptors to sign for one reference: the image itself,
// and with recursive every manifest below an index, once. A tag is resolved once;
// all that follows is read by digest.
func (p *Publisher) Subjects(ctx context.Context, ref oci.Reference, recursive bool) ([]oci.Descriptor, error) {
	top, err := p.client.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	if top, err = p.complete(ctx, ref, top); err != nil {
		return nil, err
	}
	subjects := []oci.Descriptor{{MediaType: top.MediaType, Digest: top.Digest, Size: top.Size}}
	if !recursive {
		return subjects, nil
	}
	seen := map[digest.Digest]bool{top.Digest: true}
	for level, depth := subjects, 0; len(level) > 0; depth++ {
		var below []oci.Descriptor
		for _, parent := range level {
			if parent.MediaType != oci.TypeIndex && parent.MediaType != oci.TypeDockerIndex {
				continue
			}
			if depth == maxDepth {
				return nil, fmt.Errorf("reading %s: %w: indexes nest deeper than %d", ref.At(top.Digest), oci.ErrLimit, maxDepth)
			}
			index, err := p.client.Manifest(ctx, ref, parent)
			if err != nil {
				return nil, err
			}
			for _, child := range index.Manifests {
				// BuildKit's attestations are no platform; they carry no signature themselves.
				if seen[child.Digest] || child.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
					continue
				}
				seen[child.Digest] = true
				below = append(below, oci.Descriptor{MediaType: child.MediaType, Digest: child.Digest, Size: child.Size, Platform: child.Platform})
			}
		}
		if subjects = append(subjects, below...); len(subjects) > maxSubjects {
			return nil, fmt.Errorf("reading %s: %w: more than %d manifests", ref.At(top.Digest), oci.ErrLimit, maxSubjects)
		}
		level = below
	}
	return subjects, nil
}

// complete fills in the size and media type that a subject's descriptor needs: by
// a HEAD where only the digest is known, and from the manifest itself where a
// registry's answer leaves them out.
func (p *Publisher) complete(ctx context.Context, ref oci.Reference, d oci.Descriptor) (oci.Descriptor, error) {
	if d.MediaType == "" && d.Size < 0 {
		found, err := p.client.Exists(ctx, ref, d.Digest)
		if err != nil {
			return oci.Descriptor{}, err
		}
		d = found
	}
	if d.Size >= 0 && d.MediaType != "" && d.MediaType != "application/octet-stream" {
		return d, nil
	}
	m, err := p.client.Manifest(ctx, ref, oci.Descriptor{Digest: d.Digest, Size: -1})
	if err != nil {
		return oci.Descriptor{}, err
	}
	return oci.Descriptor{MediaType: m.MediaType, Digest: d.Digest, Size: int64(len(m.Raw))}, nil
}
