package policy

import (
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// conditions are the CEL expressions of one statement demand.
type conditions []condition

func (c *compiler) statement(e *statementEntry, field string) demand {
	from := c.from(&e.From)
	uris, err := predicate.ResolveAll(e.Type.value)
	if err != nil {
		c.add(e.Type.at, e.Type.path, "", err)
	}
	if e.Type.value == verify.SignaturePredicateType {
		c.addf(e.Type.at, e.Type.path, "demand it under `signatures`", "this type is a signature, not a statement")
	}
	e.CEL = sortTexts(e.CEL)
	var all conditions
	var texts []string
	for _, expression := range e.CEL {
		compiled, inside, err := c.conditions.compile(expression.value)
		if err != nil {
			c.celFault(expression, inside, err)
			continue
		}
		all = append(all, compiled)
		texts = append(texts, wording.Short(expression.value))
	}
	d := &statementDemand{field: field, kind: "a statement of type " + e.Type.value, uris: uris, from: from, holds: all.holds, hint: "attach it with `hallmark attest --type " + e.Type.value + "`", choice: c.choice(&e.Which, &e.MaxAge)}
	if len(texts) > 0 {
		d.with = "where " + strings.Join(texts, " and ")
	}
	return d
}

// celFault records what is wrong with an expression.
func (c *compiler) celFault(expression text, inside position, err error) {
	at := expression.at
	if inside.line == 0 {
		c.addf(at, expression.path, "", "compiling the condition: %w", err)
		return
	}
	if !strings.Contains(expression.value, "\n") {
		at.column += inside.column - 1
	}
	c.addf(at, expression.path, "", "line %d, column %d of the condition: %w", inside.line, inside.column, err)
}

// holds judges one statement: every condition must be true. A statement without
// conditions only has to be there.
func (all conditions) holds(st *attest.Statement) (verify.Reason, string) {
	if len(all) == 0 {
		return "", ""
	}
	tree, reason, err := treeOf(st)
	if err != nil {
		return reason, err.Error()
	}
	for _, c := range all {
		if err := c.holds(tree); err != nil {
			return ReasonPolicyDeny, wording.Short(c.text) + ": " + err.Error()
		}
	}
	return "", ""
}
