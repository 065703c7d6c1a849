package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// Media types that this package and its callers speak of.
const (
	TypeImage       = "application/vnd.oci.image.manifest.v1+json"
	TypeIndex       = "application/vnd.oci.image.index.v1+json"
	TypeDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	TypeDockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
	TypeEmpty       = "application/vnd.oci.empty.v1+json"
	TypeConfig      = "application/vnd.oci.image.config.v1+json"
	TypeLegacyLayer = "application/vnd.dev.cosign.simplesigning.v1+json"
	TypeDSSE        = "application/vnd.dsse.envelope.v1+json"
	// BundlePrefix starts the media types of Sigstore bundles of every version.
	BundlePrefix = "application/vnd.dev.sigstore.bundle"
)

// Limits on manifests.
const (
	MaxManifestBytes = 4 << 20 // distribution-spec: registries take at least 4 MiB
	maxDescriptors   = 10_000  // children or layers; a large release index has dozens
	maxData          = 1 << 20 // bytes embedded in one descriptor
	maxKeys          = 1_000   // keys of a manifest or a descriptor; the specification has a dozen
)

// Descriptor names content in a registry (image-spec, descriptor.md).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	Data         []byte            `json:"data,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
}

// Platform is what an image runs on (image-spec, image-index.md).
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	OSVersion    string `json:"os.version,omitempty"`
}

// String returns "os/architecture[/variant]".
func (p *Platform) String() string {
	if p == nil {
		return ""
	}
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// Manifest is a parsed image manifest or index whose bytes match its digest.
type Manifest struct {
	Raw          []byte
	Digest       digest.Digest
	MediaType    string
	ArtifactType string
	Config       Descriptor
	Layers       []Descriptor
	Manifests    []Descriptor // the children of an index
	Subject      *Descriptor
	Annotations  map[string]string
}

// IsIndex reports whether the manifest is an image index.
func (m *Manifest) IsIndex() bool { return m.MediaType == TypeIndex || m.MediaType == TypeDockerIndex }

// Descriptor returns the descriptor of the manifest itself.
func (m *Manifest) Descriptor() Descriptor {
	return Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw))}
}

// ParseManifest reads a manifest or index (image-spec, manifest.md and
// image-index.md) that came with the given media type; "" stands for a source
// that names none. It refuses what two readers could read differently: duplicate
// keys, layers beside manifests, and media types that disagree; and it checks
// every descriptor, embedded data included. Errors wrap [ErrAmbiguous],
// [ErrMediaType], [ErrLimit], [ErrDigestMismatch] or [ErrSizeMismatch].
func ParseManifest(raw []byte, mediaType string) (*Manifest, error) {
	if len(raw) > MaxManifestBytes {
		return nil, fmt.Errorf("parsing a manifest of %d bytes: %w (%d)", len(raw), ErrLimit, MaxManifestBytes)
	}
	if err := strictjson.Check(raw); err != nil {
		return nil, fmt.Errorf("parsing a manifest: %w: %w", jsonKind(err), err)
	}
	if err := checkSpelling(raw); err != nil {
		return nil, fmt.Errorf("parsing a manifest: %w: %w", jsonKind(err), err)
	}
	var wire struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        *Descriptor       `json:"config"`
		Layers        *[]Descriptor     `json:"layers"`
		Manifests     *[]Descriptor     `json:"manifests"`
		Subject       *Descriptor       `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
		FSLayers      json.RawMessage   `json:"fsLayers"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		if errors.Is(err, digest.ErrMalformed) {
			return nil, fmt.Errorf("parsing a manifest: %w: %w", ErrDigestMismatch, err)
		}
		return nil, fmt.Errorf("parsing a manifest: %w: %w", ErrAmbiguous, err)
	}
	if wire.SchemaVersion != 2 || wire.FSLayers != nil {
		return nil, fmt.Errorf("parsing a manifest: %w: schema version %d", ErrMediaType, wire.SchemaVersion)
	}
	m := &Manifest{Raw: raw, Digest: digest.FromBytes(raw), ArtifactType: wire.ArtifactType, Subject: wire.Subject, Annotations: wire.Annotations}
	var err error
	if m.MediaType, err = agreedType(mediaType, wire.MediaType); err != nil {
		return nil, fmt.Errorf("parsing a manifest: %w", err)
	}
	if m.IsIndex() {
		if wire.Config != nil || wire.Layers != nil || wire.Manifests == nil {
			return nil, fmt.Errorf("parsing an index: %w: it must have manifests and neither config nor layers", ErrAmbiguous)
		}
		m.Manifests = *wire.Manifests
	} else {
		if wire.Manifests != nil || wire.Config == nil || wire.Layers == nil {
			return nil, fmt.Errorf("parsing a manifest: %w: it must have config and layers and no manifests", ErrAmbiguous)
		}
		m.Config, m.Layers = *wire.Config, *wire.Layers
	}
	if err := m.checkDescriptors(); err != nil {
		return nil, fmt.Errorf("parsing a manifest: %w", err)
	}
	return m, nil
}

// jsonKind tells too much JSON from JSON with two readings.
func jsonKind(err error) error {
	if errors.Is(err, strictjson.ErrDepth) || errors.Is(err, strictjson.ErrMany) {
		return ErrLimit
	}
	return ErrAmbiguous
}

// manifestKeys and descriptorKeys are the keys that decide what a manifest is.
var (
	manifestKeys   = []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations", "fsLayers"}
	descriptorKeys = []string{"mediaType", "digest", "size", "data", "annotations", "artifactType", "platform"}
)

// checkSpelling refuses a key that only some readers take for one of theirs, such
// as "Layers": encoding/json does, most others do not.
func checkSpelling(raw []byte) error {
	fields, err := misspelt(raw, manifestKeys)
	if err != nil {
		return err
	}
	for _, field := range fields {
		items := [][]byte{field.Value}
		switch field.Key {
		case "config", "subject":
		case "layers", "manifests":
			if strictjson.IsNull(field.Value) {
				continue
			}
			if items, err = strictjson.Array(field.Value, maxDescriptors); err != nil {
				return err
			}
		default:
			continue
		}
		for _, item := range items {
			if strictjson.IsNull(item) {
				continue
			}
			if _, err := misspelt(item, descriptorKeys); err != nil {
				return fmt.Errorf("%s: %w", field.Key, err)
			}
		}
	}
	return nil
}

func misspelt(raw []byte, known []string) ([]strictjson.Field, error) {
	fields, err := strictjson.Object(raw, maxKeys)
	if err != nil {
		return nil, err
	}
	for _, field := range fields {
		for _, key := range known {
			if field.Key != key && strings.EqualFold(field.Key, key) {
				return nil, fmt.Errorf("key %q in place of %q", short(field.Key), key)
			}
		}
	}
	return fields, nil
}

// agreedType returns the one media type that the answer's header and the
// document itself name. One of them may be silent, not both.
func agreedType(header, body string) (string, error) {
	header, _, _ = strings.Cut(header, ";")
	header = strings.TrimSpace(header)
	if header == "" || header == "application/octet-stream" || header == "application/json" && body != "" {
		header = body
	}
	if body != "" && header != body {
		return "", fmt.Errorf("%w: sent as %q, calls itself %q", ErrMediaType, short(header), short(body))
	}
	switch header {
	case TypeImage, TypeIndex, TypeDockerImage, TypeDockerIndex:
		return header, nil
	}
	return "", fmt.Errorf("%w: %q", ErrMediaType, short(header))
}

// checkDescriptors checks all descriptors of a manifest.
func (m *Manifest) checkDescriptors() error {
	if len(m.Layers) > maxDescriptors || len(m.Manifests) > maxDescriptors {
		return fmt.Errorf("%d layers, %d manifests: %w (%d)", len(m.Layers), len(m.Manifests), ErrLimit, maxDescriptors)
	}
	all := append(append([]Descriptor(nil), m.Layers...), m.Manifests...)
	if !m.IsIndex() {
		all = append(all, m.Config)
	}
	if m.Subject != nil {
		all = append(all, *m.Subject)
	}
	for _, d := range all {
		if d.Digest.IsZero() {
			return fmt.Errorf("%w: a descriptor has no digest", ErrDigestMismatch)
		}
		if d.Size < 0 {
			return fmt.Errorf("%w: a descriptor has size %d", ErrSizeMismatch, d.Size)
		}
		if d.Data == nil {
			continue
		}
		if len(d.Data) > maxData {
			return fmt.Errorf("%d bytes of embedded data: %w (%d)", len(d.Data), ErrLimit, maxData)
		}
		if err := checkContent(d, d.Data); err != nil {
			return fmt.Errorf("embedded data: %w", err)
		}
	}
	return nil
}

// checkContent compares bytes with their descriptor: the one place where size
// and digest of anything that was read are checked. A size of -1 is unknown.
func checkContent(d Descriptor, content []byte) error {
	if d.Size >= 0 && int64(len(content)) != d.Size {
		return fmt.Errorf("%w: %d bytes, the descriptor of %s says %d", ErrSizeMismatch, len(content), d.Digest.Short(), d.Size)
	}
	if !d.Digest.Matches(content) {
		return fmt.Errorf("%w: want %s", ErrDigestMismatch, d.Digest)
	}
	return nil
}
