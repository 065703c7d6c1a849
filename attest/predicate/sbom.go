package predicate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// TypeSyft is the predicate type of syft's own JSON.
const TypeSyft = "https://syft.dev/bom"

// Limits on an SBOM from outside.
const (
	// MaxSBOMBytes bounds the document; a large image's has some tens of megabytes.
	MaxSBOMBytes = attest.MaxStatementBytes
	// maxPackages bounds the packages that are read: the largest images have some
	// twenty thousand.
	maxPackages = 250_000
	// maxSBOMItems bounds every other list, such as relationships; they are many
	// more than packages, and each takes a few dozen bytes here.
	maxSBOMItems = 4_000_000
	// maxSBOMFields bounds the fields of one object; a package has two dozen.
	maxSBOMFields = 10_000
)

// SBOM is what a software bill of materials says, whichever format says it.
// Every field is the claim of whoever signed the statement.
type SBOM struct {
	Format      string    // "spdx", "cyclonedx" or "syft"
	SpecVersion string    // "2.3", "1.6", or the version of syft's schema
	Created     time.Time // zero where it is not stated or no RFC 3339 time
	// Subjects are the digests of what the document itself says it describes;
	// empty where it names none. They need not be what the statement is about.
	Subjects []digest.Digest
	// Packages are all packages in the order of the document. Files and the
	// operating system's name are none, unless they have a package URL.
	Packages []Package
}

// Package is one package as an SBOM lists it. Only Name is never empty.
type Package struct {
	PURL    string
	Name    string
	Version string
	Type    string // of the package URL, or syft's word where there is none
	// Licenses are SPDX expressions, or names as they were found.
	Licenses []string
	// Root marks the one thing that the document describes: the image itself.
	Root bool
}

// Hollow reports whether the SBOM lists nothing but the thing it describes. Such
// a document may be well signed and still says nothing: a policy must refuse it.
func (s SBOM) Hollow() bool {
	for _, p := range s.Packages {
		if !p.Root {
			return false
		}
	}
	return true
}

// ReadSBOM reads an SBOM of the type [TypeSPDX] (version 2, JSON),
// [TypeCycloneDX] (1.x, JSON) or [TypeSyft]. Field names count exactly as the
// specifications spell them, and two packages under one identifier are refused.
// References between elements are not followed, so that no cycle matters.
// Errors wrap [ErrUnknownType], [ErrContradiction], [ErrMalformed] or
// [attest.ErrLimit]. An SBOM without packages is no error: see [SBOM.Hollow].
func ReadSBOM(predicateType string, predicate []byte) (SBOM, error) {
	read := map[string]func([]strictjson.Field) (SBOM, error){
		TypeSPDX: readSPDX, TypeCycloneDX: readCycloneDX, TypeSyft: readSyft,
	}[sbomFamily(predicateType)]
	if read == nil {
		return SBOM{}, fmt.Errorf("reading an SBOM: %w: %q is no SBOM's", ErrUnknownType, wording.Short(predicateType))
	}
	if len(predicate) > MaxSBOMBytes {
		return SBOM{}, fmt.Errorf("reading an SBOM of %d bytes: %w (%d)", len(predicate), attest.ErrLimit, MaxSBOMBytes)
	}
	if err := attest.CheckJSON(predicate); err != nil {
		return SBOM{}, fmt.Errorf("reading an SBOM: %w: %w", ErrMalformed, err)
	}
	if err := CheckType(predicateType, predicate); err != nil {
		return SBOM{}, fmt.Errorf("reading an SBOM: %w", err)
	}
	fields, err := strictjson.Object(predicate, maxSBOMFields)
	if err != nil {
		return SBOM{}, fmt.Errorf("reading an SBOM: %w", sbomError(err))
	}
	bom, err := read(fields)
	if err != nil {
		return SBOM{}, fmt.Errorf("reading an SBOM: %w", sbomError(err))
	}
	return bom, nil
}

// IsSBOM reports whether [ReadSBOM] knows a predicate type.
func IsSBOM(predicateType string) bool { return sbomFamily(predicateType) != "" }

// sbomFamily takes a version behind the type for what it is.
func sbomFamily(uri string) string {
	for _, known := range []string{TypeSPDX, TypeCycloneDX, TypeSyft} {
		version, versioned := strings.CutPrefix(uri, known+"/v")
		if uri == known || versioned && version != "" && !strings.ContainsAny(version, "/?#") {
			return known
		}
	}
	return ""
}

// sbomError gives strictjson's errors this package's names.
func sbomError(err error) error {
	switch {
	case errors.Is(err, strictjson.ErrMany), errors.Is(err, strictjson.ErrDepth):
		return fmt.Errorf("%w: %w", attest.ErrLimit, err)
	case errors.Is(err, strictjson.ErrMalformed):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

// sbomReader collects packages and refuses a second one under an identifier.
type sbomReader struct {
	packages []Package
	seen     map[string]bool
}

func (r *sbomReader) add(id string, p Package) error {
	if p.Name == "" {
		return fmt.Errorf("%w: package %d has no name", ErrMalformed, len(r.packages))
	}
	if id != "" && r.seen[id] {
		return fmt.Errorf("%w: two packages are %q", ErrMalformed, wording.Short(id))
	}
	if len(r.packages) == maxPackages {
		return fmt.Errorf("%w: more than %d packages", attest.ErrLimit, maxPackages)
	}
	if r.seen == nil {
		r.seen = make(map[string]bool)
	}
	if id != "" {
		r.seen[id] = true
	}
	if kind, _, found := strings.Cut(strings.TrimPrefix(p.PURL, "pkg:"), "/"); found && strings.HasPrefix(p.PURL, "pkg:") {
		p.Type = strings.ToLower(kind)
	}
	r.packages = append(r.packages, p)
	return nil
}

// texts returns the named fields of an object that are strings; null and other
// kinds of values count as missing.
func texts(fields []strictjson.Field, into map[string]*string) {
	for _, field := range fields {
		if target := into[field.Key]; target != nil {
			if text, err := strictjson.Text(field.Value); err == nil {
				*target = text
			}
		}
	}
}

// value returns a field's value, or nil where it is missing or null.
func value(fields []strictjson.Field, key string) []byte {
	for _, field := range fields {
		if field.Key == key && !strictjson.IsNull(field.Value) {
			return field.Value
		}
	}
	return nil
}

// fieldsOf returns the fields of an object, none where it is missing.
func fieldsOf(raw []byte) ([]strictjson.Field, error) {
	if raw == nil {
		return nil, nil
	}
	return strictjson.Object(raw, maxSBOMFields)
}

// items calls visit with the fields of every object in a list.
func items(raw []byte, visit func([]strictjson.Field) error) error {
	if raw == nil {
		return nil
	}
	list, err := strictjson.Array(raw, maxSBOMItems)
	if err != nil {
		return err
	}
	for _, item := range list {
		fields, err := strictjson.Object(item, maxSBOMFields)
		if err != nil {
			return err
		}
		if err := visit(fields); err != nil {
			return err
		}
	}
	return nil
}

// moment reads an RFC 3339 time; anything else is the zero time.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// addDigest appends a digest if the text is one.
func addDigest(all []digest.Digest, text string) []digest.Digest {
	d, err := digest.Parse(text)
	if err != nil {
		return all
	}
	for _, known := range all {
		if known == d {
			return all
		}
	}
	return append(all, d)
}
