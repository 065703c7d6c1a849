package sbom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	stereofile "github.com/anchore/stereoscope/pkg/file"
	stereoimage "github.com/anchore/stereoscope/pkg/image"
	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/sbom"
	"github.com/anchore/syft/syft/source"
	"github.com/anchore/syft/syft/source/directorysource"
	"github.com/anchore/syft/syft/source/filesource"
	"github.com/anchore/syft/syft/source/stereoscopesource"
	"github.com/google/uuid"
	// The package databases of RPM distributions are SQLite files; without a driver
	// syft's default catalogers fail when they run, and nothing fails when it builds.
	_ "modernc.org/sqlite"
)

// SyftVersion is the version of syft that is linked; a test compares it with go.mod.
const SyftVersion = "v1.57.0"

// Options say what to make of a target.
type Options struct {
	// Formats of the documents; none is SPDX.
	Formats []Format
	// Created stands in the documents; the zero time takes the image's own time of
	// creation, and the first second of 1970 where it has none.
	Created time.Time
	// CacheDir keeps documents of images and files by digest; empty keeps none.
	CacheDir string
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
// is gone when it returns, also when the context ends.
func Generate(ctx context.Context, t *Target, o Options) ([]Document, error) {
	formats := o.Formats
	if len(formats) == 0 {
		formats = []Format{SPDX}
	}
	for _, f := range formats {
		if !slices.Contains(Formats(), f) {
			return nil, fmt.Errorf("generating an SBOM: %w: %q", ErrFormat, f)
		}
	}
	created := o.Created
	if created.IsZero() {
		created = t.Created
	}
	if created.IsZero() || created.Before(time.Unix(0, 0)) {
		created = time.Unix(0, 0)
	}
	keep := cache{dir: o.CacheDir}
	if documents, found := keep.load(t, formats, created); found {
		return documents, nil
	}
	model, err := scan(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("generating the SBOM of %s: %w", t.Name, err)
	}
	var documents []Document
	for _, f := range formats {
		raw, err := encode(f, *model, identity(t, f, created), created)
		if err != nil {
			return nil, err
		}
		documents = append(documents, Document{Format: f, Platform: t.Platform, Raw: raw})
		keep.save(t, f, created, raw)
	}
	return documents, nil
}

// identity is the stable name of a document: what it is about, and what made it.
func identity(t *Target, f Format, created time.Time) uuid.UUID {
	subject := t.Digest.String()
	if subject == "" {
		subject = t.Name
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join([]string{
		"https://hallmark.dev/sbom", string(t.Kind), t.Name, subject, string(f), SyftVersion, created.UTC().Format(time.RFC3339),
	}, "\n")))
}

// scan runs syft's default catalogers over a target.
func scan(ctx context.Context, t *Target) (*sbom.SBOM, error) {
	temporary := stereofile.NewTempDirGenerator("hallmark-sbom")
	defer temporary.Cleanup()
	from, err := t.source(ctx, temporary)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	model, err := syft.CreateSBOM(ctx, from, syft.DefaultCreateSBOMConfig().WithTool("syft", SyftVersion).WithParallelism(1))
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The configuration names folders of this machine and says nothing of the target.
	model.Descriptor.Configuration = nil
	switch metadata := model.Source.Metadata.(type) {
	case source.DirectoryMetadata:
		metadata.Path, metadata.Base = ".", ""
		model.Source.Metadata = metadata
	case source.FileMetadata:
		metadata.Path = t.Name
		model.Source.Metadata = metadata
	}
	return model, nil
}

func (t *Target) source(ctx context.Context, temporary *stereofile.TempDirGenerator) (source.Source, error) {
	switch t.Kind {
	case KindFolder:
		return directorysource.New(directorysource.Config{Path: t.path, Base: t.path, Alias: source.Alias{Name: t.Name}})
	case KindFile:
		return filesource.New(filesource.Config{Path: t.path, Alias: source.Alias{Name: t.Name, Version: t.Digest.String()}})
	}
	dir, err := temporary.NewDirectory("layers")
	if err != nil {
		return nil, fmt.Errorf("making a folder to unpack in: %w", err)
	}
	unread := stereoimage.New(t.image, temporary, dir, stereoimage.WithManifestDigest(t.Digest.String()))
	if err := unread.Read(ctx); err != nil {
		unread.Cleanup()
		return nil, fmt.Errorf("unpacking the image: %w", err)
	}
	return stereoscopesource.New(unread, stereoscopesource.ImageConfig{
		Reference: t.Name + "@" + t.Digest.String(),
		Alias:     source.Alias{Name: t.Name, Version: t.Digest.String()},
	}), nil
}

// cache keeps documents by what they are about and what made them.
type cache struct{ dir string }

// name of a document in the cache; empty when it cannot be kept.
func (c cache) name(t *Target, f Format, created time.Time) string {
	if c.dir == "" || t.Digest.IsZero() {
		return ""
	}
	return c.dir + string(os.PathSeparator) + identity(t, f, created).String() + f.Extension()
}

// load returns all documents, or none. Each file starts with the SHA-256 of the
// rest: one that was changed on disk is no answer.
func (c cache) load(t *Target, formats []Format, created time.Time) ([]Document, bool) {
	var documents []Document
	for _, f := range formats {
		name := c.name(t, f, created)
		if name == "" {
			return nil, false
		}
		raw, err := os.ReadFile(name)
		if err != nil || len(raw) < 65 {
			return nil, false
		}
		sum := sha256.Sum256(raw[65:])
		if string(raw[:64]) != hex.EncodeToString(sum[:]) {
			return nil, false
		}
		documents = append(documents, Document{Format: f, Platform: t.Platform, Raw: raw[65:], Cached: true})
	}
	return documents, true
}

// save keeps a document, whole or not at all. A cache that cannot be written is no
// reason to fail.
func (c cache) save(t *Target, f Format, created time.Time, raw []byte) {
	name := c.name(t, f, created)
	if name == "" || os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	file, err := os.CreateTemp(c.dir, ".new-*")
	if err != nil {
		return
	}
	defer os.Remove(file.Name())
	sum := sha256.Sum256(raw)
	_, err = file.Write(append(append([]byte(hex.EncodeToString(sum[:])), '\n'), raw...))
	if closeErr := file.Close(); err == nil && closeErr == nil {
		os.Rename(file.Name(), name)
	}
}
