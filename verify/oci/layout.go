package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// maxArchiveEntries bounds the files of an archive: three a layer is plenty.
const maxArchiveEntries = 100_000

// refName is the annotation that keeps a tag in a layout (image-spec,
// annotations.md).
const refName = "org.opencontainers.image.ref.name"

// Layout is an OCI image layout (image-spec, image-layout.md), from a folder or a
// tar archive. Safe for concurrent use. Close it after use.
type Layout struct {
	index *Manifest
	open  func(name string) (io.ReadCloser, error)
	close func() error

	learned once // guards about
	about   map[digest.Digest][]Descriptor
}

// OpenLayout opens the layout in a folder. Nothing outside the folder is ever
// read: symbolic links that leave it are refused.
func OpenLayout(dir string) (*Layout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening layout %s: %w", dir, missing(err))
	}
	l := &Layout{close: root.Close, open: func(name string) (io.ReadCloser, error) {
		info, err := root.Lstat(name)
		if err != nil {
			return nil, missing(err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%w: %s is no regular file", ErrMediaType, name)
		}
		return root.Open(name)
	}}
	if err := l.readIndex(); err != nil {
		root.Close()
		return nil, fmt.Errorf("opening layout %s: %w", dir, err)
	}
	return l, nil
}

// OpenArchive opens a layout in a tar file, which must not be compressed. Only
// the places of its files are kept; their content is read when it is asked for.
func OpenArchive(name string) (*Layout, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening archive %s: %w", name, missing(err))
	}
	sections, err := scanArchive(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("opening archive %s: %w", name, err)
	}
	_, isLayout := sections["index.json"]
	if _, isDocker := sections["manifest.json"]; isDocker && !isLayout {
		file.Close()
		return nil, fmt.Errorf("opening archive %s: %w: it is docker's old format, whose images have no digest; save it as an OCI archive", name, ErrMediaType)
	}
	l := &Layout{close: file.Close, open: func(name string) (io.ReadCloser, error) {
		section, found := sections[name]
		if !found {
			return nil, ErrNotFound
		}
		return io.NopCloser(io.NewSectionReader(file, section[0], section[1])), nil
	}}
	if err := l.readIndex(); err != nil {
		file.Close()
		return nil, fmt.Errorf("opening archive %s: %w", name, err)
	}
	return l, nil
}

// scanArchive notes offset and size of every regular file.
func scanArchive(file *os.File) (map[string][2]int64, error) {
	sections := make(map[string][2]int64)
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return sections, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: reading the tar, which must not be compressed: %w", ErrMediaType, err)
		}
		if len(sections) == maxArchiveEntries {
			return nil, fmt.Errorf("%w: more than %d files", ErrLimit, maxArchiveEntries)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean(header.Name)
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("%w: a file is named %q", ErrMediaType, short(header.Name))
		}
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if _, twice := sections[name]; twice {
			return nil, fmt.Errorf("%w: it holds %q twice", ErrAmbiguous, short(name))
		}
		sections[name] = [2]int64{offset, header.Size}
	}
}

func (l *Layout) readIndex() error {
	body, err := l.open("index.json")
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	defer body.Close()
	raw, err := readAll(body, MaxManifestBytes)
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	if l.index, err = ParseManifest(raw, TypeIndex); err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	return nil
}

// Close releases the folder or file.
func (l *Layout) Close() error { return l.close() }

// Resolve returns the descriptor of a digest, of a tag, or, when the reference
// has neither, of the layout's only image: evidence about an image is none. More
// than one is an error.
func (l *Layout) Resolve(ctx context.Context, r Reference) (Descriptor, error) {
	var found []Descriptor
	for _, d := range l.index.Manifests {
		switch {
		case !r.Digest.IsZero():
			if d.Digest == r.Digest {
				return d, nil
			}
		case r.Tag != "":
			if d.Annotations[refName] == r.Tag {
				found = append(found, d)
			}
		case l.isImage(ctx, r, d):
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Descriptor{}, fmt.Errorf("resolving in the layout: %w: %d images; name one by tag or digest", ErrReference, len(found))
	case !r.Digest.IsZero():
		return Descriptor{Digest: r.Digest, Size: -1}, nil
	}
	return Descriptor{}, fmt.Errorf("resolving in the layout: %w", ErrNotFound)
}

// isImage reports whether an entry is an image, and not evidence about one or
// another artifact.
func (l *Layout) isImage(ctx context.Context, r Reference, d Descriptor) bool {
	if strings.HasPrefix(d.Annotations[refName], "sha256-") {
		return false
	}
	if len(l.index.Manifests) == 1 {
		return true
	}
	m, err := l.Manifest(ctx, r, d)
	return err == nil && m.Subject == nil && m.ArtifactType == ""
}

// Exists returns the type of a manifest that the layout holds.
func (l *Layout) Exists(ctx context.Context, r Reference, d digest.Digest) (Descriptor, error) {
	m, err := l.Manifest(ctx, r, Descriptor{Digest: d, Size: -1})
	if err != nil {
		return Descriptor{}, err
	}
	return m.Descriptor(), nil
}

// Manifest reads a manifest, as [Client.Manifest] does.
func (l *Layout) Manifest(ctx context.Context, r Reference, d Descriptor) (*Manifest, error) {
	raw, err := l.Blob(ctx, r, Descriptor{Digest: d.Digest, Size: d.Size}, MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	mediaType := d.MediaType
	for _, listed := range l.index.Manifests {
		if mediaType == "" && listed.Digest == d.Digest {
			mediaType = listed.MediaType // a manifest need not name its own
		}
	}
	m, err := ParseManifest(raw, mediaType)
	if err != nil {
		return nil, fmt.Errorf("reading manifest %s: %w", d.Digest.Short(), err)
	}
	m.Digest = d.Digest
	return m, nil
}

// TagManifest reads the manifest that carries a tag, as [Client.TagManifest] does.
func (l *Layout) TagManifest(ctx context.Context, r Reference, tag string) (*Manifest, error) {
	for _, d := range l.index.Manifests {
		if d.Annotations[refName] == tag {
			return l.Manifest(ctx, r, d)
		}
	}
	return nil, fmt.Errorf("looking for tag %s in the layout: %w", tag, ErrNotFound)
}

// Blob reads a blob, as [Client.Blob] does.
func (l *Layout) Blob(ctx context.Context, r Reference, d Descriptor, limit int64) ([]byte, error) {
	if d.Data != nil {
		return embedded(d, limit)
	}
	body, err := l.OpenBlob(ctx, r, d, limit)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", d.Digest.Short(), err)
	}
	return raw, nil
}

// OpenBlob streams a blob, as [Client.OpenBlob] does.
func (l *Layout) OpenBlob(_ context.Context, _ Reference, d Descriptor, limit int64) (io.ReadCloser, error) {
	if d.Digest.IsZero() {
		return nil, fmt.Errorf("reading a blob: %w: it has no digest", ErrReference)
	}
	if d.Size > limit {
		return nil, fmt.Errorf("reading blob %s of %d bytes: %w (%d)", d.Digest.Short(), d.Size, ErrLimit, limit)
	}
	body, err := l.open("blobs/" + d.Digest.Algorithm() + "/" + d.Digest.Hex())
	if err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", d.Digest.Short(), err)
	}
	return newVerified(body, d, limit, nil), nil
}

// Referrers lists the manifests of the layout that name d as their subject,
// and those under the referrers tag.
func (l *Layout) Referrers(ctx context.Context, r Reference, d digest.Digest) (Referrers, error) {
	if err := l.learned.do(ctx, func() error { return l.learnSubjects(ctx, r) }); err != nil {
		return Referrers{}, err
	}
	list := Referrers{Place: PlaceAPI, Descriptors: slices.Clone(l.about[d])}
	tagged, err := l.ReferrersTag(ctx, r, d)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Referrers{}, err
	}
	list.Descriptors = append(list.Descriptors, tagged...)
	return list, nil
}

// learnSubjects reads once what each manifest of the layout is about.
func (l *Layout) learnSubjects(ctx context.Context, r Reference) error {
	about := make(map[digest.Digest][]Descriptor)
	for _, child := range l.index.Manifests {
		if child.MediaType != TypeImage && child.MediaType != TypeIndex {
			continue
		}
		m, err := l.Manifest(ctx, r, child)
		if err != nil {
			return err
		}
		if m.Subject != nil && m.Subject.Digest != child.Digest {
			child.ArtifactType, child.Annotations = m.ArtifactType, m.Annotations
			about[m.Subject.Digest] = append(about[m.Subject.Digest], child)
		}
	}
	l.about = about
	return nil
}

// ReferrersTag reads the referrers tag of d, as [Client.ReferrersTag] does.
func (l *Layout) ReferrersTag(ctx context.Context, r Reference, d digest.Digest) ([]Descriptor, error) {
	m, err := l.TagManifest(ctx, r, FallbackTag(d))
	if err != nil {
		return nil, err
	}
	if !m.IsIndex() {
		return nil, fmt.Errorf("reading the referrers tag of %s: %w: it is no index", d.Short(), ErrMediaType)
	}
	return m.Manifests, nil
}

// missing names "no such file" in this package's words.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
