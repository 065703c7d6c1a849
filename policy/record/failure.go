package record

import (
	"context"
	"errors"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Failure is an error that a source gave: its text and its kinds, by which a
// decision is made.
type Failure struct {
	Kinds []string `json:"kinds"`
	Text  string   `json:"text"`
}

// kinds are the errors that callers branch on, by the names that they have in a record.
func kinds() []struct {
	name string
	err  error
} {
	return []struct {
		name string
		err  error
	}{
		{"notFound", oci.ErrNotFound},
		{"unauthorized", oci.ErrUnauthorized},
		{"unreachable", oci.ErrUnreachable},
		{"digestMismatch", oci.ErrDigestMismatch},
		{"sizeMismatch", oci.ErrSizeMismatch},
		{"mediaType", oci.ErrMediaType},
		{"ambiguous", oci.ErrAmbiguous},
		{"limit", oci.ErrLimit},
		{"redirectRefused", oci.ErrRedirectRefused},
		{"reference", oci.ErrReference},
		{"offline", oci.ErrOffline},
		{"notRecorded", ErrNotRecorded},
		{"canceled", context.Canceled},
		{"deadline", context.DeadlineExceeded},
	}
}

// failure records an error.
func failure(err error) *Failure {
	f := &Failure{Text: err.Error()}
	if len(f.Text) > maxDetail {
		f.Text = wording.Short(f.Text)
	}
	for _, kind := range kinds() {
		if errors.Is(err, kind.err) {
			f.Kinds = append(f.Kinds, kind.name)
		}
	}
	return f
}

// replayed is a recorded error: the same text, and the same kinds for errors.Is.
type replayed struct {
	text  string
	kinds []error
}

func (e *replayed) Error() string   { return e.text }
func (e *replayed) Unwrap() []error { return e.kinds }

// err gives the error back.
func (f *Failure) err() error {
	e := &replayed{text: f.Text}
	for _, kind := range kinds() {
		for _, name := range f.Kinds {
			if name == kind.name {
				e.kinds = append(e.kinds, kind.err)
			}
		}
	}
	return e
}

// known reports whether every kind is one of this version's.
func (f *Failure) known() bool {
	return len(f.err().(*replayed).kinds) == len(f.Kinds)
}
