package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// SignatureTag and AttestationTag are cosign's tags for a digest (cosign
// specs/SIGNATURE_SPEC.md, "Tag-based Discovery").
func SignatureTag(d digest.Digest) string   { return oci.FallbackTag(d) + ".sig" }
func AttestationTag(d digest.Digest) string { return oci.FallbackTag(d) + ".att" }

// legacyManifest is the image under a signature or attestation tag.
type legacyManifest struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	Config        oci.Descriptor   `json:"config"`
	Layers        []oci.Descriptor `json:"layers"`
}

// legacyConfig is its config: an image of those layers.
type legacyConfig struct {
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	Config       struct{} `json:"config"`
	RootFS       struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

// AttachLegacy appends evidence to cosign's tag of its subject: reread, merge,
// write, read again. What others have put there stays. If v finds equal evidence
// there already, nothing is written.
func (p *Publisher) AttachLegacy(ctx context.Context, ref oci.Reference, subject oci.Descriptor, e sign.Evidence, v *verify.Verifier) (Result, error) {
	tag, mediaType := SignatureTag(subject.Digest), oci.TypeLegacyLayer
	if e.Format == verify.FormatLegacyAttestation {
		tag, mediaType = AttestationTag(subject.Digest), oci.TypeDSSE
	}
	layer := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(e.Raw), Size: int64(len(e.Raw)), Annotations: e.Annotations}
	if e.Format == verify.FormatLegacyAttestation {
		// cosign wants the first of them to be there, and empty.
		layer.Annotations = map[string]string{verify.LegacySignatureAnnotation: "", "predicateType": e.PredicateType}
		maps.Copy(layer.Annotations, e.Annotations)
	}
	result := Result{Subject: subject.Digest, Place: tag}
	uploaded := false
	err := p.merge(ctx, ref, tag, func(current *oci.Manifest) (raw []byte, _ string, listed bool, err error) {
		var layers []oci.Descriptor
		if current != nil {
			if current.IsIndex() {
				return nil, "", false, fmt.Errorf("%w: the tag %s is an index", oci.ErrMediaType, tag)
			}
			layers = append(layers, current.Layers...)
			if hasLayer(layers, layer) || !uploaded && p.layerEqual(ctx, ref, layers, layer, e, v) {
				result.Manifest, result.Existing = current.Digest, !uploaded
				return nil, "", true, nil
			}
		}
		layers = append(layers, layer)
		raw, err = p.legacyImage(ctx, ref, layers, e.Raw)
		if err != nil {
			return nil, "", false, err
		}
		uploaded = true
		return raw, oci.TypeImage, false, nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("attaching to %s: %w", ref.At(subject.Digest), err)
	}
	return result, nil
}

// hasLayer reports whether the very layer is there.
func hasLayer(layers []oci.Descriptor, mine oci.Descriptor) bool {
	return slices.ContainsFunc(layers, func(l oci.Descriptor) bool {
		return l.Digest == mine.Digest && l.Annotations[verify.LegacySignatureAnnotation] == mine.Annotations[verify.LegacySignatureAnnotation]
	})
}

// layerEqual reports whether a layer makes the new one superfluous.
func (p *Publisher) layerEqual(ctx context.Context, ref oci.Reference, layers []oci.Descriptor, mine oci.Descriptor, e sign.Evidence, v *verify.Verifier) bool {
	compared := 0
	for _, l := range layers {
		samePlace := l.Digest == mine.Digest || e.Format == verify.FormatLegacyAttestation && l.Annotations["predicateType"] == e.PredicateType
		if v == nil || !samePlace || compared == maxCompared {
			continue
		}
		compared++
		raw := e.Raw
		if l.Digest != mine.Digest {
			var err error
			if raw, err = p.client.Blob(ctx, ref, l, verify.MaxEvidenceBytes); err != nil {
				continue
			}
		}
		if same(v, e, verify.Evidence{Format: e.Format, Raw: raw, Annotations: l.Annotations}) {
			return true
		}
	}
	return false
}

// legacyImage uploads the new layer and the config and returns the manifest.
func (p *Publisher) legacyImage(ctx context.Context, ref oci.Reference, layers []oci.Descriptor, content []byte) ([]byte, error) {
	if err := p.blob(ctx, ref, content); err != nil {
		return nil, notStored(err)
	}
	return p.legacyOf(ctx, ref, layers)
}

// legacyOf uploads the config of layers that are there and returns the manifest.
func (p *Publisher) legacyOf(ctx context.Context, ref oci.Reference, layers []oci.Descriptor) ([]byte, error) {
	var config legacyConfig
	config.RootFS.Type = "layers"
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest)
	}
	configRaw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding a config: %w", err)
	}
	if err := p.blob(ctx, ref, configRaw); err != nil {
		return nil, notStored(err)
	}
	return json.Marshal(legacyManifest{
		SchemaVersion: 2, MediaType: oci.TypeImage,
		Config: oci.Descriptor{MediaType: oci.TypeConfig, Digest: digest.FromBytes(configRaw), Size: int64(len(configRaw))},
		Layers: layers,
	})
}
