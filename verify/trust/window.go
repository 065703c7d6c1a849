package trust

import (
	"errors"
	"fmt"
	"time"
)

// Errors of [Window.Check].
var (
	// ErrNotYetValid: the signature was made before the key's time began; sign
	// again.
	ErrNotYetValid = errors.New("before the key's time")
	// ErrExpired: the signature was made, or may have been made, after the key's
	// time ended; sign again with the key's successor.
	ErrExpired = errors.New("after the key's time")
	// ErrCompromised: the signature was made, or may have been made, when others
	// had the key; sign again with a new one.
	ErrCompromised = errors.New("the key is revoked")
)

// Window is the time in which the signatures of a key count. The zero Window has
// no bounds.
type Window struct {
	From  time.Time // the first instant; zero: since ever
	Until time.Time // the last instant, inclusive; zero: for ever

	// CompromisedSince is the first instant at which others may have had the
	// key; zero: never. Only a proven earlier signing time is then good enough.
	// A key that was never any good is compromised since time.Unix(0, 0).
	CompromisedSince time.Time
}

// IsZero reports whether the window has no bounds.
func (w Window) IsZero() bool {
	return w.From.IsZero() && w.Until.IsZero() && w.CompromisedSince.IsZero()
}

// Check judges a signature by its proven signing time or, where that is the zero
// time, by now: who cannot prove when a signature was made must find the key
// still in force. The error wraps [ErrNotYetValid], [ErrExpired] or
// [ErrCompromised]. What a signature says of its own time proves nothing and
// must not be given.
func (w Window) Check(proven, now time.Time) error {
	at, how := proven, "signed"
	if proven.IsZero() {
		at, how = now, "no signing time is proven, and now it is"
	}
	stamp := at.UTC().Format(time.RFC3339)
	if !w.CompromisedSince.IsZero() && (proven.IsZero() || !proven.Before(w.CompromisedSince)) {
		return fmt.Errorf("%w since %s: %s %s", ErrCompromised, w.CompromisedSince.UTC().Format(time.RFC3339), how, stamp)
	}
	if !w.From.IsZero() && at.Before(w.From) {
		return fmt.Errorf("%w, which begins at %s: %s %s", ErrNotYetValid, w.From.UTC().Format(time.RFC3339), how, stamp)
	}
	if !w.Until.IsZero() && at.After(w.Until) {
		return fmt.Errorf("%w, which ended at %s: %s %s", ErrExpired, w.Until.UTC().Format(time.RFC3339), how, stamp)
	}
	return nil
}

// String is the window in a form that names its content: equal windows have
// equal strings.
func (w Window) String() string {
	var text string
	for _, bound := range []struct {
		word string
		at   time.Time
	}{{"from", w.From}, {"until", w.Until}, {"compromised since", w.CompromisedSince}} {
		if !bound.at.IsZero() {
			text += " " + bound.word + " " + bound.at.UTC().Format(time.RFC3339Nano)
		}
	}
	if text == "" {
		return "always"
	}
	return text[1:]
}

// Within returns the same key, trusted only in the window. It is an error to end
// before the beginning.
func (k Key) Within(window Window) (Key, error) {
	if !window.From.IsZero() && !window.Until.IsZero() && window.Until.Before(window.From) {
		return Key{}, fmt.Errorf("limiting key %s: the window is empty: %s", k.id, window)
	}
	k.window = window
	return k, nil
}

// Window returns the time in which the key's signatures count.
func (k Key) Window() Window { return k.window }
