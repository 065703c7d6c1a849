package registrytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hallmark-project/hallmark/attest/digest"
)

const mediaTypeIndex = "application/vnd.oci.image.index.v1+json"

// store is go-containerregistry's registry with what it lacks: a referrers
// answer as the distribution spec 1.1 describes it, and conditional PUT.
type store struct {
	plain   http.Handler
	options options

	mu        sync.RWMutex // written by manifest PUT and DELETE, so that a compare and a swap are one step
	manifests map[string][]*entry
	tags      map[string]map[string]digest.Digest
}

// entry is a manifest that was put, in the order of the first put.
type entry struct {
	digest       digest.Digest
	mediaType    string
	size         int
	subject      string
	artifactType string
	annotations  map[string]string
}

func newStore(plain http.Handler, o options) *store {
	return &store{plain: plain, options: o, manifests: make(map[string][]*entry), tags: make(map[string]map[string]digest.Digest)}
}

func (s *store) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	class, repository, reference := classify(req.URL.Path)
	switch class {
	case Tag, ReferrersTag, LegacyTag, Manifest:
		switch req.Method {
		case http.MethodPut:
			s.put(w, req, repository, reference)
			return
		case http.MethodDelete:
			s.remove(w, req, repository, reference)
			return
		}
		if s.options.conditionalPut {
			s.mu.RLock()
			defer s.mu.RUnlock()
			h := hold(s.plain, req)
			if d := h.header.Get("Docker-Content-Digest"); d != "" {
				h.header.Set("ETag", strconv.Quote(d))
			}
			h.send(w)
			return
		}
	case Referrers:
		if s.options.referrers && !s.options.plainReferrers && req.Method == http.MethodGet {
			s.referrers(w, req, repository, reference)
			return
		}
	}
	s.plain.ServeHTTP(w, req)
}

// put stores a manifest, after a compare where the request asks for one.
func (s *store) put(w http.ResponseWriter, req *http.Request, repository, reference string) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		writeError(w, http.StatusBadRequest, "MANIFEST_INVALID")
		return
	}
	computed := digest.FromBytes(raw)
	if strings.Contains(reference, ":") && strings.HasPrefix(reference, "sha256:") && reference != computed.String() {
		writeError(w, http.StatusBadRequest, "DIGEST_INVALID")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.conditionalPut {
		current, exists := s.tags[repository][reference]
		match, none := req.Header.Get("If-Match"), req.Header.Get("If-None-Match")
		if match != "" && (!exists || match != "*" && match != strconv.Quote(current.String())) ||
			none != "" && exists && (none == "*" || none == strconv.Quote(current.String())) {
			writeError(w, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
			return
		}
	}
	req.Body = io.NopCloser(bytes.NewReader(raw))
	h := hold(s.plain, req)
	if h.status == http.StatusCreated {
		added := s.note(repository, reference, req.Header.Get("Content-Type"), computed, raw)
		if added.subject != "" && s.options.referrers && !s.options.plainReferrers {
			h.header.Set("OCI-Subject", added.subject)
		}
		if s.options.conditionalPut {
			h.header.Set("ETag", strconv.Quote(computed.String()))
		}
	}
	h.send(w)
}

// note remembers a manifest that was put; the caller holds the lock.
func (s *store) note(repository, reference, mediaType string, d digest.Digest, raw []byte) *entry {
	if s.tags[repository] == nil {
		s.tags[repository] = make(map[string]digest.Digest)
	}
	if !strings.Contains(reference, ":") {
		s.tags[repository][reference] = d
	}
	for _, known := range s.manifests[repository] {
		if known.digest == d {
			known.mediaType = mediaType
			return known
		}
	}
	var document struct {
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
		Config       struct {
			MediaType string `json:"mediaType"`
		} `json:"config"`
		Subject struct {
			Digest string `json:"digest"`
		} `json:"subject"`
	}
	json.Unmarshal(raw, &document) //nolint:errcheck // junk is stored as junk
	added := &entry{
		digest: d, mediaType: mediaType, size: len(raw), subject: document.Subject.Digest,
		artifactType: document.ArtifactType, annotations: document.Annotations,
	}
	if added.artifactType == "" {
		added.artifactType = document.Config.MediaType
	}
	s.manifests[repository] = append(s.manifests[repository], added)
	return added
}

func (s *store) remove(w http.ResponseWriter, req *http.Request, repository, reference string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := hold(s.plain, req)
	if h.status == http.StatusAccepted {
		delete(s.tags[repository], reference)
		s.manifests[repository] = slices.DeleteFunc(s.manifests[repository], func(e *entry) bool { return e.digest.String() == reference })
	}
	h.send(w)
}

// referrers answers GET /v2/<name>/referrers/<digest> (distribution-spec 1.1,
// "Listing Referrers").
func (s *store) referrers(w http.ResponseWriter, req *http.Request, repository, reference string) {
	if _, err := digest.Parse(reference); err != nil {
		writeError(w, http.StatusBadRequest, "DIGEST_INVALID")
		return
	}
	type descriptor struct {
		MediaType    string            `json:"mediaType"`
		Digest       string            `json:"digest"`
		Size         int               `json:"size"`
		ArtifactType string            `json:"artifactType,omitempty"`
		Annotations  map[string]string `json:"annotations,omitempty"`
	}
	wantType := req.URL.Query().Get("artifactType")
	list := []descriptor{}
	s.mu.RLock()
	for _, e := range s.manifests[repository] {
		if e.subject != reference || s.options.filter && wantType != "" && e.artifactType != wantType {
			continue
		}
		list = append(list, descriptor{e.mediaType, e.digest.String(), e.size, e.artifactType, e.annotations})
	}
	s.mu.RUnlock()
	if s.options.filter && wantType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if n := s.options.pageSize; n > 0 {
		start, _ := strconv.Atoi(req.URL.Query().Get("next"))
		start = min(max(start, 0), len(list))
		list = list[start:]
		if len(list) > n {
			list = list[:n]
			query := url.Values{"next": {strconv.Itoa(start + n)}}
			if wantType != "" {
				query.Set("artifactType", wantType)
			}
			w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, req.URL.Path, query.Encode()))
		}
	}
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaTypeIndex, "manifests": list})
	if err != nil {
		writeError(w, http.StatusInternalServerError, "UNKNOWN")
		return
	}
	w.Header().Set("Content-Type", mediaTypeIndex)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body) //nolint:errcheck // see held.send
}

// direct sends a request to the store beside the listener.
func (r *Registry) direct(method, path, contentType string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, bytes.NewReader(body))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	recorder := httptest.NewRecorder()
	r.store.ServeHTTP(recorder, req)
	return recorder
}
