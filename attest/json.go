package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// CheckJSON reports whether raw is exactly one JSON value that every parser
// reads alike: valid UTF-8 JSON, nothing behind it, no object with two keys
// that are equal or differ in case only, and bounded depth. Errors wrap
// [ErrStatementMalformed] or [ErrLimit].
//
// Two parsers that keep the first and the last of two equal keys would else
// see two different documents under one signature.
func CheckJSON(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		if errors.Is(err, ErrLimit) || errors.Is(err, ErrStatementMalformed) {
			return err
		}
		return fmt.Errorf("%w: at byte %d: %w", ErrStatementMalformed, decoder.InputOffset(), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one JSON value, at byte %d", ErrStatementMalformed, decoder.InputOffset())
	}
	return nil
}

func checkValue(decoder *json.Decoder, depth int) error {
	if depth > maxNestingDepth {
		return fmt.Errorf("JSON nested deeper than %d: %w", maxNestingDepth, ErrLimit)
	}
	token, err := decoder.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	switch token {
	case json.Delim('{'):
		return checkObject(decoder, depth)
	case json.Delim('['):
		for decoder.More() {
			if err := checkValue(decoder, depth+1); err != nil {
				return err
			}
		}
		_, err := decoder.Token()
		return err
	}
	return nil
}

func checkObject(decoder *json.Decoder, depth int) error {
	seen := make(map[string]string)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		key, isString := token.(string)
		if !isString {
			return fmt.Errorf("%w: object key at byte %d", ErrStatementMalformed, decoder.InputOffset())
		}
		folded := strings.ToLower(key)
		if other, duplicate := seen[folded]; duplicate && (depth == 0 || other == key) {
			return fmt.Errorf("%w: keys %q and %q in one object, at byte %d", ErrStatementMalformed, shorten(other), shorten(key), decoder.InputOffset())
		}
		seen[folded] = key
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return err
}

// decodeStrict reads one JSON value into target and refuses unknown fields and
// fields whose case differs from the target's.
func decodeStrict(raw []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(target)
}

// shorten keeps an untrusted text out of messages beyond a few words.
func shorten(text string) string {
	const limit = 120
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}
