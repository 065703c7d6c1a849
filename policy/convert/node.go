package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy"
)

const (
	maxDocuments = 200     // of one file: a chart of policies has some dozens
	maxDepth     = 40      // Kyverno's nested attestors need ten
	maxNodes     = 100_000 // entries of one file
	maxBrackets  = 200     // open at once, before the parser sees them
)

// node is a place in a source. It remembers which fields were asked for, so that
// what was not is a loss. The zero node is a field that is not there.
type node struct {
	file, path string
	yaml       *yaml.Node
	seen       map[string]bool
}

// readDocuments reads a file strictly: no anchors, aliases or tags, no key twice.
// Empty documents are left out.
func readDocuments(source Source) ([]node, error) {
	switch {
	case len(source.Data) > policy.MaxBytes:
		return nil, fmt.Errorf("%d bytes, at most %d are read: %w", len(source.Data), policy.MaxBytes, ErrSource)
	case !utf8.Valid(source.Data):
		return nil, fmt.Errorf("it is not UTF-8 text: %w", ErrSource)
	case brackets(source.Data) > maxBrackets:
		return nil, fmt.Errorf("brackets are nested too deep: %w", ErrSource)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(source.Data))
	var all []node
	for budget := maxNodes; ; {
		var file yaml.Node
		err := decoder.Decode(&file)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSource, err)
		}
		if len(all) == maxDocuments {
			return nil, fmt.Errorf("more than %d documents: %w", maxDocuments, ErrSource)
		}
		if len(file.Content) != 1 || file.Content[0].ShortTag() == "!!null" {
			continue
		}
		if err := check(file.Content[0], 0, &budget); err != nil {
			return nil, err
		}
		all = append(all, node{file: source.Name, yaml: file.Content[0], seen: make(map[string]bool)})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("it is empty: %w", ErrSource)
	}
	return all, nil
}

// brackets returns how many are open at once. Those in texts count too.
func brackets(data []byte) int {
	depth, most := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return most
}

func check(n *yaml.Node, depth int, budget *int) error {
	fault := func(what string) error { return fmt.Errorf("line %d: %s: %w", n.Line, what, ErrSource) }
	*budget--
	switch {
	case *budget < 0:
		return fault(fmt.Sprintf("more than %d entries", maxNodes))
	case depth > maxDepth:
		return fault(fmt.Sprintf("it is nested deeper than %d levels", maxDepth))
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fault("an anchor or alias; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		return fault("an explicit tag")
	}
	keys := make(map[string]bool)
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Kind != yaml.ScalarNode || child.ShortTag() == "!!merge" {
				return fault("a key that is no text")
			}
			if keys[child.Value] {
				return fmt.Errorf("line %d: the key %q stands there twice: %w", child.Line, wording.Short(child.Value), ErrSource)
			}
			keys[child.Value] = true
		}
		if err := check(child, depth+1, budget); err != nil {
			return err
		}
	}
	return nil
}

// there reports whether the field is written, and not null.
func (n node) there() bool { return n.yaml != nil && n.yaml.ShortTag() != "!!null" }

// place is the file, the line and the path.
func (n node) place() string {
	if n.yaml == nil {
		return strings.TrimSuffix(n.file+": "+n.path, ": ")
	}
	place := n.file + ":" + strconv.Itoa(n.yaml.Line)
	if n.path != "" {
		place += ": " + n.path
	}
	return place
}

// field returns a field of a mapping, and marks it as known.
func (n node) field(name string) node {
	child := node{file: n.file, path: strings.TrimPrefix(n.path+"."+wording.Short(name), "."), seen: make(map[string]bool)}
	if n.yaml == nil || n.yaml.Kind != yaml.MappingNode {
		return child
	}
	n.seen[name] = true
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		if n.yaml.Content[i].Value == name {
			child.yaml = n.yaml.Content[i+1]
		}
	}
	return child
}

// ignore marks fields that say nothing about which images are trusted.
func (n node) ignore(names ...string) {
	for _, name := range names {
		n.seen[name] = true
	}
}

// names lists the keys of a mapping in their order.
func (n node) names() []string {
	var all []string
	if n.yaml != nil && n.yaml.Kind == yaml.MappingNode {
		for i := 0; i < len(n.yaml.Content); i += 2 {
			all = append(all, n.yaml.Content[i].Value)
		}
	}
	return all
}

// unknown lists the fields that nobody asked for. Something else than a mapping is
// unknown as a whole.
func (n node) unknown() []node {
	if !n.there() {
		return nil
	}
	if n.yaml.Kind != yaml.MappingNode {
		return []node{n}
	}
	var all []node
	for _, name := range n.names() {
		if !n.seen[name] {
			all = append(all, n.field(name))
		}
	}
	return all
}

// items lists the entries of a list; ok is false where something else stands.
func (n node) items() (all []node, ok bool) {
	if !n.there() {
		return nil, true
	}
	if n.yaml.Kind != yaml.SequenceNode {
		return nil, false
	}
	for i, item := range n.yaml.Content {
		all = append(all, node{file: n.file, path: n.path + "[" + strconv.Itoa(i) + "]", yaml: item, seen: make(map[string]bool)})
	}
	return all, true
}

// text is the value of a text; "" where none stands, or something else.
func (n node) text() string {
	if n.there() && n.yaml.Kind == yaml.ScalarNode && n.yaml.ShortTag() == "!!str" {
		return n.yaml.Value
	}
	return ""
}

// texts are those of a list; ok is false where anything else stands in it.
func (n node) texts() (all []string, ok bool) {
	items, ok := n.items()
	for _, item := range items {
		all = append(all, item.text())
	}
	return all, ok && !slices.Contains(all, "")
}

// number is a whole number that is not negative, or fallback.
func (n node) number(fallback int) (int, bool) {
	if !n.there() {
		return fallback, true
	}
	value, err := strconv.Atoi(n.yaml.Value)
	return value, err == nil && n.yaml.Kind == yaml.ScalarNode && value >= 0 && value <= 1000
}

// truth is a truth value, or fallback; what is none counts as the other one.
func (n node) truth(fallback bool) bool {
	if !n.there() {
		return fallback
	}
	if n.yaml.ShortTag() != "!!bool" {
		return !fallback
	}
	return n.yaml.Value == "true"
}

// short is the field's value for people.
func (n node) short() string {
	if n.there() && n.yaml.Kind == yaml.ScalarNode {
		return strconv.Quote(wording.Short(n.yaml.Value))
	}
	_, name := n.path, n.path
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	return "`" + wording.Short(name) + "`"
}
