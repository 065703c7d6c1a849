package manifest

import (
	"strings"
	"testing"
)

// TestProve: each difference beside the digests is seen before a file is written.
func TestProve(t *testing.T) {
	t.Parallel()
	const text = "# head\nservices:\n  a: &a\n    image: x:1 # why\n  b:\n    image: 'y'\n    labels: [x:1, \"z\"]\n  c: *a\n"
	file, err := Read("x.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	changes := []Change{{Old: "x:1", New: "x:1@d"}, {Old: "y", New: "y@d"}}
	pinned := strings.NewReplacer("image: x:1", "image: x:1@d", "'y'", "'y@d'").Replace(text)
	if err := file.prove([]byte(pinned), changes); err != nil {
		t.Fatalf("the right text: %v", err)
	}
	for name, other := range map[string]string{
		"nothing changed":   text,
		"one is left":       strings.Replace(pinned, "'y@d'", "'y'", 1),
		"another image":     strings.Replace(pinned, "x:1@d", "x:2@d", 1),
		"another value":     strings.Replace(pinned, `"z"`, `"w"`, 1),
		"another tag":       strings.Replace(pinned, `"z"`, "1", 1),
		"another quote":     strings.Replace(pinned, `"z"`, "'z'", 1),
		"another key":       strings.Replace(pinned, "labels", "label", 1),
		"a comment is lost": strings.Replace(pinned, " # why", "", 1),
		"another comment":   strings.Replace(pinned, "# head", "# heads", 1),
		"a line more":       strings.Replace(pinned, "services:\n", "services:\n\n", 1),
		"a service more":    pinned + "  d: {image: y@d}\n",
		"a service less":    strings.Replace(pinned, "  c: *a\n", "", 1),
		"an entry more":     pinned + "volumes: {}\n",
		"a document more":   pinned + "---\nservices: {}\n",
		"no alias":          strings.Replace(pinned, "*a", "{image: x:1@d}", 1),
		"another anchor":    strings.Replace(strings.Replace(pinned, "&a", "&z", 1), "*a", "*z", 1),
		"unreadable":        pinned + "\t{",
		"empty":             "services: {}\n",
	} {
		if err := file.prove([]byte(other), changes); err == nil {
			t.Errorf("%s is not seen:\n%s", name, other)
		}
	}
}
