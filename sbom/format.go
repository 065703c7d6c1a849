// Package sbom generates SBOMs with syft: of an image in a registry, an OCI layout
// or an archive, of a folder, or of a file.
//
//	targets, err := sbom.Open(ctx, "registry.example/app:1.2", sbom.OpenOptions{Client: client})
//	for _, target := range targets {                 // one for each platform
//		defer target.Close()
//		documents, err := sbom.Generate(ctx, target, sbom.Options{Formats: []sbom.Format{sbom.SPDX}})
//	}
//
// Equal content gives equal bytes, and nothing of the machine that makes them
// stands in them: no paths, no environment, no names of people. What kind a target
// is, is decided here and never guessed: a mistyped path is a mistyped path, and no
// container engine is asked.
//
// The packages are those that the syft command of the same version finds. Images
// and folders are read with syft's different catalogers for each: an image's are
// those of what is installed, a folder's also read lock files and manifests. The
// same tree may therefore have other packages as a folder than as an image.
//
// Non-goals: reading SBOMs (package attest/predicate does), signing them.
package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/anchore/syft/syft/format/common/cyclonedxhelpers"
	"github.com/anchore/syft/syft/format/common/spdxhelpers"
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
	var out bytes.Buffer
	var err error
	stamp := created.UTC().Format(time.RFC3339)
	switch f {
	case SPDX:
		document := spdxhelpers.ToFormatModel(model)
		if document == nil || document.CreationInfo == nil {
			return nil, fmt.Errorf("encoding an SBOM as %s: syft made no document", f)
		}
		document.DocumentNamespace = "https://hallmark.dev/sbom/" + identity.String()
		document.CreationInfo.Created = stamp
		err = plainJSON(&out, document)
	case CycloneDX:
		bom := cyclonedxhelpers.ToFormatModel(model)
		if bom == nil || bom.Metadata == nil {
			return nil, fmt.Errorf("encoding an SBOM as %s: syft made no document", f)
		}
		bom.SerialNumber = identity.URN()
		bom.Metadata.Timestamp = stamp
		err = cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetEscapeHTML(false).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
	case Syft:
		document := syftjson.ToFormatModel(model, syftjson.DefaultEncoderConfig())
		err = plainJSON(&out, &document)
	default:
		return nil, fmt.Errorf("%w: %q", ErrFormat, f)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding an SBOM as %s: %w", f, err)
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n'), nil
}

func plainJSON(out *bytes.Buffer, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}
