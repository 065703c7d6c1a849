package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy/license"
	"github.com/hallmark-project/hallmark/verify"
)

// sbomCondition is what the fields of an SBOM demand say.
type sbomCondition struct {
	denied   []deniedPackage
	licenses *license.Set // nil denies none
	complete bool
	least    int
	content  *tolerance // nil where the content is not compared
}

func (c *compiler) sbom(e *sbomEntry) demand {
	from := c.from(&e.From)
	if len(e.Format) == 0 {
		e.Format = []text{{value: "cyclonedx"}, {value: "spdx"}}
	}
	e.Format = sortTexts(e.Format)
	var uris, formats []string
	for _, format := range e.Format {
		types, err := predicate.ResolveAll(format.value)
		if err != nil {
			c.add(format.at, format.path, "", err)
		}
		uris = append(uris, types...)
		formats = append(formats, format.value)
	}
	if e.MinPackages.value == 0 {
		e.MinPackages.value = 1
	}
	condition := &sbomCondition{complete: e.Complete.written(), least: e.MinPackages.value, content: c.tolerance(e)}
	var with []string
	if condition.least > 1 {
		with = append(with, fmt.Sprintf("with at least %d packages", condition.least))
	}
	if condition.complete {
		with = append(with, "with the NTIA's minimum elements")
	}
	if condition.content != nil {
		with = append(with, "that lists what the image contains")
	}
	if e.Deny != nil {
		with = append(with, c.denied(e.Deny, condition)...)
	}
	return &statementDemand{
		field:   "sbom",
		kind:    "an SBOM (" + strings.Join(formats, " or ") + ")",
		with:    strings.Join(with, ", "),
		uris:    uris,
		from:    from,
		bind:    condition.bind,
		content: condition.content != nil,
		hint:    "make and attach one with `hallmark sbom --attest`",
		choice:  c.choice(&e.Which, &e.MaxAge),
	}
}

// tolerance reads what `matchesContent` and `tolerance` say together.
func (c *compiler) tolerance(e *sbomEntry) *tolerance {
	t := e.Tolerance
	switch {
	case t == nil && !e.MatchesContent.given:
		return nil
	case t == nil:
		return &tolerance{}
	case !e.MatchesContent.given:
		c.addf(t.at, t.path, "add `matchesContent: true`, or remove it", "it says nothing without `matchesContent`")
	case !t.Missing.given && !t.Extra.given:
		c.add(t.at, t.path, "say how many may be missing or extra", ErrEmpty)
	}
	t.Missing.set(0)
	t.Extra.set(0)
	return &tolerance{missing: t.Missing.value, extra: t.Extra.value}
}

// denied compiles what must not be in the SBOM and says it for people.
func (c *compiler) denied(e *denyEntry, condition *sbomCondition) (with []string) {
	if len(e.Packages) == 0 && len(e.Licenses) == 0 {
		c.add(e.at, e.path, "list packages or licenses, or remove the entry", ErrEmpty)
	}
	e.Packages = sortTexts(e.Packages)
	for _, p := range e.Packages {
		denied, err := parseDenied(p.value)
		if err != nil {
			c.addf(p.at, p.path, "write it like pkg:npm/event-stream@3.3.6 or pkg:npm/event-stream@<4.0.0", "%q: %w", wording.Short(p.value), err)
		}
		condition.denied = append(condition.denied, denied)
	}
	if n := len(condition.denied); n > 0 {
		with = append(with, "without "+plural(n, "denied package"))
	}
	if len(e.Licenses) == 0 {
		return with
	}
	condition.licenses = license.NewSet()
	for i, l := range e.Licenses {
		canonical, err := condition.licenses.Add(l.value)
		if err != nil {
			c.add(l.at, l.path, "write an identifier of https://spdx.org/licenses, `name:` and another text, or NOASSERTION", err)
			continue
		}
		e.Licenses[i].value = canonical
	}
	e.Licenses = sortTexts(e.Licenses)
	return append(with, "without "+plural(len(e.Licenses), "denied license"))
}

// bind makes the condition for one digest.
func (s *sbomCondition) bind(part hearing) func(*attest.Statement) (verify.Reason, string) {
	return func(st *attest.Statement) (verify.Reason, string) { return s.holds(st, part) }
}

// holds judges one SBOM. One that lists nothing but the image itself says
// nothing, so that it cannot say that a denied package is absent. What needs the
// image's content comes last: it is only asked where all else is met.
func (s *sbomCondition) holds(st *attest.Statement, part hearing) (verify.Reason, string) {
	bom, err := predicate.ReadSBOM(st.PredicateType, st.Predicate)
	if err != nil {
		return unreadable(err), err.Error()
	}
	listed := 0
	for _, p := range bom.Packages {
		if !p.Root {
			listed++
		}
	}
	switch other := otherSubject(bom.Subjects, part); {
	case listed == 0:
		return ReasonSBOMHollow, "the SBOM lists no package"
	case listed < s.least:
		return ReasonSBOMHollow, fmt.Sprintf("the SBOM lists %s, and at least %d are wanted", plural(listed, "package"), s.least)
	case other != "":
		return ReasonSBOMOtherSubject, "the SBOM says that it describes " + other
	}
	if s.complete {
		minimum, err := predicate.ReadMinimum(st.PredicateType, st.Predicate)
		if err != nil {
			return unreadable(err), err.Error()
		}
		if missing := minimum.Missing(); len(missing) > 0 {
			return ReasonSBOMIncomplete, "the SBOM does not state " + strings.Join(missing, "; ")
		}
	}
	if found := s.forbidden(bom.Packages); len(found) > 0 {
		return ReasonPolicyDeny, "it contains " + found
	}
	if s.content != nil {
		if reason, detail := s.content.compare(bom, part.Content); reason != "" {
			return reason, detail
		}
	}
	return "", plural(len(bom.Packages), "package")
}

// unreadable is the reason of a predicate that cannot be read.
func unreadable(err error) verify.Reason {
	if errors.Is(err, attest.ErrLimit) {
		return verify.ReasonLimitExceeded
	}
	return verify.ReasonStatementMalformed
}

// otherSubject returns what a document says that it describes, if that is another
// image: it names digests, and neither the part's nor its index's is among them.
func otherSubject(described []digest.Digest, part hearing) string {
	var others []string
	for _, d := range described {
		if d == part.Subject.Digest || d == part.index {
			return ""
		}
		if d.Algorithm() == part.Subject.Digest.Algorithm() {
			others = append(others, d.Short())
		}
	}
	slices.Sort(others)
	return strings.Join(others, ", ")
}

// forbidden lists the denied packages and licenses; "" where there is none.
func (s *sbomCondition) forbidden(packages []predicate.Package) string {
	var found []string
	licenses := make(map[string]string) // a text of the SBOM to the entry that denies it
	for _, p := range packages {
		if len(s.denied) == 0 && s.licenses == nil {
			break
		}
		one := list(p.PURL, p.Name, p.Version)
		for _, d := range s.denied {
			if d.denies(one) {
				found = append(found, fmt.Sprintf("%s, denied by %q", one, wording.Short(d.text)))
			}
		}
		if s.licenses == nil || p.Root {
			continue
		}
		if len(p.Licenses) == 0 && s.licenses.Unstated() {
			found = append(found, fmt.Sprintf("%s without a license, denied by %q", one, license.Unstated))
		}
		for _, text := range p.Licenses {
			by, known := licenses[text]
			if !known {
				by, _ = s.licenses.Denies(text)
				licenses[text] = by
			}
			if by != "" {
				found = append(found, fmt.Sprintf("%s under %q, denied by %q", one, wording.Short(text), wording.Short(by)))
			}
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(found) > shownPackages {
		return fmt.Sprintf("%s; and %d more", strings.Join(found[:shownPackages], "; "), len(found)-shownPackages)
	}
	return strings.Join(found, "; ")
}
