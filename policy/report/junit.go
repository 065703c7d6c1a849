package report

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/policy"
)

// The elements of JUnit's form, as CI systems read it.
type (
	junitCounts struct{ tests, failures, errors, skipped int }
	junitSuite  struct {
		junitCounts
		name       string
		properties [][2]string
		cases      []junitCase
	}
	junitCase struct {
		name string
		// outcome is failure, error or skipped, or nothing for a case that passed.
		outcome       markup
		message, kind string
		// lines say more: below the outcome, or where told is set beside it.
		lines []string
		told  bool
	}
)

// WriteJUnit writes the report as JUnit XML: a suite for each image, in it a case
// "verdict" and one for each demand on each digest. A denial is a failure, what could
// not be checked is an error. What decides nothing is skipped: what an exception makes
// up for, what nobody asked for, and what a rule refuses that only warns.
func (r *Report) WriteJUnit(w io.Writer) error {
	suites := make([]junitSuite, 0, len(r.Images))
	var all junitCounts
	for _, image := range r.Images {
		suite := r.junitSuite(image)
		all.tests += suite.tests
		all.failures += suite.failures
		all.errors += suite.errors
		all.skipped += suite.skipped
		suites = append(suites, suite)
	}
	p := &page{}
	p.put("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	p.put("<testsuites name=\"{}\"", "hallmark verify: "+r.Policy.Name+" "+r.Policy.Digest.String())
	p.counts(all)
	p.put(">")
	for _, suite := range suites {
		p.suite(instant(r.Time), suite)
	}
	if len(suites) > 0 {
		p.put("\n")
	}
	p.put("</testsuites>\n")
	if _, err := w.Write(p.buffer.Bytes()); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

func (p *page) counts(c junitCounts) {
	p.put(` tests="{}" failures="{}" errors="{}" skipped="{}"`, strconv.Itoa(c.tests), strconv.Itoa(c.failures), strconv.Itoa(c.errors), strconv.Itoa(c.skipped))
}

func (p *page) suite(at string, s junitSuite) {
	p.put("\n  <testsuite name=\"{}\"", s.name)
	p.counts(s.junitCounts)
	// The form has times without a zone; they are UTC.
	p.put(" timestamp=\"{}\">\n    <properties>", strings.TrimSuffix(at, "Z"))
	for _, property := range s.properties {
		p.put("\n      <property name=\"{}\" value=\"{}\"></property>", property[0], property[1])
	}
	p.put("\n    </properties>")
	for _, c := range s.cases {
		p.testcase(s.name, c)
	}
	p.put("\n  </testsuite>")
}

func (p *page) testcase(class string, c junitCase) {
	p.put("\n    <testcase classname=\"{}\" name=\"{}\">", class, c.name)
	empty := true
	if c.outcome != "" {
		empty = false
		p.put("\n      <")
		p.put(c.outcome)
		p.put(" message=\"{}\"", c.message)
		p.putIf(c.kind, " type=\"{}\"")
		p.put(">")
		if !c.told {
			p.lines(c.lines)
		}
		p.put("</")
		p.put(c.outcome)
		p.put(">")
	}
	if c.told && len(c.lines) > 0 {
		empty = false
		p.put("\n      <system-out>")
		p.lines(c.lines)
		p.put("</system-out>")
	}
	if !empty {
		p.put("\n    ")
	}
	p.put("</testcase>")
}

func (r *Report) junitSuite(i *Image) junitSuite {
	s := junitSuite{name: i.Image}
	property := func(name, value string) {
		if value != "" {
			s.properties = append(s.properties, [2]string{name, value})
		}
	}
	property("verdict", i.Verdict.String())
	property("reason", string(i.Reason))
	property("name", i.Name)
	property("digest", i.Digest.String())
	property("platform", i.Platform)
	property("rule", i.Rule)
	for _, place := range i.places() {
		property("location", place)
	}
	property("policy", r.Policy.Name)
	property("policyDigest", r.Policy.Digest.String())
	if !i.Until.IsZero() {
		property("until", instant(i.Until))
	}
	if i.Warned != nil {
		property("warned", i.Warned.Verdict.String())
		property("warnedReason", string(i.Warned.Reason))
	}
	for _, root := range r.TrustRoots {
		property("trustRoot", root.Name+" "+root.Digest.String())
	}
	for _, weakened := range r.Insecure {
		property("insecure", weakened)
	}
	s.add("verdict", i.Verdict, string(i.Reason), "", imageLines(i))
	for n := range i.Demands {
		d := &i.Demands[n]
		name := d.Name
		if on := target(i, d); on != "" {
			name += " on " + on
		}
		s.add(name, d.Verdict, string(d.Reason), ignored(i, d), demandLines(i, d))
	}
	return s
}

// ignored says why a demand that is not met decides nothing; "" where it does.
func ignored(i *Image, d *policy.Demand) string {
	switch {
	case d.Skipped != nil:
		return describeSkipped(d.Skipped)
	case d.Verdict == policy.Allow:
		return ""
	case d.Alternative:
		return "the other demands decide"
	case i.Warned != nil && i.Verdict == policy.Allow:
		return describeWarned(i.Warned)
	}
	return ""
}

// add adds a case with its outcome; lines say more.
func (s *junitSuite) add(name string, v policy.Verdict, reason, skipped string, lines []string) {
	c := junitCase{name: name, message: cmp.Or(reason, verdictWord(v)), kind: reason, lines: lines}
	s.tests++
	switch {
	case skipped != "":
		c.outcome, c.message, c.kind, c.told = "skipped", skipped, "", true
		s.skipped++
	case v == policy.Allow:
		c.told = true
	case v == policy.Deny:
		c.outcome = "failure"
		s.failures++
	default:
		c.outcome = "error"
		s.errors++
	}
	s.cases = append(s.cases, c)
}

// imageLines says all about an image that its demands do not say.
func imageLines(i *Image) []string {
	t := &text{}
	if i.Warned != nil {
		t.field("warned", describeWarned(i.Warned))
	}
	t.remarks(i)
	return t.lines()
}

// demandLines says all about a demand, every attempt too.
func demandLines(i *Image, d *policy.Demand) []string {
	t := &text{all: true}
	t.demand(i, *d)
	return t.lines()
}
