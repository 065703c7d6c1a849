package license

import (
	"errors"
	"fmt"
	"strings"
)

// Limits on an expression from an SBOM. The longest that a distribution writes
// have some hundred identifiers, and nest four deep.
const (
	maxExpression = 16 << 10
	maxDepth      = 32
)

// errExpression: the text is no license expression.
var errExpression = errors.New("no license expression")

// expression is a parsed license expression (SPDX 2.3, annex D): a license, or an
// operator with its operands.
type expression struct {
	license   string // as written; "" for an operator
	exception string // behind WITH
	all       bool   // AND: every operand applies; otherwise one may be chosen
	operands  []*expression
}

// parse reads an expression. Operators are upper or lower case (SPDX 3.0, annex B).
func parse(text string) (*expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("%w: %d bytes", errExpression, len(text))
	}
	p := &parser{tokens: tokens(text)}
	e, err := p.either(0)
	if err != nil {
		return nil, err
	}
	if p.next() != "" {
		return nil, fmt.Errorf("%w: something stands behind it", errExpression)
	}
	return e, nil
}

// tokens splits a text into identifiers, operators and parentheses.
func tokens(text string) []string {
	return strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text))
}

type parser struct{ tokens []string }

func (p *parser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

// take consumes a token if it is the operator.
func (p *parser) take(operator string) bool {
	if t := p.next(); t != operator && t != strings.ToLower(operator) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// either reads operands of OR, which binds least.
func (p *parser) either(depth int) (*expression, error) {
	return p.operands("OR", depth, p.both)
}

// both reads operands of AND.
func (p *parser) both(depth int) (*expression, error) {
	return p.operands("AND", depth, p.simple)
}

func (p *parser) operands(operator string, depth int, operand func(int) (*expression, error)) (*expression, error) {
	first, err := operand(depth)
	if err != nil {
		return nil, err
	}
	joined := &expression{all: operator == "AND", operands: []*expression{first}}
	for p.take(operator) {
		next, err := operand(depth)
		if err != nil {
			return nil, err
		}
		joined.operands = append(joined.operands, next)
	}
	if len(joined.operands) == 1 {
		return first, nil
	}
	return joined, nil
}

// simple reads a license, with its exception if it has one, or what stands in
// parentheses.
func (p *parser) simple(depth int) (*expression, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: too many parentheses", errExpression)
	}
	if p.take("(") {
		inner, err := p.either(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, fmt.Errorf("%w: a parenthesis is not closed", errExpression)
		}
		return inner, nil
	}
	e := &expression{}
	var err error
	if e.license, err = p.identifier(true); err != nil {
		return nil, err
	}
	if p.take("WITH") {
		if e.exception, err = p.identifier(false); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// identifier reads the name of a license, behind which a plus may stand, or of an
// exception.
func (p *parser) identifier(plus bool) (string, error) {
	text := p.next()
	switch strings.ToUpper(text) {
	case "", "AND", "OR", "WITH", "(", ")":
		return "", fmt.Errorf("%w: %q stands where a license is wanted", errExpression, text)
	}
	bare := text
	if plus {
		bare = strings.TrimSuffix(text, "+")
	}
	if bare == "" || strings.IndexFunc(bare, notInIdentifier) >= 0 {
		return "", fmt.Errorf("%w: %q is no identifier", errExpression, text)
	}
	p.tokens = p.tokens[1:]
	return text, nil
}

// notInIdentifier is the complement of the letters of an identifier; the colon
// stands behind the name of another document.
func notInIdentifier(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != ':'
}
