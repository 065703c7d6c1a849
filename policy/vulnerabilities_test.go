package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// scanOf is cosign's predicate around a Grype report.
func scanOf(matches ...string) string {
	return `{"invocation":{},"scanner":{"uri":"grype","version":"1","result":{"matches":[` + strings.Join(matches, ",") + `]}},"metadata":{}}`
}

func vulnerable(id, severity, purl string) string {
	return fmt.Sprintf(`{"vulnerability":{"id":%q,"severity":%q},"artifact":{"name":"p","version":"1","purl":%q}}`, id, severity, purl)
}

// vexOf is an OpenVEX document.
func vexOf(statements ...string) string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"x","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[` + strings.Join(statements, ",") + `]}`
}

func vexAbout(id, status, product string) string {
	return fmt.Sprintf(`{"vulnerability":{"name":%q},"status":%q,"justification":"vulnerable_code_not_present","products":[{"@id":%q}]}`, id, status, product)
}

// hours before noon at which a fact was signed, as a log vouches for.
func hoursOld(f verify.Fact, hours int) verify.Fact {
	f.Times = []verify.TrustedTime{{Time: noon.Add(-time.Duration(hours) * time.Hour), Source: "log"}}
	return f
}

const scanned = "vulnerabilities: {from: [a], maxSeverity: medium, vex: [b, c]}"

func TestSeverityIsBounded(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		most, found string
		reason      verify.Reason
	}{
		{"high", "Critical", ReasonVulnerable},
		{"high", "High", ""},
		{"medium", "High", ReasonVulnerable},
		{"low", "Negligible", ""},
		{"none", "Negligible", ReasonVulnerable},
		{"high", "Unknown", ReasonVulnerable}, // an unknown severity is the worst
		{"high", "", ReasonVulnerable},
	} {
		p := parse(t, require("vulnerabilities: {from: [a], which: any, maxSeverity: "+row.most+"}"))
		verdict := Allow
		if row.reason != "" {
			verdict = Deny
		}
		expect(t, p.Decide(found(attested(t, "a", predicate.TypeVuln, scanOf(vulnerable("CVE-2026-1", row.found, "pkg:npm/a@1")))), noon), verdict, row.reason)
		expect(t, p.Decide(found(attested(t, "a", predicate.TypeVuln, scanOf())), noon), Allow, "")
	}
	for _, bad := range []string{"{from: [a]}", "{from: [a], maxSeverity: critical}", "{from: [a], maxSeverity: High}", "{from: [a], maxSeverity: high, vex: []}", "{from: [a], maxSeverity: high, vex: [nobody]}"} {
		fault(t, require("vulnerabilities: "+bad))
	}
	p := parse(t, require("vulnerabilities: {from: [a], which: any, maxSeverity: high}"))
	// DS-20: what cannot be read never passes for a scan that found nothing.
	expect(t, p.Decide(found(attested(t, "a", predicate.TypeVuln, strings.Replace(scanOf(), "matches", "Matches", 1))), noon), Deny, verify.ReasonStatementMalformed)
	var many []string
	for i := range 8 {
		many = append(many, vulnerable(fmt.Sprintf("CVE-2026-%d", i), "Critical", "pkg:npm/a@1"))
	}
	d := p.Decide(found(attested(t, "a", predicate.TypeVuln, scanOf(many...))), noon)
	if !strings.Contains(d.Demands[0].Found, "CVE-2026-4 (critical) in pkg:npm/a@1; and 3 more") {
		t.Errorf("found %q", d.Demands[0].Found)
	}
}

// TestLatestScan: DS-14, an old good scan does not hide a new bad one, whatever the
// order; DS-16, a time inside the scan counts for nothing.
func TestLatestScan(t *testing.T) {
	t.Parallel()
	good, bad := attested(t, "a", predicate.TypeVuln, scanOf()), attested(t, "a", predicate.TypeVuln, scanOf(vulnerable("CVE-2026-1", "High", "pkg:npm/a@1")))
	for _, row := range []struct {
		demand  string
		facts   []verify.Fact
		verdict Verdict
		reason  verify.Reason
	}{
		{scanned, []verify.Fact{hoursOld(good, 5), hoursOld(bad, 1)}, Deny, ReasonVulnerable},
		{scanned, []verify.Fact{hoursOld(good, 1), hoursOld(bad, 5)}, Allow, ""},
		{scanned, []verify.Fact{good}, Deny, verify.ReasonTimeMissing},
		{strings.Replace(scanned, "vex", "maxAge: 2h, vex", 1), []verify.Fact{hoursOld(good, 1)}, Allow, ""},
		{strings.Replace(scanned, "vex", "maxAge: 2h, vex", 1), []verify.Fact{hoursOld(good, 3)}, Deny, ReasonTooOld},
		{strings.Replace(scanned, "vex", "maxAge: 2h, vex", 1), []verify.Fact{hoursOld(attested(t, "a", predicate.TypeVuln, strings.Replace(scanOf(), `"metadata":{}`, `"metadata":{"scanFinishedOn":"2026-03-01T11:59:00Z"}`, 1)), 3)}, Deny, ReasonTooOld},
	} {
		p := parse(t, require(row.demand))
		expect(t, p.Decide(found(row.facts...), noon), row.verdict, row.reason)
		for i, j := 0, len(row.facts)-1; i < j; i, j = i+1, j-1 {
			row.facts[i], row.facts[j] = row.facts[j], row.facts[i]
		}
		expect(t, p.Decide(found(row.facts...), noon), row.verdict, row.reason)
	}
	d := parse(t, require(strings.Replace(scanned, "vex", "maxAge: 2h, vex", 1))).Decide(found(hoursOld(good, 1)), noon)
	if !d.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("the decision ends %s", d.Until)
	}
}

// TestVEX: DS-27, only a document of a signer under `vex`, about this vulnerability
// in this image or package, is an excuse; the latest word counts.
func TestVEX(t *testing.T) {
	t.Parallel()
	const id, purl = "CVE-2026-1", "pkg:npm/a@1?arch=x"
	oci := func(d digest.Digest) string { return "pkg:oci/app@sha256%3A" + d.Hex() }
	ours, other := oci(imageDigest), oci(digest.FromBytes([]byte("another")))
	by := func(signer, body string) verify.Fact { return attested(t, signer, predicate.TypeOpenVEX, body) }
	about := func(status, product string) string { return vexOf(vexAbout(id, status, product)) }
	for name, row := range map[string]struct {
		vex     []verify.Fact
		excused bool
	}{
		"none":                                 {nil, false},
		"the package":                          {[]verify.Fact{by("b", about("not_affected", "pkg:npm/a@1"))}, true},
		"fixed":                                {[]verify.Fact{by("b", about("fixed", "pkg:npm/a@1"))}, true},
		"the package in every version":         {[]verify.Fact{by("b", about("not_affected", "pkg:npm/a"))}, true},
		"the image":                            {[]verify.Fact{by("b", about("not_affected", ours))}, true},
		"the image's digest":                   {[]verify.Fact{by("b", about("not_affected", imageDigest.String()))}, true},
		"a component of the image":             {[]verify.Fact{by("b", strings.Replace(about("not_affected", ours), `"}]`, `","subcomponents":[{"@id":"pkg:npm/a@1"}]}]`, 1))}, true},
		"an alias":                             {[]verify.Fact{by("b", strings.Replace(about("not_affected", "pkg:npm/a@1"), `"name":"CVE-2026-1"`, `"name":"GHSA-aaaa-bbbb-cccc","aliases":["cve-2026-1"]`, 1))}, true},
		"DS-27 another image":                  {[]verify.Fact{by("b", about("not_affected", other))}, false},
		"DS-27 the image without a digest":     {[]verify.Fact{by("b", about("not_affected", "pkg:oci/app"))}, false},
		"DS-27 another component":              {[]verify.Fact{by("b", strings.Replace(about("not_affected", ours), `"}]`, `","subcomponents":[{"@id":"pkg:npm/b@1"}]}]`, 1))}, false},
		"DS-27 another image's component":      {[]verify.Fact{by("b", strings.Replace(about("not_affected", other), `"}]`, `","subcomponents":[{"@id":"pkg:npm/a@1"}]}]`, 1))}, false},
		"DS-27 another package":                {[]verify.Fact{by("b", about("not_affected", "pkg:npm/aa@1"))}, false},
		"DS-27 another version":                {[]verify.Fact{by("b", about("not_affected", "pkg:npm/a@2"))}, false},
		"DS-27 another architecture":           {[]verify.Fact{by("b", about("not_affected", "pkg:npm/a@1?arch=y"))}, false},
		"DS-27 no product":                     {[]verify.Fact{by("b", strings.Replace(about("not_affected", ours), `"products"`, `"things"`, 1))}, false},
		"another vulnerability":                {[]verify.Fact{by("b", vexOf(vexAbout("CVE-2026-10", "not_affected", ours)))}, false},
		"affected":                             {[]verify.Fact{by("b", about("affected", ours))}, false},
		"under investigation":                  {[]verify.Fact{by("b", about("under_investigation", ours))}, false},
		"not affected, and not why":            {[]verify.Fact{by("b", strings.Replace(about("not_affected", ours), "justification", "reason", 1))}, false},
		"DS-27 of a signer who may not":        {[]verify.Fact{by("a", about("not_affected", ours)), by("x", about("not_affected", ours))}, false},
		"the latest says affected":             {[]verify.Fact{hoursOld(by("b", about("not_affected", ours)), 5), hoursOld(by("c", about("affected", ours)), 1)}, false},
		"the latest says not affected":         {[]verify.Fact{hoursOld(by("b", about("not_affected", ours)), 1), hoursOld(by("c", about("affected", ours)), 5)}, true},
		"two at one time disagree":             {[]verify.Fact{hoursOld(by("b", about("not_affected", ours)), 1), hoursOld(by("c", about("affected", ours)), 1)}, false},
		"one without a time disagrees":         {[]verify.Fact{hoursOld(by("b", about("not_affected", ours)), 1), by("c", about("affected", ours))}, false},
		"one without a time agrees":            {[]verify.Fact{hoursOld(by("b", about("not_affected", ours)), 1), by("c", about("fixed", ours))}, true},
		"two statements of one document":       {[]verify.Fact{by("b", vexOf(vexAbout(id, "not_affected", ours), vexAbout(id, "affected", "pkg:npm/a@1")))}, false},
		"a later statement of one document":    {[]verify.Fact{by("b", vexOf(strings.Replace(vexAbout(id, "not_affected", ours), `"status"`, `"timestamp":"2026-02-01T00:00:00Z","status"`, 1), vexAbout(id, "affected", "pkg:npm/a@1")))}, true},
		"DS-16 a later time inside a document": {[]verify.Fact{hoursOld(by("b", strings.Replace(about("not_affected", ours), "2026-01-01", "2029-01-01", 1)), 5), hoursOld(by("c", about("affected", ours)), 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, require(scanned))
			scan := hoursOld(attested(t, "a", predicate.TypeVuln, scanOf(vulnerable(id, "High", purl))), 2)
			for range 2 {
				img := found(append([]verify.Fact{scan}, row.vex...)...)
				d := p.Decide(img, noon)
				if row.excused {
					expect(t, d, Allow, "")
				} else {
					expect(t, d, Deny, ReasonVulnerable)
				}
				for i, j := 0, len(row.vex)-1; i < j; i, j = i+1, j-1 {
					row.vex[i], row.vex[j] = row.vex[j], row.vex[i]
				}
			}
		})
	}
}

// TestVEXIsReported: what was excused, and by what, stands in the decision; a place
// that could not be looked at may hold a later word.
func TestVEXIsReported(t *testing.T) {
	t.Parallel()
	p := parse(t, require("vulnerabilities: {from: [a], maxSeverity: medium, which: any, vex: [b]}"))
	if plan, err := p.Plan(image); err != nil || !plan.Wants(predicate.TypeOpenVEX) || !plan.Wants(predicate.TypeVuln) || len(plan.Roots[0].Root.Keys()) != 2 {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	img := found(attested(t, "a", predicate.TypeVuln, scanOf(vulnerable("CVE-2026-1", "High", "pkg:npm/a@1"))), attested(t, "b", predicate.TypeOpenVEX, vexOf(vexAbout("CVE-2026-1", "fixed", "pkg:npm/a@1"))))
	d := p.Decide(img, noon)
	expect(t, d, Allow, "")
	if demand := d.Demands[0]; !strings.Contains(demand.Found, "1 that VEX excuses") || len(demand.Tried) != 2 || !demand.Tried[0].Accepted || !demand.Tried[1].Accepted {
		t.Errorf("reported %+v", demand)
	}
	img.Target.Findings.Missing = []error{errors.New("503")}
	expect(t, p.Decide(img, noon), Undetermined, ReasonUnreachable)
	// DS-27: a document about another digest is reported, and counts for nothing.
	elsewhere := attested(t, "b", predicate.TypeOpenVEX, vexOf(vexAbout("CVE-2026-1", "fixed", "pkg:npm/a@1")))
	elsewhere.Subject.Digest = digest.FromBytes([]byte("another"))
	expect(t, p.Decide(found(img.Target.Findings.Facts[0], elsewhere), noon), Deny, ReasonVulnerable)
}

// TestManyExcuses: the comparisons of a scan with VEX documents are bounded; what
// is beyond is not excused.
func TestManyExcuses(t *testing.T) {
	t.Parallel()
	statement := vexAbout("CVE-2026-1", "not_affected", "pkg:npm/b@1")
	all := []string{vexAbout("CVE-2026-1", "not_affected", "pkg:npm/a@1")}
	for range 2000 {
		all = append(all, statement)
	}
	var matches []string
	for i := range 2000 {
		matches = append(matches, vulnerable("CVE-2026-1", "High", fmt.Sprintf("pkg:npm/a@1?n=%d", i)))
	}
	img := found(attested(t, "a", predicate.TypeVuln, scanOf(matches...)), attested(t, "b", predicate.TypeOpenVEX, vexOf(all...)))
	start := time.Now()
	expect(t, parse(t, require("vulnerabilities: {from: [a], maxSeverity: medium, which: any, vex: [b]}")).Decide(img, noon), Deny, ReasonVulnerable)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}
