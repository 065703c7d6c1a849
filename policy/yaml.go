package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Limits on a policy file.
const (
	// MaxBytes bounds a policy file. A thousand rules have about 200 kB.
	MaxBytes = 1 << 20
	// maxDepth bounds its nesting; the language has seven levels.
	maxDepth = 16
	// maxNodes bounds its entries, so that a file of brackets costs little.
	maxNodes = 100_000
	// maxParts bounds its lines and commas, which is checked before it is parsed: a
	// parsed entry takes two hundred bytes.
	maxParts = 30_000
)

var yamlLine = regexp.MustCompile(`line (\d+): ?`)

// parseYAML reads exactly one YAML document into a tree without anchors,
// aliases, merge keys, explicit tags or duplicate keys. Only then is it looked
// at. It returns nil after a fault.
func parseYAML(data []byte, f *faults) *yaml.Node {
	start := position{1, 1}
	switch {
	case len(data) > MaxBytes:
		f.addf(start, "", "split it", "%d bytes, at most %d are read", len(data), MaxBytes)
		return nil
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")), bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.HasPrefix(data, []byte("\xff\xfe")):
		f.addf(start, "", "save it as UTF-8 without a byte order mark", "it starts with a byte order mark")
		return nil
	case !utf8.Valid(data):
		f.addf(start, "", "save it as UTF-8", "it is not UTF-8 text")
		return nil
	}
	if parts := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte(",")); parts > maxParts {
		f.addf(start, "", "split it", "%d lines and commas, at most %d are read", parts, maxParts)
		return nil
	}
	if at, found := tabIndent(data); found {
		f.addf(at, "", "indent with spaces", "a tab indents this line")
		return nil
	}
	if at, found := deepFlow(data); found {
		f.addf(at, "", "", "brackets are nested deeper than %d levels", maxDepth)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var file yaml.Node
	if err := decoder.Decode(&file); errors.Is(err, io.EOF) {
		f.add(start, "", "write at least one rule", ErrEmpty)
		return nil
	} else if err != nil {
		addYAMLError(f, err)
		return nil
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		f.addf(position{second.Line, second.Column}, "", "keep one policy in one file", "a second document starts here")
		return nil
	} else if !errors.Is(err, io.EOF) {
		addYAMLError(f, err)
		return nil
	}
	if len(file.Content) != 1 {
		f.add(start, "", "write at least one rule", ErrEmpty)
		return nil
	}
	scan := scanner{faults: f}
	scan.visit(file.Content[0], 0)
	if len(f.all) > 0 {
		return nil
	}
	return file.Content[0]
}

// tabIndent finds the first line that is indented with a tab: YAML forbids it,
// and editors show it as something else.
func tabIndent(data []byte) (position, bool) {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if column := bytes.IndexByte(indent, '\t'); column >= 0 {
			return position{line, column + 1}, true
		}
	}
	return position{}, false
}

// deepFlow finds brackets that open far more often than they close, before the
// parser spends time on them. Brackets in texts count too: a CEL expression with
// that many open ones is no better.
func deepFlow(data []byte) (position, bool) {
	const limit = 200 // open brackets; texts and comments may hold some
	depth, line, start := 0, 1, 0
	for i, c := range data {
		switch c {
		case '\n':
			line, start = line+1, i+1
		case '[', '{':
			if depth++; depth > limit {
				return position{line, i - start + 1}, true
			}
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return position{}, false
}

// addYAMLError gives a syntax error of the YAML parser its place.
func addYAMLError(f *faults, err error) {
	message, at := err.Error(), position{1, 1}
	message = regexp.MustCompile(`^yaml: `).ReplaceAllString(message, "")
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		if line, convErr := strconv.Atoi(m[1]); convErr == nil {
			at.line = line
		}
		message = yamlLine.ReplaceAllString(message, "")
	}
	f.add(at, "", "", fmt.Errorf("reading YAML: %s", wording.Short(message)))
}

// scanner refuses the parts of YAML that let one text mean two things.
type scanner struct {
	*faults
	nodes int
}

func (s *scanner) visit(n *yaml.Node, depth int) {
	at := position{n.Line, n.Column}
	if s.nodes++; s.nodes > maxNodes {
		if s.nodes == maxNodes+1 {
			s.addf(at, "", "", "more than %d entries", maxNodes)
		}
		return
	}
	if depth > maxDepth {
		s.addf(at, "", "", "nested deeper than %d levels", maxDepth)
		return
	}
	switch {
	case n.Anchor != "":
		s.addf(at, "", "write the value out", "the anchor &%s", wording.Short(n.Anchor))
		return
	case n.Kind == yaml.AliasNode:
		s.addf(at, "", "write the value out", "the alias *%s", wording.Short(n.Value))
		return
	case n.Style&yaml.TaggedStyle != 0:
		s.addf(at, "", "leave the tag away", "the tag %s", wording.Short(n.Tag))
		return
	}
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]int)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			keyAt := position{key.Line, key.Column}
			switch {
			case key.Tag == "!!merge":
				s.addf(keyAt, "", "write the entries out", "a merge key")
			case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
				s.addf(keyAt, "", "quote it if it is meant as text", "a key that is no text")
			case seen[key.Value] > 0:
				s.addf(keyAt, "", "keep one of the two", "the key %q stands twice, first in line %d", wording.Short(key.Value), seen[key.Value])
			default:
				seen[key.Value] = key.Line
			}
		}
	}
	for _, child := range n.Content {
		s.visit(child, depth+1)
	}
}
