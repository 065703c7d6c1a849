package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// The kinds of failure that callers branch on. Every error of this package that
// comes from outside wraps exactly one.
var (
	// ErrNotFound: the registry, layout or archive says that there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized: 401 or 403; log in, or ask for access. Not "absent".
	ErrUnauthorized = errors.New("not authorised")
	// ErrUnreachable: no usable answer: network, time-out, 429, 5xx, or a page
	// that is no answer. Nothing is known; try again later.
	ErrUnreachable = errors.New("registry gave no usable answer")
	// ErrDigestMismatch: the bytes are not those that the digest names.
	ErrDigestMismatch = errors.New("content does not match its digest")
	// ErrSizeMismatch: the bytes are not as many as the descriptor says.
	ErrSizeMismatch = errors.New("content does not match its size")
	// ErrMediaType: a type that is not accepted, or types that disagree.
	ErrMediaType = errors.New("media type not accepted")
	// ErrAmbiguous: a manifest that two readers would read as two things.
	ErrAmbiguous = errors.New("ambiguous manifest")
	// ErrLimit: more bytes, items or pages than are read.
	ErrLimit = errors.New("limit exceeded")
	// ErrRedirectRefused: the registry sends us where credentials or trust would leak.
	ErrRedirectRefused = errors.New("redirect refused")
	// ErrReference: the text is no image reference.
	ErrReference = errors.New("malformed image reference")
)

// classify gives a transport's error its kind. Cancellation stays recognisable.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); len(text) > maxErrorText {
		err = &longError{strings.ToValidUTF8(text[:maxErrorText], "") + "…", err}
	}
	for _, known := range []error{ErrRedirectRefused, ErrHostRefused, ErrReference, ErrLimit, ErrUnauthorized, ErrNotFound, ErrUnreachable} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return statusError(answer.StatusCode, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// Limits on the words of somebody else in errors. Reports keep errors of many places.
const (
	maxErrorText = 1024 // an address with a digest, and a sentence, of a transport's error
	maxQuoted    = 120  // a few words
)

// longError is an error whose text was cut.
type longError struct {
	text string
	err  error
}

func (e *longError) Error() string { return e.text }
func (e *longError) Unwrap() error { return e.err }

// short returns the beginning of somebody else's text.
func short(text string) string {
	if len(text) > maxQuoted {
		return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return text
}

// statusError names the kind of an HTTP status that is no success.
func statusError(status int, cause error) error {
	kind := ErrUnreachable
	switch status {
	case http.StatusNotFound:
		kind = ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = ErrUnauthorized
	}
	if cause == nil {
		return fmt.Errorf("%w: %d %s", kind, status, http.StatusText(status))
	}
	return fmt.Errorf("%w: %w", kind, cause)
}
