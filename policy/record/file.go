package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Verification is what a record says beside the answers of the sources.
type Verification struct {
	Policy *policy.Policy
	Time   time.Time
	// Hallmark is the version that judged.
	Hallmark string
	Platform string
	Insecure []string
	Fetched  []Fetched
	// Targets are what was judged. Their sources must have been watched.
	Targets []gate.Target
}

// Record returns what was seen so far. It fails for a target whose source was not
// watched.
func (r *Recorder) Record(v Verification) (*Record, error) {
	out := &Record{
		Schema: Schema, Hallmark: v.Hallmark, Time: v.Time.UTC(), Policy: string(v.Policy.YAML()),
		Platform: v.Platform, Insecure: v.Insecure, Fetched: v.Fetched, Images: []Image{}, Sources: []Source{}, Blobs: []Blob{},
	}
	for _, t := range v.Targets {
		image := Image{Text: t.Text, Name: t.Name, Reference: reference(t.Reference), Layout: t.Layout}
		if t.Err != nil {
			image.Failure = failure(t.Err)
			out.Images = append(out.Images, image)
			continue
		}
		w, is := t.Source.(*watched)
		if !is || w.recorder != r {
			return nil, fmt.Errorf("recording %s: its source was not watched", t.Text)
		}
		image.Source = w.index
		out.Images = append(out.Images, image)
	}
	r.mu.Lock()
	asked := make([][]func() Answer, len(r.sources))
	for i, w := range r.sources {
		asked[i] = slices.Clone(w.order)
	}
	r.mu.Unlock()
	for _, all := range asked {
		source := Source{}
		for _, answer := range all {
			source.Answers = append(source.Answers, answer())
		}
		slices.SortFunc(source.Answers, func(a, b Answer) int { return cmp.Compare(a.Asked.key(), b.Asked.key()) })
		out.Sources = append(out.Sources, source)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for d, content := range r.blobs {
		out.Blobs = append(out.Blobs, Blob{Digest: d, Content: content})
	}
	out.Contents = slices.Clone(r.contents)
	slices.SortFunc(out.Contents, func(a, b Content) int { return cmp.Compare(a.Digest.String(), b.Digest.String()) })
	slices.SortFunc(out.Blobs, func(a, b Blob) int { return cmp.Compare(a.Digest.String(), b.Digest.String()) })
	if err := out.check(); err != nil {
		return nil, fmt.Errorf("recording: %w", err) // what is written can be read
	}
	return out, nil
}

// Write writes the record as JSON.
func (r *Record) Write(w io.Writer) error {
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	if len(raw) > MaxBytes {
		return fmt.Errorf("writing a record: %w: %d bytes, at most %d are read", oci.ErrLimit, len(raw), MaxBytes)
	}
	if _, err := w.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	return nil
}

// Read reads a record strictly: every field known, every byte of content under its
// own digest, every answer complete, every reference canonical. Errors wrap
// [ErrNoRecord]. Its policy is compiled by [Record.Compile].
func Read(in io.Reader) (*Record, error) {
	raw, err := io.ReadAll(io.LimitReader(in, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("reading a record: %w: more than %d bytes", ErrNoRecord, MaxBytes)
	}
	r := &Record{}
	if err := strictjson.Decode(bytes.TrimSpace(raw), r); err != nil {
		return nil, fmt.Errorf("reading a record: %w: %w", ErrNoRecord, err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("reading a record: %w: %w", ErrNoRecord, err)
	}
	return r, nil
}

// check says why a record cannot be judged.
func (r *Record) check() error {
	switch {
	case r.Schema != Schema:
		return fmt.Errorf("it is of the form %.60q; this version reads %s", r.Schema, Schema)
	case r.Time.IsZero():
		return errors.New("it has no time")
	case r.Policy == "":
		return errors.New("it has no policy")
	case len(r.Images) == 0:
		return errors.New("it has no image")
	case len(r.Images) > maxTargets:
		return fmt.Errorf("%d images, at most %d are read", len(r.Images), maxTargets)
	}
	blobs := make(map[digest.Digest]bool)
	for _, b := range r.Blobs {
		if b.Digest.IsZero() || !b.Digest.Matches(b.Content) {
			return fmt.Errorf("%w: content that calls itself %q", oci.ErrDigestMismatch, b.Digest)
		}
		if blobs[b.Digest] {
			return fmt.Errorf("content %s stands twice", b.Digest.Short())
		}
		blobs[b.Digest] = true
	}
	answers := 0
	for i, source := range r.Sources {
		if answers += len(source.Answers); answers > maxAnswers {
			return fmt.Errorf("more than %d answers", maxAnswers)
		}
		seen := make(map[string]bool)
		for j, a := range source.Answers {
			if err := a.check(blobs); err != nil {
				return fmt.Errorf("sources[%d].answers[%d]: %w", i, j, err)
			}
			if key := a.Asked.key(); seen[key] {
				return fmt.Errorf("sources[%d].answers[%d]: the question has two answers", i, j)
			} else {
				seen[key] = true
			}
		}
	}
	if err := r.checkContents(); err != nil {
		return err
	}
	for i, image := range r.Images {
		if err := image.check(len(r.Sources)); err != nil {
			return fmt.Errorf("images[%d]: %w", i, err)
		}
	}
	return nil
}

// check says why an answer is none.
func (a Answer) check(blobs map[digest.Digest]bool) error {
	if _, err := a.Asked.Reference.parse(); err != nil {
		return err
	}
	if a.Failure != nil {
		if len(a.Failure.Text) > maxDetail || !a.Failure.known() {
			return errors.New("a failure of an unknown kind")
		}
		if a.Resolved != nil || a.Listed != nil || !a.Blob.IsZero() {
			return errors.New("a failure and an answer")
		}
		return nil
	}
	switch a.Asked.Call {
	case "resolve":
		if a.Resolved == nil || a.Resolved.Digest.IsZero() {
			return errors.New("nothing is resolved")
		}
		if wanted := a.Asked.Reference.Digest; !wanted.IsZero() && a.Resolved.Digest != wanted {
			return fmt.Errorf("%w: a digest is resolved to another", oci.ErrDigestMismatch)
		}
	case "manifest", "tag", "blob":
		if !blobs[a.Blob] {
			return errors.New("its content is not in the record")
		}
		if a.Asked.Content == nil && a.Asked.Call != "tag" || a.Asked.Content != nil && a.Asked.Content.Digest != a.Blob {
			return fmt.Errorf("%w: the content is not what was asked for", oci.ErrDigestMismatch)
		}
	case "referrers", "referrersTag":
		if a.Empty != (len(a.Listed) == 0) {
			return errors.New("no list")
		}
		for _, d := range a.Listed {
			if d.Digest.IsZero() {
				return errors.New("a referrer without a digest")
			}
		}
	default:
		return fmt.Errorf("the call %.40q", a.Asked.Call)
	}
	return nil
}

func (i Image) check(sources int) error {
	ref, err := i.Reference.parse()
	switch {
	case i.Failure != nil:
		if !i.Failure.known() {
			return errors.New("a failure of an unknown kind")
		}
		return nil
	case err != nil:
		return err
	case i.Name != ref.Name():
		return fmt.Errorf("the policy's name %.80q is not that of the reference", i.Name)
	case i.Source < 0 || i.Source >= sources:
		return fmt.Errorf("there is no source %d", i.Source)
	}
	return nil
}
