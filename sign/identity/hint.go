package identity

import (
	"errors"
	"fmt"
	"strings"
)

// hintError carries what to do about an error.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint returns what the user can do about an error of this package, in one line, or "".
func Hint(err error) string {
	var hinted *hintError
	if errors.As(err, &hinted) {
		return hinted.hint
	}
	return ""
}

// withHint attaches a hint unless err has one already.
func withHint(err error, format string, args ...any) error {
	if err == nil || Hint(err) != "" {
		return err
	}
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// redacted is an error whose text lost its secrets. The cause stays reachable.
type redacted struct {
	err  error
	text string
}

func (e *redacted) Error() string { return e.text }
func (e *redacted) Unwrap() error { return e.err }

// redact takes secrets out of what an error says: servers echo what they were sent,
// and libraries quote what they could not read.
func redact(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := hide(err.Error(), secrets...)
	if text == err.Error() {
		return err
	}
	return &redacted{err: err, text: text}
}

func hide(text string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[hidden]")
		}
	}
	return text
}
