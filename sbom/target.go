package sbom

import (
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

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Errors of [Open].
var (
	// ErrNoTarget: there is no such file, folder or image; check the spelling.
	ErrNoTarget = errors.New("no such target")
	// ErrPlatform: the image has no such platform.
	ErrPlatform = errors.New("no such platform")
	// ErrArchive: the file is an archive of files. Unpack it, and take the folder.
	ErrArchive = errors.New("an archive that is no image")
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

// Target is one thing to make an SBOM of: one platform of an image, a folder, or a
// file.
type Target struct {
	Kind Kind
	// Name is what the SBOM calls it: the image's name without tag, or the last part
	// of a path. It may be changed before [Generate].
	Name string
	// Digest of the image manifest or of the file; of a docker archive, which has no
	// manifest, the digest of the image's config; zero for a folder.
	Digest digest.Digest
	// Platform of an image, "os/architecture[/variant]".
	Platform string
	// Descriptor of the image manifest, for attaching to it.
	Descriptor oci.Descriptor
	// Created is the image's own time of creation; zero where it has none.
	Created time.Time

	image *image
	path  string
	close func() error
}

// Close releases what the target holds open.
func (t *Target) Close() error {
	var failures []error
	if t.image != nil {
		failures = append(failures, t.image.release())
	}
	if t.close != nil {
		failures = append(failures, t.close())
	}
	return errors.Join(failures...)
}

// OpenOptions say how a target is read.
type OpenOptions struct {
	// Client reads registries; needed for images in one.
	Client *oci.Client
	// Platform takes one platform of an index, "os/architecture[/variant]"; empty
	// takes all of them. Without a variant every variant fits.
	Platform string
}

// Open finds out what text names and returns one target for each platform; each
// must be closed. Nothing but manifests and configs is read yet.
//
// A prefix such as "dir:" decides what text is. Without one, what exists is taken
// for what it is: a folder with an oci-layout file for a layout, any other for a
// folder, a file for an archive of an image or for a file by its content. What
// does not exist is an image in a registry only if it says so itself, by a
// registry's name in front, a tag or a digest. Everything else is [ErrNoTarget]
// and asks no network.
func Open(ctx context.Context, text string, o OpenOptions) ([]*Target, error) {
	kind, rest, err := classify(text)
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", text, err)
	}
	var targets []*Target
	switch kind {
	case KindRegistry:
		targets, err = openRegistry(ctx, rest, o)
	case KindLayout, KindArchive:
		targets, err = openLayout(ctx, rest, o, kind)
	case KindDockerArchive:
		targets, err = openDockerArchive(ctx, rest, o)
	case KindFolder:
		targets, err = openFolder(rest)
	case KindFile:
		targets, err = openFile(rest)
	}
	if err == nil && o.Platform != "" && targets[0].image == nil {
		err = fmt.Errorf("%w: only images have platforms", ErrPlatform)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", text, err)
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
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) && looksLikePath(text):
		return "", "", err
	case looksLikePath(text):
		return "", "", fmt.Errorf("%w: there is no such file or folder", ErrNoTarget)
	case !namesRegistry(text):
		return "", "", fmt.Errorf("%w: there is no such file or folder, and it names no registry, tag or digest", ErrNoTarget)
	}
	return KindRegistry, text, nil
}

// looksLikePath reports whether text can only be a path: by its first letters, its
// end, or because the folder that it starts with exists.
func looksLikePath(text string) bool {
	for _, prefix := range []string{"/", "./", "../", "~", `\`} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	if text == "." || text == ".." || text == "" || strings.HasSuffix(text, "/") {
		return true
	}
	for _, suffix := range []string{".tar", ".tgz", ".gz", ".zip", ".json"} {
		if strings.HasSuffix(text, suffix) && !strings.Contains(text, ":") {
			return true
		}
	}
	first, _, nested := strings.Cut(text, "/")
	if info, err := os.Stat(first); nested && err == nil && info.IsDir() {
		return true
	}
	return false
}

// namesRegistry reports whether text says that it is an image's: it starts with a
// host, or ends in a tag or digest.
func namesRegistry(text string) bool {
	first, rest, nested := strings.Cut(text, "/")
	if nested && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return true
	}
	if !nested {
		rest = first
	}
	return strings.ContainsAny(rest, ":@")
}

func openFolder(path string) ([]*Target, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no such folder", ErrNoTarget)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%w: it is no folder", ErrNoTarget)
	}
	return []*Target{{Kind: KindFolder, Name: baseName(path), path: path}}, nil
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
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is no regular file", ErrNoTarget)
	}
	if packed, err := packedFiles(file, path); err != nil || packed {
		if err == nil {
			err = ErrArchive
		}
		return nil, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return nil, err
	}
	return []*Target{{Kind: KindFile, Name: baseName(path), Digest: digest.FromHash(h), path: path}}, nil
}

// baseName is the last part of a path, and never a folder above it: an SBOM does
// not tell where on whose machine it was made.
func baseName(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	if name := filepath.Base(absolute); name != string(filepath.Separator) && name != "." {
		return name
	}
	return "root"
}
