package evidence

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// refuse sorts an error about one piece: content that is wrong is a rejection,
// content that could not be read is missing.
func refuse(origin verify.Origin, err error) Found {
	reason, wrong := ReasonOf(err)
	if !wrong {
		return Found{Missing: []error{err}}
	}
	return Found{Rejected: []*verify.Rejection{{Origin: origin, Step: verify.StepParse, Reason: reason, Err: err}}}
}

// referrer fetches one referrer's manifest and the evidence in it.
func (s *Search) referrer(ctx context.Context, c candidate) Found {
	if c.descriptor.Size > smallBytes && c.descriptor.Size <= oci.MaxManifestBytes { // as none is in honest use
		if err := s.reserve(ctx, c.descriptor); err != nil {
			return Found{Missing: []error{err}}
		}
	}
	m, err := s.source.Manifest(ctx, s.ref, c.descriptor)
	if err != nil {
		return refuse(c.origin, err)
	}
	if found, bad := s.checkSubject(c.origin, m); bad {
		return found
	}
	artifactType := m.ArtifactType
	if artifactType == "" {
		artifactType = m.Config.MediaType // image-spec, manifest.md: artifactType
	}
	switch artifactKind(artifactType) {
	case kindForeign:
		return Found{Rejected: []*verify.Rejection{foreign(c.origin, artifactType)}}
	case kindOther:
		if artifactKind(c.descriptor.ArtifactType) == kindOurs {
			return refuse(c.origin, fmt.Errorf("reading %s: %w: listed as %q, and is %q", m.Digest.Short(), oci.ErrMediaType, c.descriptor.ArtifactType, artifactType))
		}
		return Found{Others: []oci.Descriptor{c.descriptor}}
	}
	if len(m.Layers) > maxLayers {
		return refuse(c.origin, fmt.Errorf("reading %s: %w: %d layers", m.Digest.Short(), oci.ErrLimit, len(m.Layers)))
	}
	// What the list said came from the registry; the manifest has the last word.
	c.origin.ClaimedType = bundleClaim(m.Annotations)
	var found Found
	for _, layer := range s.layers(c.origin, m, &found) {
		found = found.Join(s.layer(ctx, layer))
	}
	return found
}

// checkSubject refuses a manifest that is not about the digest asked for
// (distribution-spec, "Listing Referrers": the list is the registry's word).
func (s *Search) checkSubject(origin verify.Origin, m *oci.Manifest) (Found, bool) {
	if m.IsIndex() {
		return refuse(origin, fmt.Errorf("reading %s: %w: an index is no evidence", m.Digest.Short(), oci.ErrMediaType)), true
	}
	if m.Subject != nil && m.Subject.Digest == s.subject {
		return Found{}, false
	}
	about := "nothing"
	if m.Subject != nil {
		about = m.Subject.Digest.String()
	}
	return Found{Rejected: []*verify.Rejection{{
		Origin: origin, Step: verify.StepSubject, Reason: verify.ReasonSubjectMismatch,
		Found: about, Wanted: s.subject.String(),
		Err: fmt.Errorf("the manifest is listed for %s and is about %s", s.subject.Short(), about),
	}}}, true
}

// layers returns the wanted layers of a manifest; what is not worth a request
// goes into found.
func (s *Search) layers(origin verify.Origin, m *oci.Manifest, found *Found) []candidate {
	var wanted []candidate
	for i, d := range m.Layers {
		c := candidate{descriptor: d, annotations: maps.Clone(d.Annotations), format: layerFormat(d.MediaType), origin: origin, order: i}
		c.origin.Layer = d.Digest
		switch c.format {
		case verify.FormatBundle:
		case verify.FormatLegacySignature:
			c.origin.ClaimedType = verify.SignaturePredicateType
		case verify.FormatLegacyAttestation:
			if claim := d.Annotations[legacyPredicateAnnotation]; claim != "" {
				c.origin.ClaimedType = claim
			}
		case verify.FormatUnsignedAttestation:
			c.origin.ClaimedType = d.Annotations[inTotoPredicateAnnotation]
			found.Rejected = append(found.Rejected, unsigned(c.origin))
			continue
		default:
			if foreignKind(d.MediaType) == kindForeign {
				found.Rejected = append(found.Rejected, foreign(c.origin, d.MediaType))
			} else {
				*found = found.Join(refuse(c.origin, fmt.Errorf("reading %s: %w: a layer of type %q", m.Digest.Short(), oci.ErrMediaType, d.MediaType)))
			}
			continue
		}
		if !s.want.claims(c.origin.ClaimedType) {
			found.Skipped = append(found.Skipped, c.origin)
			continue
		}
		wanted = append(wanted, c)
	}
	return wanted
}

// layer fetches one piece.
func (s *Search) layer(ctx context.Context, c candidate) Found {
	if err := s.reserve(ctx, c.descriptor); err != nil {
		return Found{Missing: []error{err}}
	}
	raw, err := s.source.Blob(ctx, s.ref, c.descriptor, verify.MaxEvidenceBytes)
	if err != nil {
		return refuse(c.origin, err)
	}
	e := verify.Evidence{Format: c.format, Raw: raw, Origin: c.origin}
	if c.format != verify.FormatBundle {
		e.Annotations = c.annotations
	}
	return Found{Evidence: []verify.Evidence{e}}
}

// reserve takes a layer's bytes from the search's budget. A layer that is too
// large by itself is left to the source, which refuses it.
func (s *Search) reserve(ctx context.Context, d oci.Descriptor) error {
	if d.Size > verify.MaxEvidenceBytes {
		return nil
	}
	if err := s.budget.take(ctx, d.Size); err != nil {
		return fmt.Errorf("fetching %s: %w", s.ref.At(d.Digest), err)
	}
	return nil
}

// tag gathers from one of cosign's tags, whose manifest has a layer for each
// piece (cosign specs/SIGNATURE_SPEC.md, "Storage").
func (s *Search) tag(ctx context.Context, place, suffix string) Found {
	name := oci.FallbackTag(s.subject) + suffix
	m, err := s.source.TagManifest(ctx, s.ref, name)
	if errors.Is(err, oci.ErrNotFound) {
		return Found{}
	}
	origin := verify.Origin{Place: place, Location: s.location, Tag: name}
	if err != nil {
		return refuse(origin, err)
	}
	origin.Manifest = m.Digest
	if m.IsIndex() || m.Subject != nil {
		if found, bad := s.checkSubject(origin, m); bad {
			return found
		}
	}
	var found Found
	wanted := s.layers(origin, m, &found)
	return found.Join(s.gather(ctx, place, wanted, s.layer))
}
