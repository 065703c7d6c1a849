package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy/report"
)

// checkHarmless checks that a report in which every text is bad has the shape of the
// format and nothing that came from the text.
func checkHarmless(t *testing.T, extension, out, bad string) {
	t.Helper()
	for _, c := range out {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Fatalf("%U came through", c)
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || extension != "sarif" && strings.Contains(line, "##[") {
			t.Errorf("a workflow command: %q", line)
		}
		if strings.ContainsAny(line[:1], "=+@") && !strings.HasPrefix(line, "@media (") && line != "@media print {\n" {
			t.Errorf("a line begins like a formula: %q", line)
		}
	}
	switch extension {
	case "sarif":
		checkSARIF(t, []byte(out))
	case "junit.xml":
		checkXML(t, out)
	case "html":
		checkHTML(t, out)
	case "md":
		checkMarkdown(t, out, bad)
	}
}

// checkXML reads to the end and knows every element.
func checkXML(t *testing.T, out string) {
	t.Helper()
	known := map[string]bool{
		"testsuites": true, "testsuite": true, "properties": true, "property": true, "testcase": true,
		"failure": true, "error": true, "skipped": true, "system-out": true,
	}
	d := xml.NewDecoder(strings.NewReader(out))
	d.Strict = true
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch element := token.(type) {
		case xml.StartElement:
			if !known[element.Name.Local] {
				t.Fatalf("an element %s", element.Name.Local)
			}
		case xml.Comment, xml.Directive:
			t.Fatalf("%T: %s", token, token)
		}
	}
}

// checkSARIF checks what the standard (SARIF 2.1.0) demands of what a report writes. It is
// no check against OASIS's JSON schema.
func checkSARIF(t *testing.T, raw []byte) {
	t.Helper()
	var log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string `json:"name"`
					Rules []struct {
						ID string `json:"id"`
					} `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
			Artifacts []struct {
				Location struct {
					URI string `json:"uri"`
				} `json:"location"`
			} `json:"artifacts"`
			Results []struct {
				RuleID    string `json:"ruleId"`
				RuleIndex int    `json:"ruleIndex"`
				Kind      string `json:"kind"`
				Level     string `json:"level"`
				Message   struct {
					Text string `json:"text"`
				} `json:"message"`
				Locations []struct {
					Physical struct {
						Artifact struct {
							URI   string `json:"uri"`
							Index int    `json:"index"`
						} `json:"artifactLocation"`
					} `json:"physicalLocation"`
				} `json:"locations"`
			} `json:"results"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(raw, &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("version %q, %d runs", log.Version, len(log.Runs))
	}
	run := log.Runs[0]
	ids := make(map[string]bool)
	for _, rule := range run.Tool.Driver.Rules {
		if rule.ID == "" || ids[rule.ID] {
			t.Errorf("rule %q is empty or stands twice", rule.ID)
		}
		ids[rule.ID] = true
	}
	for i, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("result %d: rule %d is not %q", i, r.RuleIndex, r.RuleID)
		}
		// 3.27.9: a kind other than "fail" has the level "none".
		if (r.Kind == "fail") == (r.Level == "none") || r.Kind != "fail" && r.Kind != "pass" {
			t.Errorf("result %d: kind %q with level %q", i, r.Kind, r.Level)
		}
		if r.Message.Text == "" || strings.Contains(r.Message.Text, "](") || strings.Contains(r.Message.Text, "{0") {
			t.Errorf("result %d: the message %q is empty, or has a link or an argument", i, r.Message.Text)
		}
		where := r.Locations[0].Physical.Artifact
		if run.Artifacts[where.Index].Location.URI != where.URI {
			t.Errorf("result %d: artifact %d is not %q", i, where.Index, where.URI)
		}
		first, _, _ := strings.Cut(where.URI, "/")
		if where.URI == "" || first == "" || strings.ContainsAny(where.URI, "\\ <>\"{}|^`#") || strings.Contains(first, ":") {
			t.Errorf("result %d: %q is no relative URI", i, where.URI)
		}
	}
}

// checkMarkdown takes the code spans out, as CommonMark 6.1 finds them, and looks for
// anything of the text in the rest.
func checkMarkdown(t *testing.T, out, bad string) {
	t.Helper()
	for line := range strings.Lines(out) {
		outside := withoutCode(t, strings.TrimSuffix(line, "\n"))
		for _, sign := range []string{"<", "](", "![", "@", "://", "www.", "`", "#1", "evil", "_", "~"} {
			if strings.Contains(outside, sign) {
				t.Errorf("%q came through outside of code: %q", sign, outside)
			}
		}
		if inTable := strings.HasPrefix(line, "| "); inTable {
			if bars := strings.Count(line, "|"); bars != 6 {
				t.Errorf("a row has %d bars: %q", bars, line)
			}
		}
		if len(bad) > 3 && strings.HasPrefix(strings.TrimLeft(line, " -"), bad) {
			t.Errorf("a line begins with the text: %q", line)
		}
	}
}

// withoutCode removes the code spans of a line.
func withoutCode(t *testing.T, line string) string {
	t.Helper()
	var out strings.Builder
	for {
		at := strings.IndexByte(line, '`')
		if at < 0 {
			return out.String() + line
		}
		out.WriteString(line[:at])
		rest := strings.TrimLeft(line[at:], "`")
		fence := line[at : len(line)-len(rest)]
		end := -1
		for from := 0; from < len(rest); {
			start := strings.IndexByte(rest[from:], '`')
			if start < 0 {
				break
			}
			start += from
			after := strings.TrimLeft(rest[start:], "`")
			if len(rest)-len(after)-start == len(fence) {
				end, line = start, after
				break
			}
			from = len(rest) - len(after)
		}
		if end < 0 {
			t.Errorf("a code span has no end: %q", line)
			return out.String()
		}
	}
}

// checkHTML compares the elements and attributes of the page with those of the same
// report with a harmless text: nothing of the text may be one.
func checkHTML(t *testing.T, out string) {
	t.Helper()
	want := tags(t, written(t, poisoned("harmless"), (*report.Report).WriteHTML))
	got := tags(t, out)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other elements than of a harmless report (-want +got):\n%s", diff)
	}
	for _, never := range []string{"<script", "src=", "http-equiv=\"refresh", " on", "style=", "url(", "@import", "<link", "<iframe"} {
		for _, tag := range got {
			if strings.Contains(tag, never) {
				t.Errorf("the page has %q in %q", never, tag)
			}
		}
	}
}

// tags lists what stands between < and > in a page, quoted texts included.
func tags(t *testing.T, page string) []string {
	t.Helper()
	var all []string
	for {
		_, rest, found := strings.Cut(page, "<")
		if !found {
			return all
		}
		end, quoted := -1, false
		for i, c := range rest {
			if c == '"' {
				quoted = !quoted
			}
			if c == '>' && !quoted {
				end = i
				break
			}
		}
		if end < 0 {
			t.Fatalf("no end of an element: %.80q", rest)
		}
		all = append(all, rest[:end])
		page = rest[end:]
	}
}
