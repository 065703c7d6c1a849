package sbom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anchore/syft/syft/sbom"
	"github.com/google/uuid"
)

// SyftVersion is the version of syft that is linked; a test compares it with go.mod.
const SyftVersion = "v1.57.0"

// revision changes when this package makes other bytes of the same scan.
const revision = "1"

// Options say what to make of a target.
type Options struct {
	// Formats of the documents; none is SPDX.
	Formats []Format
	// Created stands in the documents; the zero time takes the image's own time of
	// creation, and the first second of 1970 where it has none.
	Created time.Time
	// CacheDir keeps documents of images and files by digest; empty keeps none.
	CacheDir string
	// TempDir is where layers are unpacked; empty is the system's.
	TempDir string
	// MaxUnpackedBytes bounds an image when it is unpacked; zero is 64 GiB.
	MaxUnpackedBytes int64
	// MaxEntries bounds the files of an image; zero is two million.
	MaxEntries int64
}

// Document is one SBOM.
type Document struct {
	Format   Format
	Platform string
	// Raw is the document, one JSON value with a line break.
	Raw []byte
	// Cached tells that it came from the cache.
	Cached bool
}

// Generate makes the documents of one target from one scan, in the order of the
// formats. Equal content and options give equal bytes. What it unpacks on the way
// is gone when it returns, also when the context ends; layers that other targets
// of one [Open] share are gone when those are closed. Errors wrap [ErrFormat],
// [ErrLimit], an error of package verify/oci, or the context's.
func Generate(ctx context.Context, t *Target, o Options) ([]Document, error) {
	formats := o.Formats
	if len(formats) == 0 {
		formats = []Format{SPDX}
	}
	for n, f := range formats {
		if !slices.Contains(Formats(), f) {
			return nil, fmt.Errorf("generating an SBOM: %w: %q", ErrFormat, f)
		}
		if slices.Contains(formats[:n], f) {
			return nil, fmt.Errorf("generating an SBOM: %w: %q is asked for twice", ErrFormat, f)
		}
	}
	created := o.Created
	if created.IsZero() {
		created = t.Created
	}
	if created.Before(time.Unix(0, 0)) {
		created = time.Unix(0, 0)
	}
	keep := cache{dir: o.CacheDir}
	documents := make([]Document, len(formats))
	missing := 0
	for n, f := range formats {
		raw, found := keep.load(t, f, created)
		documents[n] = Document{Format: f, Platform: t.Platform, Raw: raw, Cached: found}
		if !found {
			missing++
		}
	}
	if missing == 0 {
		return documents, nil
	}
	model, err := scan(ctx, t, o)
	if err != nil {
		return nil, fmt.Errorf("generating the SBOM of %s: %w", t.Name, err)
	}
	for n, f := range formats {
		if documents[n].Cached {
			continue
		}
		raw, err := write(t, f, model, created)
		if err != nil {
			return nil, fmt.Errorf("generating the SBOM of %s: %w", t.Name, err)
		}
		documents[n].Raw = raw
		keep.save(t, f, created, raw)
	}
	return documents, nil
}

// write encodes one document under its identity.
func write(t *Target, f Format, model *sbom.SBOM, created time.Time) ([]byte, error) {
	id := identity(t, f, created)
	if t.Digest.IsZero() {
		// A folder has no digest: its document is named by its own content.
		raw, err := encode(f, *model, id, created)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(raw)
		id = uuid.NewSHA1(id, []byte(hex.EncodeToString(sum[:])))
	}
	return encode(f, *model, id, created)
}

// identity is the stable name of a document, an RFC 9562 version 5 UUID of what it
// is about and what made it.
func identity(t *Target, f Format, created time.Time) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join([]string{
		"https://hallmark.dev/sbom", revision, string(t.Kind), t.Name, t.Digest.String(), string(f), SyftVersion, created.UTC().Format(time.RFC3339),
	}, "\n")))
}
