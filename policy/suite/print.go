package suite

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/policy/report"
)

// Schema names the JSON form of results.
const Schema = "hallmark.dev/policytest/v1"

// Failed counts the results that did not pass.
func Failed(results []Result) int {
	failed := 0
	for _, r := range results {
		if !r.Passed() {
			failed++
		}
	}
	return failed
}

func total(results []Result) time.Duration {
	var sum time.Duration
	for _, r := range results {
		sum += r.Elapsed
	}
	return sum
}

// name is how a case is called in every output.
func (r Result) name() string { return r.Case.File + "/" + r.Case.Name }

// WriteText writes results as go test does: failures, with verbose also passes, and
// one line for all.
func WriteText(w io.Writer, results []Result, verbose bool) error {
	var out strings.Builder
	for _, r := range results {
		switch {
		case !r.Passed():
			fmt.Fprintf(&out, "--- FAIL: %s (%.2fs)\n", report.Plain(r.name()), r.Elapsed.Seconds())
			for _, line := range r.Failures {
				for part := range strings.Lines(line) {
					fmt.Fprintf(&out, "    %s\n", report.Plain(strings.TrimSuffix(part, "\n")))
				}
			}
		case verbose:
			fmt.Fprintf(&out, "--- PASS: %s (%.2fs)\n", report.Plain(r.name()), r.Elapsed.Seconds())
		}
	}
	word, failed := "ok", Failed(results)
	if failed > 0 {
		word = "FAIL"
	}
	fmt.Fprintf(&out, "%s\t%d cases, %d failed\t%.3fs\n", word, len(results), failed, total(results).Seconds())
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// WriteJSON writes results as one JSON document.
func WriteJSON(w io.Writer, results []Result) error {
	type one struct {
		File     string        `json:"file"`
		Name     string        `json:"name"`
		Passed   bool          `json:"passed"`
		Seconds  float64       `json:"seconds"`
		Failures []string      `json:"failures,omitempty"`
		Image    *report.Image `json:"image,omitempty"`
	}
	document := struct {
		Schema string `json:"schema"`
		Failed int    `json:"failed"`
		Cases  []one  `json:"cases"`
	}{Schema: Schema, Failed: Failed(results)}
	for _, r := range results {
		document.Cases = append(document.Cases, one{r.Case.File, r.Case.Name, r.Passed(), r.Elapsed.Seconds(), r.Failures, r.Image})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// The elements of JUnit's form, as CI systems read it.
type (
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
)

// WriteJUnit writes results as JUnit XML, a suite for each file of cases.
func WriteJUnit(w io.Writer, results []Result) error {
	document := junitSuites{Tests: len(results), Failures: Failed(results)}
	for start := 0; start < len(results); {
		end := start
		for end < len(results) && results[end].Case.File == results[start].Case.File {
			end++
		}
		group := results[start:end]
		suite := junitSuite{Name: report.Plain(group[0].Case.File), Tests: len(group), Failures: Failed(group), Time: seconds(total(group))}
		for _, r := range group {
			c := junitCase{Class: suite.Name, Name: report.Plain(r.Case.Name), Time: seconds(r.Elapsed)}
			if !r.Passed() {
				c.Failure = &junitFailure{Message: report.Plain(r.Failures[0])}
				for _, line := range r.Failures {
					c.Failure.Text += report.Plain(line) + "\n"
				}
			}
			suite.Cases = append(suite.Cases, c)
		}
		document.Suites = append(document.Suites, suite)
		start = end
	}
	raw, err := xml.MarshalIndent(document, "", "  ")
	if err == nil {
		_, err = w.Write(append([]byte(xml.Header), append(raw, '\n')...))
	}
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
