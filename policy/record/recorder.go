package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Recorder writes down what sources answer. Safe for concurrent use.
type Recorder struct {
	mu       sync.Mutex
	sources  []*watched
	by       map[gate.Source]*watched
	blobs    map[digest.Digest][]byte
	bytes    int
	contents []Content
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{by: make(map[gate.Source]*watched), blobs: make(map[digest.Digest][]byte)}
}

// Watch returns a source that asks the given one and writes down its answers. The
// same question is asked once; whoever asks again gets the same answer. One source
// is watched once.
func (r *Recorder) Watch(s gate.Source) gate.Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w, is := s.(*watched); is && w.recorder == r {
		return w
	}
	if w := r.by[s]; w != nil {
		return w
	}
	w := &watched{recorder: r, source: s, index: len(r.sources), asked: make(map[string]func() Answer)}
	r.sources = append(r.sources, w)
	r.by[s] = w
	return w
}

// watched is a source whose answers are written down.
type watched struct {
	recorder *Recorder
	source   gate.Source
	index    int

	asked map[string]func() Answer // guarded by the recorder
	order []func() Answer
}

var _ gate.Source = (*watched)(nil)

// ask answers a question, once.
func (w *watched) ask(q Question, answer func(*Answer) error) Answer {
	key := q.key()
	w.recorder.mu.Lock()
	once := w.asked[key]
	if once == nil {
		once = sync.OnceValue(func() Answer {
			a := Answer{Asked: q}
			if err := answer(&a); err != nil {
				a = Answer{Asked: q, Failure: failure(err)}
			}
			return a
		})
		w.asked[key] = once
		w.order = append(w.order, once)
	}
	w.recorder.mu.Unlock()
	return once()
}

// keep stores content, or says why not.
func (r *Recorder) keep(content []byte) (digest.Digest, bool) {
	d := digest.FromBytes(content)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, has := r.blobs[d]; has {
		return d, true
	}
	if len(content) > MaxBlobBytes || r.bytes+len(content) > MaxBytes/2 {
		return d, false
	}
	r.blobs[d], r.bytes = content, r.bytes+len(content)
	return d, true
}

// Resolve implements [gate.Source].
func (w *watched) Resolve(ctx context.Context, r oci.Reference) (oci.Descriptor, error) {
	a := w.ask(Question{Call: "resolve", Reference: reference(r)}, func(a *Answer) error {
		d, err := w.source.Resolve(ctx, r)
		a.Resolved = &d
		return err
	})
	if a.Failure != nil {
		return oci.Descriptor{}, a.Failure.err()
	}
	return *a.Resolved, nil
}

// Manifest implements [gate.Source].
func (w *watched) Manifest(ctx context.Context, r oci.Reference, d oci.Descriptor) (*oci.Manifest, error) {
	return w.manifest(Question{Call: "manifest", Reference: reference(r), Content: &d}, func() (*oci.Manifest, error) {
		return w.source.Manifest(ctx, r, d)
	})
}

// TagManifest implements [gate.Source].
func (w *watched) TagManifest(ctx context.Context, r oci.Reference, tag string) (*oci.Manifest, error) {
	return w.manifest(Question{Call: "tag", Reference: reference(r), Tag: tag}, func() (*oci.Manifest, error) {
		return w.source.TagManifest(ctx, r, tag)
	})
}

func (w *watched) manifest(q Question, fetch func() (*oci.Manifest, error)) (*oci.Manifest, error) {
	a := w.ask(q, func(a *Answer) error {
		m, err := fetch()
		if err != nil {
			return err
		}
		a.MediaType = m.MediaType
		return w.fill(a, m.Raw)
	})
	if a.Failure != nil {
		return nil, a.Failure.err()
	}
	return oci.ParseManifest(w.content(a), a.MediaType)
}

// fill makes content the answer.
func (w *watched) fill(a *Answer, content []byte) error {
	var kept bool
	if a.Blob, kept = w.recorder.keep(content); !kept {
		return fmt.Errorf("recording %d bytes: %w: a record keeps pieces of at most %d bytes, and half of %d together", len(content), oci.ErrLimit, MaxBlobBytes, MaxBytes)
	}
	return nil
}

func (w *watched) content(a Answer) []byte {
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	return w.recorder.blobs[a.Blob]
}

// Blob implements [gate.Source].
func (w *watched) Blob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) ([]byte, error) {
	a := w.ask(Question{Call: "blob", Reference: reference(r), Content: &d, Limit: limit}, func(a *Answer) error {
		content, err := w.source.Blob(ctx, r, d, limit)
		if err != nil {
			return err
		}
		return w.fill(a, content)
	})
	if a.Failure != nil {
		return nil, a.Failure.err()
	}
	return w.content(a), nil
}

// Referrers implements [gate.Source].
func (w *watched) Referrers(ctx context.Context, r oci.Reference, d digest.Digest) (oci.Referrers, error) {
	a := w.ask(Question{Call: "referrers", Reference: reference(r), Digest: d}, func(a *Answer) error {
		list, err := w.source.Referrers(ctx, r, d)
		a.Listed, a.Place, a.Empty = list.Descriptors, list.Place, len(list.Descriptors) == 0
		return err
	})
	if a.Failure != nil {
		return oci.Referrers{}, a.Failure.err()
	}
	return oci.Referrers{Place: a.Place, Descriptors: a.Listed}, nil
}

// ReferrersTag implements [gate.Source].
func (w *watched) ReferrersTag(ctx context.Context, r oci.Reference, d digest.Digest) ([]oci.Descriptor, error) {
	a := w.ask(Question{Call: "referrersTag", Reference: reference(r), Digest: d}, func(a *Answer) error {
		list, err := w.source.ReferrersTag(ctx, r, d)
		a.Listed, a.Empty = list, len(list) == 0
		return err
	})
	if a.Failure != nil {
		return nil, a.Failure.err()
	}
	return a.Listed, nil
}

// key names a question. Its parts are encoded, so that no two can run together.
func (q Question) key() string {
	raw, err := json.Marshal(q)
	if err != nil {
		return fmt.Sprintf("%#v", q) // no question holds what JSON cannot say
	}
	return string(raw)
}

// reference takes a reference apart.
func reference(r oci.Reference) Reference {
	out := Reference{Tag: r.Tag, Digest: r.Digest}
	if r.Host != "" || r.Repository != "" {
		out.Name = r.Name()
	}
	return out
}

// errReference: a record's reference is not in canonical form.
var errReference = errors.New("a reference that is not canonical")

// parse gives the reference back.
func (r Reference) parse() (oci.Reference, error) {
	if r.Name == "" {
		if r.Tag != "" {
			return oci.Reference{}, errReference
		}
		return oci.Reference{Digest: r.Digest}, nil
	}
	text := oci.Reference{Tag: r.Tag, Digest: r.Digest}
	full := r.Name
	if text.Tag != "" {
		full += ":" + text.Tag
	}
	if !text.Digest.IsZero() {
		full += "@" + text.Digest.String()
	}
	parsed, err := oci.ParseReference(full)
	if err != nil {
		return oci.Reference{}, err
	}
	if r.Tag == "" {
		parsed.Tag = ""
	}
	if reference(parsed) != r {
		return oci.Reference{}, errReference
	}
	return parsed, nil
}
