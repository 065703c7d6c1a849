package sbom

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Limits on archives of images.
const (
	maxArchiveEntries   = 100_000 // three a layer is plenty
	maxArchiveManifest  = 4 << 20
	maxArchiveLinkDepth = 4 // docker links equal layers once
)

// archiveKind looks into a file: an archive of an image, or just a file. An
// archive that is both an OCI and a docker archive is taken for the first, whose
// manifests have digests.
func archiveKind(name string) (Kind, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	kind := KindFile
	reader := tar.NewReader(file)
	for range maxArchiveEntries {
		header, err := reader.Next()
		if err != nil {
			break
		}
		switch path.Clean(header.Name) {
		case "oci-layout", "index.json":
			return KindArchive, nil
		case "manifest.json":
			kind = KindDockerArchive
		}
	}
	return kind, nil
}

// packedFiles reports whether a file is an archive of files, which syft's
// catalogers would not look into. Formats that packages come in, such as jar, are
// none. The file is read from its start again.
func packedFiles(file *os.File, name string) (bool, error) {
	head := make([]byte, 512)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	head = head[:n]
	for _, magic := range []string{"\x1f\x8b", "\x28\xb5\x2f\xfd", "BZh", "\xfd7zXZ\x00", "7z\xbc\xaf\x27\x1c"} {
		if bytes.HasPrefix(head, []byte(magic)) && !packageFile(name) {
			return true, nil
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" && !packageFile(name) {
		return true, nil
	}
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) && strings.HasSuffix(strings.ToLower(name), ".zip"), nil
}

// packageFile reports whether a packed file is one that syft reads as it is.
func packageFile(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{".gem", ".apk", ".crate", ".conda", ".snap", ".gz.jar"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// dockerArchive is what `docker save` writes. Only the places of its files are
// kept; their content is read when it is asked for.
type dockerArchive struct {
	file     *os.File
	sections map[string][2]int64
	links    map[string]string
}

func openDockerArchive(ctx context.Context, name string, o OpenOptions) (targets []*Target, err error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no such file", ErrNoTarget)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	a := &dockerArchive{file: file, sections: make(map[string][2]int64), links: make(map[string]string)}
	if err := a.scan(); err != nil {
		return nil, err
	}
	i, err := a.image(ctx)
	if err != nil {
		return nil, err
	}
	if !fits(o.Platform, i.platform()) {
		return nil, fmt.Errorf("%w: the image is %s, not %s", ErrPlatform, i.platform(), o.Platform)
	}
	i.uses(newShelf([]*image{i}))
	return []*Target{{
		Kind: KindDockerArchive, Name: baseName(name), Digest: digest.FromBytes(i.config),
		Platform: i.platform(), Created: i.parsed.Created.Time, image: i, close: file.Close,
	}}, nil
}

// scan notes offset and size of every regular file, and where links lead.
func (a *dockerArchive) scan() error {
	reader := tar.NewReader(a.file)
	for range maxArchiveEntries {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: reading the tar: %w", oci.ErrMediaType, err)
		}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			offset, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			a.sections[name] = [2]int64{offset, header.Size}
		case tar.TypeSymlink:
			a.links[name] = path.Join(path.Dir(name), header.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(header.Linkname)
		}
	}
	return fmt.Errorf("%w: more than %d files in the archive", ErrLimit, maxArchiveEntries)
}

// open returns a file of the archive and its size. Links stay inside of it.
func (a *dockerArchive) open(name string) (*io.SectionReader, error) {
	name = path.Clean(name)
	for range maxArchiveLinkDepth {
		if section, found := a.sections[name]; found {
			return io.NewSectionReader(a.file, section[0], section[1]), nil
		}
		next, found := a.links[name]
		if !found {
			break
		}
		name = next
	}
	return nil, fmt.Errorf("%w: the archive has no %q", oci.ErrNotFound, name)
}

func (a *dockerArchive) read(name string, limit int64) ([]byte, error) {
	section, err := a.open(name)
	if err != nil {
		return nil, err
	}
	if section.Size() > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrLimit, name, section.Size())
	}
	return io.ReadAll(section)
}

// image reads manifest.json and the config of the archive's one image.
func (a *dockerArchive) image(ctx context.Context) (*image, error) {
	raw, err := a.read("manifest.json", maxArchiveManifest)
	if err != nil {
		return nil, err
	}
	if err := strictjson.Check(raw); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w: %w", oci.ErrAmbiguous, err)
	}
	var manifests []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(raw, &manifests); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w: %w", oci.ErrAmbiguous, err)
	}
	if len(manifests) != 1 {
		return nil, fmt.Errorf("reading manifest.json: %w: it holds %d images; save one alone", oci.ErrReference, len(manifests))
	}
	config, err := a.read(manifests[0].Config, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	i := &image{ctx: ctx, mediaType: types.DockerManifestSchema2, config: config}
	for _, name := range manifests[0].Layers {
		section, err := a.open(name)
		if err != nil {
			return nil, err
		}
		// The name within the archive stands for the digest that it has not.
		i.layers = append(i.layers, &layer{
			image: i, digest: digest.FromBytes([]byte(name)), size: section.Size(), mediaType: types.DockerUncompressedLayer,
			open: func(context.Context) (io.ReadCloser, error) {
				section, err := a.open(name)
				return io.NopCloser(section), err
			},
		})
	}
	return i, i.readConfig()
}
