package manifest

import (
	"bytes"
	"regexp"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Limits of Dockerfiles; real ones have some dozens of instructions.
const (
	maxInstructions = 100_000
	// maxLine bounds an instruction with its continuations, without heredocs. The
	// builders refuse lines from 64 kB on.
	maxLine = 1 << 20
)

// instruction is a line of a Dockerfile with its continuations joined.
type instruction struct {
	text     string
	segments []segment
}

// segment is where a part of an instruction's text starts, there and in the file.
type segment struct{ at, offset int }

// offset is where a byte of the text stands in the file.
func (i *instruction) offset(at int) int {
	n := sort.Search(len(i.segments), func(n int) bool { return i.segments[n].at > at }) - 1
	if n < 0 {
		return 0
	}
	return i.segments[n].offset + at - i.segments[n].at
}

// whole reports whether the bytes of the text stand together in the file.
func (i *instruction) whole(start, end int) bool {
	return end > start && i.offset(end-1)-i.offset(start) == end-1-start
}

// word is a word of an instruction.
type word struct {
	text       string
	start, end int  // in the instruction's text
	plain      bool // without quotes and escapes: the text is what stands there
}

// dockerfile reads a Dockerfile as BuildKit does (docs.docker.com/reference/dockerfile).
// Where BuildKit's way is hard to tell, the file is refused.
func (r *reader) dockerfile() {
	b := build{reader: r, escape: '\\', stages: make(map[string]int), arguments: make(map[string]argument)}
	s := lines{data: r.file.data}
	if bytes.HasPrefix(s.data, byteOrderMark) {
		s.at = len(byteOrderMark)
	}
	b.directives(s)
	count := 0
	for !b.stopped {
		i := b.instruction(&s)
		if i == nil {
			break
		}
		if count++; count > maxInstructions {
			b.refuse(i, 0, "split the file", "more than %d instructions", maxInstructions)
			return
		}
		b.run(i, 0, false)
		if !b.stopped {
			b.skipHeredocs(i, &s)
		}
	}
	if !b.stopped && b.count == 0 {
		r.fault(1, 1, "", "", "a Dockerfile without FROM")
	}
}

// lines walks through a file's lines.
type lines struct {
	data []byte
	at   int
}

// next returns a line without its end, and where it starts.
func (l *lines) next() (text string, offset int, ok bool) {
	if l.at >= len(l.data) {
		return "", 0, false
	}
	offset = l.at
	end := bytes.IndexByte(l.data[offset:], '\n')
	if end < 0 {
		l.at = len(l.data)
	} else {
		l.at = offset + end + 1
	}
	return strings.TrimRight(string(l.data[offset:l.at]), "\r\n"), offset, true
}

// instruction joins a line with its continuations; comments and empty lines between
// them are left out. Nil is the file's end.
func (b *build) instruction(s *lines) *instruction {
	var joined instruction
	var text strings.Builder
	more := false
	for {
		line, offset, ok := s.next()
		if !ok {
			break
		}
		trimmed := strings.TrimLeftFunc(line, unicode.IsSpace)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if !more {
			offset, line = offset+len(line)-len(trimmed), trimmed
		}
		line, more = b.continued(line)
		if text.Len()+len(line) > maxLine {
			b.faultAt(offset, "", "an instruction of more than %d bytes", maxLine)
			return nil
		}
		if line != "" {
			joined.segments = append(joined.segments, segment{text.Len(), offset})
			text.WriteString(line)
		}
		if !more && text.Len() > 0 {
			break
		}
	}
	if joined.text = text.String(); strings.TrimSpace(joined.text) == "" {
		return nil
	}
	return &joined
}

// continued cuts the escape character that continues a line. Two of them do not.
func (b *build) continued(line string) (string, bool) {
	text := strings.TrimRight(line, " \t")
	if text == "" || text[len(text)-1] != b.escape || len(text) > 1 && text[len(text)-2] == b.escape {
		return line, false
	}
	return text[:len(text)-1], true
}

var directiveLine = regexp.MustCompile(`^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$`)

// directives reads the comments at the file's start that are parser directives:
// escape, and syntax, which names the image that reads the file.
func (b *build) directives(s lines) {
	seen := make(map[string]bool)
	for first := true; ; first = false {
		line, offset, ok := s.next()
		if !ok {
			return
		}
		if first && strings.HasPrefix(line, "#!") {
			continue
		}
		found := directiveLine.FindStringSubmatchIndex(line)
		if found == nil {
			return
		}
		name, value := strings.ToLower(line[found[2]:found[3]]), line[found[4]:found[5]]
		switch {
		case name != "syntax" && name != "escape" && name != "check":
			return
		case seen[name]:
			b.faultAt(offset, "keep one of the two", "the directive %s stands twice", name)
			return
		case name == "escape":
			if value != `\` && value != "`" {
				b.faultAt(offset, "", "the escape character is a backslash or a backtick, not %s", quoted(value))
				return
			}
			b.escape = value[0]
		case name == "syntax":
			reference, _, _ := strings.Cut(value, " ")
			start := offset + found[4]
			if given, set := b.file.options.BuildArgs["BUILDKIT_SYNTAX"]; set {
				reference, start = given, 0
			}
			b.image(Image{Reference: reference, Kind: KindFrontend, Path: "# syntax"}, offset+found[4], start, start+len(reference))
		}
		seen[name] = true
	}
}

// faultAt refuses the file for what stands at a byte of it.
func (b *build) faultAt(offset int, hint, format string, arguments ...any) {
	b.stopped = true
	line, column := b.lineOf(offset)
	b.fault(line, column, "", hint, format, arguments...)
}

func (b *build) refuse(i *instruction, at int, hint, format string, arguments ...any) {
	b.faultAt(i.offset(at), hint, format, arguments...)
}

// lineOf is the line and column of a byte of the file.
func (b *build) lineOf(offset int) (line, column int) {
	if b.newlines == nil {
		b.newlines = []int{-1}
		for i, c := range b.file.data {
			if c == '\n' {
				b.newlines = append(b.newlines, i)
			}
		}
	}
	line = sort.SearchInts(b.newlines, offset)
	start := 0
	if line > 0 {
		start = b.newlines[line-1] + 1
	}
	text := bytes.TrimPrefix(b.file.data[start:min(offset, len(b.file.data))], byteOrderMark)
	return max(line, 1), utf8.RuneCount(text) + 1
}

// flags reads the words of an instruction that start with two hyphens, from a byte
// on, and returns where the rest starts.
func (b *build) flags(text string, at int) (flags []word, rest int) {
	for {
		for at < len(text) && unicode.IsSpace(rune(text[at])) {
			at++
		}
		if !strings.HasPrefix(text[at:], "--") {
			return flags, at
		}
		w := word{start: at, plain: true}
		var out strings.Builder
		quote := byte(0)
		for ; at < len(text); at++ {
			c := text[at]
			if quote == 0 && unicode.IsSpace(rune(c)) {
				break
			}
			switch {
			case c == b.escape:
				w.plain = false
				if at++; at < len(text) {
					out.WriteByte(text[at])
				}
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && (c == '\'' || c == '"'):
				quote, w.plain = c, false
			default:
				out.WriteByte(c)
			}
		}
		at = min(at, len(text))
		w.text, w.end = out.String(), at
		if w.text == "--" {
			return flags, at
		}
		flags = append(flags, w)
	}
}

// words splits the rest of an instruction at spaces.
func words(text string, at int) (all []word) {
	for at < len(text) {
		start := at
		for at < len(text) && !strings.ContainsRune("\t\v\f\r\n ", rune(text[at])) {
			at++
		}
		if at > start {
			all = append(all, word{text[start:at], start, at, !strings.ContainsAny(text[start:at], "'\"\\`")})
		}
		at++
	}
	return all
}

// keyword splits an instruction's first word off.
func keyword(text string, at int) (name string, start, rest int) {
	all := words(text, at)
	if len(all) == 0 {
		return "", at, len(text)
	}
	return strings.ToUpper(all[0].text), all[0].start, all[0].end
}

func shortKeyword(name string) string { return wording.Short(name) }
