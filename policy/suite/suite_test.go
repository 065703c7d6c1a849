package suite_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/suite"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// folder is a folder with a record of a signed and a bare image. It returns their
// references.
func folder(t testing.TB) (dir, signed, bare string) {
	t.Helper()
	reg, key := registrytest.New(t), verifytest.NewKey(t, "ecdsa-p256")
	good, none := reg.PushImage("team/signed", "1", map[string]string{"app": "s"}), reg.PushImage("team/bare", "1", map[string]string{"app": "b"})
	reg.Attach(good.Repository, good.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: key.Signature(t, good.Digest).Raw,
		Annotations: map[string]string{"dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
	})
	p, err := policy.ForKey(key.Trusted)
	if err != nil {
		t.Fatal(err)
	}
	recorder := record.NewRecorder()
	g := gate.New(p, recorder.Watch(oci.NewClient(oci.Options{})), gate.Options{})
	targets := []gate.Target{g.Target(good.Ref()), g.Target(none.Ref())}
	g.JudgeTargets(t.Context(), targets)
	file, err := recorder.Record(record.Verification{Policy: p, Time: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Targets: targets})
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	var out bytes.Buffer
	if err := file.Write(&out); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "two.record"), out.String())
	return dir, good.Ref(), none.Ref()
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const head = "apiVersion: hallmark.dev/v1alpha1\nkind: PolicyTest\n"

// run loads and runs a file of cases in the folder.
func run(t *testing.T, dir, cases string) []suite.Result {
	t.Helper()
	write(t, filepath.Join(dir, "cases.yaml"), head+cases)
	all, err := suite.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return (&suite.Runner{}).Run(t.Context(), all)
}

// A case passes if, and only if, everything that it expects is so.
func TestEveryExpectation(t *testing.T) {
	t.Parallel()
	dir, signed, bare := folder(t)
	for expect, failure := range map[string]string{
		signed + "|{verdict: allow}":                                          "",
		signed + "|{verdict: allow, rule: key, demands: {signatures: allow}}": "",
		signed + "|{verdict: deny}":                                           `verdict: got "allow", want "deny"`,
		signed + "|{verdict: undetermined}":                                   `verdict: got "allow", want "undetermined"`,
		signed + "|{verdict: allow, rule: other}":                             `rule: got "key", want "other"`,
		signed + "|{verdict: allow, demands: {sbom: allow}}":                  `the rule "key" has no demand "sbom"`,
		signed + "|{verdict: allow, demands: {signatures: NO_SIGNATURE}}":     `demands.signatures: got "allow"`,
		bare + "|{verdict: deny, reason: NO_SIGNATURE}":                       "",
		bare + "|{verdict: deny, demands: {signatures: NO_SIGNATURE}}":        "",
		bare + "|{verdict: deny, reason: KEY_MISMATCH}":                       `reason: got "NO_SIGNATURE", want "KEY_MISMATCH"`,
		bare + "|{verdict: deny, demands: {signatures: allow}}":               `demands.signatures: got "NO_SIGNATURE"`,
		"registry.example/none|{verdict: deny}":                               "registry.example/none",
		"|{verdict: allow}":                                                   "name one with `image`",
	} {
		image, want, _ := strings.Cut(expect, "|")
		results := run(t, dir, "cases: [{name: one, record: two.record, image: \""+image+"\", expect: "+want+"}]\n")
		got := strings.Join(results[0].Failures, "\n")
		if len(results) != 1 || (failure == "") != results[0].Passed() || !strings.Contains(got, failure) {
			t.Errorf("%s: %q, want %q", expect, got, failure)
		}
	}
}

// What cannot be read fails its case, and a record that is none is no pass.
func TestWhatCannotBeReadFails(t *testing.T) {
	t.Parallel()
	dir, signed, _ := folder(t)
	write(t, filepath.Join(dir, "junk.record"), "{}")
	for cases, failure := range map[string]string{
		"{name: a, record: none.record, expect: {verdict: undetermined}}":                                  "no such file",
		"{name: a, record: junk.record, expect: {verdict: undetermined}}":                                  "not a record",
		"{name: a, record: two.record, policy: p.yaml, image: '" + signed + "', expect: {verdict: allow}}": "policies are not read here",
	} {
		results := run(t, dir, "cases: ["+cases+"]\n")
		if results[0].Passed() || !strings.Contains(strings.Join(results[0].Failures, "\n"), failure) {
			t.Errorf("%s: %v, want %q", cases, results[0].Failures, failure)
		}
	}
}

// Cases are read strictly, and no case at all is an error.
func TestLoadIsStrict(t *testing.T) {
	t.Parallel()
	for cases, want := range map[string]error{
		head:                 suite.ErrNoCase,
		head + "cases: []\n": suite.ErrNoCase,
		head + "cases: [{name: a, record: r, expect: {verdict: allow}, time: soon}]\n":                                     suite.ErrInvalid,
		head + "cases: [{name: a, record: r, expect: {verdict: allowed}}]\n":                                               suite.ErrInvalid,
		head + "cases: [{name: a, record: r, expect: {verdict: allow, reason: X}}]\n":                                      suite.ErrInvalid,
		head + "cases: [{name: a, record: r, expect: {}}]\n":                                                               suite.ErrInvalid,
		head + "cases: [{name: a, expect: {verdict: allow}}]\n":                                                            suite.ErrInvalid,
		head + "cases: [{record: r, expect: {verdict: allow}}]\n":                                                          suite.ErrInvalid,
		head + "cases: [{name: a, recrod: r, expect: {verdict: allow}}]\n":                                                 suite.ErrInvalid,
		head + "cases: [{name: a, record: r, expect: {verdict: allow}}, {name: a, record: r, expect: {verdict: allow}}]\n": suite.ErrInvalid,
		head + "cases: [{name: a, name: b, record: r, expect: {verdict: allow}}]\n":                                        suite.ErrInvalid,
		head + "cases: [{name: a, record: r, expect: {verdict: allow}}]\n---\n{}\n":                                        suite.ErrInvalid,
		"apiVersion: hallmark.dev/v2\nkind: PolicyTest\ncases: [{name: a, record: r, expect: {verdict: allow}}]\n":         suite.ErrInvalid,
		"kind: TrustPolicy\n": suite.ErrNoCase,
		"":                    suite.ErrNoCase,
		head + strings.Repeat("# padding\n", 200_000): suite.ErrInvalid,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "c.yaml"), cases)
		if _, err := suite.Load(dir); !errors.Is(err, want) {
			t.Errorf("%.120q: %v, want %v", cases, err, want)
		}
	}
	if _, err := suite.Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// Every output names the failing case and its reason; XML and JSON parse.
func TestOutputs(t *testing.T) {
	t.Parallel()
	dir, signed, bare := folder(t)
	results := run(t, dir, "cases:\n- {name: '<good> & fine', record: two.record, image: '"+signed+"', expect: {verdict: allow}}\n- {name: wrong, record: two.record, image: '"+bare+"', expect: {verdict: allow}}\n")
	var plain, verbose, junit, document bytes.Buffer
	for _, err := range []error{
		suite.WriteText(&plain, results, false), suite.WriteText(&verbose, results, true),
		suite.WriteJUnit(&junit, results), suite.WriteJSON(&document, results),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if s := plain.String(); !strings.Contains(s, "--- FAIL: "+filepath.Join(dir, "cases.yaml")+"/wrong (") || strings.Contains(s, "PASS") || !strings.Contains(s, "FAIL\t2 cases, 1 failed") || !strings.Contains(s, `got "deny", want "allow"`) {
		t.Errorf("text:\n%s", s)
	}
	if s := verbose.String(); !strings.Contains(s, "--- PASS: ") {
		t.Errorf("verbose:\n%s", s)
	}
	var suites struct {
		Failures int `xml:"failures,attr"`
		Suite    []struct {
			Cases []struct {
				Name    string  `xml:"name,attr"`
				Failure *string `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(junit.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	if suites.Failures != 1 || suites.Suite[0].Cases[0].Name != "<good> & fine" || suites.Suite[0].Cases[0].Failure != nil || suites.Suite[0].Cases[1].Failure == nil {
		t.Errorf("%s", junit.String())
	}
	var parsed struct {
		Schema string                          `json:"schema"`
		Failed int                             `json:"failed"`
		Cases  []struct{ Image *report.Image } `json:"cases"`
	}
	if err := json.Unmarshal(document.Bytes(), &parsed); err != nil || parsed.Schema != suite.Schema || parsed.Failed != 1 || len(parsed.Cases) != 2 {
		t.Errorf("%v\n%s", err, document.String())
	}
}

// A case that is made from an outcome passes.
func TestMadeCasesPass(t *testing.T) {
	t.Parallel()
	dir, signed, bare := folder(t)
	results := run(t, dir, "cases: [{name: a, record: two.record, image: '"+signed+"', expect: {verdict: allow}}, {name: b, record: two.record, image: '"+bare+"', expect: {verdict: deny}}]\n")
	var made []suite.Case
	for _, r := range results {
		c := r.Case
		c.Record, c.Expect = "two.record", suite.Expected(r.Image)
		made = append(made, c)
	}
	raw, err := suite.Format("", made...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), "NO_SIGNATURE") {
		t.Errorf("no reason:\n%s", raw)
	}
	if results := run(t, dir, strings.TrimPrefix(string(raw), head)); suite.Failed(results) > 0 {
		t.Errorf("%v\n%s", results, raw)
	}
}

// BenchmarkCase judges one case of a record that is read already.
func BenchmarkCase(b *testing.B) {
	dir, signed, _ := folder(b)
	write(b, filepath.Join(dir, "cases.yaml"), head+"cases: [{name: a, record: two.record, image: '"+signed+"', expect: {verdict: allow}}]\n")
	cases, err := suite.Load(dir)
	if err != nil {
		b.Fatal(err)
	}
	many := make([]suite.Case, b.N)
	for i := range many {
		many[i] = cases[0]
	}
	b.ReportAllocs()
	b.ResetTimer()
	if failed := suite.Failed((&suite.Runner{}).Run(b.Context(), many)); failed > 0 {
		b.Fatal(failed)
	}
}
