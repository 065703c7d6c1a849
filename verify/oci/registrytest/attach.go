package registrytest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Artifact is what [Registry.Attach] hangs on a manifest.
type Artifact struct {
	Type        string            // artifactType
	MediaType   string            // of the one layer; default is Type
	Content     []byte            // of the one layer
	Embed       bool              // also write Content into the layer descriptor's data
	Annotations map[string]string // of the manifest
	// Subject, when it is set, is written into the manifest's subject in
	// place of the one attached to: a forgery that lists itself elsewhere.
	Subject *Descriptor
}

// Attach pushes an artifact manifest whose subject is the given descriptor
// (OCI image spec 1.1). Without the referrers API it is also added to the
// referrers tag, as the specification asks of a writer.
func (r *Registry) Attach(repository string, subject Descriptor, artifact Artifact) Pushed {
	r.t.Helper()
	if artifact.MediaType == "" {
		artifact.MediaType = artifact.Type
	}
	layer := r.PutBlob(repository, artifact.MediaType, artifact.Content)
	if artifact.Embed {
		layer.Data = artifact.Content
	}
	named := Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	if artifact.Subject != nil {
		named = *artifact.Subject
	}
	manifest := map[string]any{
		"schemaVersion": 2, "mediaType": MediaTypeManifest, "artifactType": artifact.Type,
		"config":  r.PutBlob(repository, MediaTypeEmpty, []byte("{}")),
		"layers":  []Descriptor{layer},
		"subject": named,
	}
	if artifact.Annotations != nil {
		manifest["annotations"] = artifact.Annotations
	}
	pushed := r.PutJSON(repository, "", MediaTypeManifest, manifest)
	pushed.ArtifactType, pushed.Annotations = artifact.Type, artifact.Annotations
	if !r.options.referrers {
		r.AddToReferrersTag(repository, subject.Digest, pushed.Descriptor)
	}
	return pushed
}

// AddToReferrersTag adds descriptors to the index under the tag sha256-<hex>,
// whether or not such manifests exist.
func (r *Registry) AddToReferrersTag(repository string, subject digest.Digest, add ...Descriptor) Pushed {
	r.t.Helper()
	list := append(r.ReferrersTag(repository, subject), add...)
	return r.PutJSON(repository, referrersTag(subject), MediaTypeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": MediaTypeIndex, "manifests": list,
	})
}

// ReferrersTag returns what the referrers tag lists now.
func (r *Registry) ReferrersTag(repository string, subject digest.Digest) []Descriptor {
	r.t.Helper()
	raw, _, found := r.Manifest(repository, referrersTag(subject))
	if !found {
		return nil
	}
	return r.descriptors(raw)
}

// Referrers returns what names the digest as its subject, whether or not the
// API is on, in the order of the pushes.
func (r *Registry) Referrers(repository string, subject digest.Digest) []Descriptor {
	r.store.mu.RLock()
	defer r.store.mu.RUnlock()
	var out []Descriptor
	for _, e := range r.store.manifests[repository] {
		if e.subject == subject.String() {
			out = append(out, Descriptor{
				MediaType: e.mediaType, Digest: e.digest, Size: int64(e.size),
				ArtifactType: e.artifactType, Annotations: e.annotations,
			})
		}
	}
	return out
}

// LegacyLayer is one layer of cosign's tag format.
type LegacyLayer struct {
	MediaType   string
	Content     []byte
	Annotations map[string]string
}

// AttachLegacy pushes cosign's tag format: an image manifest under the tag
// sha256-<hex>.<suffix> with one layer each. suffix is "sig", "att" or "sbom".
func (r *Registry) AttachLegacy(repository string, subject digest.Digest, suffix string, layers ...LegacyLayer) Pushed {
	r.t.Helper()
	list := []Descriptor{}
	diffs := []string{}
	for _, layer := range layers {
		described := r.PutBlob(repository, layer.MediaType, layer.Content)
		described.Annotations = layer.Annotations
		list = append(list, described)
		diffs = append(diffs, described.Digest.String())
	}
	config, err := json.Marshal(map[string]any{
		"os": "", "architecture": "", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.PutJSON(repository, referrersTag(subject)+"."+suffix, MediaTypeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": MediaTypeManifest,
		"config": r.PutBlob(repository, MediaTypeConfig, config), "layers": list,
	})
}

// Manifest returns what stands under a tag or digest, uncounted.
func (r *Registry) Manifest(repository, reference string) (raw []byte, mediaType string, found bool) {
	answer := r.direct(http.MethodGet, "/v2/"+repository+"/manifests/"+reference, "", nil)
	return answer.Body.Bytes(), answer.Header().Get("Content-Type"), answer.Code == http.StatusOK
}

// BlobContent returns a blob, uncounted.
func (r *Registry) BlobContent(repository string, d digest.Digest) (content []byte, found bool) {
	answer := r.direct(http.MethodGet, "/v2/"+repository+"/blobs/"+d.String(), "", nil)
	return answer.Body.Bytes(), answer.Code == http.StatusOK
}

// Tags returns a repository's tags in order, uncounted.
func (r *Registry) Tags(repository string) []string {
	r.store.mu.RLock()
	defer r.store.mu.RUnlock()
	var tags []string
	for tag := range r.store.tags[repository] {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags
}

// FlipTag lets n requests for the tag see what it is, and all later ones
// another manifest, as a registry does that shows its reader two faces.
func (r *Registry) FlipTag(repository, tag string, n int, other Pushed) Hits {
	r.t.Helper()
	return r.Inject(Match{Repository: repository, Path: "/manifests/" + tag, After: n}, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			moved := req.Clone(req.Context())
			moved.URL.Path = "/v2/" + other.Repository + "/manifests/" + other.Digest.String()
			r.store.ServeHTTP(w, moved)
		})
	})
}

func (r *Registry) descriptors(raw []byte) []Descriptor {
	r.t.Helper()
	var index struct {
		Manifests []Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		r.t.Fatalf("registrytest: reading the referrers tag: %v", err)
	}
	return index.Manifests
}

func referrersTag(subject digest.Digest) string {
	return strings.Replace(subject.String(), ":", "-", 1)
}
