package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// vulnerabilitiesDemand wants a scan, and hears VEX documents about what it found.
type vulnerabilitiesDemand struct {
	*statementDemand
	most     predicate.Severity
	vex      signers
	vexTypes []string
}

// demandVulnerabilities is the demand's name in rules and reports.
const demandVulnerabilities = "vulnerabilities"

func (c *compiler) vulnerabilities(e *vulnerabilitiesEntry) demand {
	setDefault(&e.Which, string(newest))
	d := &vulnerabilitiesDemand{most: predicate.ParseSeverity(e.MaxSeverity.value)}
	d.statementDemand = &statementDemand{
		field:  demandVulnerabilities,
		kind:   "a vulnerability scan",
		with:   "with nothing worse than " + d.most.String(),
		uris:   []string{predicate.TypeVuln, predicate.TypeVulnsV01, predicate.TypeVulnsV02},
		from:   c.from(&e.From),
		choice: c.choice(&e.Which, &e.MaxAge),
		hint:   "scan the image and attach the report with `hallmark attest --type vuln`",
	}
	if len(e.VEX) > 0 {
		d.vex = c.from(&e.VEX)
		types, err := predicate.ResolveAll("openvex")
		if err != nil {
			c.add(e.at, e.path, "", err)
		}
		d.vexTypes = types
		d.with += " that is not excused by VEX of " + d.vex.oneOf()
	}
	return d
}

func (d *vulnerabilitiesDemand) accepts() signers { return slices.Concat(d.from, d.vex) }
func (d *vulnerabilitiesDemand) types() []string  { return slices.Concat(d.uris, d.vexTypes) }

// everywhere: a later VEX document undoes an earlier one.
func (d *vulnerabilitiesDemand) everywhere() bool { return len(d.vex) > 0 || d.choice.everywhere() }

// judge judges the scans, with what the VEX documents excuse.
func (d *vulnerabilitiesDemand) judge(part hearing) Demand {
	excuses := &excuses{images: []string{part.Subject.Digest.String(), part.index.String()}}
	for i, f := range part.Findings.Facts {
		if _, elsewhere := elsewhere(f, part.Part); elsewhere || f.Kind != verify.KindStatement || f.Statement == nil || !slices.Contains(d.vexTypes, f.Statement.PredicateType) {
			continue
		}
		a := attempt(f)
		if d.vex.has(f.Signer) == nil {
			a.Reason, a.Detail = d.vex.refusal(f.Signer)
		}
		excuses.add(f, a, part.end(i))
	}
	scans := *d.statementDemand
	scans.aside = d.vexTypes
	scans.holds = func(st *attest.Statement) (verify.Reason, string) { return d.holds(st, excuses) }
	result := scans.judge(part)
	for _, doc := range excuses.documents {
		if doc.used && result.Verdict == Allow {
			result.Until = earlier(result.Until, doc.end)
		}
		a := doc.tried
		if a.Reason == "" {
			if a.Accepted = doc.used; !a.Accepted {
				a.Detail = "it excuses nothing that was found"
			}
		}
		result.Tried = append(result.Tried, a)
	}
	for _, r := range part.Findings.Rejected {
		if a := refused(r); slices.Contains(d.vexTypes, a.Type) {
			result.Tried = append(result.Tried, a)
		}
	}
	sortTried(result.Tried)
	if result.Verdict == Allow && excuses.used() && len(part.Findings.Missing) > 0 {
		// A place that could not be looked at may hold a later word on it.
		result.Verdict, result.Until = Deny, time.Time{}
		return undetermined(result, part.Findings.Missing)
	}
	return result
}

// holds judges one scan.
func (d *vulnerabilitiesDemand) holds(st *attest.Statement, excuses *excuses) (verify.Reason, string) {
	scan, err := predicate.ReadScan(st.PredicateType, st.Predicate)
	if err != nil {
		return unreadable(err), err.Error()
	}
	budget := maxExcuseSteps
	var bad []string
	excused := 0
	for _, f := range scan.Findings {
		if !f.Severity.Exceeds(d.most) {
			continue
		}
		if excuses.cover(f, &budget) {
			excused++
			continue
		}
		bad = append(bad, fmt.Sprintf("%s (%s)%s", wording.Short(f.IDs[0]), f.Severity, inPackage(f)))
	}
	slices.Sort(bad)
	if bad = slices.Compact(bad); len(bad) > 0 {
		if len(bad) > shownPackages {
			return ReasonVulnerable, fmt.Sprintf("it found %s; and %d more", strings.Join(bad[:shownPackages], "; "), len(bad)-shownPackages)
		}
		return ReasonVulnerable, "it found " + strings.Join(bad, "; ")
	}
	detail := fmt.Sprintf("%d vulnerabilities found, none worse than %s", len(scan.Findings), d.most)
	if excused > 0 {
		detail += fmt.Sprintf(" but %d that VEX excuses", excused)
	}
	return "", detail
}

// inPackage names the package of a finding, if it is known.
func inPackage(f predicate.Finding) string {
	switch {
	case len(f.PURLs) > 0:
		return " in " + wording.Short(f.PURLs[0])
	case f.Name != "":
		return " in " + wording.Short(strings.TrimSuffix(f.Name+"@"+f.Version, "@"))
	}
	return ""
}
