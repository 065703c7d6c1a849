package manifest

import (
	"fmt"
	"strings"
)

// maxDefaults bounds defaults in defaults: ${A:-${B:-…}}.
const maxDefaults = 8

// expander replaces variables in a text, as Compose ("Interpolation") and
// Dockerfiles ("Environment replacement") do.
type expander struct {
	// lookup returns a variable's value; set is false where it has none.
	lookup func(name string) (text string, set bool)
	// dollar says that $$ stands for one $, as in Compose; escape is the character
	// that makes the next one plain, as in Dockerfiles, 0 for none.
	dollar bool
	escape byte
	// limit bounds the result in bytes; 0 is that of a reference.
	limit int

	used      []string // the variables that the result rests on
	byDefault []string // those whose default in the text counted
}

// noValueError is a variable that neither the file nor the caller gives a value.
type noValueError struct{ name string }

func (e *noValueError) Error() string { return "the variable " + quoted(e.name) + " has no value" }

// expand returns the text with its variables replaced.
func (e *expander) expand(text string, depth int) (string, error) {
	if depth > maxDefaults {
		return "", fmt.Errorf("defaults are nested deeper than %d levels", maxDefaults)
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case e.escape != 0 && c == e.escape && i+1 < len(text):
			out.WriteByte(text[i+1])
			i += 2
		case c != '$':
			out.WriteByte(c)
			i++
		case e.dollar && strings.HasPrefix(text[i:], "$$"):
			out.WriteByte('$')
			i += 2
		case strings.HasPrefix(text[i:], "${"):
			length := braces(text[i:])
			if length == 0 {
				return "", fmt.Errorf("%s has a brace that does not close", quoted(text[i:]))
			}
			value, err := e.braced(text[i+2:i+length-1], depth)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			i += length
		default:
			length := nameLength(text[i+1:])
			if length == 0 {
				return "", fmt.Errorf("%s is no variable", quoted(text[i:]))
			}
			value, err := e.braced(text[i+1:i+1+length], depth)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			i += 1 + length
		}
		if limit := max(e.limit, 4*maxReference); out.Len() > limit {
			return "", fmt.Errorf("the text grows above %d bytes", limit)
		}
	}
	return out.String(), nil
}

// braced returns what ${…} stands for.
func (e *expander) braced(inside string, depth int) (string, error) {
	length := nameLength(inside)
	name, rest := inside[:length], inside[length:]
	if length == 0 {
		return "", fmt.Errorf("%s is no variable", quoted("${"+inside+"}"))
	}
	value, set := e.lookup(name)
	if rest != "" {
		colon := strings.HasPrefix(rest, ":")
		operator := strings.TrimPrefix(rest, ":")
		there := set && (value != "" || !colon)
		switch {
		case strings.HasPrefix(operator, "-"):
			if !there {
				e.byDefault = append(e.byDefault, name)
				return e.expand(operator[1:], depth+1)
			}
		case strings.HasPrefix(operator, "+"):
			if !there {
				e.used = append(e.used, name)
				return "", nil
			}
			e.used = append(e.used, name)
			return e.expand(operator[1:], depth+1)
		case strings.HasPrefix(operator, "?"):
			if !there {
				return "", &noValueError{name}
			}
		default:
			return "", fmt.Errorf("%s is an operation that is not known", quoted("${"+inside+"}"))
		}
	}
	if !set {
		return "", &noValueError{name}
	}
	e.used = append(e.used, name)
	return value, nil
}

// braces is the length of a ${…} at the start of the text, with those inside; 0
// where it does not close.
func braces(text string) int {
	depth := 0
	for i := range len(text) {
		switch {
		case text[i] == '$' && i+1 < len(text) && text[i+1] == '{':
			depth++
		case text[i] == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// nameLength is how many bytes of the text's start are a variable's name.
func nameLength(text string) int {
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}
