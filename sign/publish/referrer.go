package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

const (
	// maxEmbedded is the size up to which a bundle also stands in its descriptor's
	// data: a reader saves a request, and the manifest stays small.
	maxEmbedded = 16 << 10
	// maxCompared bounds the older evidence that is looked at for an equal piece.
	maxCompared = 20
)

// Annotations of a bundle's manifest, as cosign writes them.
const (
	annotationContent = "dev.sigstore.bundle.content"
	annotationType    = "dev.sigstore.bundle.predicateType"
)

var emptyConfig = []byte("{}")

// referrer is the manifest of a bundle (image-spec, manifest.md, "Guidelines for
// Artifact Usage").
type referrer struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        oci.Descriptor    `json:"config"`
	Layers        []oci.Descriptor  `json:"layers"`
	Subject       *oci.Descriptor   `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Attach hangs a bundle on its subject as a referrer. Where the registry has no
// referrers API the referrers tag is brought up to date, safely beside other
// writers. If v finds equal evidence there already, nothing is written.
func (p *Publisher) Attach(ctx context.Context, ref oci.Reference, subject oci.Descriptor, e sign.Evidence, v *verify.Verifier) (Result, error) {
	list, err := p.client.Referrers(ctx, ref, subject.Digest)
	if err != nil {
		return Result{}, fmt.Errorf("attaching to %s: %w", ref.At(subject.Digest), err)
	}
	result := Result{Subject: subject.Digest, Place: string(list.Place)}
	if existing, found := p.findEqual(ctx, ref, list.Descriptors, e, v); found {
		result.Manifest, result.Existing = existing, true
		return result, nil
	}
	raw, descriptor, err := bundleManifest(subject, e)
	if err != nil {
		return Result{}, err
	}
	result.Manifest = descriptor.Digest
	uploads, uploadCtx := errgroup.WithContext(ctx)
	uploads.Go(func() error { return p.blob(uploadCtx, ref, emptyConfig) })
	uploads.Go(func() error { return p.blob(uploadCtx, ref, e.Raw) })
	if err := uploads.Wait(); err != nil {
		return Result{}, notStored(fmt.Errorf("attaching to %s: %w", ref.At(subject.Digest), err))
	}
	answer, err := p.manifest(ctx, ref, descriptor.Digest.String(), oci.TypeImage, raw, nil)
	if err != nil {
		return Result{}, notStored(fmt.Errorf("attaching to %s: %w", ref.At(subject.Digest), err))
	}
	if list.Place == oci.PlaceAPI || answer.Header.Get("OCI-Subject") == subject.Digest.String() {
		result.Place = string(oci.PlaceAPI)
		return result, nil
	}
	if err := p.list(ctx, ref, subject.Digest, descriptor); err != nil {
		return Result{}, fmt.Errorf("attaching to %s: %w", ref.At(subject.Digest), err)
	}
	return result, nil
}

// bundleManifest makes the manifest that carries a bundle. It is the same for the
// same bundle: no time stands in it.
func bundleManifest(subject oci.Descriptor, e sign.Evidence) ([]byte, oci.Descriptor, error) {
	layer := oci.Descriptor{MediaType: sign.BundleMediaType, Digest: digest.FromBytes(e.Raw), Size: int64(len(e.Raw))}
	if len(e.Raw) <= maxEmbedded {
		layer.Data = e.Raw
	}
	annotations := map[string]string{annotationContent: "dsse-envelope", annotationType: e.PredicateType}
	document := referrer{
		SchemaVersion: 2, MediaType: oci.TypeImage, ArtifactType: sign.BundleMediaType,
		Config:      oci.Descriptor{MediaType: oci.TypeEmpty, Digest: digest.FromBytes(emptyConfig), Size: int64(len(emptyConfig)), Data: emptyConfig},
		Layers:      []oci.Descriptor{layer},
		Subject:     &oci.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: annotations,
	}
	raw, err := json.Marshal(document)
	if err != nil {
		return nil, oci.Descriptor{}, fmt.Errorf("encoding a manifest: %w", err)
	}
	return raw, oci.Descriptor{
		MediaType: oci.TypeImage, Digest: digest.FromBytes(raw), Size: int64(len(raw)),
		ArtifactType: sign.BundleMediaType, Annotations: annotations,
	}, nil
}

// findEqual looks for evidence that makes e superfluous. What cannot be read is no
// reason to stop: it is not equal.
func (p *Publisher) findEqual(ctx context.Context, ref oci.Reference, list []oci.Descriptor, e sign.Evidence, v *verify.Verifier) (digest.Digest, bool) {
	if v == nil {
		return digest.Digest{}, false
	}
	compared := 0
	for _, d := range slices.Backward(list) {
		claimed := d.Annotations[annotationType]
		if claimed != "" && claimed != e.PredicateType || !maybeBundle(d.ArtifactType) || compared == maxCompared {
			continue
		}
		compared++
		m, err := p.client.Manifest(ctx, ref, oci.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
		if err != nil || len(m.Layers) != 1 || m.Subject == nil || m.Subject.Digest != e.Subject || !strings.HasPrefix(m.Layers[0].MediaType, oci.BundlePrefix) {
			continue
		}
		raw, err := p.client.Blob(ctx, ref, m.Layers[0], verify.MaxEvidenceBytes)
		if err != nil {
			continue
		}
		if same(v, e, verify.Evidence{Format: verify.FormatBundle, Raw: raw}) {
			return d.Digest, true
		}
	}
	return digest.Digest{}, false
}

// maybeBundle reports whether a referrer listed with this artifact type can hold a
// bundle. Some registries list the config's type instead, or none.
func maybeBundle(artifactType string) bool {
	switch artifactType {
	case "", oci.TypeEmpty, oci.TypeConfig:
		return true
	}
	return strings.HasPrefix(artifactType, oci.BundlePrefix)
}

// index is the document under a referrers tag.
type index struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	Manifests     []oci.Descriptor `json:"manifests"`
}

// list brings the referrers tag of a subject up to date (distribution-spec,
// "Unavailable Referrers API"): reread, merge, write under a condition where the
// registry knows conditions, and read again until the entries stay.
func (p *Publisher) list(ctx context.Context, ref oci.Reference, subject digest.Digest, entries ...oci.Descriptor) error {
	tag := oci.FallbackTag(subject)
	return p.merge(ctx, ref, tag, func(current *oci.Manifest) (raw []byte, mediaType string, listed bool, err error) {
		document := index{SchemaVersion: 2, MediaType: oci.TypeIndex, Manifests: []oci.Descriptor{}}
		if current != nil {
			if !current.IsIndex() {
				return nil, "", false, fmt.Errorf("%w: the referrers tag %s is no index", oci.ErrMediaType, tag)
			}
			document.Manifests = append(document.Manifests, current.Manifests...)
		}
		before := len(document.Manifests)
		for _, entry := range entries {
			if !slices.ContainsFunc(document.Manifests, func(d oci.Descriptor) bool { return d.Digest == entry.Digest }) {
				document.Manifests = append(document.Manifests, entry)
			}
		}
		if len(document.Manifests) == before {
			return nil, "", true, nil
		}
		raw, err = json.Marshal(document)
		return raw, oci.TypeIndex, false, err
	})
}
