package convert_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/convert"
)

// everyone is evidence by all who stand in the sources of testdata.
func everyone() evidence {
	e := evidence{signed: []string{"ann", "ben", "cat", "ops", "scanner", "release@acme.example"}, attested: map[string]string{}}
	for _, name := range e.signed {
		e.attested[name] = "PASSED"
	}
	return e
}

// TestMisspelt misspells every key of every source once: what may have been a condition
// must not get lost in silence, and must not allow more.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	for name, change := range sources {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		t.Run("PO-11 "+name, func(t *testing.T) {
			t.Parallel()
			base, basePolicy := convertText(t, "", string(raw), change)
			for n := 0; ; n++ {
				text, key, more := misspell(t, source(t, string(raw)), n)
				if !more {
					if n < 10 {
						t.Errorf("only %d keys", n)
					}
					return
				}
				o := convert.Options{Kind: base.Kind, Read: files(t)}
				change(&o)
				result, err := convert.Convert([]convert.Source{{Name: "source", Data: text}}, o)
				if errors.Is(err, convert.ErrSource) || errors.Is(err, convert.ErrKind) {
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", key, err)
					continue
				}
				if strings.HasPrefix(key, "registry.") {
					continue // another image's name
				}
				if string(result.Policy) == string(base.Policy) && !trustless[key] {
					t.Errorf("the key %q is misspelt, and nothing is lost", key)
				}
				p, err := policy.Parse("policy.yaml", result.Policy, files(t))
				if err != nil {
					t.Fatal(err)
				}
				for _, image := range []string{"registry.acme.example/prod/app", "registry.acme.example/base/web-1", "registry.acme.example/apps/x", "registry.acme.example/pinned/app", "registry.acme.example/vendor/x", "registry.acme.example/x", "mirror.acme.example/x"} {
					for _, e := range []evidence{{}, everyone(), {signed: []string{"ops"}}, {signed: []string{"ann", "ben"}}} {
						if allows(t, p, image, e) && !allows(t, basePolicy, image, e) {
							t.Errorf("the key %q is misspelt, and %s with %+v is allowed", key, image, e)
						}
					}
				}
			}
		})
	}
}

// trustless are keys that say nothing about trust, or below which everything is lost
// anyway.
var trustless = map[string]bool{"metadata": true, "name": true, "any": true, "resources": true, "kinds": true, "namespaces": true}

// misspell changes the n-th key of a file.
func misspell(t *testing.T, raw []byte, n int) (text []byte, key string, more bool) {
	t.Helper()
	decoder, out := yaml.NewDecoder(bytes.NewReader(raw)), &bytes.Buffer{}
	encoder := yaml.NewEncoder(out)
	var walk func(*yaml.Node)
	walk = func(node *yaml.Node) {
		for i, child := range node.Content {
			if node.Kind == yaml.MappingNode && i%2 == 0 {
				if n == 0 {
					key = child.Value
					child.Value += "x"
				}
				n--
			}
			walk(child)
		}
	}
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			break
		}
		walk(&document)
		if err := encoder.Encode(&document); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes(), key, key != ""
}

// TestUnreadable gives sources that are no policies at all.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	cip := "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\nspec: {images: [{glob: '**'}], authorities: [{static: {action: pass}}]}\n"
	if _, err := convert.Convert([]convert.Source{{Name: "x", Data: []byte(cip)}}, convert.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"empty":                       {"", convert.ErrSource},
		"no YAML":                     {"a: [", convert.ErrSource},
		"PO-12 a key twice":           {strings.Replace(cip, "kind:", "kind: x\nkind:", 1), convert.ErrSource},
		"PO-12 an anchor":             {strings.Replace(cip, "spec: ", "spec: &a ", 1), convert.ErrSource},
		"PO-12 an alias bomb":         {"a: &a [x]\nb: &b [*a, *a, *a]\nc: [*b, *b]\n", convert.ErrSource},
		"PO-12 a merge key":           {strings.Replace(cip, "spec: {", "spec: {<<: {a: b}, ", 1), convert.ErrSource},
		"PO-12 a tag":                 {strings.Replace(cip, "spec: ", "spec: !!map ", 1), convert.ErrSource},
		"PO-12 nested":                {cip + strings.Repeat("[", 5000), convert.ErrSource},
		"too large":                   {"# " + strings.Repeat("x", policy.MaxBytes), convert.ErrSource},
		"not UTF-8":                   {"\xff\xfe", convert.ErrSource},
		"too many documents":          {strings.Repeat("---\n"+cip, 300), convert.ErrSource},
		"another API":                 {"apiVersion: v1\nkind: Pod\n", convert.ErrKind},
		"a text":                      {"hello", convert.ErrKind},
		"another version":             {strings.Replace(cip, "v1beta1", "v2", 1), convert.ErrKind},
		"another kind of Kyverno":     {"apiVersion: kyverno.io/v1\nkind: CleanupPolicy\n", convert.ErrKind},
		"PO-09 no images":             {strings.Replace(cip, "images: [{glob: '**'}]", "images: []", 1), convert.ErrSource},
		"PO-09 no statements":         {`{"version": "1.0", "trustPolicies": []}`, convert.ErrSource},
		"PO-09 no requirements":       {`{"default": []}`, convert.ErrSource},
		"PO-09 no rule about images":  {"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: x}\nspec: {rules: [{name: x, match: {any: [{resources: {kinds: [Pod]}}]}, validate: {message: x}}]}\n", convert.ErrSource},
		"two kinds":                   {cip + "---\napiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec: {}\n", convert.ErrKind},
		"another version of notation": {`{"version": "2.0", "trustPolicies": [{"name": "x"}]}`, convert.ErrKind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := convert.Convert([]convert.Source{{Name: "x", Data: []byte(test.text)}}, convert.Options{})
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v: %+v", err, test.want, result)
			}
		})
	}
	if _, err := convert.Convert(nil, convert.Options{}); !errors.Is(err, convert.ErrSource) {
		t.Errorf("no sources: %v", err)
	}
	if _, err := convert.Convert([]convert.Source{{Name: "x", Data: []byte(cip)}}, convert.Options{Kind: convert.Notation}); !errors.Is(err, convert.ErrKind) {
		t.Errorf("another kind than was said: %v", err)
	}
}
