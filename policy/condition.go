package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

const (
	// conditionVariable is the one name that a condition knows.
	conditionVariable = "statement"
	// maxCondition bounds one CEL expression; a long one has a few hundred bytes.
	maxCondition = 4096
	// maxConditionCost bounds the work of one evaluation: values that are taken from
	// the statement or a loop, and tens of bytes of text. A search through an SBOM
	// of ten thousand packages needs about a tenth; all of it takes about a second.
	maxConditionCost = 1_000_000
	// maxConditions bounds the different expressions of a policy, each of which takes
	// about half a millisecond to compile; those of a join count for each join.
	maxConditions = 2000
	// maxConditionRegexp bounds a compiled regular expression, in RE2 instructions.
	maxConditionRegexp = 2000
	// maxConditionStatement bounds the predicate that conditions are evaluated on;
	// as a tree it needs about ten times the memory.
	maxConditionStatement = 16 << 20
)

// condition is one compiled CEL expression. It is safe for concurrent use.
type condition struct {
	text    string
	program cel.Program
}

// conditionCompiler makes CEL's environment when it meets the first condition:
// a policy without one does not pay for it.
type conditionCompiler struct {
	env *cel.Env
	// variables are the names that conditions know; nil is conditionVariable alone.
	variables []string
	// looked are those that some condition looks at.
	looked map[string]bool
	// done are the expressions that were compiled: rules often ask the same.
	done map[string]condition
	// left is how many more the policy may have.
	left *int
}

// errConditions: nobody reads so many.
var errConditions = fmt.Errorf("the policy has more than %d different conditions", maxConditions)

func (c *conditionCompiler) environment() (*cel.Env, error) {
	if c.env != nil {
		return c.env, nil
	}
	if c.variables == nil {
		c.variables = []string{conditionVariable}
	}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(env.NewLibrarySubset().AddExcludedFunctions(timeZoneFunctions()...))),
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ParserRecursionLimit(64),
		cel.ExpressionNodeLimit(10_000),
		cel.RegexProgramSizeLimit(maxConditionRegexp),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
	}
	for _, name := range c.variables {
		options = append(options, cel.Variable(name, cel.DynType))
	}
	made, err := cel.NewCustomEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("preparing CEL: %w", err)
	}
	c.env = made
	return made, nil
}

// timeZoneFunctions are the overloads that would read the host's time zone
// files: a decision must not depend on the host.
func timeZoneFunctions() []*env.Function {
	var all []*env.Function
	for name, overload := range map[string]string{
		overloads.TimeGetFullYear:     overloads.TimestampToYearWithTz,
		overloads.TimeGetMonth:        overloads.TimestampToMonthWithTz,
		overloads.TimeGetDayOfYear:    overloads.TimestampToDayOfYearWithTz,
		overloads.TimeGetDayOfMonth:   overloads.TimestampToDayOfMonthZeroBasedWithTz,
		overloads.TimeGetDate:         overloads.TimestampToDayOfMonthOneBasedWithTz,
		overloads.TimeGetDayOfWeek:    overloads.TimestampToDayOfWeekWithTz,
		overloads.TimeGetHours:        overloads.TimestampToHoursWithTz,
		overloads.TimeGetMinutes:      overloads.TimestampToMinutesWithTz,
		overloads.TimeGetSeconds:      overloads.TimestampToSecondsWithTz,
		overloads.TimeGetMilliseconds: overloads.TimestampToMillisecondsWithTz,
	} {
		all = append(all, env.NewFunction(name, &env.Overload{ID: overload}))
	}
	return all
}

// errPattern: the signer of a statement must not choose what it is matched with.
var errPattern = errors.New("the pattern of matches() must be written out")

// compile reads one expression. The position in the error is inside the
// expression, from 1; 0 where there is none.
func (c *conditionCompiler) compile(expression string) (condition, position, error) {
	if known, found := c.done[expression]; found {
		return known, position{}, nil
	}
	if *c.left--; *c.left < 0 {
		return condition{}, position{}, errConditions
	}
	environment, err := c.environment()
	if err != nil {
		return condition{}, position{}, err
	}
	ast, issues := environment.Compile(expression)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		at := position{first.Location.Line(), first.Location.Column() + 1}
		return condition{}, at, errors.New(wording.Short(strings.ReplaceAll(first.Message, "\n", " ")))
	}
	if kind := ast.OutputType(); !kind.IsExactType(types.BoolType) && !kind.IsExactType(types.DynType) {
		return condition{}, position{}, fmt.Errorf("it gives a value of type %s, not true or false", kind)
	}
	if c.looked == nil {
		c.looked = make(map[string]bool)
	}
	looks, pattern := false, true
	celast.PreOrderVisit(ast.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		switch {
		case e.Kind() == celast.IdentKind && slices.Contains(c.variables, e.AsIdent()):
			looks, c.looked[e.AsIdent()] = true, true
		case e.Kind() == celast.CallKind && e.AsCall().FunctionName() == overloads.Matches:
			arguments := e.AsCall().Args()
			pattern = pattern && len(arguments) > 0 && arguments[len(arguments)-1].Kind() == celast.LiteralKind
		}
	}))
	switch {
	case !looks:
		return condition{}, position{}, fmt.Errorf("it does not look at `%s`", strings.Join(c.variables, "` or `"))
	case !pattern:
		return condition{}, position{}, errPattern
	}
	program, err := environment.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(metered(ast.NativeRep().Expr())))
	if err != nil {
		return condition{}, position{}, errors.New(wording.Short(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	made := condition{expression, program}
	if c.done == nil {
		c.done = make(map[string]condition)
	}
	c.done[expression] = made
	return made, position{}, nil
}

// holds evaluates the condition on a statement's tree. Everything but the truth
// value true fails: another value, an error, too much work.
func (c condition) holds(tree map[string]any) error {
	return c.holdsOf(map[string]any{conditionVariable: tree, budgetVariable: &budget{left: maxConditionCost}})
}

// holdsOf is holds for any variables, among them the budget.
func (c condition) holdsOf(variables map[string]any) error {
	value, _, err := c.program.Eval(variables)
	if err != nil {
		return fmt.Errorf("it cannot be evaluated: %s", wording.Short(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	if truth, isBool := value.(types.Bool); isBool {
		if truth {
			return nil
		}
		return errors.New("it is false")
	}
	return fmt.Errorf("it gives a value of type %s, not true", value.Type().TypeName())
}

// treeOf turns a verified statement into what a condition sees: `_type`,
// `subject`, `predicateType` and `predicate`, as they were signed. Whole numbers
// are integers, others floating point.
func treeOf(st *attest.Statement) (map[string]any, verify.Reason, error) {
	if len(st.Predicate) > maxConditionStatement {
		return nil, verify.ReasonLimitExceeded, fmt.Errorf("the predicate has %d bytes; conditions look at no more than %d", len(st.Predicate), maxConditionStatement)
	}
	tree := map[string]any{"_type": st.Type, "predicateType": st.PredicateType}
	subjects, err := json.Marshal(st.Subject)
	if err != nil {
		return nil, verify.ReasonStatementMalformed, fmt.Errorf("reading the subjects: %w", err)
	}
	parts := map[string][]byte{"subject": subjects}
	if len(st.Predicate) > 0 {
		parts["predicate"] = st.Predicate
	}
	for name, raw := range parts {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, verify.ReasonStatementMalformed, fmt.Errorf("reading the %s: %w", name, err)
		}
		tree[name] = value
	}
	return tree, "", nil
}
