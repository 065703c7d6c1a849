package convert

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// who is an identity as the sources write it.
type who struct {
	place, name, root     string
	issuer, issuerRegexp  string
	subject, subjectRegxp string
	extensions            map[string]string
}

// identity makes a party of an identity; false where Hallmark does not accept it, or
// could not say it without allowing more.
func (c *converter) identity(w who) (party, bool) {
	var problem error
	if w.issuer != "" && w.issuerRegexp != "" || w.subject != "" && w.subjectRegxp != "" {
		c.lose(w.place, "a text and a regular expression for one thing", "nobody signs in its place")
		return party{}, false
	}
	if c.tried++; c.tried > maxParties {
		c.lose(w.place, fmt.Sprintf("more than %d identities", maxParties), "nobody signs in its place")
		return party{}, false
	}
	for _, escape := range []bool{false, true} {
		issuer, issuerLoss := w.match(w.issuer, w.issuerRegexp, escape)
		name, subjectLoss := w.match(w.subject, w.subjectRegxp, escape)
		p := party{name: w.name, Keyless: &identity{Root: w.root, Extensions: w.extensions}}
		if issuer != (match{}) {
			p.Keyless.Issuer = []match{issuer}
		}
		p.Keyless.Subject = subjectOf(name)
		err := c.accepted(p)
		if err == nil {
			if escape {
				c.lose(w.place, "an identity with dots that stand for every character", "they stand for dots")
			}
			for _, text := range []string{issuerLoss, subjectLoss} {
				if text != "" {
					c.lose(w.place, text, "it must match from the beginning")
				}
			}
			p.id = p.text()
			return p, true
		}
		if problem == nil {
			problem = err
		}
	}
	c.lose(w.place, fmt.Sprintf("an identity that Hallmark does not accept (%s)", firstLine(problem)), "nobody signs in its place")
	return party{}, false
}

// firstLine is the first fault, without its place in a policy that nobody has seen.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if _, rest, found := strings.Cut(text, "keyless"); found {
		text = strings.TrimLeft(rest, ".")
	}
	return wording.Short(text)
}

var letterDot = regexp.MustCompile(`([A-Za-z0-9])\.([A-Za-z0-9])`)

// match turns a text or a regular expression of a source into Hallmark's. Sources
// look for a regular expression anywhere in the text; Hallmark compares the whole.
// What begins with it is a part of what has it somewhere.
func (w who) match(text, expression string, escape bool) (m match, loss string) {
	if text != "" || expression == "" {
		return match{text: text}, ""
	}
	begins, ends := false, false
	if tree, err := syntax.Parse(expression, syntax.Perl); err == nil && tree.Op == syntax.OpAlternate {
		loss = "alternatives in a regular expression, some of which may stand anywhere"
	}
	expression, begins = cutOne(expression, strings.CutPrefix, "^", `\A`)
	if !strings.HasSuffix(expression, `\$`) && !strings.HasSuffix(expression, `\\z`) {
		expression, ends = cutOne(expression, strings.CutSuffix, "$", `\z`)
	}
	if !begins && !strings.HasPrefix(expression, ".*") {
		loss = "a regular expression that may stand anywhere"
	}
	if escape {
		// Twice, because neighbours share a letter.
		expression = letterDot.ReplaceAllString(letterDot.ReplaceAllString(expression, `$1\.$2`), `$1\.$2`)
	}
	if !ends && !strings.HasSuffix(expression, ".*") {
		if strings.Contains(expression, "|") {
			expression = "(?:" + expression + ")"
		}
		expression += ".*"
	}
	return match{regexp: expression}, loss
}

func cutOne(s string, cut func(s, part string) (string, bool), parts ...string) (string, bool) {
	for _, part := range parts {
		if rest, found := cut(s, part); found {
			return rest, true
		}
	}
	return s, false
}

// subjectOf finds the type that a name has. Sources look at every name of a
// certificate; only this type can be meant.
func subjectOf(m match) subject {
	text := m.text + m.regexp
	switch {
	case text == "":
		return subject{}
	case strings.Contains(text, "/"):
		return subject{URI: []match{m}}
	case strings.Contains(text, "@"):
		return subject{Email: []match{m}}
	}
	return subject{DNS: []match{m}}
}

// wildcards turns a text with `*` and `?` for any characters into a regular
// expression for the whole text; false where it has none.
func wildcards(text string) (string, bool) {
	if !strings.ContainsAny(text, "*?") {
		return "", false
	}
	quoted := regexp.QuoteMeta(text)
	quoted = strings.ReplaceAll(quoted, `\*`, ".*")
	return "^" + strings.ReplaceAll(quoted, `\?`, ".") + "$", true
}
