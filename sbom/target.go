package sbom

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Errors of [Open].
var (
	// ErrNoTarget: there is no such file, folder or image; check the spelling.
	ErrNoTarget = errors.New("no such target")
	// ErrPlatform: the image has no such platform.
	ErrPlatform = errors.New("no such platform")
)

// Kind is what a target is.
type Kind string

// The kinds, which are also the prefixes that say so.
const (
	KindRegistry      Kind = "registry"
	KindLayout        Kind = "oci-dir"
	KindArchive       Kind = "oci-archive"
	KindDockerArchive Kind = "docker-archive"
	KindFolder        Kind = "dir"
	KindFile          Kind = "file"
)

// maxUnhashed bounds a file whose digest names it in its SBOM.
const maxUnhashed = 64 << 30

// Target is one thing to make an SBOM of: one platform of an image, a folder, or a
// file.
type Target struct {
	Kind Kind
	// Name is what the SBOM calls it: the image's name, or the last part of a path.
	Name string
	// Digest of the image manifest or file; zero for a folder.
	Digest digest.Digest
	// Platform of an image, "os/architecture[/variant]".
	Platform string
	// Descriptor of the image manifest, for attaching to it.
	Descriptor oci.Descriptor
	// Created is the image's own time of creation; zero where it has none.
	Created time.Time

	image v1.Image
	path  string
	close func() error
}

// Close releases what the target holds open.
func (t *Target) Close() error {
	if t.close == nil {
		return nil
	}
	return t.close()
}

// OpenOptions say how a target is read.
type OpenOptions struct {
	// Client reads registries; needed for images in one.
	Client *oci.Client
	// Platform takes one platform of an index; empty takes all of them.
	Platform string
}

// Open finds out what text names and returns one target for each platform. A
// prefix such as "dir:" decides; without one an existing folder with an
// oci-layout file is a layout, any other folder a folder, an existing file an
// archive or a file by its content, and anything else a reference to an image in
// a registry. Text that looks like a path and does not exist is [ErrNoTarget].
func Open(ctx context.Context, text string, o OpenOptions) ([]*Target, error) {
	kind, rest, err := classify(text)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", text, err)
	}
	var targets []*Target
	switch kind {
	case KindRegistry:
		targets, err = openRegistry(ctx, rest, o)
	case KindLayout:
		targets, err = openLayout(ctx, rest, o, oci.OpenLayout, kind)
	case KindArchive:
		targets, err = openLayout(ctx, rest, o, oci.OpenArchive, kind)
	case KindDockerArchive:
		targets, err = openDockerArchive(rest, o)
	case KindFolder:
		targets, err = []*Target{{Kind: kind, Name: baseName(rest), path: rest}}, folder(rest)
	case KindFile:
		targets, err = openFile(rest)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", text, err)
	}
	return targets, nil
}

// classify tells the kind of a target.
func classify(text string) (Kind, string, error) {
	for _, kind := range []Kind{KindRegistry, KindLayout, KindArchive, KindDockerArchive, KindFolder, KindFile} {
		if rest, found := strings.CutPrefix(text, string(kind)+":"); found {
			return kind, rest, nil
		}
	}
	info, err := os.Stat(text)
	switch {
	case err == nil && info.IsDir():
		if _, err := os.Stat(filepath.Join(text, "oci-layout")); err == nil {
			return KindLayout, text, nil
		}
		return KindFolder, text, nil
	case err == nil:
		kind, err := archiveKind(text)
		return kind, text, err
	case strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || strings.HasPrefix(text, "~") || strings.HasSuffix(text, ".tar"):
		return "", "", fmt.Errorf("%w: there is no such file or folder", ErrNoTarget)
	}
	return KindRegistry, text, nil
}

// archiveKind looks into a file: an archive of an image, or just a file.
func archiveKind(name string) (Kind, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	reader := tar.NewReader(file)
	for range 1000 {
		header, err := reader.Next()
		if err != nil {
			break
		}
		switch filepath.Clean(header.Name) {
		case "oci-layout":
			return KindArchive, nil
		case "manifest.json":
			return KindDockerArchive, nil
		}
	}
	return KindFile, nil
}

func folder(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no such folder", ErrNoTarget)
	}
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%w: it is no folder", ErrNoTarget)
	}
	return err
}

// baseName is the last part of a path, and never a folder above it: an SBOM does
// not tell where on whose machine it was made.
func baseName(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return filepath.Base(path)
	}
	return filepath.Base(absolute)
}

func openFile(path string) ([]*Target, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no such file", ErrNoTarget)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(file, maxUnhashed)); err != nil {
		return nil, err
	}
	return []*Target{{Kind: KindFile, Name: baseName(path), Digest: digest.FromHash(h), path: path}}, nil
}

func openRegistry(ctx context.Context, text string, o OpenOptions) ([]*Target, error) {
	ref, err := oci.ParseReference(text)
	if err != nil {
		return nil, err
	}
	if o.Client == nil {
		return nil, errors.New("there is no client for registries")
	}
	d, err := o.Client.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	return openManifest(ctx, o.Client, ref, d, o.Platform, KindRegistry, ref.Name())
}

func openLayout(ctx context.Context, path string, o OpenOptions, open func(string) (*oci.Layout, error), kind Kind) ([]*Target, error) {
	l, err := open(path)
	if errors.Is(err, oci.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrNoTarget, err)
	}
	if err != nil {
		return nil, err
	}
	d, err := l.Resolve(ctx, oci.Reference{})
	if err != nil {
		l.Close()
		return nil, err
	}
	targets, err := openManifest(ctx, l, oci.Reference{}, d, o.Platform, kind, baseName(path))
	if err != nil {
		l.Close()
		return nil, err
	}
	targets[len(targets)-1].close = l.Close
	return targets, nil
}

// manifests is a store of manifests too.
type manifests interface {
	store
	Manifest(ctx context.Context, r oci.Reference, d oci.Descriptor) (*oci.Manifest, error)
}

// openManifest returns the image, or the images below an index.
func openManifest(ctx context.Context, s manifests, ref oci.Reference, d oci.Descriptor, platform string, kind Kind, name string) ([]*Target, error) {
	m, err := s.Manifest(ctx, ref, d)
	if err != nil {
		return nil, err
	}
	if !m.IsIndex() {
		t, err := openImage(ctx, s, ref, m, kind, name)
		if err != nil {
			return nil, err
		}
		if platform != "" && t.Platform != platform {
			return nil, fmt.Errorf("%w: the image is %s, not %s", ErrPlatform, t.Platform, platform)
		}
		return []*Target{t}, nil
	}
	var targets []*Target
	var known []string
	for _, child := range m.Manifests {
		if child.MediaType != oci.TypeImage && child.MediaType != oci.TypeDockerImage || !imageConfig(child.ArtifactType) || child.Annotations["vnd.docker.reference.type"] != "" {
			continue
		}
		known = append(known, child.Platform.String())
		if platform != "" && child.Platform.String() != platform {
			continue
		}
		below, err := s.Manifest(ctx, ref, child)
		if err != nil {
			return nil, err
		}
		t, err := openImage(ctx, s, ref, below, kind, name)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("%w: the index has %s", ErrPlatform, strings.Join(known, ", "))
	}
	return targets, nil
}

// imageConfig reports whether an entry's artifact type is that of a container
// image: none, or, as some writers have it, its config's media type.
func imageConfig(artifactType string) bool {
	switch artifactType {
	case "", oci.TypeConfig, "application/vnd.docker.container.image.v1+json":
		return true
	}
	return false
}

func openImage(ctx context.Context, s store, ref oci.Reference, m *oci.Manifest, kind Kind, name string) (*Target, error) {
	i, err := newImage(ctx, s, ref, m)
	if err != nil {
		return nil, err
	}
	p := oci.Platform{OS: i.parsed.OS, Architecture: i.parsed.Architecture, Variant: i.parsed.Variant}
	return &Target{
		Kind: kind, Name: name, Digest: m.Digest, Platform: p.String(), Descriptor: m.Descriptor(),
		Created: i.parsed.Created.Time, image: i,
	}, nil
}

func openDockerArchive(path string, o OpenOptions) ([]*Target, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no such file", ErrNoTarget)
	}
	i, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		return nil, err
	}
	config, err := i.ConfigFile()
	if err != nil {
		return nil, err
	}
	hash, err := i.ConfigName()
	if err != nil {
		return nil, err
	}
	// A docker archive has no manifest digest; its config digest names the image.
	d, err := digest.Parse(hash.String())
	if err != nil {
		return nil, err
	}
	p := oci.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	if o.Platform != "" && o.Platform != p.String() {
		return nil, fmt.Errorf("%w: the image is %s, not %s", ErrPlatform, p.String(), o.Platform)
	}
	return []*Target{{Kind: KindDockerArchive, Name: baseName(path), Digest: d, Platform: p.String(), Created: config.Created.Time, image: i}}, nil
}
