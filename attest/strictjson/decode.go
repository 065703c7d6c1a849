package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Field is one field of an object. Value shares the memory of the document.
type Field struct {
	Key   string
	Value []byte
}

// Object returns the fields of an object in their order, without copying, and
// refuses an object of more than limit fields, with [ErrMany]. Raw must have
// passed [Check], or be a part of a document that has; anything but an object is
// [ErrMalformed].
func Object(raw []byte, limit int) ([]Field, error) {
	parts, err := split(raw, '{', 2*limit)
	if err != nil {
		return nil, err
	}
	fields := make([]Field, 0, len(parts)/2)
	for i := 0; i+1 < len(parts); i += 2 {
		key, err := Text(parts[i])
		if err != nil {
			return nil, err
		}
		fields = append(fields, Field{Key: key, Value: parts[i+1]})
	}
	return fields, nil
}

// Array returns the items of an array as [Object] returns fields.
func Array(raw []byte, limit int) ([][]byte, error) { return split(raw, '[', limit) }

// Text returns the text of a JSON string; any other value is [ErrMalformed].
func Text(raw []byte) (string, error) {
	raw = trim(raw)
	if len(raw) < 2 || raw[0] != '"' {
		return "", fmt.Errorf("%w: %.20q is no string", ErrMalformed, raw)
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return text, nil
}

// IsNull reports whether raw is null, which stands for a missing value.
func IsNull(raw []byte) bool { return string(trim(raw)) == "null" }

func trim(raw []byte) []byte { return bytes.Trim(raw, " \t\r\n") }

// split cuts a checked object or array at its commas and colons.
func split(raw []byte, open byte, limit int) ([][]byte, error) {
	raw = trim(raw)
	if len(raw) < 2 || raw[0] != open {
		return nil, fmt.Errorf("%w: %.20q does not start with %q", ErrMalformed, raw, open)
	}
	inner := raw[1 : len(raw)-1]
	if len(trim(inner)) == 0 {
		return nil, nil
	}
	var parts [][]byte
	start, depth := 0, 0
	add := func(end int) error {
		if len(parts) == limit {
			return fmt.Errorf("%w: at most %d are read", ErrMany, limit)
		}
		parts = append(parts, trim(inner[start:end:end]))
		start = end + 1
		return nil
	}
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			i = closingQuote(inner, i)
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',', ':':
			if depth == 0 {
				if err := add(i); err != nil {
					return nil, err
				}
			}
		}
	}
	return parts, add(len(inner))
}

// closingQuote returns the index of the quote that ends the string at start.
func closingQuote(raw []byte, start int) int {
	for i := start + 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(raw)
}

// Decode reads raw, which must pass [Check], into target: a pointer to a struct.
// A field that target does not have, or spells in another case, is refused, at
// the top level and in every struct, slice of structs and pointer below it.
// Errors wrap [ErrMalformed] or [ErrDepth]. The caller bounds the document's
// size: an item of two bytes may become a struct of hundreds.
func Decode(raw []byte, target any) error {
	if err := Check(raw); err != nil {
		return err
	}
	if err := checkFields(raw, reflect.TypeOf(target)); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, target); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// checkFields compares keys with the exact names of the struct's fields.
func checkFields(raw []byte, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	first := trim(raw)
	switch {
	case len(first) == 0 || t == reflect.TypeFor[json.RawMessage]():
		return nil
	case t.Kind() == reflect.Slice && first[0] == '[' && holdsStruct(t.Elem()):
		items, err := Array(first, len(first))
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := checkFields(item, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && first[0] == '{':
		fields, err := Object(first, len(first))
		if err != nil {
			return err
		}
		for _, f := range fields {
			field, found := fieldNamed(t, f.Key)
			if !found {
				return fmt.Errorf("%w: unknown field %.60q", ErrMalformed, f.Key)
			}
			if err := checkFields(f.Value, field); err != nil {
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
