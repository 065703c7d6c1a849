package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrFormat: the layout of a policy cannot be changed without losing something; it is
// as it was. The error's text says what.
var ErrFormat = errors.New("layout cannot be changed")

// emptyLine stands for an empty line while a policy is laid out anew: the YAML writer
// knows comments and no empty lines.
const emptyLine = "#~hallmark: an empty line~"

// maxRounds bounds how often a layout is laid out again until it stays.
const maxRounds = 4

// Format returns a policy in the one layout: two spaces, entries in the language's
// order, what was written in brackets still in brackets. Comments, empty lines,
// quotes and the order of lists and names stay. name and read are those of [Parse],
// which must accept the policy. The result has the same [Policy.Digest], and
// formatting it again changes nothing.
func Format(name string, data []byte, read func(path string) ([]byte, error)) ([]byte, error) {
	before, err := Parse(name, data, read)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(data, []byte(emptyLine)) {
		return nil, fmt.Errorf("formatting %s: %w: it has a comment %q", name, ErrFormat, emptyLine)
	}
	out := data
	// A comment may find its final place only in the second round.
	for round := 0; ; round++ {
		next, err := formatOnce(out)
		if err != nil {
			return nil, fmt.Errorf("formatting %s: %w", name, err)
		}
		if bytes.Equal(next, out) {
			break
		}
		if round == maxRounds {
			return nil, fmt.Errorf("formatting %s: %w: its comments find no place that they keep; move them to lines of their own", name, ErrFormat)
		}
		out = next
	}
	after, err := Parse(name, out, read)
	if err != nil {
		return nil, fmt.Errorf("formatting %s: %w: %w", name, ErrFormat, err)
	}
	if after.Digest() != before.Digest() {
		return nil, fmt.Errorf("formatting %s: %w: its meaning would change", name, ErrFormat)
	}
	if lost := lostComments(data, out); lost != "" {
		return nil, fmt.Errorf("formatting %s: %w: the comment %q would be lost; move it to a line of its own", name, ErrFormat, lost)
	}
	return out, nil
}

func formatOnce(data []byte) ([]byte, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	f := formatter{lines: bytes.Split(data, []byte("\n"))}
	if len(file.Content) == 1 {
		f.mapping(file.Content[0], reflect.TypeFor[document]())
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&file); err != nil {
		return nil, err
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	lines := strings.Split(out.String(), "\n")
	for i, line := range lines {
		if strings.TrimSpace(line) == emptyLine {
			lines[i] = ""
		}
	}
	// At most one empty line, and none at the beginning.
	lines = slices.CompactFunc(lines, func(a, b string) bool { return a == "" && b == "" })
	return []byte(strings.TrimLeft(strings.Join(lines, "\n"), "\n")), nil
}

// formatter puts entries in order and remembers empty lines.
type formatter struct{ lines [][]byte }

// mapping puts the entries of a mapping of the language in order.
func (f formatter) mapping(n *yaml.Node, of reflect.Type) {
	if n.Kind != yaml.MappingNode {
		return
	}
	entries, _ := entriesOf(of)
	type pair struct {
		key, value *yaml.Node
		rank       int
	}
	var pairs []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		p := pair{n.Content[i], n.Content[i+1], len(entries)}
		if n.Style&yaml.FlowStyle == 0 && i > 0 {
			f.keepEmptyLine(p.key)
		}
		for _, e := range entries {
			if e.key || e.name != p.key.Value {
				continue
			}
			p.rank = e.index
			f.value(p.value, of.Field(e.index))
		}
		pairs = append(pairs, p)
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.rank, b.rank) })
	n.Content = n.Content[:0]
	for _, p := range pairs {
		n.Content = append(n.Content, p.key, p.value)
	}
}

// value formats what stands at an entry.
func (f formatter) value(n *yaml.Node, field reflect.StructField) {
	of := field.Type
	if _, own := reflect.New(of).Interface().(leaf); own {
		return
	}
	switch {
	case of.Kind() == reflect.Pointer:
		f.mapping(n, of.Elem())
	case of.Kind() != reflect.Slice:
	case field.Tag.Get("map") != "":
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Style&yaml.FlowStyle == 0 && i > 0 {
				f.keepEmptyLine(n.Content[i])
			}
			f.mapping(n.Content[i+1], of.Elem())
		}
	default:
		for i, item := range n.Content {
			if n.Style&yaml.FlowStyle == 0 && i > 0 {
				f.keepEmptyLine(item)
			}
			if of.Elem().Kind() == reflect.Struct && of.Elem() != reflect.TypeFor[text]() {
				f.mapping(item, of.Elem())
			}
		}
	}
}

// keepEmptyLine marks a node with an empty line above it, or above its comment.
func (f formatter) keepEmptyLine(n *yaml.Node) {
	above := n.Line - 2 // of the line before the node's, from 0
	for above >= 0 && above < len(f.lines) && bytes.HasPrefix(bytes.TrimSpace(f.lines[above]), []byte("#")) {
		above--
	}
	if above <= 0 || above >= len(f.lines) || len(bytes.TrimSpace(f.lines[above])) > 0 {
		return
	}
	if n.HeadComment == "" {
		n.HeadComment = emptyLine
	} else if !strings.HasPrefix(n.HeadComment, emptyLine) {
		n.HeadComment = emptyLine + "\n" + n.HeadComment
	}
}

// lostComments returns a comment of the first text that the second one lacks.
func lostComments(before, after []byte) string {
	left := make(map[string]int)
	var file yaml.Node
	count := func(data []byte, by int) {
		file = yaml.Node{}
		if yaml.Unmarshal(data, &file) != nil {
			return
		}
		var visit func(n *yaml.Node)
		visit = func(n *yaml.Node) {
			for _, comment := range []string{n.HeadComment, n.LineComment, n.FootComment} {
				for line := range strings.Lines(comment) {
					if line = strings.TrimSpace(line); line != "" {
						left[line] += by
					}
				}
			}
			for _, child := range n.Content {
				visit(child)
			}
		}
		visit(&file)
	}
	count(before, 1)
	count(after, -1)
	for _, text := range slices.Sorted(func(yield func(string) bool) {
		for text, n := range left {
			if n > 0 && !yield(text) {
				return
			}
		}
	}) {
		return text
	}
	return ""
}
