package admission

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/policy/workload"
)

// plain makes of a value what the cursor makes of it.
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = plain(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = plain(inner)
		}
	case float64, bool, json.Number:
		return scalar{}
	}
	return value
}

var cursorSeeds = []string{
	`{}`, `[]`, `null`, `"a"`, `1`, `-1.5e+3`, `true`, ` { "a" : [ 1 , "b\"]}" , { } , [ ] , null , false ] , "c\\" : { "d" : "\u0061\ud83d\ude00" } } `,
	`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":"a","env":[{"name":"A","value":"}"}]}],"volumes":[{"image":{"reference":"b"}}]}}`,
	`{"apiVersion":"kubeflow.org/v1","kind":"TFJob","spec":{"tfReplicaSpecs":{"Worker":{"template":{"spec":{"containers":[{"image":"m"}]}}}}}}`,
	`{"\u0073pec":{"cont\u0061iners":[{"\u0069mage":"a"}]},"kind":"Pod"}`, `[[[[["\\\\\"]"]]]]]`, `{"a":{"b":{"c":"\\"}},"d":"\\\""}`,
}

// FuzzCursor: the cursor reads what encoding/json reads, and an object without the fields
// that are not wanted holds the same images.
func FuzzCursor(f *testing.F) {
	for _, seed := range cursorSeeds {
		f.Add([]byte(seed))
	}
	finder, err := workload.NewFinder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := cursor{raw: raw}
		if strictjson.Check(raw) != nil {
			// Whatever it is, the cursor ends.
			_, _ = c.value(func(string) bool { return len(raw) < 1000 })
			return
		}
		var want any
		if err := json.Unmarshal(raw, &want); err != nil {
			return // a number that encoding/json cannot hold
		}
		got, err := c.value(func(string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, plain(want)) {
			t.Fatalf("%s", cmp.Diff(plain(want), got))
		}
		object, isObject := got.(map[string]any)
		if !isObject {
			return
		}
		full, fullErr := finder.Find(object)
		version, _ := object["apiVersion"].(string)
		kind, _ := object["kind"].(string)
		if !finder.Knows(workload.Group(version), kind) {
			return
		}
		q := request{group: workload.Group(version), kind: kind, objectVersion: version, objectKind: kind}
		fields, err := members(raw)
		if err != nil {
			return
		}
		pruned, err := decodeObject(finder, &q, fields)
		if err != nil {
			t.Fatal(err)
		}
		part, partErr := finder.Find(pruned)
		if !reflect.DeepEqual(full, part) || (fullErr == nil) != (partErr == nil) {
			t.Errorf("%v %v, pruned %v %v", full, fullErr, part, partErr)
		}
	})
}
