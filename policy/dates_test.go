package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify"
)

// TestRuleDates: a rule is there from its first instant and until before its last;
// else the next most specific one governs. Each decision ends when that may change.
func TestRuleDates(t *testing.T) {
	t.Parallel()
	p := parse(t, policyOf(`  - {name: always, images: [registry.acme.example/**], require: {signatures: {from: [a]}}}
  - {name: spring, images: [registry.acme.example/prod/*], from: 2026-03-01, until: 2026-06-01, require: {signatures: {from: [b]}}}
  - {name: summer, images: [registry.acme.example/prod/*], from: 2026-06-01, until: 2026-09-01T00:00:00+02:00, require: {statements: [{type: test-result, from: [c]}]}}
`))
	again, err := Parse("again", p.YAML(), nil)
	if err != nil || again.Digest() != p.Digest() {
		t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
	}
	for _, row := range []struct{ at, rule, until string }{
		{"2026-02-28T23:59:59Z", "always", "2026-03-01T00:00:00Z"},
		{"2026-03-01T00:00:00Z", "spring", "2026-06-01T00:00:00Z"},
		{"2026-05-31T23:59:59Z", "spring", "2026-06-01T00:00:00Z"},
		{"2026-06-01T00:00:00Z", "summer", "2026-08-31T22:00:00Z"},
		{"2026-08-31T22:00:00Z", "always", ""},
	} {
		at, err := time.Parse(time.RFC3339, row.at)
		if err != nil {
			t.Fatal(err)
		}
		d := again.Decide(found(signed(t, "a"), signed(t, "b"), attested(t, "c", testType, passed)), at)
		if d.Rule != row.rule || d.Verdict != Allow || row.until == "" != d.Until.IsZero() || row.until != "" && stamp(d.Until) != row.until {
			t.Errorf("at %s: %s by %q until %s, expected %q until %s", row.at, d.Verdict, d.Rule, d.Until, row.rule, row.until)
		}
		if none := again.Decide(found(), at); none.Verdict != Deny || none.Until != d.Until {
			t.Errorf("at %s: without evidence %s until %s", row.at, none.Verdict, none.Until)
		}
	}
	plan, err := p.Plan(image)
	if err != nil || !plan.Signatures || len(plan.PredicateTypes) == 0 || plan.Rule != "always, spring, summer" {
		t.Errorf("the plan does not serve every time: %+v, %v", plan, err)
	}
	if plan, err = p.Plan("registry.acme.example/x"); err != nil || plan.Rule != "always" {
		t.Errorf("the plan of another image: %+v, %v", plan, err)
	}
}

// TestRuleDatesAlone: PO-01: where only a rule of other dates matches, no rule does.
func TestRuleDatesAlone(t *testing.T) {
	t.Parallel()
	text := policyOf("  - {name: spring, images: [registry.acme.example/prod/*], from: 2026-04-01, require: {signatures: {from: [a]}}}\n")
	d := parse(t, text).Decide(found(signed(t, "a")), noon)
	expect(t, d, Deny, ReasonNoMatch)
	if stamp(d.Until) != "2026-04-01T00:00:00Z" || !strings.Contains(d.Demands[0].Found, "spring") {
		t.Errorf("the denial is %+v", d)
	}
	if d := parse(t, text+"unmatched: warn\n").Decide(found(), noon); d.Verdict != Allow || stamp(d.Until) != "2026-04-01T00:00:00Z" || *d.Warned != (Warned{Deny, ReasonNoMatch}) {
		t.Errorf("the warning is %+v", d)
	}
}

// TestBadDates: PO-07, PO-08, PO-22: dates that meet do not tell two rules apart.
func TestBadDates(t *testing.T) {
	t.Parallel()
	rule := func(name, dates string) string {
		return "  - {name: " + name + ", images: [registry.acme.example/prod/*], " + dates + "require: {signatures: {from: [a]}}}\n"
	}
	for name, rules := range map[string]string{
		"PO-08 no dates":             rule("one", "") + rule("two", ""),
		"PO-08 one without dates":    rule("one", "") + rule("two", "from: 2026-01-01, "),
		"PO-08 both begin":           rule("one", "from: 2026-02-01, ") + rule("two", "from: 2026-01-01, "),
		"PO-07 they meet":            rule("one", "until: 2026-02-02, ") + rule("two", "from: 2026-02-01, "),
		"it ends when it begins":     rule("one", "from: 2026-02-01, until: 2026-02-01, "),
		"it ends before":             rule("one", "from: 2026-02-01, until: 2026-01-01, "),
		"PO-22 soon":                 rule("one", "until: soon, "),
		"PO-22 yesterday":            rule("one", "from: yesterday, "),
		"PO-22 a month that is none": rule("one", "until: 2026-13-01, "),
		"PO-09 no date":              rule("one", "until: , "),
		"PO-12 a number":             rule("one", "until: 20260101, "),
	} {
		if e := fault(t, policyOf(rules)); e.Line == 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
	parse(t, policyOf(rule("one", "until: 2026-02-01, ")+rule("two", "from: 2026-02-01, ")))
	parse(t, policyOf(rule("two", "from: 2026-02-01, ")+rule("one", "until: 2026-02-01, ")))
}

// TestWarnOnly: PO-15: a rule that only warns allows, and never looks like one that
// allows; an unknown mode is no mode.
func TestWarnOnly(t *testing.T) {
	t.Parallel()
	with := func(mode string) string {
		return strings.Replace(require("signatures: {from: [a]}"), "    require:", "    mode: "+mode+"\n    require:", 1)
	}
	for _, mode := range []string{"enfroce", "'enforce '", "Warn", "audit", "''", "true", "[warn]"} {
		if e := fault(t, with(mode)); e.Line != 11 {
			t.Errorf("PO-15 %s: %v", mode, e)
		}
	}
	if parse(t, with("enforce")).Digest() != parse(t, require("signatures: {from: [a]}")).Digest() {
		t.Error("PO-15 enforce is not the default")
	}
	p := parse(t, with("warn"))
	d := p.Decide(found(signed(t, "x")), noon)
	expect(t, d, Allow, "")
	if d.Warned == nil || *d.Warned != (Warned{Deny, verify.ReasonIdentityMismatch}) || len(d.Warnings) != 1 || d.Demands[0].Verdict != Deny {
		t.Errorf("PO-15 the warning does not show: %+v", d)
	}
	if d = p.Decide(found(signed(t, "a")), noon); d.Verdict != Allow || d.Warned != nil || len(d.Warnings) != 0 {
		t.Errorf("PO-15 what is good is warned about: %+v", d)
	}
	img := found()
	img.Target.Findings.Missing = []error{errors.New("503")}
	if d = p.Decide(img, noon); d.Verdict != Allow || d.Warned == nil || d.Warned.Verdict != Undetermined {
		t.Errorf("PO-15 what could not be checked: %+v", d)
	}
}
