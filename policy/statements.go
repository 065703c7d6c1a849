package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
	// bind makes holds anew for one digest, where what is asked depends on it; nil
	// where it does not.
	bind func(hearing) func(*attest.Statement) (verify.Reason, string)
	// proves judges in place of holds where the signer matters too; else nil.
	proves func(verify.Fact) (verify.Reason, string)
	// aside are predicate types that whoever calls judge hears and reports itself.
	aside []string
	// content tells that holds asks for the image's content.
	content bool
	hint    string
	choice
}

func (d *statementDemand) accepts() signers { return d.from }
func (d *statementDemand) types() []string  { return d.uris }

func (d *statementDemand) wanted() string {
	text := fmt.Sprintf("%s signed by %s", d.kind, d.from.oneOf())
	if d.with != "" {
		text += ", " + d.with
	}
	if how := d.choice.String(); how != "" {
		text += ", " + how
	}
	return text
}

func (d *statementDemand) judge(part hearing) Demand {
	result := Demand{Name: d.field, Wanted: d.wanted()}
	holds := d.holds
	if d.bind != nil {
		holds = d.bind(part)
	}
	var others []int // facts that are something else
	var contenders []contender
	strangers := refuser{from: d.from}
	relevant, facts := 0, part.Findings.Facts
	result.Tried = make([]Attempt, 0, len(facts)+len(part.Findings.Rejected)) // contenders point into it
	for i, f := range facts {
		if a, elsewhere := elsewhere(f, part.Part); elsewhere {
			result.Tried = append(result.Tried, a)
			continue
		}
		if f.Kind != verify.KindStatement || f.Statement == nil || !slices.Contains(d.uris, f.Statement.PredicateType) {
			if f.Statement == nil || !slices.Contains(d.aside, f.Statement.PredicateType) {
				others = append(others, i)
			}
			continue
		}
		a := part.attempt(i)
		relevant++
		if d.from.has(f.Signer) == nil {
			a.Reason, a.Detail = strangers.of(f.Signer)
			result.Tried = append(result.Tried, a)
			continue
		}
		var end time.Time
		if end, a.Reason, a.Detail = d.choice.judge(f, part.at); a.Reason == "" {
			if d.proves != nil {
				a.Reason, a.Detail = d.proves(f)
			} else {
				a.Reason, a.Detail = holds(f.Statement)
			}
			a.Accepted = a.Reason == ""
		}
		result.Tried = append(result.Tried, a)
		if a.Reason != ReasonTooOld {
			signed, _ := signedAt(f)
			contenders = append(contenders, contender{&result.Tried[len(result.Tried)-1], signed, earlier(end, part.end(i)), f})
		}
	}
	met, until := d.choice.settle(contenders)
	part.keep(d.field, contenders)
	for _, r := range part.Findings.Rejected {
		if a := refused(r); a.Type == "" || slices.Contains(d.uris, a.Type) {
			result.Tried = append(result.Tried, a)
		}
	}
	if met {
		return d.allow(result, until, part.Findings.Missing)
	}
	refusals := result.Tried
	if d.which == everyOne || d.which == newest {
		// The one that fails is the reason, whatever strangers say.
		if refusals = refusing(contenders); len(refusals) == 0 {
			refusals = result.Tried
		}
	}
	result.Verdict, result.Reason = Deny, nearest(refusals, ReasonNoAttestation)
	sortTried(result.Tried)
	result.Found = "no " + strings.TrimPrefix(strings.TrimPrefix(d.kind, "an "), "a ")
	if relevant > 0 {
		result.Found = d.describe(result.Tried, result.Reason, relevant)
	}
	unwanted := part.refused(others, "it is something else")
	if types := typesOf(unwanted); relevant == 0 && len(types) > 0 {
		result.Found += "; found instead: " + strings.Join(types, ", ")
	}
	result.Hint = hintFor(result.Reason, d.from, d.hint)
	result.Tried = append(result.Tried, unwanted...)
	sortTried(result.Tried)
	if result.Reason == ReasonContentUnchecked {
		result.Verdict = Undetermined
	}
	return undetermined(result, part.Findings.Missing)
}

// allow is a demand that is met. Where each or the latest statement must meet it,
// a place that could not be looked at may hold another.
func (d *statementDemand) allow(result Demand, until time.Time, missing []error) Demand {
	accepted := 0
	sortTried(result.Tried)
	for _, a := range result.Tried {
		if a.Accepted {
			if accepted++; result.Found == "" {
				result.Found = a.Detail
			}
		}
	}
	if result.Found == "" {
		result.Found = plural(accepted, "statement")
	}
	if d.which == everyOne || d.which == newest {
		if result = undetermined(result, missing); len(missing) > 0 {
			return result
		}
	}
	result.Verdict, result.Until = Allow, until
	return result
}

// refusing are the contenders that do not meet the demand and have not been
// superseded.
func refusing(all []contender) []Attempt {
	var some []Attempt
	for _, one := range all {
		if !one.tried.Accepted && one.tried.Reason != ReasonSuperseded {
			some = append(some, *one.tried)
		}
	}
	// One that fails whatever the image contains is enough.
	failing := slices.DeleteFunc(slices.Clone(some), func(a Attempt) bool { return a.Reason == ReasonContentUnchecked })
	if len(failing) > 0 {
		return failing
	}
	return some
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
