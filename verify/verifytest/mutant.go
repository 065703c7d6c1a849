package verifytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
)

// Mutants returns copies of a JSON document that each differ in one place: every
// field dropped, set to null, given another type, and every text with one letter
// changed. The name of a mutant says what was changed.
//
// Not every mutant must be refused (a key hint is only a hint): the caller lists
// those that may pass, by name, and every other one must not.
func Mutants(t testing.TB, document []byte) map[string][]byte {
	t.Helper()
	var root any
	if err := json.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	mutants := make(map[string][]byte)
	add := func(name string) {
		raw, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		mutants[name] = raw
	}
	walk(root, "", func(path string, set func(any), drop func(), old any) {
		for name, value := range replacements(old) {
			set(value)
			add(path + " " + name)
		}
		set(old)
		if drop != nil {
			drop()
			add(path + " dropped")
			set(old)
		}
	})
	return mutants
}

// replacements are the one-place changes of a value.
func replacements(old any) map[string]any {
	changed := map[string]any{"null": nil}
	switch value := old.(type) {
	case string:
		changed["number"] = 7
		if value == "7" {
			changed["number"] = 8
		}
		changed["empty"] = ""
		if len(value) > 0 {
			middle := []byte(value)
			i := len(middle) / 2
			if middle[i] == 'A' {
				middle[i] = 'B'
			} else {
				middle[i] = 'A'
			}
			changed["letter"] = string(middle)
			changed["longer"] = value + value[:1]
		}
	case float64:
		changed["plus one"] = value + 1
		changed["negative"] = -value - 1
		changed["text"] = "x"
	case map[string]any:
		changed["text"] = "x"
		changed["empty"] = map[string]any{}
		more := maps.Clone(value)
		more["unknownField"] = 1
		changed["unknown field"] = more
	case []any:
		changed["empty"] = []any{}
		if len(value) > 0 {
			changed["twice"] = append(slices.Clone(value), value[0])
		}
	}
	return changed
}

func walk(node any, path string, visit func(path string, set func(any), drop func(), old any)) {
	switch value := node.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			old := value[key]
			here := path + "/" + key
			walk(old, here, visit)
			visit(here, func(v any) { value[key] = v }, func() { delete(value, key) }, old)
		}
	case []any:
		for i, old := range value {
			here := fmt.Sprintf("%s/%d", path, i)
			walk(old, here, visit)
			visit(here, func(v any) { value[i] = v }, nil, old)
		}
	}
}

// Duplicates returns copies of a JSON document in each of which one field stands
// twice, with the same value: which of the two a reader takes is its own choice.
func Duplicates(t testing.TB, document []byte) map[string][]byte {
	t.Helper()
	const second = "~the second one~"
	var root any
	if err := json.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	mutants := make(map[string][]byte)
	walkObjects(root, "", func(path string, object map[string]any) {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			object[second] = object[key]
			raw, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			delete(object, second)
			mutants[path+"/"+key+" duplicated"] = bytes.Replace(raw, []byte(`"`+second+`"`), []byte(`"`+key+`"`), 1)
		}
	})
	return mutants
}

// Swaps returns copies of a JSON document in each of which one field is another
// document's, where the two differ in it.
func Swaps(t testing.TB, document, other []byte) map[string][]byte {
	t.Helper()
	var root, from any
	if err := json.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(other, &from); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]any)
	walk(from, "", func(path string, _ func(any), _ func(), old any) { values[path] = old })
	mutants := make(map[string][]byte)
	walk(root, "", func(path string, set func(any), _ func(), old any) {
		value, has := values[path]
		if !has || reflect.DeepEqual(value, old) {
			return
		}
		set(value)
		raw, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		set(old)
		mutants[path+" swapped"] = raw
	})
	return mutants
}

func walkObjects(node any, path string, visit func(path string, object map[string]any)) {
	switch value := node.(type) {
	case map[string]any:
		visit(path, value)
		for _, key := range slices.Sorted(maps.Keys(value)) {
			walkObjects(value[key], path+"/"+key, visit)
		}
	case []any:
		for i, inner := range value {
			walkObjects(inner, fmt.Sprintf("%s/%d", path, i), visit)
		}
	}
}
