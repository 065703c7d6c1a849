package lint_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/lint"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

var now = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// files are the keys that policies of these tests name.
func files(t *testing.T) func(string) ([]byte, error) {
	t.Helper()
	keys := make(map[string][]byte)
	for _, name := range []string{"a.pub", "b.pub", "c.pub"} {
		keys[name] = verifytest.NewKey(t, "ecdsa-p256").Trusted.PEM()
	}
	keys["same.pub"] = keys["a.pub"]
	return func(name string) ([]byte, error) {
		if raw, has := keys[name]; has {
			return raw, nil
		}
		return nil, fmt.Errorf("no file %s", name)
	}
}

// strict is a policy without findings; each case changes one place of it.
const strict = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: strict}
signers:
  a: {keys: [{file: a.pub}]}
  b: {keys: [{file: b.pub}]}
rules:
  - name: prod
    images: [registry.example/prod/**]
    platforms: all
    require:
      signatures: {from: [a, b], atLeast: 2}
      provenance: {from: [a], source: https://git.example/app}
      sbom: {from: [b], matchesContent: true}
      statements: [{type: test-result, from: [a], cel: ["statement.predicate.result == 'PASSED'"]}]
  - name: base
    images: [registry.example/base/*]
    require: {signatures: {from: [a]}}
`

func ids(found []lint.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.ID))
	}
	return all
}

func TestStrictHasNoFindings(t *testing.T) {
	t.Parallel()
	if found := lint.Check("p.yaml", []byte(strict), files(t), lint.Options{Now: now}); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

// Each weak spot is found at its place, and nothing else is.
func TestWeakSpots(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		old, new string
		want     lint.ID
		place    string // line:column
		images   []string
	}{
		"unmatched":                    {"rules:\n", "unmatched: warn\nrules:\n", lint.UnmatchedWarn, "7:12", nil},
		"a signer that no rule names":  {"  b: {keys", "  c: {keys: [{file: c.pub}]}\n  b: {keys", lint.SignerUnused, "6:6", nil},
		"one key of two signers":       {"b: {keys: [{file: b.pub}]}", "b: {keys: [{file: b.pub}, {file: same.pub}]}", lint.KeyTwice, "6:6", nil},
		"provenance of any source":     {", source: https://git.example/app", "", lint.ProvenanceAny, "13:19", nil},
		"a statement of any content":   {`, cel: ["statement.predicate.result == 'PASSED'"]`, "", lint.StatementAny, "15:20", nil},
		"BM-09 an SBOM of the index":   {"    platforms: all\n", "", lint.PlatformsIndex, "8:5", nil},
		"a scan of any age":            {"sbom: {", "vulnerabilities: {from: [b], maxSeverity: low, which: all}\n      sbom: {", lint.ScanAnyAge, "14:24", nil},
		"a summary of any age":         {"sbom: {", "summary: {from: [b]}\n      sbom: {", lint.SummaryAnyAge, "14:16", nil},
		"BM-04 an SBOM of any content": {", matchesContent: true", "", lint.SBOMUnchecked, "14:13", nil},
		"an age without a time":        {"atLeast: 2}", "atLeast: 2, maxAge: 90d}", lint.NoTime, "12:19", nil},
		"a group that no rule names":   {"rules:\n", "groups: {all: [a, b]}\nrules:\n", lint.GroupUnused, "7:15", nil},
		"a rule that takes and drops":  {"registry.example/base/*", "registry.example/prod/base/*", lint.RuleWeaker, "17:14", nil},
		"PO-06 a short name":           {"registry.example/base/*", "manager", lint.PatternShort, "17:14", nil},
		"a pattern for everything":     {"registry.example/base/*", `"**"`, lint.PatternEverything, "17:14", nil},
		"a pattern that is covered":    {"[registry.example/base/*]", "[registry.example/base/*, registry.example/base/app]", lint.PatternTwice, "17:39", nil},
		"PO-06 a rule without images":  {"", "", lint.RuleWithoutImages, "16:5", []string{"registry.example/prod/app"}},
		"PO-06 an image without rules": {"", "", lint.ImageUnmatched, "8:3", []string{"registry.example/prod/app", "registry.example/base/app", "other.example/app"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := lint.Check("p.yaml", []byte(strings.Replace(strict, test.old, test.new, 1)), files(t), lint.Options{Now: now, Images: test.images})
			if len(found) != 1 || found[0].ID != test.want || fmt.Sprintf("%d:%d", found[0].Line, found[0].Column) != test.place {
				t.Errorf("got %v, want %s at %s", found, test.want, test.place)
			}
		})
	}
}

// DS-14: which of several scans counts, and how old it may be.
func TestScans(t *testing.T) {
	t.Parallel()
	found := lint.Check("p.yaml", []byte(strings.Replace(strict, "sbom: {", "vulnerabilities: {from: [b], maxSeverity: low, which: any, maxAge: 24h}\n      sbom: {", 1)), files(t), lint.Options{})
	if got := ids(found); !slices.Equal(got, []string{"no-trusted-time", "scan-any"}) || found[0].Line != 14 {
		t.Errorf("%v", found)
	}
}

// TI-08: a time is wanted of signers whose keys prove none, of all or of some.
func TestNoTrustedTime(t *testing.T) {
	t.Parallel()
	root := verifytest.NewInstance(t).TrustedRoot(t)
	read := func(path string) ([]byte, error) {
		if path == "root.json" {
			return root, nil
		}
		return files(t)(path)
	}
	for demand, want := range map[string]string{
		"vulnerabilities: {from: [a], maxSeverity: low, maxAge: 1d}":                                                     "so this can never be met",
		"vulnerabilities: {from: [a, b], maxSeverity: low, maxAge: 1d}":                                                  "no signature by a proves when it was made, so each that is attached makes the demand fail",
		"vulnerabilities: {from: [a, b], maxSeverity: low, maxAge: 1d, which: all}":                                      "so each that is attached makes the demand fail",
		"statements: [{type: test-result, from: [a, b], maxAge: 1d, cel: [\"statement.predicate.result == 'PASSED'\"]}]": "so none of them counts",
		"vulnerabilities: {from: [b], maxSeverity: low, maxAge: 1d}":                                                     "",
		"summary: {from: [a], maxAge: 1d}":                                                                               "",
	} {
		text := strings.Replace(strict, "sbom: {", demand+"\n      sbom: {", 1)
		if strings.HasPrefix(demand, "statements") {
			text = strings.Replace(strict, `statements: [{type: test-result, from: [a], cel: ["statement.predicate.result == 'PASSED'"]}]`, demand, 1)
		}
		text = strings.Replace(text, "signers:\n", "trustRoots: {r: {sigstore: root.json, sha256: '"+digest.FromBytes(root).Hex()+"'}}\nsigners:\n", 1)
		text = strings.Replace(text, "b: {keys", "b: {timesFrom: r, keys", 1)
		var texts []string
		for _, one := range lint.Check("p.yaml", []byte(text), read, lint.Options{}) {
			texts = append(texts, one.String())
		}
		switch {
		case want == "" && len(texts) > 0, want != "" && (len(texts) != 1 || !strings.Contains(texts[0], want) || !strings.Contains(texts[0], "[no-trusted-time]")):
			t.Errorf("%s: %v", demand, texts)
		}
	}
}

// PO-16: an exception that leaves nothing of a rule, or is near its end, is said.
func TestDates(t *testing.T) {
	t.Parallel()
	exception := "exceptions: [{image: \"registry.example/base/app@sha256:" + strings.Repeat("a", 64) + "\", rule: base, skip: [signatures], reason: x, owner: o@acme.example, ticket: T-1, expires: 2026-05-10}]\nrules:\n"
	narrow := strings.NewReplacer("base/app", "prod/app", "rule: base", "rule: prod", "2026-05-10", "2026-12-31").Replace(exception)
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"an exception that ends":  {"rules:\n", exception, []string{"exception-skips-all", "exception-ends-soon"}},
		"an exception for a part": {"rules:\n", narrow, nil},
		"a key that ends":         {"a: {keys: [{file: a.pub}]}", "a: {keys: [{file: a.pub, notAfter: 2026-05-20}]}", []string{"signer-ends-soon"}},
		"a rule that ends":        {"- name: base", "- name: base\n    until: 2026-05-20", []string{"rule-ended"}},
		"a rule that only warns":  {"- name: base", "- name: base\n    mode: warn", []string{"mode-warn"}},
	} {
		text := strings.Replace(strict, test.old, test.new, 1)
		if got := ids(lint.Check("p.yaml", []byte(text), files(t), lint.Options{Now: now})); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if strings.HasSuffix(name, " ends") {
			got := slices.DeleteFunc(ids(lint.Check("p.yaml", []byte(text), files(t), lint.Options{})), func(id string) bool { return id == "exception-skips-all" })
			if len(got) > 0 {
				t.Errorf("%s: %v without a clock", name, got)
			}
		}
	}
}

const keyless = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: keyless}
trustRoots:
  public: {sigstore: root.json}
signers:
  ci:
    keyless:
      trustRoot: public
      issuer: https://token.actions.githubusercontent.com
      github: {repository: acme/app, workflow: .github/workflows/release.yml}
rules:
  - name: all
    images: [registry.example/app]
    require: {signatures: {from: [ci]}}
`

func TestKeylessWeakSpots(t *testing.T) {
	t.Parallel()
	instance := verifytest.NewInstance(t)
	read := func(string) ([]byte, error) { return instance.TrustedRoot(t), nil }
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"as it is":        {"", "", []string{"root-unpinned", "keyless-without-provenance"}},
		"no log":          {"root.json}", "root.json, log: 0}", []string{"root-unpinned", "root-asks-little", "keyless-without-provenance"}},
		"an unused root":  {"signers:", "  other: {sigstore: root.json}\nsigners:", []string{"root-unpinned", "root-unpinned", "root-unused", "keyless-without-provenance"}},
		"anybody":         {"      github: {repository: acme/app, workflow: .github/workflows/release.yml}", "      insecureAnyone: true", []string{"root-unpinned", "insecure-anyone"}},
		"with provenance": {"{signatures: {from: [ci]}}", "{provenance: {from: [ci]}}", []string{"root-unpinned"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := lint.Check("p.yaml", []byte(strings.Replace(keyless, test.old, test.new, 1)), read, lint.Options{})
			got := ids(found)
			slices.Sort(got)
			slices.Sort(test.want)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", found, test.want)
			}
		})
	}
}

// A trust root is said to end before it does, and not long before.
func TestRootEnds(t *testing.T) {
	t.Parallel()
	instance := verifytest.NewInstance(t)
	raw := instance.TrustedRoot(t)
	end := instance.Root(t).Expires(verifytest.Now)
	if end.IsZero() {
		t.Fatal("the root does not end")
	}
	read := func(string) ([]byte, error) { return raw, nil }
	for days, want := range map[int]bool{-40: false, -10: true} {
		got := ids(lint.Check("p.yaml", []byte(keyless), read, lint.Options{Now: end.AddDate(0, 0, days)}))
		if slices.Contains(got, "root-ends-soon") != want {
			t.Errorf("%d days: %v", days, got)
		}
	}
}

// An invalid policy gives its faults, with their places and hints.
func TestFaults(t *testing.T) {
	t.Parallel()
	found := lint.Check("p.yaml", []byte(strings.Replace(strict, "platforms: all", "platform: all", 1)), files(t), lint.Options{})
	want := `p.yaml:10:5: error: rules[0]: unknown entry "platform"; did you mean "platforms"? [policy-invalid]`
	if len(found) != 1 || found[0].String() != want {
		t.Errorf("got %v\nwant %s", found, want)
	}
}

// Every kind has its own name, meaning and place in the table.
func TestKinds(t *testing.T) {
	t.Parallel()
	seen := make(map[lint.ID]bool)
	for _, about := range lint.All() {
		if seen[about.ID] || about.Text == "" || about.ID.About() != about {
			t.Errorf("%+v", about)
		}
		seen[about.ID] = true
	}
	if lint.ID("nonsense").About().Severity != lint.Error {
		t.Error("an unknown kind is no error")
	}
}

// SARIF 2.1.0: what code hosts need stands where they look for it.
func TestSARIF(t *testing.T) {
	t.Parallel()
	found := lint.Check("dir/p.yaml", []byte(strings.Replace(strict, "rules:\n", "unmatched: warn\nrules:\n", 1)), files(t), lint.Options{})
	var out bytes.Buffer
	if err := lint.WriteSARIF(&out, found, "v1"); err != nil {
		t.Fatal(err)
	}
	var log struct {
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
			Results []struct {
				RuleID    string `json:"ruleId"`
				RuleIndex int    `json:"ruleIndex"`
				Level     string `json:"level"`
				Message   struct {
					Text string `json:"text"`
				} `json:"message"`
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct {
							URI string `json:"uri"`
						} `json:"artifactLocation"`
						Region struct {
							StartLine int `json:"startLine"`
						} `json:"region"`
					} `json:"physicalLocation"`
				} `json:"locations"`
			} `json:"results"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != 1 {
		t.Fatalf("%s", out.Bytes())
	}
	result, driver := log.Runs[0].Results[0], log.Runs[0].Tool.Driver
	if driver.Name == "" || driver.Rules[result.RuleIndex].ID != result.RuleID || result.RuleID != "unmatched-warn" ||
		result.Level != "warning" || result.Message.Text == "" ||
		result.Locations[0].PhysicalLocation.ArtifactLocation.URI != "dir/p.yaml" || result.Locations[0].PhysicalLocation.Region.StartLine != 7 {
		t.Errorf("%s", out.Bytes())
	}
}

// The files that a policy includes are looked at, too, at their own places.
func TestIncludedFiles(t *testing.T) {
	t.Parallel()
	shared := []byte("apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: strict}\nsigners:\n  c: {keys: [{file: c.pub}]}\n  d: {keys: [{file: d.pub}]}\nrules:\n  - {name: shared, images: [shared], require: {signatures: {from: [c]}}}\n")
	keys := files(t)
	read := func(name string) ([]byte, error) {
		switch name {
		case "shared.yaml":
			return shared, nil
		case "d.pub":
			return verifytest.NewKey(t, "ecdsa-p256").Trusted.PEM(), nil
		}
		return keys(name)
	}
	text := strings.Replace(strict, "signers:\n", fmt.Sprintf("include: [{file: shared.yaml, sha256: %x}]\nsigners:\n", sha256.Sum256(shared)), 1)
	found := lint.Check("p.yaml", []byte(text), read, lint.Options{})
	if got := ids(found); !slices.Equal(got, []string{"signer-unused", "pattern-short-name"}) || found[0].File != "shared.yaml" || found[0].Line != 6 {
		t.Errorf("%v", found)
	}
}

// The files of a folder are one policy: what one needs may stand in another.
func TestSeveralFiles(t *testing.T) {
	t.Parallel()
	head, rules, _ := strings.Cut(strict, "rules:\n")
	parties := []byte(head + "rules:\n  - {name: extra, images: [extra], require: {signatures: {from: [a]}}}\n")
	rest := []byte("apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: strict}\nsigners: {c: {keys: [{file: c.pub}]}}\nrules:\n" + rules)
	found := lint.CheckFiles([]policy.File{{Name: "a.yaml", Data: parties}, {Name: "b.yaml", Data: rest}}, files(t), lint.Options{})
	if got := ids(found); !slices.Equal(got, []string{"pattern-short-name", "signer-unused"}) || found[0].File != "a.yaml" || found[1].File != "b.yaml" || found[1].Line != 4 {
		t.Errorf("%v", found)
	}
	found = lint.CheckFiles([]policy.File{{Name: "b.yaml", Data: rest}}, files(t), lint.Options{})
	if len(found) == 0 || found[0].ID != lint.Invalid || found[0].File != "b.yaml" {
		t.Errorf("a part alone: %v", found)
	}
}
