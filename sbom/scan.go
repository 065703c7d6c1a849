package sbom

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	gosync "github.com/anchore/go-sync"
	stereofile "github.com/anchore/stereoscope/pkg/file"
	stereoimage "github.com/anchore/stereoscope/pkg/image"
	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/cataloging/filecataloging"
	"github.com/anchore/syft/syft/sbom"
	"github.com/anchore/syft/syft/source"
	"github.com/anchore/syft/syft/source/directorysource"
	"github.com/anchore/syft/syft/source/filesource"
	"github.com/anchore/syft/syft/source/stereoscopesource"
	// The package databases of RPM distributions are SQLite files; without a driver
	// syft's default catalogers fail when they run, and nothing fails when it builds.
	_ "modernc.org/sqlite"
)

// scan runs the catalogers over a target that the syft command would run.
func scan(ctx context.Context, t *Target, o Options) (model *sbom.SBOM, err error) {
	dir, err := os.MkdirTemp(o.TempDir, "hallmark-sbom-")
	if err != nil {
		return nil, fmt.Errorf("making a folder to unpack in: %w", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(dir); removeErr != nil && err == nil {
			err = fmt.Errorf("removing what was unpacked: %w", removeErr)
		}
	}()
	// As the command does, what could not be read is listed as unknown, and files have
	// two digests: SPDX's verification codes are made of SHA-1. One cataloger runs
	// after another: which of two finds a package first must not be chance, and on two
	// processors it takes no longer.
	config := syft.DefaultCreateSBOMConfig().WithTool("syft", SyftVersion[1:]).
		WithUnknownsConfig(cataloging.DefaultUnknownsConfig()).
		WithFilesConfig(filecataloging.DefaultConfig().WithHashers(crypto.SHA1, crypto.SHA256)).
		WithParallelism(1)
	// The license texts take a while to prepare; the first layers come meanwhile.
	scanner := make(chan context.Context, 1)
	var scannerErr error
	go func() {
		prepared, err := licenseScanner()
		scannerErr = err
		scanner <- prepared
	}()
	from, sourceErr := t.source(ctx, dir, o)
	prepared := <-scanner
	if sourceErr != nil {
		return nil, sourceErr
	}
	defer from.Close()
	if scannerErr != nil {
		return nil, fmt.Errorf("preparing the license scanner: %w", scannerErr)
	}
	model, err = syft.CreateSBOM(withScanner{ctx, prepared}, from, config)
	if ctxErr := ctx.Err(); ctxErr != nil {
		return nil, ctxErr
	}
	if err != nil {
		return nil, fmt.Errorf("cataloguing: %w", err)
	}
	if t.image != nil {
		if err := t.image.keep(o.TempDir); err != nil {
			return nil, fmt.Errorf("keeping layers for the next platform: %w", err)
		}
	}
	t.describe(model)
	return model, nil
}

// source opens the target for syft.
func (t *Target) source(ctx context.Context, dir string, o Options) (source.Source, error) {
	switch t.Kind {
	case KindFolder:
		return directorysource.New(directorysource.Config{Path: t.path, Base: t.path, Alias: source.Alias{Name: t.Name}})
	case KindFile:
		return filesource.New(filesource.Config{Path: t.path, Alias: source.Alias{Name: t.Name}, SkipExtractArchive: true})
	}
	return t.imageSource(ctx, dir, o)
}

// imageSource unpacks the image's layers and indexes their files.
func (t *Target) imageSource(ctx context.Context, dir string, o Options) (source.Source, error) {
	if t.image.layers == nil {
		return nil, errors.New("the target is closed")
	}
	spend := &budget{bytes: o.MaxUnpackedBytes, entries: o.MaxEntries}
	if spend.bytes <= 0 {
		spend.bytes = maxUnpackedBytes
	}
	if spend.entries <= 0 {
		spend.entries = maxEntries
	}
	t.image.ctx, t.image.dir, t.image.budget = ctx, filepath.Join(dir, "layers"), spend
	if err := os.Mkdir(t.image.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder to unpack in: %w", err)
	}
	var known []stereoimage.AdditionalMetadata
	if t.image.manifest != nil {
		known = append(known, stereoimage.WithManifest(t.image.manifest))
	}
	// The folder is ours to remove, so the generator of folders makes none.
	unread := stereoimage.New(t.image, stereofile.NewTempDirGenerator("hallmark-sbom"), t.image.dir, known...)
	// One layer after another is fetched, and indexed while the next one comes.
	ctx = gosync.SetContextExecutor(ctx, stereoimage.LayerFetchExecutor, gosync.NewExecutor(1))
	if err := unread.Read(ctx); err != nil {
		cleanupErr := unread.Cleanup()
		switch failure := spend.failed(); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case failure != nil:
			return nil, failure
		}
		return nil, errors.Join(fmt.Errorf("reading the image: %w", err), cleanupErr)
	}
	return stereoscopesource.New(unread, stereoscopesource.ImageConfig{Reference: t.Name}), nil
}

// describe makes the model speak of the target alone. Equal content has equal
// words, wherever it was read from under one name, and no path, folder, variable or
// build argument of a machine stands among them.
func (t *Target) describe(model *sbom.SBOM) {
	// syft's configuration names module caches and proxies of this machine.
	model.Descriptor.Configuration = nil
	model.Source.Name, model.Source.Version = t.Name, t.Digest.String()
	switch metadata := model.Source.Metadata.(type) {
	case source.ImageMetadata:
		metadata.UserInput = t.Name
		metadata.Tags, metadata.RepoDigests = nil, nil
		if t.Kind == KindRegistry {
			metadata.RepoDigests = []string{t.Name + "@" + t.Digest.String()}
		}
		// The config holds environment variables and the commands of the build; its
		// digest stands in the document, and whoever may read it has it.
		metadata.RawConfig = []byte{}
		if metadata.RawManifest == nil {
			metadata.RawManifest = []byte{}
		}
		model.Source.Metadata = metadata
	case source.DirectoryMetadata:
		metadata.Path, metadata.Base = t.Name, ""
		model.Source.Metadata = metadata
	case source.FileMetadata:
		metadata.Path = t.Name
		model.Source.Metadata = metadata
	}
}
