package policy

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wording"
)

const (
	// maxPatterns bounds the patterns of all rules, which are compared in pairs.
	maxPatterns = 2000
	// maxPatternSteps bounds the work of that, in pairs of letters of a wildcard and a
	// name, but for what both begin and end with. It takes about a tenth of a second.
	maxPatternSteps = 50_000_000
	// maxNames bounds the signers that all lists of a policy name, groups counted as
	// their members. The canonical form, which has at most [MaxBytes], holds no more.
	maxNames = 150_000
)

var signerName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// compiler makes a Policy from a document, and the document canonical on the way.
type compiler struct {
	*faults
	read       func(string) ([]byte, error)
	roots      map[string]*anchor
	signers    map[string]*signer
	groups     map[string][]text
	builders   builders
	terms      map[string]terms // by key ID
	conditions conditionCompiler
	joinEnvs   map[string]*cel.Env // by the names that joins give their statements
	names      int                 // that the lists so far have named
}

func (c *compiler) policy(d *document) *Policy {
	if d.APIVersion.value != APIVersion {
		c.addf(d.APIVersion.at, d.APIVersion.path, "write "+APIVersion, "%q is not known", wording.Short(d.APIVersion.value))
	}
	if d.Kind.value != KindPolicy {
		c.addf(d.Kind.at, d.Kind.path, "write "+KindPolicy, "%q is not known", wording.Short(d.Kind.value))
	}
	left := maxConditions
	c.conditions.left, c.joinEnvs = &left, make(map[string]*cel.Env)
	setDefault(&d.Unmatched, "deny")
	p := &Policy{name: d.Metadata.Name.value, warn: d.Unmatched.value == "warn"}
	c.allRoots(d)
	c.allSigners(d)
	c.allGroups(d)
	c.builders = c.allBuilders(d)
	p.builders = c.builders
	p.roots, p.revoked, p.terms = c.anchors(), c.revocations(d), c.binding()
	p.rootEnds = c.rootEnds()
	names := make(map[string]bool)
	for i := range d.Rules {
		r := &d.Rules[i]
		if names[r.Name.value] {
			c.addf(r.Name.at, r.Name.path, "give each rule its own name", "a second rule is called %q", r.Name.value)
		}
		names[r.Name.value] = true
		p.rules = append(p.rules, c.rule(r))
	}
	p.index = c.overlaps(p.rules)
	c.exceptions(d, p.rules)
	if len(c.all) > 0 {
		return nil
	}
	slices.SortFunc(d.TrustRoots, func(a, b rootEntry) int { return cmp.Compare(a.Name.value, b.Name.value) })
	slices.SortFunc(d.Signers, func(a, b signerEntry) int { return cmp.Compare(a.Name.value, b.Name.value) })
	slices.SortFunc(d.Rules, func(a, b ruleEntry) int { return cmp.Compare(a.Name.value, b.Name.value) })
	slices.SortFunc(p.rules, func(a, b *rule) int { return cmp.Compare(a.name, b.name) })
	c.bindSummaries(d, p)
	p.yaml = encode(d)
	if len(p.yaml) > MaxBytes {
		c.addf(position{1, 1}, "", "split it", "with its keys it has %d bytes, at most %d are read", len(p.yaml), MaxBytes)
		return nil
	}
	p.digest = digest.FromBytes(p.yaml)
	return p
}

func setDefault(t *text, value string) {
	if !t.written() {
		t.value = value
	}
}

// sortTexts orders a list whose order means nothing and drops what stands twice.
func sortTexts(list []text) []text {
	slices.SortStableFunc(list, func(a, b text) int { return cmp.Compare(a.value, b.value) })
	return slices.CompactFunc(list, func(a, b text) bool { return a.value == b.value })
}

func (c *compiler) rule(entry *ruleEntry) *rule {
	r := &rule{name: entry.Name.value, dates: c.dates(entry)}
	setDefault(&entry.Mode, "enforce")
	r.warn = entry.Mode.value == "warn"
	seen := make(map[string]bool)
	for i := range entry.Images {
		image := &entry.Images[i]
		parsed, err := parsePattern(image.value)
		if err != nil {
			c.addf(image.at, image.path, "", "the pattern %q: %w", wording.Short(image.value), err)
			continue
		}
		image.value = parsed.String()
		if seen[image.value] {
			c.addf(image.at, image.path, "keep one", "the pattern %q stands twice in this rule", image.value)
			continue
		}
		seen[image.value] = true
		r.patterns, r.places = append(r.patterns, parsed), append(r.places, *image)
	}
	entry.Images = sortTexts(entry.Images)
	setDefault(&entry.Platforms, "index")
	if entry.Platforms.value == "all" {
		r.platforms = PlatformsAll
	}
	r.demands = c.demands(entry.Require)
	if len(r.demands) == 0 && len(c.all) == 0 {
		c.add(entry.Require.at, entry.Require.path, "demand signatures, provenance, sbom or statements", ErrEmpty)
	}
	r.joins = len(entry.Require.SameRun)+len(entry.Require.Join) > 0
	r.roots = c.rootsOf(r.demands)
	r.summary = c.summary(entry.Require.Summary, r)
	r.plan, r.anyone = c.plan(r), anyone(r.everything())
	return r
}

// anyone lists the signers of a rule that anybody could be.
func anyone(demands []demand) []string {
	var warnings []string
	for _, d := range demands {
		for _, s := range d.accepts() {
			if s.keyless != nil && s.keyless.anyone {
				warnings = append(warnings, fmt.Sprintf("the signer %s is an identity that anybody could have: the policy says `insecureAnyone: true`", s.name))
			}
		}
	}
	slices.Sort(warnings)
	return slices.Compact(warnings)
}

// plan gathers what a rule's demands need.
func (c *compiler) plan(r *rule) Plan {
	plan := Plan{Rule: r.name, Platforms: r.platforms}
	var all signers
	if r.summary != nil {
		plan.Summaries = r.summary.types()
	}
	for _, d := range r.everything() {
		types := d.types()
		if types == nil {
			plan.Signatures = true
		}
		plan.PredicateTypes = append(plan.PredicateTypes, types...)
		if s, ok := d.(*statementDemand); ok && s.content {
			plan.Content = true
		}
		if one, looks := d.(interface{ everywhere() bool }); looks && one.everywhere() {
			plan.Everywhere = true
		}
		all = append(all, d.accepts()...)
	}
	slices.Sort(plan.PredicateTypes)
	plan.PredicateTypes = slices.Compact(plan.PredicateTypes)
	if len(c.all) == 0 {
		plan.Roots = c.planRoots(all)
	}
	return plan
}

// overlaps refuses two rules that could govern one image with equal right, and
// returns the index of all patterns.
func (c *compiler) overlaps(rules []*rule) *patternIndex {
	index, count, steps := newPatternIndex(), 0, maxPatternSteps
	for _, r := range rules {
		for i, p := range r.patterns {
			own := &ownPattern{p, r, r.places[i]}
			if count++; count == maxPatterns+1 {
				c.addf(own.at.at, own.at.path, "split the policy", "more than %d patterns", maxPatterns)
				return index
			}
			index.meeting(p, &steps, func(other *ownPattern) {
				if other.rule == r || !r.dates.meet(other.rule.dates) || !p.meets(other.pattern) || p.moreSpecific(other.pattern) || other.moreSpecific(p) {
					return
				}
				first, second := other, own
				if second.at.at.line < first.at.at.line {
					first, second = second, first
				}
				c.addf(second.at.at, second.at.path, "make one of the two longer, put both into one rule, or give them dates that do not meet",
					"%q of rule %q and %q of rule %q are equally specific and can match one image",
					wording.Short(second.String()), second.rule.name, wording.Short(first.String()), first.rule.name)
			})
			if steps < 0 {
				c.addf(own.at.at, own.at.path, "shorten the wildcards, or split the policy", "comparing the patterns takes too much work")
				return index
			}
			index.add(own)
		}
	}
	return index
}

func (c *compiler) demands(entry *requireEntry) []demand {
	var all []demand
	if e := entry.Signatures; e != nil {
		all = append(all, c.signatures(e))
	}
	if e := entry.Provenance; e != nil {
		all = append(all, c.provenance(e))
	}
	if e := entry.SBOM; e != nil {
		all = append(all, c.sbom(e))
	}
	if e := entry.Vulnerabilities; e != nil {
		all = append(all, c.vulnerabilities(e))
	}
	for i := range entry.Statements {
		all = append(all, c.statement(&entry.Statements[i], "statements["+strconv.Itoa(i)+"]"))
	}
	single := all
	if len(entry.SameRun) > 0 {
		all = append(all, c.sameRun(&entry.SameRun, single))
	}
	for i := range entry.Join {
		all = append(all, c.join(&entry.Join[i], "join["+strconv.Itoa(i)+"]", entry, single))
	}
	return all
}

// from finds the signers of a list, groups counted as their members, and puts the
// list in order.
func (c *compiler) from(list *[]text) signers {
	var all signers
	*list = c.expand(*list)
	for _, name := range *list {
		s, found := c.signers[name.value]
		if !found {
			c.unknownSigner(name)
			continue
		}
		all = append(all, s)
	}
	return all
}

func (c *compiler) signatures(e *signaturesEntry) demand {
	from := c.from(&e.From)
	at := e.AtLeast.node
	if e.AtLeast.value == 0 {
		e.AtLeast.value = 1
		at = e.node
	}
	if e.AtLeast.value > 1 && len(c.all) == 0 { // any one of a list can sign
		if possible := from.possible(); e.AtLeast.value > possible {
			c.addf(at.at, at.path, "a signer counts once, whatever keys it has, and so does a key; list each party under `signers` with its own key",
				"%d different signers are wanted, and the list can give at most %d", e.AtLeast.value, possible)
		}
	}
	return &signatureDemand{from: from, atLeast: e.AtLeast.value, choice: c.choice(nil, &e.MaxAge)}
}

var errNothing = errors.New("it can match nothing or everything")

// refPattern reads the ref of a provenance demand.
func refPattern(s string) (glob, error) {
	segments := strings.Split(s, "/")
	for i, segment := range segments {
		switch {
		case segment == "":
			return glob{}, fmt.Errorf("an empty part: %w", errNothing)
		case segment == "**" && i == len(segments)-1 && i >= 2:
		case strings.Contains(segment, "**"):
			return glob{}, errors.New("`**` may only be the last part, behind refs/heads/ or the like")
		case strings.Contains(segment, "*") && (i < 2 || segments[0] != "refs"):
			return glob{}, errors.New("a wildcard must stand behind refs/heads/, refs/tags/ or the like")
		case strings.ContainsAny(segment, " ~^:?[\\"):
			return glob{}, fmt.Errorf("%q cannot stand in a ref", segment)
		}
	}
	return parseGlob(s), nil
}
