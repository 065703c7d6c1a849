package report_test

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
)

// formats are all forms of a report but text and JSON, by the extension of their
// golden files.
var formats = map[string]func(*report.Report, io.Writer) error{
	"sarif":     func(r *report.Report, w io.Writer) error { return r.WriteSARIF(w, "1.2.3") },
	"junit.xml": (*report.Report).WriteJUnit,
	"md":        (*report.Report).WriteMarkdown,
	"html":      (*report.Report).WriteHTML,
}

func written(t *testing.T, r *report.Report, write func(*report.Report, io.Writer) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := write(r, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// full is a report in which every field has a value of its own.
func full() *report.Report {
	warned := keyless()
	warned.Image, warned.Until = "registry.example/warned:1", noon.Add(50*time.Hour)
	warned.Warned = &policy.Warned{Verdict: policy.Deny, Reason: policy.ReasonTooOld}
	d := &warned.Demands[0]
	d.Until = noon.Add(60 * time.Hour)
	d.Skipped = &policy.Skipped{Reason: "built before provenance", Owner: "security@acme.example", Ticket: "SEC-12", Expires: noon.Add(99 * time.Hour)}
	d.Verdict, d.Reason, d.Hint = policy.Deny, policy.ReasonNoAttestation, "attach it with `hallmark attest`"
	below := denied()
	below.Image, below.Platform = "registry.example/below:1", "linux/arm64"
	below.Demands[0].Verdict, below.Demands[0].Reason = policy.Undetermined, policy.ReasonUnauthorized
	below.Digest = digest.FromBytes([]byte("below"))
	r := report.New(nil, noon, allowed(), warned, denied(), below, unreachable())
	r.Policy = report.Policy{Name: "acme", Digest: platform}
	r.TrustRoots = []report.TrustRoot{{Name: "public", Digest: digest.FromBytes([]byte("root")), Need: report.Need{Log: 1, Timestamps: 1, SCT: 1}}}
	r.SetFetched(r.TrustRoots[0].Digest, noon.Add(-75*time.Hour))
	r.Insecure = []string{"--insecure-allow-http"}
	return r
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for extension, write := range formats {
		t.Run(extension, func(t *testing.T) {
			t.Parallel()
			golden(t, "full."+extension, []byte(written(t, full(), write)))
			golden(t, "none."+extension, []byte(written(t, report.New(nil, noon), write)))
		})
	}
}

// words are all texts below the keys that a reader acts on, wherever they stand.
func words(document any, keys map[string]bool, found map[string]bool) {
	switch v := document.(type) {
	case map[string]any:
		for key, value := range v {
			if text, is := value.(string); is && keys[key] && text != "" {
				found[text] = true
			}
			words(value, keys, found)
		}
	case []any:
		for _, value := range v {
			words(value, keys, found)
		}
	}
}

// TestEveryFormatSaysAll: what the JSON says of verdicts, reasons, digests and hints,
// and a few things more, every format says too.
func TestEveryFormatSaysAll(t *testing.T) {
	t.Parallel()
	r := full()
	var document any
	if err := json.Unmarshal([]byte(written(t, r, (*report.Report).WriteJSON)), &document); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	words(document, map[string]bool{
		"reason": true, "digest": true, "hint": true, "error": true, "wanted": true, "found": true, "image": true, "rule": true, "detail": true,
		"owner": true, "ticket": true, "expires": true, "until": true, "origin": true, "signer": true, "platform": true,
	}, found)
	if len(found) < 30 {
		t.Fatalf("only %d texts: the test looks at nothing", len(found))
	}
	all := map[string]func(*report.Report, io.Writer) error{
		"text": func(r *report.Report, w io.Writer) error { return r.WriteText(w, report.Style{}) },
	}
	for extension, write := range formats {
		all[extension] = write
	}
	verdicts := map[string][]string{"sarif": {`"pass"`, `"error"`, `"warning"`}}
	delete(found, "signed by release") // the detail of what counted: the signer says it
	for extension, write := range all {
		t.Run(extension, func(t *testing.T) {
			t.Parallel()
			out := written(t, r, write)
			if extension == "sarif" {
				out = strings.ReplaceAll(out, `\"`, `"`)
			} else {
				out = html.UnescapeString(out)
			}
			for want := range found {
				if extension == "text" && strings.HasPrefix(want, "sha256:") {
					d, err := digest.Parse(want)
					if err != nil {
						t.Fatal(err)
					}
					want = d.Short() // text is narrow
				}
				if !strings.Contains(out, want) {
					t.Errorf("does not say %q", want)
				}
			}
			wantVerdicts := verdicts[extension]
			if wantVerdicts == nil {
				wantVerdicts = []string{"allow", "deny", "undetermined"}
			}
			for _, verdict := range wantVerdicts {
				if !strings.Contains(strings.ToLower(out), verdict) {
					t.Errorf("does not say %q", verdict)
				}
			}
		})
	}
}

// poison puts a text into every string of a value, and leaves digests.
func poison(v reflect.Value, bad string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), bad)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				poison(v.Field(i), bad)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), bad)
		}
	case reflect.String:
		v.SetString(bad)
	}
}

func poisoned(bad string) *report.Report {
	r := full()
	poison(reflect.ValueOf(r), bad)
	r.Schema = report.Schema
	return r
}

// markup are texts that mean something in one format or another; hostile has those
// that do in a terminal.
var markup = map[string]string{
	"HTML":             `<script>alert(1)</script><img src=x onerror=alert(1)>`,
	"attribute":        `" onmouseover="alert(1)`,
	"end of comment":   `--><script>x</script>`,
	"CDATA":            `]]><evil/>`,
	"entity":           `&lt;script&gt; &#60;`,
	"template":         `{{.}} ${x} {0}`,
	"markdown link":    `[click](https://evil.example) ![i](https://evil.example/i.png)`,
	"markdown heading": "# Allowed",
	"table, escaped":   `a \| b \\| c`,
	"markdown table":   "a | b | ✅ allow |",
	"backticks":        "` `` ``` a ````<b>",
	"mention":          "@octocat #1 https://evil.example www.evil.example",
	"CSV formula":      "=HYPERLINK(\"https://evil.example\")",
	"URL":              "javascript:alert(1)",
	"style":            "</style><script>x</script>",
}

func TestHostileMarkup(t *testing.T) {
	t.Parallel()
	for name, bad := range markup {
		for extension, write := range formats {
			t.Run("BM-06 "+extension+" "+name, func(t *testing.T) {
				t.Parallel()
				checkHarmless(t, extension, written(t, poisoned(bad), write), bad)
			})
		}
	}
	for name, bad := range hostile {
		for extension, write := range formats {
			t.Run("BM-06 CL-04 "+extension+" "+name, func(t *testing.T) {
				t.Parallel()
				checkHarmless(t, extension, written(t, poisoned(bad), write), bad)
			})
		}
	}
}

// TestMarkdownIsBounded: what does not fit is counted, and never a refusal behind
// what was allowed.
func TestMarkdownIsBounded(t *testing.T) {
	t.Parallel()
	var images []*report.Image
	long := poisoned(strings.Repeat("é`", 300)).Images[0]
	long.Verdict = policy.Allow
	for range 5000 {
		images = append(images, long)
	}
	last := denied()
	last.Image = "registry.example/refused:1"
	out := written(t, report.New(nil, noon, append(images, last)...), (*report.Report).WriteMarkdown)
	if len(out) > 1<<20 {
		t.Errorf("%d bytes", len(out))
	}
	for _, want := range []string{"### ❌ DENY `registry.example/refused:1`", "| ❌ DENY | `registry.example/refused:1`", "the details of ", "5001 images: 5000 allowed, 1 denied"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q", want)
		}
	}
}
