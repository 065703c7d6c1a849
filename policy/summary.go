package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// DefaultVerifier is the verifier's ID in the summaries that Hallmark makes, and the
// one that a policy accepts, unless they say otherwise.
const DefaultVerifier = "https://hallmark.dev/verifier"

// demandSummary is the demand's name in rules and reports.
const demandSummary = "summary"

// summaryDemand accepts a summary of a verification by the same rule of the same
// policy.
type summaryDemand struct {
	*statementDemand
	rule      string
	verifiers []string
	levels    []string
	maxAge    time.Duration
	core      digest.Digest   // of the policy without its summaries
	roots     []digest.Digest // that the other demands are proved with
}

func (c *compiler) summary(e *summaryEntry, r *rule) *summaryDemand {
	if e == nil {
		return nil
	}
	d := &summaryDemand{rule: r.name}
	if e.Verifier == nil {
		e.Verifier = []text{{value: DefaultVerifier}}
	}
	e.Verifier, e.Levels = sortTexts(e.Verifier), sortTexts(e.Levels)
	for _, one := range e.Verifier {
		d.verifiers = append(d.verifiers, one.value)
	}
	with := []string{"by this policy", "by " + strings.Join(d.verifiers, " or ")}
	for _, one := range e.Levels {
		d.levels = append(d.levels, one.value)
	}
	if len(d.levels) > 0 {
		with = append(with, "with "+strings.Join(d.levels, ", "))
	}
	if d.maxAge = e.MaxAge.value; d.maxAge > 0 {
		with = append(with, "not older than "+e.MaxAge.String())
	}
	d.statementDemand = &statementDemand{
		field: demandSummary,
		kind:  "verification summary in place of the other demands",
		with:  strings.Join(with, ", "),
		uris:  []string{predicate.TypeVSA},
		from:  c.from(&e.From),
		hint:  "make and attach one with `hallmark verify --attest-summary`",
	}
	return d
}

// judge is that of a statement, with what the summaries themselves say of their end.
func (d *summaryDemand) judge(part hearing) Demand {
	part.met = make(map[string][]met)
	own := *d.statementDemand
	own.proves = func(f verify.Fact) (verify.Reason, string) { return d.holds(part.at, part.name, f) }
	result := own.judge(part)
	result.Alternative = true
	if result.Verdict != Allow {
		return result
	}
	for i, one := range part.met[demandSummary] {
		end := one.end
		if s, err := predicate.ReadSummary(one.fact.Statement.PredicateType, one.fact.Statement.Predicate); err == nil {
			end = earlier(end, d.ends(s, one.fact))
		}
		if i == 0 {
			result.Until = end
		} else {
			result.Until = later(result.Until, end)
		}
	}
	return result
}

// everything is all that the rule looks at.
func (r *rule) everything() []demand {
	if r.summary == nil {
		return r.demands
	}
	return append(slices.Clone(r.demands), r.summary)
}

// summarised judges the summaries of each part; nil where the rule accepts none.
func (r *rule) summarised(parts []hearing) []Demand {
	if r.summary == nil {
		return nil
	}
	var all []Demand
	for _, part := range parts {
		outcome := r.summary.judge(part)
		outcome.Digest, outcome.Platform = part.Subject.Digest, part.Platform
		all = append(all, outcome)
	}
	return all
}

func allowed(summaries []Demand) []Demand {
	return slices.DeleteFunc(slices.Clone(summaries), func(d Demand) bool { return d.Verdict != Allow })
}

// addRefused lists the summaries that would have helped.
func (d *Decision) addRefused(summaries []Demand) {
	unmet := make(map[digest.Digest]bool)
	for _, demand := range d.Demands {
		unmet[demand.Digest] = unmet[demand.Digest] || demand.Verdict != Allow
	}
	for _, s := range summaries {
		if s.Verdict != Allow && unmet[s.Digest] {
			d.Demands = append(d.Demands, s)
		}
	}
}

// ends returns when a summary counts no more; zero is never. Its age counts from when
// it says that the image was verified, and from the trusted time of its signature where
// there is one, whichever is earlier. Other demands do not take a statement's word for
// its time; this signer's word is taken for everything else too, and nobody else can
// change it.
func (d *summaryDemand) ends(s predicate.Summary, f verify.Fact) time.Time {
	if d.maxAge == 0 {
		return s.Until
	}
	made := s.TimeVerified
	if signed, proved := signedAt(f); proved {
		made = earlier(made, signed)
	}
	return earlier(s.Until, made.Add(d.maxAge))
}

// holds compares each thing that a summary is bound to (SLSA v1.0, "Verification
// Summary Attestation", "How to verify"). What is not stated never passes.
func (d *summaryDemand) holds(at time.Time, name string, f verify.Fact) (verify.Reason, string) {
	s, err := predicate.ReadSummary(f.Statement.PredicateType, f.Statement.Predicate)
	if err != nil {
		return verify.ReasonStatementMalformed, err.Error()
	}
	roots := slices.Clone(s.Roots)
	slices.SortFunc(roots, func(a, b digest.Digest) int { return strings.Compare(a.String(), b.String()) })
	switch {
	case !slices.Contains(d.verifiers, s.Verifier):
		return verify.ReasonIdentityMismatch, fmt.Sprintf("the verifier is %q, not %s", wording.Short(s.Verifier), strings.Join(d.verifiers, " or "))
	case s.Resource != ResourceURI(name):
		return verify.ReasonSubjectMismatch, fmt.Sprintf("it is about %q, not %s", wording.Short(s.Resource), ResourceURI(name))
	case s.Policy.IsZero() || s.Policy != d.core:
		return ReasonPolicyDeny, fmt.Sprintf("the policy is %s, not %s", stated(short(s.Policy), ""), short(d.core))
	case s.Rule != d.rule:
		return ReasonPolicyDeny, fmt.Sprintf("the rule is %s, not %s", stated(s.Rule, ""), d.rule)
	case !slices.Equal(roots, d.roots):
		return ReasonPolicyDeny, fmt.Sprintf("it was proved with other trust roots (%s, and not %d)", plural(len(roots), "root"), len(d.roots))
	case s.Result != predicate.SummaryPassed:
		return ReasonPolicyDeny, "the verification ended with " + s.Result
	case s.TimeVerified.IsZero():
		return ReasonPolicyDeny, "it does not say when the image was verified"
	case s.TimeVerified.After(at.Add(clockSkew)):
		return verify.ReasonTimeOutside, fmt.Sprintf("it says that the image was verified at %s, after the time of this decision", stamp(s.TimeVerified))
	}
	if signed, proved := signedAt(f); proved && signed.After(at.Add(clockSkew)) {
		return verify.ReasonTimeOutside, fmt.Sprintf("it was signed at %s, after the time of this decision", stamp(signed))
	}
	for _, level := range d.levels {
		if !slices.ContainsFunc(s.Levels, func(one string) bool { return reaches(one, level) }) {
			return ReasonPolicyDeny, fmt.Sprintf("the verified levels are %s, not %s", stated(strings.Join(s.Levels, ", "), ""), level)
		}
	}
	if end := d.ends(s, f); !end.IsZero() && !at.Before(end) {
		return ReasonTooOld, fmt.Sprintf("the image was verified at %s, and that counted until %s", stamp(s.TimeVerified), stamp(end))
	}
	return "", fmt.Sprintf("verified by %s at %s", wording.Short(s.Verifier), stamp(s.TimeVerified))
}

func short(d digest.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.Short()
}

// trackLevel is a level of a SLSA track, such as SLSA_BUILD_LEVEL_3.
var trackLevel = regexp.MustCompile(`\A(SLSA_[A-Z]+_LEVEL_)([0-9])\z`)

// reaches reports whether one verified level is what is wanted: the same text, or a
// higher level of the same track.
func reaches(found, wanted string) bool {
	if found == wanted {
		return true
	}
	a, b := trackLevel.FindStringSubmatch(found), trackLevel.FindStringSubmatch(wanted)
	return a != nil && b != nil && a[1] == b[1] && a[2] >= b[2]
}

// ResourceURI is what a summary calls the image of a canonical name. The digest
// stands in the statement's subject.
func ResourceURI(name string) string { return "oci://" + name }

// buildLevel is how a summary says a SLSA build level; zero is one that was not asked
// for.
func buildLevel(level int) string {
	if level == 0 {
		return "SLSA_BUILD_LEVEL_UNEVALUATED"
	}
	return "SLSA_BUILD_LEVEL_" + strconv.Itoa(level)
}
