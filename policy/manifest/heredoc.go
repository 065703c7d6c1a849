package manifest

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

var (
	heredocWord = regexp.MustCompile(`^[0-9]*<<(-?)([^<]*)$`)
	// heredocUnclear are words that a shell lexer may turn into a heredoc.
	heredocUnclear = regexp.MustCompile(`\$[^(].*<<|<<.*[$\\]`)
)

// skipHeredocs skips the lines that belong to an instruction (Dockerfile reference,
// "Here-documents"). What cannot be told apart for certain is refused: an
// instruction that hides in a text, or a text that looks like one, would change
// which images are found.
func (b *build) skipHeredocs(i *instruction, s *lines) {
	if !strings.Contains(i.text, "<<") {
		return
	}
	name, _, rest := keyword(i.text, 0)
	if name == "ONBUILD" {
		name, _, rest = keyword(i.text, rest)
	}
	if name != "RUN" && name != "COPY" && name != "ADD" {
		return
	}
	_, rest = b.flags(i.text, rest)
	if body := strings.TrimSpace(i.text[rest:]); strings.HasPrefix(body, "[") {
		var list []string
		if json.Unmarshal([]byte(body), &list) != nil {
			b.refuse(i, rest, "write the instruction without [, or without <<", "it is not clear whether a heredoc starts here")
		}
		return
	}
	all, clear := shellWords(i.text)
	if !clear {
		b.refuse(i, rest, "close the quotes and braces of the line", "it is not clear whether a heredoc starts here")
		return
	}
	for _, w := range all {
		if !strings.Contains(w, "<<") {
			continue
		}
		found := heredocWord.FindStringSubmatch(w)
		if heredocUnclear.MatchString(w) && w[0] != '\'' && w[0] != '"' && (found != nil || w[0] == '$') {
			b.refuse(i, rest, "use a plain word for the heredoc", "it is not clear whether %s starts a heredoc", quoted(w))
			return
		}
		if found == nil || found[2] == "" {
			continue
		}
		end, ok := heredocEnd(found[2])
		if !ok {
			b.refuse(i, rest, "use a plain word for the heredoc", "it is not clear how the heredoc %s ends", quoted(w))
			return
		}
		for {
			line, _, more := s.next()
			if !more {
				b.refuse(i, rest, "", "the heredoc %s does not end", quoted(w))
				return
			}
			if found[1] == "-" {
				line = strings.TrimLeft(line, "\t")
			}
			if line == end {
				break
			}
		}
	}
}

// heredocEnd is the word of the line that ends a heredoc, without quotes around it.
func heredocEnd(text string) (string, bool) {
	if quote := text[0]; quote == '\'' || quote == '"' {
		if len(text) < 3 || text[len(text)-1] != quote {
			return "", false
		}
		text = text[1 : len(text)-1]
	}
	return text, text != "" && !strings.ContainsAny(text, "'\"`\\$<") && strings.TrimSpace(text) == text
}

// shellWords splits a line as a shell does, and keeps quotes. It is not clear where
// a quote does not close, or where braces hold quotes, spaces or heredocs.
func shellWords(text string) (all []string, clear bool) {
	var out strings.Builder
	flush := func() {
		if out.Len() > 0 {
			all = append(all, out.String())
			out.Reset()
		}
	}
	quote := rune(0)
	for i, runes := 0, []rune(text); i < len(runes); i++ {
		c := runes[i]
		switch {
		case c == '\\' && quote != '\'':
			out.WriteRune(c)
			if i++; i < len(runes) {
				out.WriteRune(runes[i])
			}
			continue
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case unicode.IsSpace(c):
			flush()
			continue
		}
		if c == '$' && quote != '\'' && i+1 < len(runes) && runes[i+1] == '{' {
			for ; i < len(runes) && runes[i] != '}'; i++ {
				if unicode.IsSpace(runes[i]) || strings.ContainsRune(`'"\<`, runes[i]) {
					return nil, false
				}
				out.WriteRune(runes[i])
			}
			if i == len(runes) {
				return nil, false
			}
			c = '}'
		}
		out.WriteRune(c)
	}
	flush()
	return all, quote == 0
}
