// Package sbom generates SBOMs with syft: of an image in a registry, an OCI layout
// or an archive, of a folder, or of a file.
//
//	targets, err := sbom.Open(ctx, "registry.example/app:1.2", sbom.OpenOptions{Client: client})
//	for _, target := range targets {                 // one for each platform
//		documents, err := sbom.Generate(ctx, target, sbom.Options{Formats: []sbom.Format{sbom.SPDX}})
//	}
//
// Equal content gives equal bytes. What kind a target is, is decided here and never
// guessed: a mistyped path is a mistyped path, and no container engine is asked.
package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/anchore/syft/syft/format/cyclonedxjson"
	"github.com/anchore/syft/syft/format/spdxjson"
	"github.com/anchore/syft/syft/format/syftjson"
	"github.com/anchore/syft/syft/sbom"
	"github.com/google/uuid"
)

// Format is a document format.
type Format string

// The formats.
const (
	SPDX      Format = "spdx"      // SPDX 2.3 JSON
	CycloneDX Format = "cyclonedx" // CycloneDX 1.6 JSON
	Syft      Format = "syft"      // syft's own JSON
)

// Formats returns all formats, the default first.
func Formats() []Format { return []Format{SPDX, CycloneDX, Syft} }

// ErrFormat: no such format; choose one of [Formats].
var ErrFormat = errors.New("unknown SBOM format")

// PredicateType returns the in-toto predicate type of a document in the format.
func (f Format) PredicateType() string {
	switch f {
	case SPDX:
		return "https://spdx.dev/Document"
	case CycloneDX:
		return "https://cyclonedx.org/bom"
	case Syft:
		return "https://syft.dev/bom"
	}
	return ""
}

// Extension returns the usual end of a file name in the format.
func (f Format) Extension() string {
	switch f {
	case SPDX:
		return ".spdx.json"
	case CycloneDX:
		return ".cdx.json"
	}
	return ".syft.json"
}

// encode writes one document, with the identity and time that are given instead of
// the encoders' random and current ones.
func encode(f Format, model sbom.SBOM, identity uuid.UUID, created time.Time) ([]byte, error) {
	var encoder sbom.FormatEncoder
	var err error
	switch f {
	case SPDX:
		encoder, err = spdxjson.NewFormatEncoderWithConfig(spdxjson.EncoderConfig{Version: "2.3"})
	case CycloneDX:
		encoder, err = cyclonedxjson.NewFormatEncoderWithConfig(cyclonedxjson.EncoderConfig{Version: "1.6"})
	case Syft:
		encoder, err = syftjson.NewFormatEncoderWithConfig(syftjson.DefaultEncoderConfig())
	default:
		return nil, fmt.Errorf("%w: %q", ErrFormat, f)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding an SBOM as %s: %w", f, err)
	}
	var out bytes.Buffer
	if err := encoder.Encode(&out, model); err != nil {
		return nil, fmt.Errorf("encoding an SBOM as %s: %w", f, err)
	}
	raw := bytes.TrimSpace(out.Bytes())
	stamp := created.UTC().Format(time.RFC3339)
	switch f {
	case SPDX:
		var head struct {
			Namespace string `json:"documentNamespace"`
			Creation  struct {
				Created string `json:"created"`
			} `json:"creationInfo"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, fmt.Errorf("encoding an SBOM as %s: %w", f, err)
		}
		raw = replaceOnce(raw, "documentNamespace", head.Namespace, "https://hallmark.dev/sbom/"+identity.String())
		raw = replaceOnce(raw, "created", head.Creation.Created, stamp)
	case CycloneDX:
		var head struct {
			Serial   string `json:"serialNumber"`
			Metadata struct {
				Timestamp string `json:"timestamp"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, fmt.Errorf("encoding an SBOM as %s: %w", f, err)
		}
		raw = replaceOnce(raw, "serialNumber", head.Serial, identity.URN())
		raw = replaceOnce(raw, "timestamp", head.Metadata.Timestamp, stamp)
	}
	return append(raw, '\n'), nil
}

// replaceOnce changes the first field of that name and value.
func replaceOnce(raw []byte, name, old, value string) []byte {
	for _, separator := range []string{":", ": "} {
		from := fmt.Sprintf("%q%s%q", name, separator, old)
		if bytes.Contains(raw, []byte(from)) {
			return bytes.Replace(raw, []byte(from), fmt.Appendf(nil, "%q%s%q", name, separator, value), 1)
		}
	}
	return raw
}
