package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxMatchBytes bounds one text of an identity: a workflow's URI has 150 bytes.
const maxMatchBytes = 1024

// maxMatches bounds the alternatives of one field; each is tried in turn.
const maxMatches = 100

// matchKind says how a text is compared. Each compares the whole text.
type matchKind uint8

const (
	exactly  matchKind = iota // letter by letter
	byGlob                    // `*` inside a segment, `**` at the end
	byRegexp                  // RE2, anchored by us
)

// match is one text that a certificate's text is compared with.
type match struct {
	node
	kind matchKind
	text string
	re   *regexp.Regexp // byRegexp
}

// compile checks a match's own syntax.
func (m *match) compile() (hint string, err error) {
	if err := checkText(m.text, maxText, false); err != nil {
		return "", err
	}
	if len(m.text) > maxMatchBytes {
		return "", fmt.Errorf("%d bytes, at most %d are read", len(m.text), maxMatchBytes)
	}
	switch m.kind {
	case exactly:
		if strings.Contains(m.text, "*") {
			return fmt.Sprintf("if the star is a wildcard, write {glob: %q}", wording.Short(m.text)), fmt.Errorf("a star in %q, which is compared letter by letter", wording.Short(m.text))
		}
	case byGlob:
		if !strings.Contains(m.text, "*") {
			return "write the text itself", fmt.Errorf("the glob %q has no star", wording.Short(m.text))
		}
		for i, segment := range strings.Split(m.text, "/") {
			if strings.Contains(segment, "**") && (segment != "**" || i == 0 || !strings.HasSuffix(m.text, "/**") || i != strings.Count(m.text, "/")) {
				return "", fmt.Errorf("`**` in %q; it may only be the last part, behind a slash", wording.Short(m.text))
			}
		}
	case byRegexp:
		// Alone first: brackets that close what they did not open would end the
		// group that anchors it.
		if _, err := syntax.Parse(m.text, syntax.Perl); err != nil {
			return "the language is RE2", fmt.Errorf("reading the regular expression %q: %w", wording.Short(m.text), err)
		}
		re, err := regexp.Compile(`\A(?:` + m.text + `)\z`)
		if err != nil {
			return "the language is RE2", fmt.Errorf("reading the regular expression %q: %w", wording.Short(m.text), err)
		}
		m.re = re
	}
	return "", nil
}

// matches reports whether the whole text is what is wanted. Nothing matches the
// empty text: a claim that is not there says nothing.
func (m *match) matches(text string) bool {
	if text == "" {
		return false
	}
	switch m.kind {
	case exactly:
		return text == m.text
	case byGlob:
		return matchPath(m.text, text)
	case byRegexp:
		return m.re != nil && m.re.MatchString(text)
	}
	return false
}

// matchPath matches a whole text with a glob, segment by segment. Unlike the
// names of images, the texts of identities may have empty segments ("https://"):
// only an empty segment of the glob takes one.
func matchPath(pattern, name string) bool {
	head, rest := strings.CutSuffix(pattern, "/**")
	segments, parts := strings.Split(head, "/"), strings.Split(name, "/")
	if len(parts) < len(segments) || rest == (len(parts) == len(segments)) {
		return false
	}
	for i, part := range parts {
		switch {
		case i >= len(segments):
			if part == "" {
				return false
			}
		case (part == "") != (segments[i] == ""), !matchSegment(segments[i], part):
			return false
		}
	}
	return true
}

// String shows the match for people.
func (m *match) String() string {
	switch m.kind {
	case byGlob:
		return "glob " + m.text
	case byRegexp:
		return "regexp " + m.text
	}
	return m.text
}

// matches are alternatives: one text, or a list of which one must match.
type matches struct {
	node
	list []match
}

func (m *matches) describe() string { return "match, or list of matches" }

func (m *matches) written() bool { return len(m.list) > 0 }

func (m *matches) read(d decoder, n *yaml.Node, e entry, path string) {
	at := position{n.Line, n.Column}
	m.place(at, path)
	items, paths := []*yaml.Node{n}, []string{path}
	if n.Kind == yaml.SequenceNode {
		if len(n.Content) > maxMatches {
			d.addf(at, path, "", "%d alternatives, at most %d are read", len(n.Content), maxMatches)
			return
		}
		if !d.checkLength(len(n.Content), at, path) {
			return
		}
		items, paths = n.Content, nil
		for i := range items {
			paths = append(paths, path+"["+strconv.Itoa(i)+"]")
		}
	}
	for i, item := range items {
		if one, ok := readMatch(d, item, e, paths[i]); ok {
			m.list = append(m.list, one)
		}
	}
	m.order()
}

// order makes equal lists equal texts.
func (m *matches) order() {
	compare := func(a, b match) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.text, b.text)) }
	slices.SortStableFunc(m.list, compare)
	m.list = slices.CompactFunc(m.list, func(a, b match) bool { return compare(a, b) == 0 })
}

func readMatch(d decoder, n *yaml.Node, e entry, path string) (match, bool) {
	m := match{}
	m.place(position{n.Line, n.Column}, path)
	value := n
	if n.Kind == yaml.MappingNode {
		if len(n.Content) != 2 || n.Content[0].Value != "glob" && n.Content[0].Value != "regexp" {
			d.addf(m.at, path, "write the text itself, {glob: …} or {regexp: …}", "a mapping that is neither one glob nor one regexp")
			return m, false
		}
		m.kind = byGlob
		if n.Content[0].Value == "regexp" {
			m.kind = byRegexp
		}
		value, path = n.Content[1], join(path, n.Content[0].Value)
	}
	if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null" {
		d.add(m.at, path, "give it a value or remove it", ErrEmpty)
		return m, false
	}
	var t text
	before := len(d.all)
	d.text(value, &t, entry{name: e.name}, path)
	if len(d.all) > before {
		return m, false
	}
	m.text = t.value
	if hint, err := m.compile(); err != nil {
		d.add(t.at, path, hint, err)
		return m, false
	}
	return m, true
}

func (m *matches) write() *yaml.Node {
	if len(m.list) == 0 {
		return nil
	}
	var all []*yaml.Node
	for i := range m.list {
		one := textNode(m.list[i].text)
		if kind := m.list[i].kind; kind != exactly {
			name := "glob"
			if kind == byRegexp {
				name = "regexp"
			}
			one = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{textNode(name), one}}
		}
		all = append(all, one)
	}
	if len(all) == 1 {
		return all[0]
	}
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: all}
}

// matches reports whether one of the alternatives takes the whole text.
func (m *matches) matches(text string) bool {
	return slices.ContainsFunc(m.list, func(one match) bool { return one.matches(text) })
}

// String shows the alternatives for people.
func (m *matches) String() string {
	texts := make([]string, len(m.list))
	for i := range m.list {
		texts[i] = m.list[i].String()
	}
	return strings.Join(texts, " or ")
}
