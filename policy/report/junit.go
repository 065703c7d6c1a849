package report

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"

	"github.com/hallmark-project/hallmark/policy"
)

// The elements of JUnit's form, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Failure *junitResult `xml:"failure"`
		Error   *junitResult `xml:"error"`
		Skipped *junitResult `xml:"skipped"`
		Out     *junitText   `xml:"system-out"`
	}
	junitResult struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",innerxml"`
	}
	junitText struct {
		Text string `xml:",innerxml"`
	}
)

// WriteJUnit writes the report as JUnit XML: a suite for each image, in it a case
// "verdict" and one for each demand on each digest. A denial is a failure, what could
// not be checked is an error. What decides nothing is skipped: what an exception makes
// up for, what nobody asked for, and what a rule refuses that only warns.
func (r *Report) WriteJUnit(w io.Writer) error {
	document := junitSuites{Name: Plain("hallmark verify: " + r.Policy.Name + " " + r.Policy.Digest.String())}
	for _, image := range r.Images {
		suite := r.junitSuite(image)
		document.Tests += suite.Tests
		document.Failures += suite.Failures
		document.Errors += suite.Errors
		document.Skipped += suite.Skipped
		document.Suites = append(document.Suites, suite)
	}
	raw, err := xml.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding a report: %w", err)
	}
	if _, err := w.Write(append([]byte(xml.Header), append(raw, '\n')...)); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

func (r *Report) junitSuite(i *Image) junitSuite {
	s := junitSuite{Name: Plain(i.Image), Timestamp: r.Time.UTC().Format("2006-01-02T15:04:05")}
	property := func(name, value string) {
		if value != "" {
			s.Properties = append(s.Properties, junitProperty{name, Plain(value)})
		}
	}
	property("verdict", i.Verdict.String())
	property("reason", string(i.Reason))
	property("name", i.Name)
	property("digest", i.Digest.String())
	property("platform", i.Platform)
	property("rule", i.Rule)
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
	s.add(i.Verdict, string(i.Reason), "", junitCase{Class: s.Name, Name: "verdict"}, imageLines(i))
	for n := range i.Demands {
		d := &i.Demands[n]
		name := d.Name
		if on := target(i, d); on != "" {
			name += " on " + on
		}
		s.add(d.Verdict, string(d.Reason), ignored(i, d), junitCase{Class: s.Name, Name: Plain(name)}, demandLines(i, d))
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
func (s *junitSuite) add(v policy.Verdict, reason, skipped string, c junitCase, lines []string) {
	result := &junitResult{Message: Plain(cmp.Or(reason, verdictWord(v))), Type: Plain(reason), Text: xmlText(lines)}
	s.Tests++
	switch {
	case skipped != "":
		result.Message, result.Type = Plain(skipped), ""
		c.Skipped, c.Out, result.Text = result, xmlOut(lines), ""
		s.Skipped++
	case v == policy.Allow:
		c.Out = xmlOut(lines)
	case v == policy.Deny:
		c.Failure = result
		s.Failures++
	default:
		c.Error = result
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

// xmlText makes lines the content of an element. encoding/xml would write line ends as
// &#xA;.
func xmlText(lines []string) string {
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteByte('\n')
		xml.EscapeText(&b, []byte(line)) // a Buffer takes everything
	}
	return b.String()
}

func xmlOut(lines []string) *junitText {
	if len(lines) == 0 {
		return nil
	}
	return &junitText{xmlText(lines)}
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
