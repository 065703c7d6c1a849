package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxPlain bounds the characters of one text in a report for people.
	maxPlain = 400
	// maxMessage bounds a message that is put together from several texts.
	maxMessage = 4 * maxPlain
)

// Plain makes an untrusted text safe for a terminal, a log and a CI system's
// command scanner: control characters, line ends, marks that turn the writing
// direction, invisible characters and broken UTF-8 are written as \u{…}, and
// long texts are cut. Printable text of every script stays as it is.
func Plain(text string) string { return plainUpTo(text, maxPlain) }

// plainUpTo is Plain with another bound.
func plainUpTo(text string, limit int) string {
	if clean(text, limit) {
		return text
	}
	var b strings.Builder
	written := 0
	first := len(text) - len(strings.TrimLeft(text, " "))
	for i, r := range text {
		if written == limit {
			fmt.Fprintf(&b, "… (%d bytes)", len(text))
			break
		}
		written++
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		case r == '#' && strings.HasPrefix(text[i:], "##["):
			b.WriteString(`\u{23}`) // an old workflow command, found anywhere in a line
		case i == first && strings.HasPrefix(text[i:], "::"):
			b.WriteString(`\u{3a}`) // a workflow command, found behind spaces too
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clean reports whether a text needs no change.
func clean(text string, limit int) bool {
	if len(text) > limit || strings.Contains(text, "##[") || strings.HasPrefix(strings.TrimLeft(text, " "), "::") || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// escapeJSON writes what is not printable in JSON as \uXXXX, which means the
// same to a reader of JSON and nothing to a terminal. The encoder has already
// escaped the ASCII control characters.
func escapeJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] < 0x7f {
			out = append(out, raw[i])
			i++
			continue
		}
		r, size := utf8.DecodeRune(raw[i:])
		switch {
		case unicode.IsPrint(r):
			out = append(out, raw[i:i+size]...)
		case r > 0xffff:
			high, low := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

// PlainLines is [Plain] for each line of a text, joined by separator: a message of several
// errors stays apart, and no line of it is somebody else's.
func PlainLines(text, separator string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Plain(line)
	}
	return strings.Join(lines, separator)
}
