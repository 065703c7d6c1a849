// Package strictjson refuses JSON that two parsers could read as two documents:
// duplicate keys, keys that differ in case only, bytes behind the value, broken
// UTF-8, and depth without end.
//
//	if err := strictjson.Check(raw); err != nil { … }
//	err := strictjson.Decode(raw, &target)    // unknown and re-cased fields refused too
//
// encoding/json keeps the last of two equal keys and matches field names without
// regard to case; other parsers do not. Under a signature that is two meanings.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Errors of this package.
var (
	// ErrMalformed: not exactly one unambiguous JSON value; refuse the document.
	ErrMalformed = errors.New("malformed JSON")
	// ErrDepth: nested deeper than [MaxDepth]; refuse the document.
	ErrDepth = errors.New("JSON nested too deeply")
)

// MaxDepth bounds nesting: SBOMs nest about a dozen levels.
const MaxDepth = 128

// Check reports whether raw is exactly one JSON value (RFC 8259) that every
// parser reads alike. Keys of one object must differ; at the top level they must
// differ in more than case. Errors wrap [ErrMalformed] or [ErrDepth].
func Check(raw []byte) error {
	if !utf8.Valid(raw) {
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	if !json.Valid(raw) {
		var ignored json.RawMessage
		if err := json.Unmarshal(raw, &ignored); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return fmt.Errorf("%w: no value", ErrMalformed)
	}
	return checkKeys(raw)
}

// frame is one open object or array.
type frame struct {
	object bool
	keys   map[string]struct{}
}

// checkKeys walks a document that is known to be valid JSON.
func checkKeys(raw []byte) error {
	var stack []frame
	var free []map[string]struct{}
	wantKey := false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			if len(stack) == MaxDepth {
				return fmt.Errorf("%w: deeper than %d at byte %d", ErrDepth, MaxDepth, i)
			}
			f := frame{object: raw[i] == '{'}
			if f.object {
				if n := len(free); n > 0 {
					f.keys, free = free[n-1], free[:n-1]
				} else {
					f.keys = make(map[string]struct{})
				}
			}
			stack = append(stack, f)
			wantKey = f.object
		case '}', ']':
			if keys := stack[len(stack)-1].keys; keys != nil {
				clear(keys)
				free = append(free, keys)
			}
			stack = stack[:len(stack)-1]
			wantKey = false
		case ',':
			wantKey = stack[len(stack)-1].object
		case '"':
			end := closingQuote(raw, i)
			if wantKey {
				if err := addKey(stack[len(stack)-1].keys, raw[i:end+1], len(stack) == 1); err != nil {
					return fmt.Errorf("%w at byte %d", err, i)
				}
				wantKey = false
			}
			i = end
		}
	}
	return nil
}

// closingQuote returns the index of the quote that ends the string at start.
func closingQuote(raw []byte, start int) int {
	for i := start + 1; ; i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
}

func addKey(keys map[string]struct{}, quoted []byte, fold bool) error {
	key := string(quoted[1 : len(quoted)-1])
	if strings.IndexByte(key, '\\') >= 0 {
		if err := json.Unmarshal(quoted, &key); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	if fold {
		key = strings.ToLower(key)
	}
	if _, twice := keys[key]; twice {
		return fmt.Errorf("%w: key %.60q stands twice in one object", ErrMalformed, key)
	}
	keys[key] = struct{}{}
	return nil
}

// Decode reads raw, which must pass [Check], into target: a pointer to a struct.
// A field that target does not have, or spells in another case, is refused, at
// the top level and in every struct, slice of structs and pointer below it.
// Errors wrap [ErrMalformed] or [ErrDepth].
func Decode(raw []byte, target any) error {
	if err := Check(raw); err != nil {
		return err
	}
	if err := checkFields(raw, reflect.TypeOf(target)); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// checkFields compares keys with the exact names of the struct's fields.
func checkFields(raw []byte, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	first := bytes.TrimLeft(raw, " \t\r\n")
	switch {
	case len(first) == 0 || t == reflect.TypeFor[json.RawMessage]():
		return nil
	case t.Kind() == reflect.Slice && first[0] == '[' && holdsStruct(t.Elem()):
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		for _, item := range items {
			if err := checkFields(item, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && first[0] == '{':
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		for key, value := range fields {
			field, found := fieldNamed(t, key)
			if !found {
				return fmt.Errorf("%w: unknown field %.60q", ErrMalformed, key)
			}
			if err := checkFields(value, field); err != nil {
				return err
			}
		}
	}
	return nil
}

func holdsStruct(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

func fieldNamed(t reflect.Type, key string) (reflect.Type, bool) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == key && name != "" && name != "-" {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}
