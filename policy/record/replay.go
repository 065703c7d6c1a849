package record

import (
	"context"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Options say how a record is judged. The zero value judges as was judged then.
type Options struct {
	// Policy is judged by in place of the record's.
	Policy *policy.Policy
	// Time is judged at in place of the record's.
	Time time.Time
	// Platform is judged in place of the record's, if Image is not "".
	Platform string
	// Image picks the images whose text or reference this is; "" is all.
	Image string
}

// Compile reads the record's own policy. It is as trustworthy as the file.
func (r *Record) Compile() (*policy.Policy, error) {
	// Files are not read: the policy holds all that it needs.
	return policy.Parse("the policy in the record", []byte(r.Policy), nil)
}

// Judge judges the recorded images again. It connects to nothing. What was not
// asked then cannot be answered now: it makes an image Undetermined, never Deny.
// Errors say that the policy cannot be read, or that no such image is in the record.
func (r *Record) Judge(ctx context.Context, o Options) (*report.Report, error) {
	p := o.Policy
	if p == nil {
		var err error
		if p, err = r.Compile(); err != nil {
			return nil, err
		}
	}
	at := r.Time
	if !o.Time.IsZero() {
		at = o.Time
	}
	platform := r.Platform
	if o.Platform != "" {
		platform = o.Platform
	}
	targets, err := r.targets(o.Image)
	if err != nil {
		return nil, err
	}
	g := gate.New(p, nil, gate.Options{Platform: platform, Now: func() time.Time { return at }, Content: r.content()})
	out := report.New(p, at, g.JudgeTargets(ctx, targets)...)
	out.Insecure = append(out.Insecure, r.Insecure...)
	for _, f := range r.Fetched {
		out.SetFetched(f.Root, f.At)
	}
	return out, nil
}

// targets returns what is judged, from the record's own answers.
func (r *Record) targets(only string) ([]gate.Target, error) {
	sources := make([]*answered, len(r.Sources))
	blobs := make(map[digest.Digest][]byte, len(r.Blobs))
	for _, b := range r.Blobs {
		blobs[b.Digest] = b.Content
	}
	for i, s := range r.Sources {
		sources[i] = &answered{answers: make(map[string]*Answer, len(s.Answers)), blobs: blobs}
		for j := range s.Answers {
			sources[i].answers[s.Answers[j].Asked.key()] = &s.Answers[j]
		}
	}
	var targets []gate.Target
	for _, image := range r.Images {
		t := gate.Target{Text: image.Text, Name: image.Name, Layout: image.Layout}
		if image.Failure != nil {
			t.Err = image.Failure.err()
		} else {
			ref, err := image.Reference.parse()
			if err != nil {
				return nil, err
			}
			t.Reference, t.Source = ref, sources[image.Source]
		}
		if only == "" || only == image.Text || t.Err == nil && only == t.Reference.String() {
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("looking for %q in the record: %w", only, oci.ErrNotFound)
	}
	return targets, nil
}

// answered is a source that knows only what was asked when it was recorded.
type answered struct {
	answers map[string]*Answer
	blobs   map[digest.Digest][]byte
}

var _ gate.Source = (*answered)(nil)

// ask finds the answer to a question. An unknown answer is an error of the kind
// "could not look", never "not found": nobody knows what would have been found.
func (s *answered) ask(q Question) (*Answer, error) {
	a := s.answers[q.key()]
	switch {
	case a == nil:
		return nil, fmt.Errorf("asking the record (%s of %s): %w: %w", q.Call, q.about(), ErrNotRecorded, oci.ErrUnreachable)
	case a.Failure != nil:
		return nil, a.Failure.err()
	}
	return a, nil
}

// about names what a question is about.
func (q Question) about() string {
	switch {
	case q.Tag != "":
		return q.Reference.Name + ":" + q.Tag
	case q.Content != nil:
		return q.Reference.Name + "@" + q.Content.Digest.String()
	case !q.Digest.IsZero():
		return q.Reference.Name + "@" + q.Digest.String()
	}
	return q.Reference.Name
}

// Resolve implements [gate.Source].
func (s *answered) Resolve(_ context.Context, r oci.Reference) (oci.Descriptor, error) {
	a, err := s.ask(Question{Call: "resolve", Reference: reference(r)})
	if err != nil {
		return oci.Descriptor{}, err
	}
	return *a.Resolved, nil
}

// Manifest implements [gate.Source].
func (s *answered) Manifest(_ context.Context, r oci.Reference, d oci.Descriptor) (*oci.Manifest, error) {
	return s.manifest(Question{Call: "manifest", Reference: reference(r), Content: &d})
}

// TagManifest implements [gate.Source].
func (s *answered) TagManifest(_ context.Context, r oci.Reference, tag string) (*oci.Manifest, error) {
	return s.manifest(Question{Call: "tag", Reference: reference(r), Tag: tag})
}

func (s *answered) manifest(q Question) (*oci.Manifest, error) {
	a, err := s.ask(q)
	if err != nil {
		return nil, err
	}
	return oci.ParseManifest(s.blobs[a.Blob], a.MediaType)
}

// Blob implements [gate.Source].
func (s *answered) Blob(_ context.Context, r oci.Reference, d oci.Descriptor, limit int64) ([]byte, error) {
	a, err := s.ask(Question{Call: "blob", Reference: reference(r), Content: &d, Limit: limit})
	if err != nil {
		return nil, err
	}
	return s.blobs[a.Blob], nil
}

// Referrers implements [gate.Source].
func (s *answered) Referrers(_ context.Context, r oci.Reference, d digest.Digest) (oci.Referrers, error) {
	a, err := s.ask(Question{Call: "referrers", Reference: reference(r), Digest: d})
	if err != nil {
		return oci.Referrers{}, err
	}
	return oci.Referrers{Place: a.Place, Descriptors: a.Listed}, nil
}

// ReferrersTag implements [gate.Source].
func (s *answered) ReferrersTag(_ context.Context, r oci.Reference, d digest.Digest) ([]oci.Descriptor, error) {
	a, err := s.ask(Question{Call: "referrersTag", Reference: reference(r), Digest: d})
	if err != nil {
		return nil, err
	}
	return a.Listed, nil
}
