package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestPatternIndex: PO-08: the index finds exactly the patterns that a name matches,
// and all that some name matches beside another pattern, on random ones.
func TestPatternIndex(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 12))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	segments := []string{"a", "b", "ab", "a*", "*b", "*", "a*b"}
	matched, met := 0, 0
	for range 300 {
		index, all := newPatternIndex(), []*ownPattern(nil)
		for range 12 {
			text := pick("x.io", "a.x.io", "*.x.io", "*.x.io", "y.x.io:5000", "*.a.x.io")
			for range 1 + random.IntN(3) {
				text += "/" + pick(segments...)
			}
			text += pick("", "", "/**")
			if random.IntN(12) == 0 {
				text = "**"
			}
			p, err := parsePattern(text)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			var near []*ownPattern
			steps := maxPatternSteps
			index.meeting(p, &steps, func(other *ownPattern) { near = append(near, other) })
			for _, other := range all {
				if found := slices.Contains(near, other); p.meets(other.pattern) && !found {
					t.Fatalf("PO-08 %s and %s meet, and the index does not say so", p, other)
				} else if found {
					met++
				}
			}
			own := &ownPattern{pattern: p}
			index.add(own)
			all = append(all, own)
		}
		for range 20 {
			name := pick("x.io", "a.x.io", "y.x.io:5000", "c.a.x.io", "z.io")
			for range 1 + random.IntN(4) {
				name += "/" + pick("a", "b", "ab", "aab", "c")
			}
			var found []*ownPattern
			index.matching(name, func(p *ownPattern) { found = append(found, p) })
			for _, p := range all {
				if p.match(name) != slices.Contains(found, p) {
					t.Fatalf("%s and %q: the index says %t", p, name, slices.Contains(found, p))
				}
				if p.match(name) {
					matched++
				}
			}
			if sorted := slices.Clone(found); len(sorted) > len(all) {
				t.Fatalf("%q is found %d times among %d", name, len(sorted), len(all))
			}
		}
	}
	if matched < 1000 || met < 1000 {
		t.Errorf("%d matches and %d meetings: the test has lost its grip", matched, met)
	}
}

// TestEmit: what is written is read as what it was, whatever texts it holds.
func TestEmit(t *testing.T) {
	t.Parallel()
	texts := []string{
		"a", "a b", "a: b", "a #b", "a:", "yes", "No", "null", "~", "1", "0x1", "1e3", "2026-01-01", ".inf", ".NaN", ".a/b", "/a", "..", "-", "- a", "?", ": a", "#a", "*a", "&a", "!a", "|", ">", "%a", "@a", "`a",
		"{a: b}", "[a]", "a, b", "'a'", `"a"`, `a\b`, "a\nb", "a\n", "\n", "a\tb", " a", "a ", "ä", "日本", "**", "=", "<<", "---", "...", "a\"b'c", "https://x.example/a?b=c#d", "sha256:00", "1.2.3", "+1", "-1", "a  b",
		"-----BEGIN X-----\na\n-----END X-----\n", "-----BEGIN X-----\na\n\nb", "-----BEGIN X-----\n a\n  b\n", "-----BEGIN X-----\na\n\n", "-----BEGIN X-----\ta", strings.Repeat("k", 119), strings.Repeat("k", 2000), strings.Repeat("k ", 700) + "k",
	}
	top := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, key := range texts {
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{textNode(key), {Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{textNode(key), textNode(key)}}}}
		top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, list)
	}
	top.Content = append(top.Content, textNode("none"), &yaml.Node{Kind: yaml.SequenceNode}, textNode("nothing"), &yaml.Node{Kind: yaml.MappingNode})
	var out strings.Builder
	emit(&out, top, 0)
	var back map[string]any
	if err := yaml.Unmarshal([]byte(out.String()), &back); err != nil {
		t.Fatalf("%v in:\n%s", err, out.String())
	}
	if len(back) != len(texts)+2 {
		t.Errorf("%d entries, expected %d", len(back), len(texts)+2)
	}
	for _, key := range texts {
		list, isList := back[key].([]any)
		if !isList || len(list) != 2 || list[0] != any(key) {
			t.Errorf("%q is read as %v", key, back[key])
			continue
		}
		if inner, isMap := list[1].(map[string]any); !isMap || inner[key] != any(key) {
			t.Errorf("%q is read as %v", key, list[1])
		}
	}
}
