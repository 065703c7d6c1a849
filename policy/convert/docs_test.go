package convert_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy/convert"
)

// example is a source and its result in docs/convert.md.
var example = regexp.MustCompile("(?s)<!-- source(?:: ([^\n]*))? -->\n```[a-z]*\n(.*?)```\n\n<!-- result -->\n```yaml\n(.*?)```\n")

// TestDocs converts every example of docs/convert.md.
func TestDocs(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "convert.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if n := len(example.FindAllString(text, -1)); n != 6 || n != strings.Count(text, "<!-- source") {
		t.Fatalf("%d examples are read", n)
	}
	got := example.ReplaceAllStringFunc(text, func(one string) string {
		parts := example.FindStringSubmatch(one)
		o := convert.Options{Read: files(t), TrustStore: store, InsecureAnyName: parts[1] == "--insecure-any-name"}
		source := convert.Source{Name: "source", Data: []byte(parts[2])}
		if parts[1] == "cosign" {
			o.Kind = convert.Cosign
			if source, err = convert.Arguments("source", strings.Fields(parts[2])); err != nil {
				t.Fatal(err)
			}
		}
		result, err := convert.Convert([]convert.Source{source}, o)
		if err != nil {
			t.Fatalf("%s\n%v", one, err)
		}
		return strings.TrimSuffix(one, parts[3]+"```\n") + string(result.Policy) + "```\n"
	})
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(text, got); diff != "" {
		t.Errorf("docs/convert.md (-is +result), -update writes it anew:\n%s", diff)
	}
}
