package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// verbCase is one command line of a policy verb.
type verbCase struct {
	args []string
	code int
	says string // in either stream
}

func (w *verifyWorld) runAll(t *testing.T, verb []string, cases map[string]verbCase) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := w.hallmark(append(verb[:len(verb):len(verb)], test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("exit %d, want %d and %q\n%s%s", code, test.code, test.says, stdout, stderr)
			}
		})
	}
}

func TestPolicyLint(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	warn := w.file("warn.yaml", "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: test}\nsigners: {release: {keys: [{file: release.pub}]}}\nrules: [{name: all, images: [registry.example/app], require: {signatures: {from: [release]}}}]\nunmatched: warn\n")
	bad := w.file("bad.yaml", "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: x}\nrulez: []\n")
	w.runAll(t, []string{"policy", "lint"}, map[string]verbCase{
		"notes only":               {[]string{w.policyFile, "--strict"}, 0, "[pattern-everything]"},
		"a warning":                {[]string{warn}, 0, "warn.yaml:6:12: warning: unmatched: "},
		"a warning under strict":   {[]string{warn, "--strict"}, 1, "[unmatched-warn]"},
		"a fault":                  {[]string{w.policyFile, bad}, 1, "bad.yaml:4:1: error: "},
		"PO-06 a dead rule":        {[]string{warn, "--strict", "--image", "registry.example/other:1"}, 1, "[rule-without-images]"},
		"json":                     {[]string{warn, "--output", "json"}, 0, `"schema": "hallmark.dev/lint/v1"`},
		"sarif":                    {[]string{bad, "--output", "sarif"}, 1, `"ruleId": "policy-invalid"`},
		"the list":                 {[]string{"--list"}, 0, "insecure-anyone"},
		"no file":                  {nil, 64, "no policy was named"},
		"a file that is not there": {[]string{warn + "x"}, 2, "no such file"},
		"no image":                 {[]string{warn, "--image", "UPPER"}, 64, "--image"},
		"no output":                {[]string{warn, "--output", "xml"}, 64, "xml"},
	})
}

// The files of a folder are one policy.
func TestPolicyLintFolder(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	for name, content := range map[string]string{
		"policies/signers.yaml":     "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: x}\nsigners: {release: {keys: [{file: keys/release.pub}]}}\nrules: [{name: one, images: [registry.example/one], require: {signatures: {from: [release]}}}]\n",
		"policies/more.yaml":        "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: x}\nsigners: {other: {keys: [{file: keys/other.pub}]}}\nrules: [{name: two, images: [two], require: {signatures: {from: [release]}}}]\n",
		"policies/keys/release.pub": string(w.key.Trusted.PEM()),
		"policies/keys/other.pub":   string(verifytest.NewKey(t, "ecdsa-p256").Trusted.PEM()),
	} {
		path := filepath.Join(w.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(w.dir, "policies")
	w.runAll(t, []string{"policy", "lint"}, map[string]verbCase{
		"together":  {[]string{dir}, 0, "more.yaml:4:18: warning: signers.other: no rule names the signer other"},
		"one alone": {[]string{filepath.Join(dir, "more.yaml")}, 1, "[policy-invalid]"},
	})
}

func TestPolicyTest(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	dir := filepath.Join(w.dir, "tests")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{w.signed.Ref(), w.bare.TagRef()} {
		if code, stdout, stderr := w.hallmark("policy", "test", dir, "--policy", w.policyFile, "--record", image); code != 0 {
			t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
		}
	}
	if code, _, stderr := w.hallmark("policy", "test", dir, "--policy", w.policyFile, "--record", w.signed.Ref()); code != 1 || !strings.Contains(stderr, "is there already") {
		t.Errorf("a case is written over: exit %d: %s", code, stderr)
	}
	w.Close()
	stranger := w.file("stranger.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: other}
signers: {release: {keys: [{file: release.pub}]}}
rules: [{name: all, images: ["**"], require: {statements: [{type: "https://slsa.dev/provenance/v1", from: [release]}]}}]
`)
	cases := "apiVersion: hallmark.dev/v1alpha1\nkind: PolicyTest\npolicy: " + stranger + "\ncases: [{name: it fails, record: " + w.record(dir) + ", expect: {verdict: allow}}]\n"
	failing := w.file("failing.yaml", cases)
	w.runAll(t, []string{"policy", "test"}, map[string]verbCase{
		"all pass":          {[]string{dir}, 0, "ok\t2 cases, 0 failed"},
		"verbose":           {[]string{dir, "-v"}, 0, "--- PASS: "},
		"one":               {[]string{dir, "-v", "--run", "is deny$"}, 0, "ok\t1 cases"},
		"one fails":         {[]string{dir, failing}, 1, "--- FAIL: " + failing + "/it fails"},
		"junit":             {[]string{dir, failing, "--output", "junit"}, 1, `<testsuites tests="3" failures="1">`},
		"json":              {[]string{dir, "--output", "json"}, 0, `"failed": 0`},
		"no such case":      {[]string{dir, "--run", "nothing"}, 2, "no case of 2"},
		"no such folder":    {[]string{dir + "x"}, 2, "no such file or folder"},
		"no folder":         {nil, 64, "--help"},
		"no output":         {[]string{dir, "--output", "xml"}, 64, "xml"},
		"no expression":     {[]string{dir, "--run", "("}, 64, "--run"},
		"record: no image":  {[]string{dir, "--policy", w.policyFile, "--record", w.Host() + "/team/none:1"}, 2, "recording"},
		"record: no policy": {[]string{dir, "--record", "app:1"}, 64, "needs --policy"},
	})
}

// record finds a record in a folder.
func (w *verifyWorld) record(dir string) string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.record"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("no record in %s: %v", dir, err)
	}
	raw, err := json.Marshal(files[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

func TestPolicyFmt(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	untidy := "kind: TrustPolicy\napiVersion: hallmark.dev/v1alpha1\nmetadata: {name: test} # why\nsigners: {release: {keys: [{file: release.pub}]}}\nrules:\n    - {images: [\"**\"], name: all, require: {signatures: {from: [release]}}}\n"
	tidy := "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: test} # why\nsigners: {release: {keys: [{file: release.pub}]}}\nrules:\n  - {name: all, images: [\"**\"], require: {signatures: {from: [release]}}}\n"
	file := w.file("untidy.yaml", untidy)
	done := w.file("tidy.yaml", tidy)
	w.runAll(t, []string{"policy", "fmt"}, map[string]verbCase{
		"printed":          {[]string{file}, 0, tidy},
		"checked":          {[]string{file, "--check"}, 1, file},
		"checked and fine": {[]string{done, "--check"}, 0, ""},
		"invalid":          {[]string{w.file("bad.yaml", "kind: x\n")}, 2, "policy lint"},
		"not there":        {[]string{file + "x"}, 2, "no such file"},
		"two minds":        {[]string{file, "--check", "-w"}, 64, "contradict"},
		"no file":          {nil, 64, "--help"},
	})
	changed := w.file("changed.yaml", untidy)
	if code, _, stderr := w.hallmark("policy", "fmt", "-w", changed); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if got, err := os.ReadFile(changed); err != nil || string(got) != tidy {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestPolicySchema(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	code, stdout, stderr := w.hallmark("policy", "schema")
	if code != 0 || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, "2020-12") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	w.runAll(t, []string{"policy"}, map[string]verbCase{
		"no verb":              {nil, 0, "lint"},
		"a misspelt verb":      {[]string{"lnit"}, 64, "did you mean lint"},
		"schema takes nothing": {[]string{"schema", "x"}, 64, "no argument"},
	})
}

func TestPolicyDiff(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	records := filepath.Join(w.dir, "records")
	if err := os.Mkdir(records, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := w.hallmark("verify", w.signed.Ref(), w.attested.Ref(), w.bare.Ref(), "--policy", w.policyFile, "--record", filepath.Join(records, "all.record")); code != 1 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	w.Close()
	other := w.file("other.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: other}
signers: {release: {keys: [{file: release.pub}]}}
rules: [{name: all, images: ["**"], require: {statements: [{type: "https://slsa.dev/provenance/v1", from: [release]}]}}]
`)
	pair := []string{w.policyFile, other, "--against", records}
	w.runAll(t, []string{"policy", "diff"}, map[string]verbCase{
		"stricter":           {pair, 1, "- " + w.signed.Ref() + "\n    allow (rule all) -> deny NO_ATTESTATION (rule all)"},
		"laxer":              {pair, 1, "+ " + w.attested.Ref() + "\n    deny NO_SIGNATURE (rule all) -> allow (rule all)"},
		"another reason":     {pair, 1, "~ " + w.bare.Ref()},
		"counted":            {pair, 1, "3 images, 3 changed, 0 could"},
		"json":               {append(pair[:4:4], "--output", "json"), 1, `"changed": 3`},
		"the same":           {[]string{w.policyFile, w.policyFile, "--against", records}, 0, "3 images, 0 changed"},
		"the same, all":      {[]string{w.policyFile, w.policyFile, "--against", records, "--all"}, 0, w.signed.Ref()},
		"no records":         {[]string{w.policyFile, other}, 64, "--against"},
		"a folder without":   {[]string{w.policyFile, other, "--against", t.TempDir()}, 2, "no *.record"},
		"a record not there": {[]string{w.policyFile, other, "--against", records + "x"}, 2, "no such file"},
		"a policy not there": {[]string{w.policyFile, other + "x", "--against", records}, 2, "no such file"},
		"no time":            {append(pair[:4:4], "--at", "soon"), 64, "soon"},
		"one policy":         {[]string{w.policyFile, "--against", records}, 64, "--help"},
	})
}

func TestPolicyLearn(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	out, file := filepath.Join(w.dir, "learnt.yaml"), filepath.Join(w.dir, "learnt.record")
	code, _, stderr := w.hallmark("policy", "learn", w.signed.Ref(), "--key", w.keyFile, "-o", out, "--record", file)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	w.runAll(t, []string{"verify", "--policy", out}, map[string]verbCase{
		"what it was learnt from": {[]string{w.signed.Ref()}, 0, "ALLOW"},
		"and nothing else":        {[]string{w.bare.Ref()}, 1, "POLICY_NO_MATCH"},
	})
	w.runAll(t, nil, map[string]verbCase{
		"its record":                     {[]string{"replay", file}, 0, "ALLOW"},
		"it has no weak spots but notes": {[]string{"policy", "lint", out}, 0, ""},
	})
	w.runAll(t, []string{"policy", "learn"}, map[string]verbCase{
		"printed":         {[]string{w.signed.Ref(), "--key", w.keyFile}, 0, "signatures:\n        from: [release]\n"},
		"malformed":       {[]string{w.attested.Ref(), "--key", w.keyFile}, 1, "nothing was proved"},
		"nothing there":   {[]string{w.bare.Ref(), "--key", w.keyFile}, 1, "nothing was proved"},
		"no such image":   {[]string{w.Host() + "/team/none:1", "--key", w.keyFile}, 2, "not found"},
		"no key":          {[]string{w.signed.Ref()}, 64, "--key FILE"},
		"no image":        {[]string{"--key", w.keyFile}, 64, "--help"},
		"a key not there": {[]string{w.signed.Ref(), "--key", w.keyFile + "x"}, 2, "no such file"},
		"a layout":        {[]string{"oci-dir:" + w.dir, "--key", w.keyFile}, 64, "is no image of a registry"},
		"two roots":       {[]string{w.signed.Ref(), "--keyless", "--trusted-root", "x"}, 64, "contradict"},
	})
}

func TestPolicyExplain(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	file := filepath.Join(w.dir, "app.record")
	if code, _, stderr := w.hallmark("verify", w.signed.Ref(), w.attested.Ref(), "--policy", w.policyFile, "--record", file); code != 1 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	two := w.file("two.yaml", "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: two}\nsigners: {release: {keys: [{file: release.pub}]}}\nrules:\n- {name: all, images: [\"**\"], require: {signatures: {from: [release]}}}\n- {name: app, images: [\""+w.Host()+"/team/*\"], require: {signatures: {from: [release]}}}\n")
	w.runAll(t, []string{"policy", "explain"}, map[string]verbCase{
		"allowed":               {[]string{w.signed.Ref(), "--policy", two}, 0, "✓ ALLOW  " + w.signed.Ref() + "\n├─ digest " + w.signed.Digest.String() + "\n├─ rule app of two governs " + w.signed.Name() + "\n│  ├─ its pattern " + w.Host() + "/team/* is the most specific that matches\n│  └─ not rule all with **: it is less specific\n"},
		"denied":                {[]string{w.bare.Ref(), "--policy", two}, 1, "✗ signatures NO_SIGNATURE\n   ├─ wanted: "},
		"what to do":            {[]string{w.bare.Ref(), "--policy", two}, 1, "└─ to do: "},
		"of a record":           {[]string{"--record", file}, 1, "✗ DENY NO_SIGNATURE  " + w.attested.Ref()},
		"one of a record":       {[]string{"--record", file, "--image", w.signed.Ref()}, 0, "✓ signatures"},
		"json":                  {[]string{"--record", file, "--output", "json"}, 1, `"schema": "hallmark.dev/report/v1"`},
		"not there":             {[]string{w.Host() + "/team/none:1", "--policy", two}, 2, "? UNDETERMINED IMAGE_NOT_FOUND"},
		"no policy":             {[]string{w.signed.Ref()}, 64, "--policy FILE"},
		"no image":              {[]string{"--policy", two}, 64, "--record FILE"},
		"image and record":      {[]string{w.signed.Ref(), "--record", file}, 64, "contradict"},
		"a time for a live one": {[]string{w.signed.Ref(), "--policy", two, "--at", "2027-01-01T00:00:00Z"}, 64, "--record"},
	})
}

// Whatever a report says about demands and evidence stands in the explanation.
func TestExplanationIsComplete(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	_, document, _ := w.hallmark("policy", "explain", w.signed.Ref(), w.attested.Ref(), w.bare.Ref(), "--policy", w.policyFile, "--output", "json")
	_, tree, _ := w.hallmark("policy", "explain", w.signed.Ref(), w.attested.Ref(), w.bare.Ref(), "--policy", w.policyFile)
	var r report.Report
	if err := json.Unmarshal([]byte(document), &r); err != nil || len(r.Images) != 3 {
		t.Fatalf("%v\n%s", err, document)
	}
	says := func(text string) {
		if !strings.Contains(tree, report.Plain(text)) {
			t.Errorf("no %q in\n%s", text, tree)
		}
	}
	for _, image := range r.Images {
		says(image.Digest.String())
		for _, d := range image.Demands {
			for _, text := range []string{d.Name, string(d.Reason), d.Wanted, d.Found, d.Hint} {
				says(text)
			}
			for _, a := range d.Tried {
				for _, text := range []string{a.Origin, a.Signer, a.Type, string(a.Reason), a.Detail} {
					says(text)
				}
				for _, step := range a.Checks {
					says(string(step))
				}
			}
		}
	}
}

// Colours are not written where nobody sees them, and marks tell what they do.
func TestExplanationColours(t *testing.T) {
	t.Parallel()
	root := (&twig{text: "head"}).judged(policy.Deny)
	root.add("%s", "evil\x1b[31m\ntext").judged(policy.Allow).add("deeper")
	root.add("last")
	var plain, coloured strings.Builder
	if err := root.write(&plain, false, "", ""); err != nil {
		t.Fatal(err)
	}
	if err := root.write(&coloured, true, "", ""); err != nil {
		t.Fatal(err)
	}
	if s := plain.String(); strings.Contains(s, "\x1b") || strings.Count(s, "\n") != 4 || !strings.HasPrefix(s, "✗ head\n├─ ✓ evil") || !strings.HasSuffix(s, "│  └─ deeper\n└─ last\n") {
		t.Errorf("%q", s)
	}
	if s := coloured.String(); strings.Count(s, "\x1b[31m") != 1 || strings.Count(s, "\x1b[0m") != 2 {
		t.Errorf("%q", s)
	}
}

// Shells offer verbs and the values of flags.
func TestPolicyCompletion(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	w.runAll(t, []string{"__complete"}, map[string]verbCase{
		"verbs":             {[]string{"policy", ""}, 0, "explain\t"},
		"outputs of lint":   {[]string{"policy", "lint", "--output", ""}, 0, "text\njson\nsarif\n"},
		"outputs of test":   {[]string{"policy", "test", "--output", ""}, 0, "text\njson\njunit\n"},
		"outputs of replay": {[]string{"replay", "--output", ""}, 0, "text\njson\n"},
	})
}
