package manifest

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// lineStarts returns where lines begin, broken as the YAML parser breaks them.
func lineStarts(data []byte) []int {
	starts := []int{0}
	if bytes.HasPrefix(data, byteOrderMark) {
		starts[0] = len(byteOrderMark)
	}
	for i := starts[0]; i < len(data); i++ {
		width := 0
		switch data[i] {
		case '\n':
			width = 1
		case '\r':
			if width = 1; i+1 < len(data) && data[i+1] == '\n' {
				width = 2
			}
		case 0xC2:
			if bytes.HasPrefix(data[i:], []byte("\u0085")) {
				width = 2
			}
		case 0xE2:
			if bytes.HasPrefix(data[i:], []byte("\u2028")) || bytes.HasPrefix(data[i:], []byte("\u2029")) {
				width = 3
			}
		}
		if width > 0 {
			starts = append(starts, i+width)
			i += width - 1
		}
	}
	return starts
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// offset is the byte of a line and column, which the parser counts in characters.
func (r *reader) offset(line, column int) (int, bool) {
	if r.starts == nil {
		r.starts = lineStarts(r.file.data)
	}
	if line < 1 || line > len(r.starts) {
		return 0, false
	}
	at := r.starts[line-1]
	for ; column > 1; column-- {
		if at >= len(r.file.data) {
			return 0, false
		}
		_, width := utf8.DecodeRune(r.file.data[at:])
		at += width
	}
	return at, at < len(r.file.data)
}

// span returns the bytes of a scalar's text between its quotes, and where that
// starts; "why" says why it has none. A span's bytes are exactly the value: a text
// with escapes, or over several lines, has none.
func (r *reader) span(n *yaml.Node) (start, end int, why string) {
	at, found := r.offset(n.Line, n.Column)
	if !found {
		return 0, 0, "its place in the file is not clear"
	}
	data := r.file.data
	at, found = skipProperties(data, at)
	if !found {
		return 0, 0, "its place in the file is not clear"
	}
	text := n.Value
	switch n.Style &^ (yaml.TaggedStyle | yaml.FlowStyle) {
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		quote := data[at]
		if quote != '"' && quote != '\'' {
			return 0, 0, "its place in the file is not clear"
		}
		if at++; !bytes.HasPrefix(data[at:], []byte(text)) || at+len(text) >= len(data) || data[at+len(text)] != quote {
			return 0, 0, "it is written with escapes or over several lines"
		}
	case yaml.LiteralStyle, yaml.FoldedStyle:
		text = strings.TrimRight(text, "\n")
		if at = blockContent(data, at, text); at < 0 {
			return 0, 0, "it is written over several lines"
		}
	default:
		if !bytes.HasPrefix(data[at:], []byte(text)) {
			return 0, 0, "it is written over several lines"
		}
	}
	return at, at + len(text), ""
}

// skipProperties skips an anchor and a tag (YAML 1.2.2, section 6.9).
func skipProperties(data []byte, at int) (int, bool) {
	for range 2 {
		if at >= len(data) || data[at] != '&' && data[at] != '!' {
			break
		}
		for at < len(data) && !bytes.ContainsRune([]byte(" \t\r\n"), rune(data[at])) {
			at++
		}
		for at < len(data) && bytes.ContainsRune([]byte(" \t\r\n"), rune(data[at])) {
			at++
		}
	}
	return at, at < len(data)
}

// blockContent returns where the only line of a block scalar has its text, -1 where
// it has another form.
func blockContent(data []byte, at int, text string) int {
	for first := true; at < len(data); first = false {
		line := data[at:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end+1]
		}
		content := bytes.TrimSpace(line)
		if !first && len(content) > 0 {
			if string(content) != text {
				return -1
			}
			return at + bytes.Index(line, content)
		}
		at += len(line)
	}
	return -1
}
