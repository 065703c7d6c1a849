package policy

import (
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// budgetVariable is where an evaluation keeps what it may still spend. No
// expression can name it.
const budgetVariable = "#budget"

// budget is the work that is left for one evaluation. cel-go's own cost tracking
// is not used: its bookkeeping takes time in the square of the cost.
type budget struct{ left int }

// spend ends the evaluation when nothing is left. cel-go turns this panic into
// the error of Eval; unlike an error value, no `||` can swallow it.
func (b *budget) spend(units int) {
	if b.left -= units; b.left < 0 {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "it takes too much work"})
	}
}

// meteredAttribute charges for each value that an expression takes from a
// variable: one unit, and one for ten bytes of text. Every step of every loop
// takes one, and all data comes in this way.
type meteredAttribute struct {
	interpreter.InterpretableAttribute
	deep bool // it is compared as a whole: charge for everything in it
}

// AddQualifier keeps the meter on a longer path.
func (a *meteredAttribute) AddQualifier(q interpreter.Qualifier) (interpreter.Attribute, error) {
	_, err := a.InterpretableAttribute.AddQualifier(q)
	return a, err
}

// Exec evaluates the attribute and charges for it.
func (a *meteredAttribute) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := a.InterpretableAttribute.Exec(frame)
	if found, ok := frame.ResolveName(budgetVariable); ok {
		if b, isBudget := found.(*budget); isBudget {
			b.charge(value, a.deep)
		}
	}
	return value
}

// Eval is Exec for the older interface.
func (a *meteredAttribute) Eval(vars interpreter.Activation) ref.Val {
	return a.Exec(interpreter.AsFrame(vars))
}

func (b *budget) charge(value ref.Val, deep bool) {
	switch v := value.(type) {
	case types.String:
		b.spend(1 + len(v)/10)
	case types.Bytes:
		b.spend(1 + len(v)/10)
	case types.Bool, types.Int, types.Uint, types.Double, types.Null, *types.Err:
		b.spend(1)
	default:
		b.spend(1)
		if deep {
			b.walk(value.Value())
		}
	}
}

// walk charges for every value of a tree; it ends when the budget does.
func (b *budget) walk(tree any) {
	switch v := tree.(type) {
	case map[string]any:
		for key, inner := range v {
			b.spend(1 + len(key)/10)
			b.walk(inner)
		}
	case []any:
		for _, inner := range v {
			b.walk(inner)
		}
	case []ref.Val:
		for _, inner := range v {
			b.walk(inner.Value())
		}
	case string:
		b.spend(1 + len(v)/10)
	default:
		b.spend(1)
	}
}

// rootOf returns the node of the variable that a path such as
// `statement.subject[0].name` begins with; the planner names the path by it.
func rootOf(e celast.Expr) int64 {
	for {
		switch {
		case e.Kind() == celast.SelectKind:
			e = e.AsSelect().Operand()
		case e.Kind() == celast.CallKind && e.AsCall().FunctionName() == operators.Index:
			e = e.AsCall().Args()[0]
		default:
			return e.ID()
		}
	}
}

// metered puts a meter on every attribute of an expression.
func metered(expression celast.Expr) interpreter.InterpretableDecoratorV2 {
	compared := make(map[int64]bool)
	celast.PreOrderVisit(expression, celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind {
			return
		}
		switch e.AsCall().FunctionName() {
		case operators.Equals, operators.NotEquals, operators.In:
			for _, argument := range e.AsCall().Args() {
				compared[rootOf(argument)] = true
			}
		}
	}))
	return func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		attribute, isAttribute := i.(interpreter.InterpretableAttribute)
		if _, done := i.(*meteredAttribute); done || !isAttribute {
			return i, nil
		}
		return &meteredAttribute{InterpretableAttribute: attribute, deep: compared[attribute.ID()]}, nil
	}
}
