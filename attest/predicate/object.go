package predicate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxParameters bounds the flattened parameters; builds have a few dozen.
const maxParameters = 10000

// object is a JSON object whose keys count exactly as they are written.
type object map[string]any

// parseObject reads one JSON object that every parser reads alike.
func parseObject(raw []byte) (object, error) {
	if err := attest.CheckJSON(raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	o, isObject := tree.(map[string]any)
	if !isObject {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	return o, nil
}

// exact refuses keys that are one of names but for case or underscores: another
// parser would take them for it.
func (o object) exact(names ...string) error {
	for key := range o {
		for _, name := range names {
			if key != name && strings.EqualFold(strings.ReplaceAll(key, "_", ""), name) {
				return fmt.Errorf("%w: field %q, which must be %q", ErrMalformed, wording.Short(key), name)
			}
		}
	}
	return nil
}

// object returns the object in a field, or an empty one; another kind of value
// is refused.
func (o object) object(name string) (object, error) {
	switch value := o[name].(type) {
	case nil:
		return object{}, nil
	case map[string]any:
		return value, nil
	}
	return nil, fmt.Errorf("%w: %s is not an object", ErrMalformed, name)
}

// text returns the string in a field, or "" where there is none.
func (o object) text(name string) string {
	value, _ := o[name].(string)
	return value
}

// decode reads the object into one of in-toto's own types.
func (o object) decode(read func([]byte) error) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := read(raw); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// flatten joins the keys of nested objects with dots. A key that would then
// stand for two values is refused.
func flatten(tree any) (map[string]string, error) {
	flat := make(map[string]string)
	var walk func(path string, value any) error
	put := func(path, text string) error {
		if _, twice := flat[path]; twice {
			return fmt.Errorf("%w: two parameters are %q", ErrMalformed, wording.Short(path))
		}
		if len(flat) == maxParameters {
			return fmt.Errorf("%w: more than %d parameters", ErrMalformed, maxParameters)
		}
		flat[path] = text
		return nil
	}
	walk = func(path string, value any) error {
		join := func(key string) string {
			if path == "" {
				return key
			}
			return path + "." + key
		}
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				if err := walk(join(key), inner); err != nil {
					return err
				}
			}
		case []any:
			for i, inner := range v {
				if err := walk(join(strconv.Itoa(i)), inner); err != nil {
					return err
				}
			}
		case string:
			return put(path, v)
		case json.Number:
			return put(path, v.String())
		case bool:
			return put(path, strconv.FormatBool(v))
		}
		return nil
	}
	return flat, walk("", tree)
}
