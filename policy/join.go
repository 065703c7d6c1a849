package policy

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

const (
	// maxJoined bounds the names of one join, and with them how many statements one
	// evaluation sees.
	maxJoined = 8
	// maxCombinations bounds the ways to pick one statement for each name: of an
	// honest image each has one or two.
	maxCombinations = 256
	// maxJoinCost bounds the work of all of them together.
	maxJoinCost = 4 * maxConditionCost
)

// joined are the names of a join, each with its demand.
type joined struct {
	node
	list []joinedName
}

type joinedName struct{ name, demand text }

func (j *joined) describe() string { return "mapping of names to demands" }

func (j *joined) read(d decoder, n *yaml.Node, e entry, path string) {
	at := position{n.Line, n.Column}
	j.place(at, path)
	if n.Kind != yaml.MappingNode {
		d.addf(at, path, "write {build: provenance, test: test-result}", "%s where a mapping of names is wanted", kindOf(n))
		return
	}
	if !d.checkLength(len(n.Content)/2, at, path) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		one := joinedName{}
		d.text(n.Content[i], &one.name, e, path)
		d.value(n.Content[i+1], reflect.ValueOf(&one.demand).Elem(), false, e, join(path, n.Content[i].Value))
		j.list = append(j.list, one)
	}
	slices.SortFunc(j.list, func(a, b joinedName) int { return cmp.Compare(a.name.value, b.name.value) })
}

func (j *joined) write() *yaml.Node {
	if len(j.list) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, one := range j.list {
		n.Content = append(n.Content, textNode(one.name.value), textNode(one.demand.value))
	}
	return n
}

// joinedText is a name that CEL takes and that means nothing else in it.
var joinedText = regexp.MustCompile(`^[a-z][A-Za-z0-9_]{0,31}$`)

// reservedInCEL are words of CEL's grammar, types and macros (CEL specification,
// "Syntax", "Standard definitions").
const reservedInCEL = " as bool break bytes const continue double duration dyn else false for function has if import in int let list loop map namespace null package return size string timestamp true type uint var void while "

// joinDemand wants conditions to hold of statements that meet other demands.
type joinDemand struct {
	field      string
	names      []string // of the parties, in their order
	parties    []party
	conditions []condition
}

func (c *compiler) join(e *joinEntry, field string, rule *requireEntry, demands []demand) demand {
	d := &joinDemand{field: field}
	var wanted []text
	if len(e.Of.list) > maxJoined || len(e.Of.list) == 1 {
		c.addf(e.Of.at, e.Of.path, "a condition on one statement is written under `statements`", "%d names, where from 2 to %d are wanted", len(e.Of.list), maxJoined)
	}
	for i := range e.Of.list {
		one := &e.Of.list[i]
		if name := one.name.value; !joinedText.MatchString(name) || strings.Contains(reservedInCEL, " "+name+" ") {
			c.addf(one.name.at, one.name.path, "use letters and digits, a small letter first, and no word of CEL's", "%q is no name for a statement", wording.Short(name))
		}
		one.demand.value = typedDemand(one.demand.value, rule)
		d.names, wanted = append(d.names, one.name.value), append(wanted, one.demand)
	}
	if d.parties = c.parties(wanted, demands); len(c.all) > 0 {
		return d
	}
	e.CEL = sortTexts(e.CEL)
	key := strings.Join(d.names, " ")
	compiler := conditionCompiler{variables: d.names, env: c.joinEnvs[key], left: c.conditions.left}
	for _, expression := range e.CEL {
		compiled, inside, err := compiler.compile(expression.value)
		if err != nil {
			c.celFault(expression, inside, err)
			continue
		}
		d.conditions = append(d.conditions, compiled)
	}
	c.joinEnvs[key] = compiler.env
	for i, name := range d.names {
		if !compiler.looked[name] && len(d.conditions) == len(e.CEL) {
			c.addf(e.Of.list[i].name.at, e.Of.list[i].name.path, "remove the name, or use it", "no condition looks at %s", name)
		}
	}
	return d
}

// typedDemand is the demand of the one entry of `statements` with a type, if there is
// exactly one; else what was written.
func typedDemand(text string, rule *requireEntry) string {
	found, count := text, 0
	for i := range rule.Statements {
		if one := rule.Statements[i].Type.value; one == text {
			found = fmt.Sprintf("statements[%d]", i)
			count++
		} else if all, err := predicate.ResolveAll(text); err == nil && slices.Contains(all, one) {
			found = fmt.Sprintf("statements[%d]", i)
			count++
		}
	}
	if count == 1 {
		return found
	}
	return text
}

func (d *joinDemand) accepts() signers { return nil }
func (d *joinDemand) types() []string  { return []string{} }

func (d *joinDemand) judge(part hearing) Demand {
	var texts []string
	for _, c := range d.conditions {
		texts = append(texts, wording.Short(c.text))
	}
	result := Demand{Name: d.field, Wanted: namesOf(d.parties) + ", where " + strings.Join(texts, " and "), Verdict: Allow}
	if len(part.asked(d.parties)) < len(d.parties) {
		result.Found = "an index, whose platforms are compared each by itself"
		return result
	}
	j := joining{joinDemand: d, budget: &budget{left: maxJoinCost}}
	reason, err := j.read(part)
	if reason == "" {
		if until, fits := j.some(0); fits {
			result.Found, result.Until = "statements that fit together", until
			return result
		}
		reason, err = ReasonPolicyDeny, j.last
	}
	result.Verdict, result.Reason, result.Found = Deny, reason, err.Error()
	result.Hint = "make the statements anew in one run, so that they fit together"
	return undetermined(result, part.Findings.Missing)
}

// joining is one evaluation of a join.
type joining struct {
	*joinDemand
	choices [][]joinedStatement // one list for each name
	picked  []joinedStatement
	budget  *budget
	last    error // why the last combination does not fit
}

type joinedStatement struct {
	met
	tree map[string]any
}

// read collects the statements of each name, in an order that does not depend on how
// they came in.
func (j *joining) read(part hearing) (verify.Reason, error) {
	combinations, bytes := 1, 0
	j.choices, j.picked = make([][]joinedStatement, len(j.parties)), make([]joinedStatement, len(j.parties))
	for i, p := range j.parties {
		list := slices.Clone(part.met[p.name])
		if len(list) == 0 {
			return ReasonPolicyDeny, fmt.Errorf("%s: nothing that meets the demand", p.name)
		}
		if combinations *= len(list); combinations > maxCombinations {
			return verify.ReasonLimitExceeded, fmt.Errorf("more than %d ways to choose the statements", maxCombinations)
		}
		slices.SortFunc(list, func(a, b met) int {
			return cmp.Or(cmp.Compare(a.fact.Statement.PredicateType, b.fact.Statement.PredicateType), slices.Compare(a.fact.Statement.Predicate, b.fact.Statement.Predicate), cmp.Compare(a.fact.Signer.String(), b.fact.Signer.String()), a.end.Compare(b.end))
		})
		for _, one := range list {
			if bytes += len(one.fact.Statement.Predicate); bytes > maxConditionStatement {
				return verify.ReasonLimitExceeded, fmt.Errorf("the statements have more than %d bytes together", maxConditionStatement)
			}
			tree, reason, err := treeOf(one.fact.Statement)
			if err != nil {
				return reason, err
			}
			j.choices[i] = append(j.choices[i], joinedStatement{one, tree})
		}
	}
	return "", nil
}

// some looks for one statement for each name whose demand takes any, so that every
// choice of the others fits.
func (j *joining) some(i int) (until time.Time, fits bool) {
	for ; i < len(j.parties); i++ {
		if j.parties[i].every {
			continue
		}
		for _, one := range j.choices[i] {
			j.picked[i] = one
			if end, ok := j.some(i + 1); ok && (!fits || longer(end, until)) {
				until, fits = end, true
			}
		}
		return until, fits
	}
	return j.every(0)
}

func (j *joining) every(i int) (until time.Time, fits bool) {
	for ; i < len(j.parties); i++ {
		if !j.parties[i].every {
			continue
		}
		for _, one := range j.choices[i] {
			j.picked[i] = one
			end, ok := j.every(i + 1)
			if !ok {
				return time.Time{}, false
			}
			until = earlier(until, end)
		}
		return until, true
	}
	return j.holds()
}

// holds evaluates the conditions on what is picked.
func (j *joining) holds() (until time.Time, fits bool) {
	variables := map[string]any{budgetVariable: j.budget}
	for i, one := range j.picked {
		variables[j.names[i]] = one.tree
		until = earlier(until, one.end)
	}
	for _, c := range j.conditions {
		if j.budget.left < 0 {
			j.last = errors.New("choosing the statements takes too much work")
			return time.Time{}, false
		}
		if err := c.holdsOf(variables); err != nil {
			j.last = fmt.Errorf("%s: %w", wording.Short(c.text), err)
			return time.Time{}, false
		}
	}
	return until, true
}
