package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Media types of the content that the helpers push.
const (
	MediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeIndex    = mediaTypeIndex
	MediaTypeConfig   = "application/vnd.oci.image.config.v1+json"
	MediaTypeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	MediaTypeEmpty    = "application/vnd.oci.empty.v1+json"
)

// Descriptor is an OCI descriptor as it is written into JSON.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	Data         []byte            `json:"data,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
	URLs         []string          `json:"urls,omitempty"`
}

// Platform is the platform of an index entry.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// Pushed is a manifest or index that stands in the registry.
type Pushed struct {
	Descriptor
	Host       string
	Repository string   // without the host
	Tag        string   // "" when it was pushed by digest
	Raw        []byte   // the manifest
	Children   []Pushed // an index's platforms, in order
}

// Ref returns "host/repository@sha256:…".
func (p Pushed) Ref() string { return p.Name() + "@" + p.Digest.String() }

// TagRef returns "host/repository:tag".
func (p Pushed) TagRef() string { return p.Name() + ":" + p.Tag }

// Name returns "host/repository".
func (p Pushed) Name() string { return p.Host + "/" + p.Repository }

// PutBlob stores content and returns its descriptor with that media type.
func (r *Registry) PutBlob(repository, mediaType string, content []byte) Descriptor {
	r.t.Helper()
	d := digest.FromBytes(content)
	answer := r.direct(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+d.String(), "application/octet-stream", content)
	if answer.Code != http.StatusCreated {
		r.t.Fatalf("registrytest: putting blob: %d %s", answer.Code, answer.Body)
	}
	return Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// PutManifest stores raw as it is under tag, or by digest when tag is "".
func (r *Registry) PutManifest(repository, tag, mediaType string, raw []byte) Pushed {
	r.t.Helper()
	d := digest.FromBytes(raw)
	reference := tag
	if reference == "" {
		reference = d.String()
	}
	answer := r.direct(http.MethodPut, "/v2/"+repository+"/manifests/"+reference, mediaType, raw)
	if answer.Code != http.StatusCreated {
		r.t.Fatalf("registrytest: putting manifest: %d %s", answer.Code, answer.Body)
	}
	return Pushed{
		Descriptor: Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))},
		Host:       r.Host(), Repository: repository, Tag: tag, Raw: raw,
	}
}

// PutJSON is [Registry.PutManifest] of document as JSON.
func (r *Registry) PutJSON(repository, tag, mediaType string, document any) Pushed {
	r.t.Helper()
	raw, err := json.Marshal(document)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.PutManifest(repository, tag, mediaType, raw)
}

// PushImage pushes a linux/amd64 image of one layer with these files (name ->
// content). The same files give the same digest.
func (r *Registry) PushImage(repository, tag string, files map[string]string) Pushed {
	r.t.Helper()
	return r.pushImage(repository, tag, Platform{OS: "linux", Architecture: "amd64"}, files)
}

// PushIndex pushes an index of one image for each platform ("linux/amd64",
// "linux/arm/v7"), each with one file that names its platform, and returns it
// with its children.
func (r *Registry) PushIndex(repository, tag string, platforms ...string) Pushed {
	r.t.Helper()
	children := []Pushed{}
	manifests := []Descriptor{}
	for _, text := range platforms {
		parts := append(strings.Split(text, "/"), "", "")
		platform := Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
		child := r.pushImage(repository, "", platform, map[string]string{"platform": repository + " " + text})
		child.Platform = &platform
		children = append(children, child)
		manifests = append(manifests, child.Descriptor)
	}
	index := r.PutJSON(repository, tag, MediaTypeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": MediaTypeIndex, "manifests": manifests,
	})
	index.Children = children
	return index
}

func (r *Registry) pushImage(repository, tag string, platform Platform, files map[string]string) Pushed {
	r.t.Helper()
	plain, layer := r.layer(files)
	config, err := json.Marshal(map[string]any{
		"os": platform.OS, "architecture": platform.Architecture, "variant": platform.Variant,
		"config": map[string]any{"Entrypoint": []string{"/app"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest.FromBytes(plain).String()}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.PutJSON(repository, tag, MediaTypeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": MediaTypeManifest,
		"config": r.PutBlob(repository, MediaTypeConfig, config),
		"layers": []Descriptor{r.PutBlob(repository, MediaTypeLayer, layer)},
	})
}

// layer returns a tar of the files in the order of their names, plain and
// compressed.
func (r *Registry) layer(files map[string]string) (plain, compressed []byte) {
	r.t.Helper()
	var archive, zipped bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			r.t.Fatal(err)
		}
		if _, err := io.WriteString(writer, files[name]); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		r.t.Fatal(err)
	}
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write(archive.Bytes()); err != nil {
		r.t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		r.t.Fatal(err)
	}
	return archive.Bytes(), zipped.Bytes()
}

// Tag points tag at a manifest that the registry has.
func (r *Registry) Tag(repository, tag string, d digest.Digest) {
	r.t.Helper()
	raw, mediaType, found := r.Manifest(repository, d.String())
	if !found {
		r.t.Fatalf("registrytest: tagging %s: no such manifest in %s", d, repository)
	}
	r.PutManifest(repository, tag, mediaType, raw)
}

// PushV1 pushes a go-containerregistry image with all its blobs.
func (r *Registry) PushV1(repository, tag string, image v1.Image) Pushed {
	r.t.Helper()
	layers, err := image.Layers()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, layer := range layers {
		stream, err := layer.Compressed()
		if err != nil {
			r.t.Fatal(err)
		}
		content, err := io.ReadAll(stream)
		if err != nil {
			r.t.Fatal(err)
		}
		stream.Close()
		r.PutBlob(repository, "", content)
	}
	config, err := image.RawConfigFile()
	if err != nil {
		r.t.Fatal(err)
	}
	r.PutBlob(repository, "", config)
	return r.pushRaw(repository, tag, image)
}

// PushV1Index pushes a go-containerregistry index with its images.
func (r *Registry) PushV1Index(repository, tag string, index v1.ImageIndex) Pushed {
	r.t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		r.t.Fatal(err)
	}
	children := []Pushed{}
	for _, child := range manifest.Manifests {
		if child.MediaType.IsIndex() {
			nested, err := index.ImageIndex(child.Digest)
			if err != nil {
				r.t.Fatal(err)
			}
			children = append(children, r.PushV1Index(repository, "", nested))
			continue
		}
		image, err := index.Image(child.Digest)
		if err != nil {
			r.t.Fatal(err)
		}
		children = append(children, r.PushV1(repository, "", image))
	}
	pushed := r.pushRaw(repository, tag, index)
	pushed.Children = children
	return pushed
}

func (r *Registry) pushRaw(repository, tag string, from interface {
	partial.WithRawManifest
	partial.Describable
},
) Pushed {
	r.t.Helper()
	raw, err := from.RawManifest()
	if err != nil {
		r.t.Fatal(err)
	}
	mediaType, err := from.MediaType()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.PutManifest(repository, tag, string(mediaType), raw)
}
