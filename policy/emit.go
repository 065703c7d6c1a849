package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// emit writes a tree of mappings, lists and texts as block YAML, each text in the one
// style that its characters ask for.
//
// The library's own emitter does the same and takes four times as long, which for a
// thousand rules is longer than all the rest.
func emit(out *strings.Builder, n *yaml.Node, indent int) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				margin(out, indent)
			}
			emitEntry(out, n.Content[i], n.Content[i+1], indent)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if i > 0 {
				margin(out, indent)
			}
			out.WriteString("- ")
			if len(item.Content) > 0 && item.Kind != yaml.ScalarNode {
				emit(out, item, indent+2)
				continue
			}
			emitScalar(out, item, indent+2)
		}
	}
}

// maxSimpleKey bounds a key that stands before its value in one line; readers take
// up to 1024 characters.
const maxSimpleKey = 120

func emitEntry(out *strings.Builder, key, value *yaml.Node, indent int) {
	if len(key.Value) > maxSimpleKey {
		out.WriteString("? ")
		emitScalar(out, key, indent)
		margin(out, indent)
	} else {
		out.WriteString(scalarText(key))
	}
	out.WriteString(":")
	if len(value.Content) > 0 && value.Kind != yaml.ScalarNode {
		out.WriteString("\n")
		margin(out, indent+2)
		emit(out, value, indent+2)
		return
	}
	out.WriteString(" ")
	emitScalar(out, value, indent+2)
}

func margin(out *strings.Builder, indent int) {
	for range indent {
		out.WriteByte(' ')
	}
}

// emitScalar writes a text, or an empty mapping or list, and ends the line.
func emitScalar(out *strings.Builder, n *yaml.Node, indent int) {
	switch {
	case n.Kind == yaml.MappingNode:
		out.WriteString("{}\n")
	case n.Kind == yaml.SequenceNode:
		out.WriteString("[]\n")
	case n.Style == yaml.LiteralStyle && literalFits(n.Value):
		text, ends := strings.CutSuffix(n.Value, "\n")
		if out.WriteString("|"); !ends {
			out.WriteString("-")
		}
		for line := range strings.SplitSeq(text, "\n") {
			out.WriteString("\n")
			margin(out, indent)
			out.WriteString(line)
		}
		out.WriteString("\n")
	default:
		out.WriteString(scalarText(n))
		out.WriteString("\n")
	}
}

// literalFits reports whether each line of a text says something, so that a block
// can hold it as it is.
func literalFits(text string) bool {
	if strings.HasPrefix(text, " ") || strings.Contains(text, "\t") {
		return false
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.TrimSpace(line) == "" {
			return false
		}
	}
	return true
}

// scalarText is a text in one line: plain where that cannot be read as anything
// else, in single quotes where all its characters can be seen, else in double ones.
func scalarText(n *yaml.Node) string {
	if n.Tag != "!!str" {
		return n.Value // a number or truth value of our own making
	}
	switch {
	case plainText(n.Value):
		return n.Value
	case strings.ContainsAny(n.Value, "\n\t") || n.Value == "" || isLetterOrDigit(n.Value[0]):
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(n.Value) + `"`
	}
	return "'" + strings.ReplaceAll(n.Value, "'", "''") + "'"
}

func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// plainText reports whether a text without quotes is read as itself: it begins like a
// word or a path, is no word of YAML's, and holds nothing that ends it.
func plainText(s string) bool {
	word := strings.TrimPrefix(strings.TrimPrefix(s, "."), "/")
	if word == "" || !isLetterOrDigit(word[0]) || word[0] <= '9' || len(s)-len(word) > 1 {
		return false
	}
	switch strings.ToLower(word) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf":
		return false
	}
	return !strings.ContainsAny(s, "\n\t") && !strings.Contains(s, ": ") && !strings.Contains(s, " #") && !strings.HasSuffix(s, ":") && !strings.HasSuffix(s, " ")
}
