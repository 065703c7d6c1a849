package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// statementDemand wants one statement of certain types by an accepted signer
// that meets a condition. One is enough, whatever else is attached: evidence
// that does not count is reported and changes nothing.
type statementDemand struct {
	field string // the field of the rule
	kind  string // what people call it: "SLSA provenance"
	with  string // the condition for people, or ""
	uris  []string
	from  signers
	// holds judges one statement of a wanted type. An empty reason accepts it;
	// detail is for people either way.
	holds func(*attest.Statement) (reason verify.Reason, detail string)
	hint  string
}

func (d *statementDemand) accepts() signers { return d.from }
func (d *statementDemand) types() []string  { return d.uris }

func (d *statementDemand) wanted() string {
	text := fmt.Sprintf("%s signed by %s", d.kind, d.from.oneOf())
	if d.with != "" {
		text += ", " + d.with
	}
	return text
}

func (d *statementDemand) judge(part Part) Demand {
	result := Demand{Name: d.field, Wanted: d.wanted()}
	var others []Attempt
	accepted, relevant := 0, 0
	for _, f := range part.Findings.Facts {
		if a, elsewhere := elsewhere(f, part); elsewhere {
			result.Tried = append(result.Tried, a)
			continue
		}
		a := attempt(f)
		if f.Kind != verify.KindStatement || f.Statement == nil || !slices.Contains(d.uris, f.Statement.PredicateType) {
			a.Reason, a.Detail = verify.ReasonPredicateType, "it is something else"
			others = append(others, a)
			continue
		}
		relevant++
		if d.from.has(f.Signer) == nil {
			a.Reason, a.Detail = d.from.refusal(f.Signer)
		} else if a.Reason, a.Detail = d.holds(f.Statement); a.Reason == "" {
			a.Accepted = true
			accepted++
		}
		result.Tried = append(result.Tried, a)
	}
	for _, r := range part.Findings.Rejected {
		if a := refused(r); a.Type == "" || slices.Contains(d.uris, a.Type) {
			result.Tried = append(result.Tried, a)
		}
	}
	sortTried(result.Tried)
	if accepted > 0 {
		result.Verdict, result.Found = Allow, plural(accepted, "statement")
		for _, a := range result.Tried {
			if a.Accepted && a.Detail != "" {
				result.Found = a.Detail
				break
			}
		}
		return result
	}
	result.Verdict, result.Reason = Deny, nearest(result.Tried, ReasonNoAttestation)
	result.Found = "no " + strings.TrimPrefix(strings.TrimPrefix(d.kind, "an "), "a ")
	if relevant > 0 {
		result.Found = d.describe(result.Tried, result.Reason, relevant)
	}
	if types := typesOf(others); relevant == 0 && len(types) > 0 {
		result.Found += "; found instead: " + strings.Join(types, ", ")
	}
	result.Hint = hintFor(result.Reason, d.from, d.hint)
	result.Tried = append(result.Tried, others...)
	sortTried(result.Tried)
	return undetermined(result, part.Findings.Missing)
}

// describe says why the statement that came closest does not count.
func (d *statementDemand) describe(tried []Attempt, reason verify.Reason, relevant int) string {
	for _, a := range tried {
		if a.Reason == reason && a.Detail != "" {
			if relevant == 1 {
				return d.kind + ": " + a.Detail
			}
			return fmt.Sprintf("%d statements, none of which counts; one: %s", relevant, a.Detail)
		}
	}
	return plural(relevant, "statement") + ", none of which counts"
}

// typesOf lists what was found instead of the wanted type.
func typesOf(tried []Attempt) []string {
	var types []string
	for _, a := range tried {
		types = append(types, wording.Short(a.Type))
	}
	slices.Sort(types)
	return slices.Compact(types)
}
