package manifest

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Limits of YAML.
const (
	maxDocuments = 10_000
	// maxParts bounds lines and commas before anything is parsed: a parsed entry
	// takes two hundred bytes and more, and a second is spent on some hundred thousand.
	// A definition of a custom resource has some ten thousand lines.
	maxParts = 500_000
	// maxDepth bounds nesting. Definitions of custom resources have about 40 levels.
	maxDepth = 100
	// maxNodes bounds the entries of one document with its aliases written out, so
	// that aliases of aliases cost nothing.
	maxNodes = 2_000_000
)

// value is a YAML value with aliases and merge keys resolved. Where an alias stands
// twice, both are the same value.
type value struct {
	node    *yaml.Node // the scalar, mapping or list itself
	foreign bool       // an explicit tag that is none of YAML's plain ones
	keys    []*yaml.Node
	fields  map[string]*value
	items   []*value
	size    int  // entries with aliases written out
	done    bool // false while its content is read
}

// field returns a field of a mapping, nil where there is none or null.
func (v *value) field(name string) *value {
	if v == nil || v.fields[name].null() {
		return nil
	}
	return v.fields[name]
}

func (v *value) null() bool {
	return v == nil || v.node.Kind == yaml.ScalarNode && !v.foreign && v.node.ShortTag() == "!!null"
}

func (v *value) mapping() bool { return v != nil && !v.foreign && v.node.Kind == yaml.MappingNode }
func (v *value) list() bool    { return v != nil && !v.foreign && v.node.Kind == yaml.SequenceNode }

// text is the value of a text. A date without quotes is one too: no program reads
// one where an image stands.
func (v *value) text() (string, bool) {
	if v == nil || v.foreign || v.node.Kind != yaml.ScalarNode {
		return "", false
	}
	switch v.node.ShortTag() {
	case "!!str", "!!timestamp":
		return v.node.Value, true
	}
	return "", false
}

// plain returns the value as maps, slices and scalars; shared values stay shared.
func (v *value) plain(known map[*value]any) any {
	if v.null() {
		return nil
	}
	if done, found := known[v]; found {
		return done
	}
	var out any
	switch {
	case v.mapping():
		fields := make(map[string]any, len(v.fields))
		for name, field := range v.fields {
			fields[name] = field.plain(known)
		}
		out = fields
	case v.list():
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = item.plain(known)
		}
		out = items
	default:
		text, isText := v.text()
		if out = text; !isText {
			out = struct{}{} // a number, a truth value, or what a foreign tag makes of it
		}
	}
	known[v] = out
	return out
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): ?)?`)

// documents reads the file's YAML documents one after the other. It stops at the
// first that cannot be read.
func (r *reader) documents(each func(*value)) {
	data := r.file.data
	if parts := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte(",")); parts > maxParts {
		r.fault(1, 1, "", "split the file", "%d lines and commas, at most %d are read", parts, maxParts)
		return
	}
	if line, found := deepFlow(data); found {
		r.fault(line, 1, "", "", "brackets are nested deeper than %d levels", maxBrackets)
		return
	}
	if line, found := falseSeparator(data); found {
		r.fault(line, 1, "", "put a space or a line's end behind ---, or indent the line", "kubectl takes this line for the end of a document, and YAML does not")
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for count := 0; ; count++ {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			r.syntax(err)
			return
		}
		if count == maxDocuments {
			r.fault(document.Line, 1, "", "split the file", "more than %d documents", maxDocuments)
			return
		}
		if len(document.Content) != 1 {
			continue
		}
		b := builder{reader: r, known: make(map[*yaml.Node]*value)}
		root := b.value(document.Content[0], 0)
		if b.failed {
			return
		}
		if !root.null() {
			each(root)
		}
	}
}

// syntax reports an error of the YAML parser at its line.
func (r *reader) syntax(err error) {
	message, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	hint := ""
	if bytes.Contains(r.file.data, []byte("{{")) {
		hint = "render it first, for example with helm template"
	}
	r.fault(line, 1, "", hint, "reading YAML: %s", wording.Short(message))
}

// maxBrackets bounds open brackets before the parser spends time on them. Those in
// texts count too; JSON in the text of an annotation closes what it opens.
const maxBrackets = 1000

func deepFlow(data []byte) (line int, found bool) {
	depth, line := 0, 1
	for _, c := range data {
		switch c {
		case '\n':
			line++
		case '[', '{':
			if depth++; depth > maxBrackets {
				return line, true
			}
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return 0, false
}

// falseSeparator finds a line that starts with three hyphens and more: kubectl cuts
// the file there, and a YAML parser reads a text.
func falseSeparator(data []byte) (line int, found bool) {
	for text := range bytes.Lines(data) {
		line++
		if rest, cut := bytes.CutPrefix(text, []byte("---")); cut && len(bytes.TrimLeft(rest[:min(1, len(rest))], " \t\r\n")) > 0 {
			return line, true
		}
	}
	return 0, false
}

// builder makes a document's values.
type builder struct {
	*reader
	known  map[*yaml.Node]*value
	failed bool
}

func (b *builder) refuse(n *yaml.Node, hint, format string, arguments ...any) {
	b.failed = true
	b.fault(n.Line, n.Column, "", hint, format, arguments...)
}

// value resolves a node. After a fault it returns something, and failed is set.
func (b *builder) value(n *yaml.Node, depth int) *value {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if v, found := b.known[n]; found {
		if !v.done {
			b.refuse(n, "write the value out", "the anchor &%s holds itself", wording.Short(n.Anchor))
		}
		return v
	}
	v := &value{node: n, size: 1}
	b.known[n] = v
	if depth > maxDepth {
		b.refuse(n, "", "nested deeper than %d levels", maxDepth)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		switch n.ShortTag() {
		case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!timestamp":
		default:
			v.foreign = true
		}
	}
	switch {
	case b.failed:
	case n.Kind == yaml.MappingNode:
		b.fields(v, depth)
	case n.Kind == yaml.SequenceNode:
		for _, child := range n.Content {
			item := b.value(child, depth+1)
			if v.items = append(v.items, item); !b.grow(v, item) {
				break
			}
		}
	}
	v.done = true
	return v
}

// grow counts an entry of v. It is false where reading should stop.
func (b *builder) grow(v, entry *value) bool {
	if v.size += entry.size; v.size > maxNodes && !b.failed {
		b.refuse(v.node, "split the file", "more than %d entries, with aliases written out", maxNodes)
	}
	return !b.failed
}

// fields reads a mapping: no key twice, and merge keys (yaml.org/type/merge) below
// what the mapping says itself.
func (b *builder) fields(v *value, depth int) {
	v.fields = make(map[string]*value, len(v.node.Content)/2)
	lines := make(map[string]int)
	var merged []*value
	for i := 0; i+1 < len(v.node.Content) && !b.failed; i += 2 {
		key, content := v.node.Content[i], v.node.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			if len(merged) > 0 {
				b.refuse(key, "merge a list", "two merge keys in one mapping")
				return
			}
			if merged = b.merged(content, depth); b.failed {
				return
			}
			for _, one := range merged {
				for _, other := range one.keys { // at most maxNodes in all
					if line, both := lines[other.Value]; both {
						b.refuse(key, "put << first in its mapping", "the merge key stands behind %s of line %d; programs differ in which of the two counts", quoted(other.Value), line)
						return
					}
				}
			}
			continue
		}
		for key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 {
			b.refuse(key, "write a plain key", "a key that is no plain text")
			return
		}
		name := key.Value
		if before, twice := lines[name]; twice {
			b.refuse(key, "keep one of the two", "the key %s stands twice, first in line %d", quoted(name), before)
			return
		}
		lines[name] = key.Line
		field := b.value(content, depth+1)
		v.keys, v.fields[name] = append(v.keys, key), field
		if !b.grow(v, field) {
			return
		}
	}
	for _, one := range merged {
		for _, key := range one.keys {
			if _, own := v.fields[key.Value]; own {
				continue
			}
			v.keys, v.fields[key.Value] = append(v.keys, key), one.fields[key.Value]
			if !b.grow(v, one.fields[key.Value]) {
				return
			}
		}
	}
}

// merged reads the content of a merge key: a mapping, or a list of them, the first
// of which counts most.
func (b *builder) merged(n *yaml.Node, depth int) []*value {
	content := b.value(n, depth+1)
	all := []*value{content}
	if content.list() {
		all = content.items
	}
	for _, one := range all {
		if !one.mapping() && !b.failed {
			b.refuse(n, "merge a mapping", "a merge key whose value is no mapping")
		}
	}
	return all
}
