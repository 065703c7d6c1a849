package policy

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// summarising is a policy that wants much, or the word of b.
func summarising(entry string) string {
	return require("signatures: {from: [a]}\nprovenance: {from: [a], level: 3}\nsummary: "+entry) + "builders: [{id: " + hosted + ", level: 3, from: [a]}]\n"
}

const week = "{from: [b], maxAge: 7d, levels: [SLSA_BUILD_LEVEL_2]}"

// evidenceOfA is what [summarising] wants.
func evidenceOfA(t testing.TB) Image {
	img := found(signed(t, "a"), attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef)), signed(t, "c"))
	for i := range img.Target.Findings.Facts {
		img.Target.Findings.Facts[i].Origin.Layer = digest.FromBytes([]byte{byte(i)})
	}
	return img
}

// summaryBy is what a verifier makes of that evidence under a policy.
func summaryBy(t testing.TB, p *Policy, at time.Time) predicate.Summary {
	t.Helper()
	core, err := p.Core()
	if err != nil {
		t.Fatal(err)
	}
	all, err := core.Summarize(evidenceOfA(t), at)
	if err != nil || len(all) != 1 || all[0].Digest != imageDigest {
		t.Fatalf("%+v %v", all, err)
	}
	return all[0].Summary
}

// summaryFact is a summary that somebody signed at noon.
func summaryFact(t testing.TB, name string, s predicate.Summary) verify.Fact {
	t.Helper()
	raw, err := s.Predicate()
	if err != nil {
		t.Fatal(err)
	}
	return times(attested(t, name, predicate.TypeVSA, string(raw)), noon.Format(time.RFC3339))
}

// TestSummaryStandsForTheRest: what the verifier states is accepted in place of all
// other demands, and what it is made of stands in it.
func TestSummaryStandsForTheRest(t *testing.T) {
	t.Parallel()
	p := parse(t, summarising(week))
	s := summaryBy(t, p, noon)
	if s.Result != predicate.SummaryPassed || len(s.Inputs) != 2 || s.Rule != "one" || !slices.Equal(s.Levels, []string{"SLSA_BUILD_LEVEL_3"}) || s.Resource != "oci://"+image || !s.TimeVerified.Equal(noon) {
		t.Errorf("made %+v", s)
	}
	d := p.Decide(found(summaryFact(t, "b", s)), noon)
	expect(t, d, Allow, "")
	if len(d.Demands) != 1 || d.Demands[0].Name != "summary" || !d.Until.Equal(noon.Add(7*24*time.Hour)) {
		t.Errorf("decided %+v", d)
	}
	// Without it the rest is asked for, and the report says what was not met.
	d = p.Decide(found(), noon)
	expect(t, d, Deny, ReasonNoSignature)
	if last := d.Demands[len(d.Demands)-1]; len(d.Demands) != 3 || last.Name != "summary" || !last.Alternative || last.Reason != ReasonNoAttestation {
		t.Errorf("decided %+v", d.Demands)
	}
	d = p.Decide(evidenceOfA(t), noon)
	expect(t, d, Allow, "")
	if len(d.Demands) != 2 {
		t.Errorf("a summary that nobody needs is reported: %+v", d.Demands)
	}
	plan, err := p.Plan(image)
	if err != nil || !slices.Contains(plan.PredicateTypes, predicate.TypeVSA) {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	img := found()
	img.Target.Findings.Missing = []error{errors.New("503")}
	expect(t, p.Decide(img, noon), Undetermined, ReasonUnreachable)
}

// TestSummaryIsBound: DS-27, a summary counts only if each thing that it is bound to
// fits.
func TestSummaryIsBound(t *testing.T) {
	t.Parallel()
	p := parse(t, summarising(week))
	good := summaryBy(t, p, noon)
	expect(t, p.Decide(found(summaryFact(t, "b", good)), noon), Allow, "")
	for name, row := range map[string]struct {
		change func(*predicate.Summary)
		reason verify.Reason
	}{
		"another image":          {func(s *predicate.Summary) { s.Resource += "2" }, verify.ReasonSubjectMismatch},
		"another registry":       {func(s *predicate.Summary) { s.Resource = "oci://evil.example/prod/app" }, verify.ReasonSubjectMismatch},
		"an unknown verifier":    {func(s *predicate.Summary) { s.Verifier = "https://evil.example/verifier" }, verify.ReasonIdentityMismatch},
		"the verifier, a slash":  {func(s *predicate.Summary) { s.Verifier += "/" }, verify.ReasonIdentityMismatch},
		"another policy":         {func(s *predicate.Summary) { s.Policy = digest.FromBytes([]byte("lax")) }, ReasonPolicyDeny},
		"the whole policy":       {func(s *predicate.Summary) { s.Policy = p.Digest() }, ReasonPolicyDeny},
		"no policy":              {func(s *predicate.Summary) { s.Policy = digest.Digest{} }, ReasonPolicyDeny},
		"another rule":           {func(s *predicate.Summary) { s.Rule = "lax" }, ReasonPolicyDeny},
		"no rule":                {func(s *predicate.Summary) { s.Rule = "" }, ReasonPolicyDeny},
		"other trust roots":      {func(s *predicate.Summary) { s.Roots = []digest.Digest{imageDigest} }, ReasonPolicyDeny},
		"failed":                 {func(s *predicate.Summary) { s.Result = predicate.SummaryFailed }, ReasonPolicyDeny},
		"a lower level":          {func(s *predicate.Summary) { s.Levels = []string{"SLSA_BUILD_LEVEL_1"} }, ReasonPolicyDeny},
		"a level of source":      {func(s *predicate.Summary) { s.Levels = []string{"SLSA_SOURCE_LEVEL_3"} }, ReasonPolicyDeny},
		"an unevaluated level":   {func(s *predicate.Summary) { s.Levels = []string{"SLSA_BUILD_LEVEL_UNEVALUATED"} }, ReasonPolicyDeny},
		"no level":               {func(s *predicate.Summary) { s.Levels = nil }, ReasonPolicyDeny},
		"no time":                {func(s *predicate.Summary) { s.TimeVerified = time.Time{} }, ReasonPolicyDeny},
		"the future":             {func(s *predicate.Summary) { s.TimeVerified = noon.Add(time.Hour) }, verify.ReasonTimeOutside},
		"verified long ago":      {func(s *predicate.Summary) { s.TimeVerified = noon.Add(-7 * 24 * time.Hour) }, ReasonTooOld},
		"its end has come":       {func(s *predicate.Summary) { s.Until = noon }, ReasonTooOld},
		"the exact level's text": {func(s *predicate.Summary) { s.Levels = []string{"slsa_build_level_3"} }, ReasonPolicyDeny},
	} {
		t.Run("DS-27 "+name, func(t *testing.T) {
			t.Parallel()
			s := good
			row.change(&s)
			d := p.Decide(found(summaryFact(t, "b", s)), noon)
			expect(t, d, Deny, ReasonNoSignature)
			if last := d.Demands[len(d.Demands)-1]; last.Name != "summary" || last.Reason != row.reason {
				t.Errorf("refused with %+v", last)
			}
		})
	}
	for name, f := range map[string]verify.Fact{
		"another signer":  summaryFact(t, "a", good),
		"signed long ago": times(summaryFact(t, "b", good), "2026-02-01T00:00:00Z"),
		"signed in the future": func() verify.Fact {
			f := summaryFact(t, "b", good)
			f.Times = nil
			return times(f, "2026-03-01T13:00:00Z")
		}(),
		"another digest": func() verify.Fact {
			f := summaryFact(t, "b", good)
			f.Subject.Digest = digest.FromBytes([]byte("x"))
			return f
		}(),
		"another type": func() verify.Fact {
			f := summaryFact(t, "b", good)
			f.Statement.PredicateType = predicate.TypeCustom
			return f
		}(),
		"no summary": times(attested(t, "b", predicate.TypeVSA, `{}`), noon.Format(time.RFC3339)),
	} {
		t.Run("DS-27 "+name, func(t *testing.T) {
			t.Parallel()
			reason := ReasonNoSignature
			if name == "another digest" {
				reason = verify.ReasonSubjectMismatch
			}
			expect(t, p.Decide(found(f), noon), Deny, reason)
		})
	}
	// A key's summary has no trusted time: its own word counts.
	untimed := summaryFact(t, "b", good)
	untimed.Times = nil
	if d := p.Decide(found(untimed), noon.Add(time.Hour)); d.Verdict != Allow || !d.Until.Equal(noon.Add(7*24*time.Hour)) {
		t.Errorf("decided %+v", d)
	}
	expect(t, p.Decide(found(untimed), noon.Add(7*24*time.Hour)), Deny, ReasonNoSignature)
	// Its own word ends it earlier than its age would.
	s := good
	s.Until = noon.Add(time.Hour)
	if d := p.Decide(found(summaryFact(t, "b", s)), noon); d.Verdict != Allow || !d.Until.Equal(s.Until) {
		t.Errorf("decided %+v", d)
	}
	expect(t, p.Decide(found(summaryFact(t, "b", s)), s.Until), Deny, ReasonNoSignature)
}

// TestSummaryOfTheRestOfThePolicy: the policy may name its verifier, with or without
// the verifier's signer; any other change to it ends all summaries.
func TestSummaryOfTheRestOfThePolicy(t *testing.T) {
	t.Parallel()
	with := parse(t, summarising(week))
	core, err := with.Core()
	if err != nil {
		t.Fatal(err)
	}
	without := parse(t, strings.Replace(strings.Replace(summarising(week), "      summary: "+week+"\n", "", 1), "  b: {keys: [{file: b.pub}]}\n", "", 1))
	bare, err := without.Core()
	if err != nil || bare.Digest() != core.Digest() || core.Digest() == with.Digest() {
		t.Errorf("the cores are %s and %s, %v", core.Digest(), bare.Digest(), err)
	}
	again, err := core.Core()
	if err != nil || again.Digest() != core.Digest() {
		t.Errorf("the core's core is another: %v", err)
	}
	expect(t, core.Decide(evidenceOfA(t), noon), Allow, "")
	s := summaryBy(t, with, noon)
	for _, change := range [][2]string{{"level: 3}", "level: 2}"}, {"{file: a.pub}", "{file: a2.pub}"}, {"level: 3, from: [a]", "level: 3, from: [a, c]"}, {"name: one", "name: two"}, {"    require:", "    mode: warn\n    require:"}} {
		other := parse(t, replaceOnce(t, summarising(week), change[0], change[1]))
		d := other.Decide(found(summaryFact(t, "b", s)), noon)
		if d.Verdict == Allow && d.Warned == nil {
			t.Errorf("DS-27 the summary of another policy counts: %q", change[1])
		}
	}
	// What only concerns the summary itself may change.
	longer := parse(t, strings.Replace(summarising(week), "7d", "8d", 1))
	expect(t, longer.Decide(found(summaryFact(t, "b", s)), noon), Allow, "")
}

// TestNoSummary: only a verdict of this policy's own demands is summarised.
func TestNoSummary(t *testing.T) {
	t.Parallel()
	p := parse(t, summarising(week))
	if _, err := p.Summarize(evidenceOfA(t), noon); !errors.Is(err, ErrNoSummary) {
		t.Errorf("a summary of a policy that accepts summaries: %v", err)
	}
	core, err := p.Core()
	if err != nil {
		t.Fatal(err)
	}
	missing, elsewhere := found(), evidenceOfA(t)
	missing.Target.Findings.Missing = []error{errors.New("503")}
	elsewhere.Name = "other.example/x"
	for name, img := range map[string]Image{"undetermined": missing, "no rule": elsewhere, "no name": {}} {
		if all, err := core.Summarize(img, noon); !errors.Is(err, ErrNoSummary) {
			t.Errorf("%s: %+v %v", name, all, err)
		}
	}
	warning := parse(t, strings.Replace(require("signatures: {from: [a]}"), "    require:", "    mode: warn\n    require:", 1))
	if all, err := warning.Summarize(found(), noon); !errors.Is(err, ErrNoSummary) {
		t.Errorf("warned away: %+v %v", all, err)
	}
	all, err := core.Summarize(found(), noon)
	if err != nil || len(all) != 1 || all[0].Summary.Result != predicate.SummaryFailed || all[0].Summary.Levels[0] != "SLSA_BUILD_LEVEL_UNEVALUATED" {
		t.Errorf("denied: %+v %v", all, err)
	}
	for _, demands := range []string{"summary: {from: [b]}", "signatures: {from: [a]}\nsummary: {}", "signatures: {from: [a]}\nsummary: {from: []}", "signatures: {from: [a]}\nsummary: {from: [b], levels: []}"} {
		if e := fault(t, require(demands)); e.Line == 0 {
			t.Errorf("%s: no place in %v", demands, e)
		}
	}
	if e := fault(t, summarising(week)+"exceptions: [{image: '"+image+"@"+imageDigest.String()+"', rule: one, skip: [summary], reason: r, owner: o, ticket: t, expires: 2026-03-10}]\n"); e.Line == 0 {
		t.Error(e)
	}
}

// summaryCases are the fields of a summary: with the change it counts no more.
var summaryCases = map[string][2]string{
	"rules[].require.summary":            {"summary: " + week, "#"},
	"rules[].require.summary.from[]":     {"from: [b]", "from: [c]"},
	"rules[].require.summary.verifier[]": {"from: [b]", "from: [b], verifier: ['https://ci.acme.example']"},
	"rules[].require.summary.levels[]":   {"[SLSA_BUILD_LEVEL_2]", "[SLSA_BUILD_LEVEL_2, ACME_REVIEWED]"},
	"rules[].require.summary.maxAge":     {"maxAge: 7d", "maxAge: 1h"},
}

// TestEverySummaryFieldHasAnEffect: PO-10 for what [summaryCases] lists.
func TestEverySummaryFieldHasAnEffect(t *testing.T) {
	t.Parallel()
	known := paths(reflect.TypeFor[document](), "")
	p := parse(t, summarising(week))
	again, err := Parse("again", p.YAML(), nil)
	if err != nil || again.Digest() != p.Digest() {
		t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
	}
	later := noon.Add(2 * time.Hour)
	img := found(summaryFact(t, "b", summaryBy(t, p, noon)))
	expect(t, again.Decide(img, later), Allow, "")
	for path, change := range summaryCases {
		t.Run("PO-10 "+path, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(known, path) {
				t.Error("the case is about no field")
			}
			expect(t, parse(t, replaceOnce(t, summarising(week), change[0], change[1])).Decide(img, later), Deny, ReasonNoSignature)
		})
	}
}

// TestSummaryOfPlatforms: each digest has a summary of its own, and none stands for
// another.
func TestSummaryOfPlatforms(t *testing.T) {
	t.Parallel()
	p := parse(t, strings.Replace(summarising(week), "    require:", "    platforms: all\n    require:", 1))
	platform := verify.Subject{Repository: image, Digest: digest.FromBytes([]byte("platform"))}
	img := evidenceOfA(t)
	below := evidenceOfA(t).Target
	below.Subject, below.Platform = platform, "linux/amd64"
	for i := range below.Findings.Facts {
		below.Findings.Facts[i].Subject = platform
	}
	img.Index, img.Platforms = true, []Part{below}
	core, err := p.Core()
	if err != nil {
		t.Fatal(err)
	}
	all, err := core.Summarize(img, noon)
	if err != nil || len(all) != 2 || all[1].Digest != platform.Digest || all[1].Platform != "linux/amd64" {
		t.Fatalf("%+v %v", all, err)
	}
	top, lower := summaryFact(t, "b", all[0].Summary), summaryFact(t, "b", all[1].Summary)
	lower.Subject = platform
	img = found(top)
	img.Index, img.Platforms = true, []Part{{Subject: platform, Platform: "linux/amd64", Findings: Findings{Facts: []verify.Fact{lower}}}}
	expect(t, p.Decide(img, noon), Allow, "")
	img.Platforms[0].Findings.Facts[0].Subject = subject()
	expect(t, p.Decide(img, noon), Deny, verify.ReasonSubjectMismatch)
}
