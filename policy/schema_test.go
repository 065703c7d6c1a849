package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// TestReferenceSchema: schema.json is what the types and their comments say.
func TestReferenceSchema(t *testing.T) {
	t.Parallel()
	g := &schemaWriter{doc: comments(t), defs: make(map[string]any)}
	root := g.mapping(reflect.TypeFor[document]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://hallmark.dev/schema/" + strings.TrimPrefix(APIVersion, "hallmark.dev/") + "/trust-policy.json"
	root["title"] = "Hallmark trust policy"
	// Signers and rules may stand in another file: one of the folder, or one that is included.
	root["required"] = slices.DeleteFunc(root["required"].([]string), inOtherFile)
	g.defs["match"], g.defs["matches"] = matchSchema()
	root["$defs"] = g.defs
	properties := root["properties"].(map[string]any)
	properties["apiVersion"].(map[string]any)["const"] = APIVersion
	properties["kind"].(map[string]any)["const"] = KindPolicy
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		t.Fatal(err)
	}
	const file = "schema.json"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("policy/schema.json is out of date; `go test ./policy -run TestReference -update` writes it (-file +types):\n%s", diff)
	}
}

// schemaWriter turns the language's types into a schema.
type schemaWriter struct {
	doc  map[string]string
	defs map[string]any
}

// mapping is the schema of one struct.
func (g *schemaWriter) mapping(of reflect.Type) map[string]any {
	entries, _ := entriesOf(of)
	properties, required := make(map[string]any), []string{}
	for _, e := range entries {
		if e.key {
			continue
		}
		field := of.Field(e.index)
		one := g.value(field, e)
		one["description"] = sentence(field.Name, g.doc[of.Name()+"."+field.Name])
		if missing := field.Tag.Get("default"); missing != "" {
			one["description"] = one["description"].(string) + " Default: " + missing + "."
		}
		properties[e.name] = one
		if e.required {
			required = append(required, e.name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false, "description": sentence(of.Name(), g.doc[of.Name()])}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// ref is a reference to a struct's schema.
func (g *schemaWriter) ref(of reflect.Type) map[string]any {
	name := strings.TrimSuffix(of.Name(), "Entry")
	if g.defs[name] == nil {
		g.defs[name] = true // ends a recursion
		g.defs[name] = g.mapping(of)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

func (g *schemaWriter) value(field reflect.StructField, e entry) map[string]any {
	of := field.Type
	if own, isOwn := reflect.New(of).Interface().(leaf); isOwn {
		return leafSchema(own.describe())
	}
	switch {
	case of == reflect.TypeFor[number]():
		return map[string]any{"type": "integer", "minimum": 1}
	case of == reflect.TypeFor[text]():
		one := map[string]any{"type": "string", "minLength": 1}
		if e.oneof != nil {
			one["enum"] = e.oneof
		}
		return one
	case of.Kind() == reflect.Pointer:
		return g.ref(of.Elem())
	case of.Kind() != reflect.Slice:
		return map[string]any{}
	}
	element := of.Elem()
	if field.Tag.Get("map") != "" {
		return map[string]any{
			"type": "object", "minProperties": 1, "maxProperties": maxList,
			"propertyNames": map[string]any{"pattern": signerName.String()}, "additionalProperties": g.ref(element),
		}
	}
	item := map[string]any{"type": "string", "minLength": 1}
	switch {
	case e.oneof != nil:
		item["enum"] = e.oneof
	case !isLeaf(element):
		item = g.ref(element)
	}
	return map[string]any{"type": "array", "minItems": 1, "maxItems": maxList, "items": item}
}

// matchSchema is one text, or what a text must match.
func matchSchema() (one, several map[string]any) {
	text := map[string]any{"type": "string", "minLength": 1}
	way := func(name string) map[string]any {
		return map[string]any{"type": "object", "properties": map[string]any{name: text}, "required": []string{name}, "additionalProperties": false}
	}
	one = map[string]any{"anyOf": []any{text, way("glob"), way("regexp")}}
	ref := map[string]any{"$ref": "#/$defs/match"}
	list := map[string]any{"type": "array", "minItems": 1, "maxItems": maxMatches, "items": ref}
	return one, map[string]any{"anyOf": []any{ref, list}}
}

// leafSchema is the schema of a field that reads itself, by what docs/policy.md calls
// it. One that has none is left to [Parse].
func leafSchema(description string) map[string]any {
	text := map[string]any{"type": "string", "minLength": 1}
	matches := map[string]any{"$ref": "#/$defs/matches"}
	switch description {
	case "match, or list of matches":
		return matches
	case "mapping of OIDs to matches":
		return map[string]any{"type": "object", "minProperties": 1, "propertyNames": map[string]any{"pattern": dottedOID.String()}, "additionalProperties": matches}
	case "mapping of paths to matches":
		return map[string]any{"type": "object", "minProperties": 1, "additionalProperties": matches}
	case "mapping of names to demands":
		return map[string]any{"type": "object", "minProperties": 2, "maxProperties": maxJoined, "additionalProperties": text}
	case "whole number":
		return map[string]any{"type": "integer", "minimum": 0, "maximum": maxList}
	case "`true`":
		return map[string]any{"const": true}
	case "mapping of names to lists of signers":
		return map[string]any{"type": "object", "minProperties": 1, "additionalProperties": map[string]any{"type": "array", "minItems": 1, "items": text}}
	case "length of time":
		return map[string]any{"type": "string", "pattern": "^[0-9]+[a-z]+$"}
	case "day or time":
		return map[string]any{"type": "string", "minLength": 1}
	}
	return map[string]any{}
}

// validator compiles the schema with a library that knows the draft.
func validator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON reads YAML as an editor does: dates stay texts.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var tree yaml.Node
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	var plain func(n *yaml.Node)
	plain = func(n *yaml.Node) {
		if n.ShortTag() == "!!timestamp" {
			n.Tag = "!!str"
		}
		for _, child := range n.Content {
			plain(child)
		}
	}
	plain(&tree)
	var value any
	if err := tree.Decode(&value); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var policyBlock = regexp.MustCompile("(?s)```yaml\n(apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\n.*?)```")

// The schema takes every policy of docs/policy.md, and refuses each that is broken
// where a schema can see it.
func TestSchemaAgreesWithTheReader(t *testing.T) {
	t.Parallel()
	schema := validator(t)
	docs, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := policyBlock.FindAllStringSubmatch(string(docs), -1)
	if len(examples) == 0 {
		t.Fatal("docs/policy.md has no policy")
	}
	apart := fileHead + including + "rules:\n  - {name: one, images: [registry.acme.example/**], require: {signatures: {from: [release]}}}\n"
	if _, err := Parse("p.yaml", []byte(apart), keyFiles(t)); err != nil {
		t.Fatal(err)
	}
	for _, example := range append(examples, []string{"", full}, []string{"", identities}, []string{"", apart}) {
		if err := schema.Validate(asJSON(t, example[1])); err != nil {
			t.Errorf("%v\n%s", err, example[1])
		}
	}
	for name, change := range map[string][2]string{
		"an unknown entry":      {"platforms: all", "platform: all"},
		"another version":       {"hallmark.dev/v1alpha1", "hallmark.dev/v9"},
		"another kind":          {"kind: TrustPolicy", "kind: Policy"},
		"a choice that is none": {"platforms: all", "platforms: some"},
		"a number as text":      {"atLeast: 2", `atLeast: "2"`},
		"a zero threshold":      {"atLeast: 2", "atLeast: 0"},
		"an empty list":         {"from: [release, ops]", "from: []"},
		"a text for a list":     {"from: [release, ops]", "from: release"},
		"a rule without name":   {"- name: production\n    ", "- "},
	} {
		broken := strings.Replace(full, change[0], change[1], 1)
		if broken == full {
			t.Errorf("%s: %q does not stand in the example", name, change[0])
			continue
		}
		if schema.Validate(asJSON(t, broken)) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
		if _, err := Parse("p.yaml", []byte(broken), keyFiles(t)); err == nil {
			t.Errorf("%s: the reader takes it", name)
		}
	}
}
