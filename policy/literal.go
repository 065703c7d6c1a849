package policy

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// maxLiterals bounds the literal ends of one regular expression; an expression
// with more counts as one that begins with a wildcard.
const maxLiterals = 64

// literal is literal text at one end of a pattern, up to the first wildcard.
type literal struct {
	text  string
	whole bool // there is no wildcard: the text is all that matches
}

// starts returns the literal texts that what matches can begin with.
func (m *match) starts() []literal { return m.literals(false) }

// endings returns the literal texts that what matches can end with.
func (m *match) endings() []literal { return m.literals(true) }

func (m *match) literals(fromEnd bool) []literal {
	switch m.kind {
	case exactly:
		return []literal{{m.text, true}}
	case byGlob:
		at := strings.IndexByte(m.text, '*')
		if fromEnd {
			return []literal{{m.text[strings.LastIndexByte(m.text, '*')+1:], false}}
		}
		return []literal{{m.text[:at], false}}
	}
	tree, err := syntax.Parse(m.text, syntax.Perl)
	if err != nil {
		return []literal{{}}
	}
	return treeLiterals(tree, fromEnd)
}

// treeLiterals walks a regular expression. What it does not know is a wildcard.
func treeLiterals(tree *syntax.Regexp, fromEnd bool) []literal {
	switch tree.Op {
	case syntax.OpLiteral:
		if tree.Flags&syntax.FoldCase != 0 {
			// The tree holds one spelling of several; the texts here are looked at in
			// lower case.
			return []literal{{strings.ToLower(string(tree.Rune)), false}}
		}
		return []literal{{string(tree.Rune), true}}
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText:
		return []literal{{"", true}}
	case syntax.OpCapture:
		return treeLiterals(tree.Sub[0], fromEnd)
	case syntax.OpQuest:
		return append(treeLiterals(tree.Sub[0], fromEnd), literal{"", true})
	case syntax.OpPlus:
		return open(treeLiterals(tree.Sub[0], fromEnd))
	case syntax.OpRepeat:
		if tree.Min > 0 {
			return open(treeLiterals(tree.Sub[0], fromEnd))
		}
	case syntax.OpAlternate:
		var all []literal
		for _, sub := range tree.Sub {
			if all = append(all, treeLiterals(sub, fromEnd)...); len(all) > maxLiterals {
				return []literal{{}}
			}
		}
		return all
	case syntax.OpConcat:
		return concatLiterals(tree.Sub, fromEnd)
	}
	return []literal{{}}
}

// open says that more may follow each text.
func open(all []literal) []literal {
	for i := range all {
		all[i].whole = false
	}
	return all
}

func concatLiterals(subs []*syntax.Regexp, fromEnd bool) []literal {
	if fromEnd {
		subs = slices.Clone(subs)
		slices.Reverse(subs)
	}
	all := []literal{{"", true}}
	for _, sub := range subs {
		next := treeLiterals(sub, fromEnd)
		var longer []literal
		for _, one := range all {
			if !one.whole {
				longer = append(longer, one)
				continue
			}
			for _, more := range next {
				text := one.text + more.text
				if fromEnd {
					text = more.text + one.text
				}
				longer = append(longer, literal{text, more.whole})
			}
		}
		if len(longer) > maxLiterals {
			return []literal{{}}
		}
		if all = longer; !slices.ContainsFunc(all, func(l literal) bool { return l.whole }) {
			break
		}
	}
	return all
}
