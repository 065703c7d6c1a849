package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// oidRunInvocation is the address of the run that the certificate was made for
// (fulcio docs/oid-info.md).
const oidRunInvocation = fulcioClaim + "21"

// met is a statement that meets a demand of its own.
type met struct {
	fact verify.Fact
	end  time.Time // the first instant at which it counts no more; zero is never
}

// keep remembers what meets a demand, where a later demand asks for it.
func (h hearing) keep(demand string, contenders []contender) {
	if h.met == nil {
		return
	}
	for _, one := range contenders {
		if one.tried.Accepted {
			h.met[demand] = append(h.met[demand], met{one.fact, one.end})
		}
	}
}

// ofPlatforms are the demands that an index is not asked for when its platforms are.
func ofPlatforms(demand string) bool { return demand == "sbom" || demand == demandVulnerabilities }

// party is a demand whose statements are compared with others.
type party struct {
	name string
	// every says that each statement that meets the demand must fit, not only one.
	every bool
}

// parties finds the demands of some names. The demands of the rule that look at
// statements come first in the rule.
func (c *compiler) parties(names []text, demands []demand) []party {
	var all []party
	var known []string
	for _, d := range demands {
		if s, ok := statementsOf(d); ok {
			known = append(known, s.field)
		}
	}
	for _, name := range names {
		at := slices.IndexFunc(demands, func(d demand) bool {
			s, ok := statementsOf(d)
			return ok && s.field == name.value
		})
		if at < 0 {
			hint := "the rule demands no statements"
			if len(known) > 0 {
				hint = "the rule demands " + strings.Join(known, ", ")
			}
			c.addf(name.at, name.path, hint, "the rule does not demand the statement %q", wording.Short(name.value))
			continue
		}
		s, _ := statementsOf(demands[at])
		all = append(all, party{name.value, s.which == everyOne || s.which == newest})
	}
	return all
}

// statementsOf returns the part of a demand that judges statements.
func statementsOf(d demand) (*statementDemand, bool) {
	switch d := d.(type) {
	case *statementDemand:
		return d, true
	case *vulnerabilitiesDemand:
		return d.statementDemand, true
	}
	return nil, false
}

// runDemand wants the statements of several demands to name one build.
type runDemand struct{ parties []party }

func (c *compiler) sameRun(names *[]text, demands []demand) demand {
	at := (*names)[0]
	*names = sortTexts(*names)
	if len(*names) < 2 {
		c.addf(at.at, at.path, "list at least two demands", "one statement alone is always of one run")
	}
	return &runDemand{c.parties(*names, demands)}
}

func (d *runDemand) accepts() signers { return nil }
func (d *runDemand) types() []string  { return []string{} }

func (d *runDemand) judge(part hearing) Demand {
	result := Demand{Name: "sameRun", Wanted: "one build that " + namesOf(d.parties) + " name", Verdict: Allow}
	asked := part.asked(d.parties)
	if len(asked) < 2 {
		result.Found = "an index, whose platforms are compared each by itself"
		return result
	}
	statements := make(map[string][]named)
	runs := make(map[string]bool)
	for _, p := range asked {
		for _, one := range part.met[p.name] {
			n := named{met: one}
			n.runs, n.fault = runsOf(one.fact)
			for _, run := range n.runs {
				runs[run] = true
			}
			statements[p.name] = append(statements[p.name], n)
		}
	}
	found, until := "", time.Time{}
	for run := range runs {
		end, fits := agreedRun(run, asked, statements)
		switch {
		case !fits:
		case found == "", longer(end, until), end.Equal(until) && run < found:
			found, until = run, end
		}
	}
	if found != "" {
		result.Found, result.Until = found, until
		return result
	}
	result.Verdict, result.Reason = Deny, ReasonPolicyDeny
	result.Found = describeRuns(asked, statements)
	result.Hint = "have them signed in the run that builds: with the certificate of that run, or with its address in what they say"
	return undetermined(result, part.Findings.Missing)
}

// asked leaves away what an index is not asked for.
func (h hearing) asked(all []party) []party {
	if !h.holder {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(p party) bool { return ofPlatforms(p.name) })
}

// longer reports whether an end comes after another, where zero is never.
func longer(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// named is a statement with the runs that it names.
type named struct {
	met
	runs  []string
	fault string // why it names none
}

// agreedRun reports whether each demand has a statement of the run, and whether all of
// them are where each must.
func agreedRun(run string, parties []party, statements map[string][]named) (until time.Time, fits bool) {
	for _, p := range parties {
		some, end := false, time.Time{}
		for _, one := range statements[p.name] {
			switch names := slices.Contains(one.runs, run); {
			case names && !some:
				some, end = true, one.end
			case names && p.every:
				end = earlier(end, one.end)
			case names:
				end = later(end, one.end)
			case p.every:
				return time.Time{}, false
			}
		}
		if !some {
			return time.Time{}, false
		}
		until = earlier(until, end)
	}
	return until, true
}

func namesOf(parties []party) string {
	var names []string
	for _, p := range parties {
		names = append(names, p.name)
	}
	return strings.Join(names, " and ")
}

// describeRuns says what each demand's statements name.
func describeRuns(parties []party, statements map[string][]named) string {
	var all []string
	for _, p := range parties {
		var texts []string
		for _, one := range statements[p.name] {
			switch {
			case one.fault != "":
				texts = append(texts, one.fault)
			case len(one.runs) == 0:
				texts = append(texts, "no run")
			default:
				texts = append(texts, wording.Short(one.runs[0]))
			}
		}
		slices.Sort(texts)
		texts = slices.Compact(texts)
		switch {
		case len(texts) == 0:
			texts = []string{"nothing that meets the demand"}
		case len(texts) > 3:
			texts = append(texts[:3], fmt.Sprintf("%d more", len(texts)-3))
		}
		all = append(all, p.name+": "+strings.Join(texts, ", "))
	}
	return strings.Join(all, "; ")
}

// maxRunLifetime is the longest life of a certificate that is taken for one run's:
// Fulcio's live ten minutes. What lives longer signs for many runs.
const maxRunLifetime = time.Hour

// runsOf returns the runs that a statement names. The certificate's claim is the
// authority's word, what the statement says its signer's; where both name an
// address and they differ, the statement names nothing. A certificate without a claim
// stands for a run itself if it was issued for one.
func runsOf(f verify.Fact) (runs []string, fault string) {
	claimed := claimedRun(f)
	if c := f.Signer.Certificate; c != nil {
		proved := c.Extensions[oidRunInvocation]
		if isAddress(claimed) && isAddress(proved) && claimed != proved {
			return nil, fmt.Sprintf("the run %q by what it says, and %q by its certificate", wording.Short(claimed), wording.Short(proved))
		}
		switch {
		case isAddress(proved):
			runs = append(runs, "the run "+proved)
		case !c.Digest.IsZero() && c.Lifetime > 0 && c.Lifetime <= maxRunLifetime:
			runs = append(runs, fmt.Sprintf("the certificate %s of %s", c.Digest, f.Signer))
		}
	}
	if claimed != "" && !slices.Contains(runs, "the run "+claimed) {
		runs = append(runs, "the run "+claimed)
	}
	return runs, ""
}

func isAddress(s string) bool { return strings.HasPrefix(s, "https://") && len(s) > len("https://") }

// claimedRun is the run that a statement itself names: provenance's invocation,
// together with its builder unless it is an address, or that of cosign's scan.
func claimedRun(f verify.Fact) string {
	switch f.Statement.PredicateType {
	case predicate.TypeProvenanceV1, predicate.TypeProvenanceV02:
		claim, err := predicate.ReadProvenance(f.Statement.PredicateType, f.Statement.Predicate)
		switch {
		case err != nil || claim.Invocation == "":
			return ""
		case isAddress(claim.Invocation):
			return claim.Invocation
		}
		return fmt.Sprintf("%s of %s", claim.Invocation, claim.Builder)
	case predicate.TypeVuln:
		var scan struct {
			Invocation struct {
				URI string `json:"uri"`
			} `json:"invocation"`
		}
		if json.Unmarshal(f.Statement.Predicate, &scan) == nil && isAddress(scan.Invocation.URI) {
			return scan.Invocation.URI
		}
	}
	return ""
}
