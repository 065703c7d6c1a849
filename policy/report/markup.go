package report

import (
	"bytes"
	"html"
	"strings"
)

// markup is HTML or XML that stands in the source of this package. What comes from
// elsewhere is a string, and no string is ever made markup: a test reads the source for
// that. In place of a template engine, which costs a program six megabytes: it keeps the
// linker from leaving out methods that nothing calls.
type markup string

// hole is where a text stands in markup.
const hole = "{}"

// page writes markup and texts.
type page struct{ buffer bytes.Buffer }

// put writes markup with a text in each of its holes, between elements or in a quoted
// attribute. Each text goes through [Plain] and is escaped.
func (p *page) put(m markup, texts ...string) {
	for _, text := range texts {
		before, after, _ := strings.Cut(string(m), hole)
		p.buffer.WriteString(before)
		p.buffer.WriteString(escape(Plain(text)))
		m = markup(after)
	}
	p.buffer.WriteString(string(m))
}

// putIf is put where there is a text.
func (p *page) putIf(text string, m markup) {
	if text != "" {
		p.put(m, text)
	}
}

// lines writes lines that are plain already, each on a line of its own.
func (p *page) lines(lines []string) {
	for _, line := range lines {
		p.buffer.WriteByte('\n')
		p.buffer.WriteString(escape(line))
	}
}

// escape makes a plain text one of HTML and XML, between elements and in quoted
// attributes.
func escape(text string) string {
	// The plus sign begins what an old browser may read as UTF-7.
	return strings.ReplaceAll(html.EscapeString(text), "+", "&#43;")
}
