package lint

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// rules looks at each rule by itself.
func (l *linter) rules() {
	for _, rule := range l.items("rules") {
		name, require := rule.get("name").text(), rule.get("require")
		if at := rule.get("mode"); at.text() == "warn" {
			l.add(ModeWarn, at, "remove it when the reports are clean", "the rule %s refuses nothing: what it finds is only reported", name)
		}
		if until, ends := rule.get("until").moment(); ends && !l.options.Now.IsZero() && until.Before(l.options.Now.Add(soon)) {
			l.add(RuleEnded, rule.get("until"), "move the date, or write the rule that follows", "the rule %s holds until %s", name, until.Format(time.DateOnly))
		}
		l.platforms(rule)
		l.provenance(rule)
		l.packages(require)
		l.times(rule)
		for _, statement := range require.get("statements").items() {
			if len(statement.entries()) == len(present(statement, "type", "from", "which", "maxAge")) {
				l.add(StatementAny, statement, "say with `cel` what it must say", "any statement of the type %s will do, whatever it says", statement.get("type").text())
			}
		}
	}
}

// present lists those of the names that are entries.
func present(v view, names ...string) []string {
	var all []string
	for _, name := range names {
		if v.get(name).there() {
			all = append(all, name)
		}
	}
	return all
}

// platforms wants SBOMs and scans where the packages are (attack row BM-09).
func (l *linter) platforms(rule view) {
	if rule.get("platforms").text() == "all" {
		return
	}
	if wants := present(rule.get("require"), "sbom", "vulnerabilities"); len(wants) > 0 {
		l.add(PlatformsIndex, rule, "write `platforms: all`, if any of these images is for several platforms",
			"%s of an index says nothing about its platforms", strings.Join(wants, " and "))
	}
}

// provenance wants to know what was built, and from what.
func (l *linter) provenance(rule view) {
	require := rule.get("require")
	provenance := require.get("provenance")
	if provenance.there() {
		if !provenance.get("source").there() && !l.sourceIsIdentity(provenance) {
			l.add(ProvenanceAny, provenance, "add `source`", "provenance of any source is accepted")
		}
		return
	}
	for _, name := range require.get("signatures", "from").texts() {
		keyless := l.canonical.get("signers", name, "keyless")
		if len(present(keyless, "github", "gitlab", "buildkite")) > 0 {
			l.add(NoProvenance, rule.get("require"), "demand `provenance` too, with its source and ref", "the CI system behind %s signs, and nothing says what it built", name)
			return
		}
	}
}

// sourceIsIdentity reports whether every signer is a CI job of one repository: its
// certificate says what was built.
func (l *linter) sourceIsIdentity(provenance view) bool {
	names := provenance.get("from").texts()
	return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool {
		keyless := l.canonical.get("signers", name, "keyless")
		return !keyless.get("github", "repository").there() && !keyless.get("gitlab", "project").there() && !keyless.get("buildkite", "pipeline").there() ||
			len(l.canonical.get("signers", name, "keys").items()) > 0
	})
}

// packages looks at what is known of an image's packages.
func (l *linter) packages(require view) {
	if sbom := require.get("sbom"); sbom.there() && !sbom.get("matchesContent").there() {
		l.add(SBOMUnchecked, sbom, "add `matchesContent: true` where images are judged by verify", "the SBOM lists what its signer says, which nobody compares with the image")
	}
	if summary := require.get("summary"); summary.there() && !summary.get("maxAge").there() {
		l.add(SummaryAnyAge, summary, "add `maxAge`, such as 7d", "a summary of any age stands in place of every other demand")
	}
	scan := require.get("vulnerabilities")
	if !scan.there() {
		return
	}
	if !scan.get("maxAge").there() {
		l.add(ScanAnyAge, scan, "add `maxAge`, such as 24h", "a scan of any age is accepted")
	}
	if which := scan.get("which"); which.text() == "any" {
		l.add(ScanAny, which, "leave it away, which means `latest`", "an old scan hides what a newer one found")
	}
}

// times looks for demands that need a time from signers that prove none.
func (l *linter) times(rule view) {
	var full view // the same rule with its defaults written out
	for _, r := range l.canonical.get("rules").items() {
		if r.get("name").text() == rule.get("name").text() {
			full = r
		}
	}
	for _, demand := range rule.get("require").entries() {
		if demand.name == "summary" {
			continue // its signer's word is taken for its time
		}
		whole := full.get("require", demand.name)
		l.demandTime(demand.view, whole)
		for i, item := range demand.items() {
			if i < len(whole.items()) {
				l.demandTime(item, whole.items()[i])
			}
		}
	}
}

// demandTime looks at one demand; whole is the same with its defaults written out.
func (l *linter) demandTime(demand, whole view) {
	if !whole.get("maxAge").there() && whole.get("which").text() != "latest" {
		return
	}
	names := whole.get("from").texts()
	without := slices.DeleteFunc(slices.Clone(names), l.provesTime)
	so := "this can never be met"
	switch which := whole.get("which").text(); {
	case len(without) == 0:
		return
	case len(without) == len(names):
	case which == "latest", which == "all":
		so = "each that is attached makes the demand fail"
	default:
		so = "none of them counts"
	}
	l.add(NoTime, demand, "give these signers `timesFrom`, a trust root whose logs or timestamp authorities vouch for times",
		"no signature by %s proves when it was made, so "+so, strings.Join(without, " or "))
}

// provesTime reports whether a signer's signatures can have a trusted time.
func (l *linter) provesTime(name string) bool {
	s := l.canonical.get("signers", name)
	return s.get("keyless").there() || s.get("timesFrom").there()
}

// exceptions looks at what is let off.
func (l *linter) exceptions() {
	for _, e := range l.items("exceptions") {
		image := e.get("image")
		if l.skipsAll(e) {
			l.add(ExceptionAll, e.get("skip"), "skip only what the image cannot have", "nothing at all is demanded of %s", image.text())
		}
		if end, ends := e.get("expires").moment(); ends && !l.options.Now.IsZero() && end.Before(l.options.Now.Add(soon)) {
			l.add(ExceptionEnds, e.get("expires"), "remove it, or decide anew", "the exception for %s ends on %s", image.text(), end.Format(time.DateOnly))
		}
	}
}

// skipsAll reports whether an exception leaves nothing of its rule.
func (l *linter) skipsAll(exception view) bool {
	skipped := exception.get("skip").texts()
	for _, rule := range l.items("rules") {
		if rule.get("name").text() != exception.get("rule").text() {
			continue
		}
		for _, demand := range rule.get("require").entries() {
			if demand.items() == nil && !slices.Contains(skipped, demand.name) {
				return false
			}
			for i := range demand.items() {
				if !slices.Contains(skipped, demand.name+"["+strconv.Itoa(i)+"]") {
					return false
				}
			}
		}
		return true
	}
	return false
}

// weaker names what a rule does not demand and another does.
func weaker(narrow, wide view) []string {
	var lost []string
	a, b := narrow.get("require"), wide.get("require")
	for _, demand := range b.entries() {
		if !a.get(demand.name).there() {
			lost = append(lost, demand.name)
		}
	}
	want, err := strconv.Atoi(b.get("signatures", "atLeast").text())
	have, err2 := strconv.Atoi(a.get("signatures", "atLeast").text())
	if err == nil && (err2 == nil && have < want || err2 != nil && want > 1) && a.get("signatures").there() {
		lost = append(lost, "signatures.atLeast: "+strconv.Itoa(want))
	}
	if wide.get("platforms").text() == "all" && narrow.get("platforms").text() != "all" {
		lost = append(lost, "platforms: all")
	}
	if narrow.get("mode").text() == "warn" && wide.get("mode").text() != "warn" {
		lost = append(lost, "refusing anything (mode: warn)")
	}
	return lost
}
