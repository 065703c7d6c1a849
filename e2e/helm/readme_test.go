package helm

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestEveryValueIsDescribed: each value of values.yaml stands in the chart's README and
// in its schema, and the README names none that does not exist.
func TestEveryValueIsDescribed(t *testing.T) {
	t.Parallel()
	var values object
	if err := yaml.UnmarshalStrict([]byte(read(t, chart+"/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := yaml.UnmarshalStrict([]byte(read(t, chart+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	// What stands for others to fill, and is described as a whole.
	whole := map[string]bool{"resources": true}
	readme := read(t, chart+"/README.md")
	var walk func(prefix string, values, schema object)
	walk = func(prefix string, values, schema object) {
		for name, value := range values {
			path := prefix + name
			below, _ := schema.at("properties", name).(map[string]any)
			if below == nil {
				t.Errorf("%s is not in the schema", path)
				continue
			}
			if inner, is := value.(map[string]any); is && len(inner) > 0 && !whole[path] {
				if below["additionalProperties"] != false {
					t.Errorf("the schema lets anything stand in %s", path)
				}
				walk(path+".", inner, below)
				continue
			}
			if !strings.Contains(readme, "`"+path+"`") {
				t.Errorf("%s is not in the README", path)
			}
		}
		for name := range schema.at("properties").(map[string]any) {
			if _, known := values[name]; !known && prefix+name != "global" {
				t.Errorf("%s%s is in the schema and not in values.yaml", prefix, name)
			}
		}
	}
	walk("", values, schema)
	for _, line := range strings.Split(readme, "\n") {
		cell, isRow := strings.CutPrefix(line, "| `")
		if !isRow {
			continue
		}
		cell, _, _ = strings.Cut(cell, "` |")
		for _, path := range strings.Split(cell, "`, `") {
			at := make([]any, 0, 3)
			for _, part := range strings.Split(path, ".") {
				at = append(at, part)
			}
			if parent, is := values.at(at[:len(at)-1]...).(map[string]any); !is {
				t.Errorf("the README describes %s, which is no value", path)
			} else if _, is := parent[at[len(at)-1].(string)]; !is {
				t.Errorf("the README describes %s, which is no value", path)
			}
		}
	}
}
