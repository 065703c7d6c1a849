package policy

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// full uses every entry of the language.
const full = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: acme-production}
signers:
  release: {keys: [{file: a.pub}]}
  ops:
    keys:
      - {file: b.pub}
      - {file: c.pub}
rules:
  - name: production
    images: [registry.acme.example/prod/**]
    platforms: all
    require:
      signatures: {from: [release, ops], atLeast: 2}
      provenance:
        from: [release]
        builder: [https://github.com/actions/runner/github-hosted]
        source: https://github.com/acme/app
        ref: refs/tags/v*
      sbom:
        from: [release]
        format: [spdx, cyclonedx]
        deny: {packages: ["pkg:npm/event-stream@3.3.6", "pkg:maven/org.apache.logging.log4j/log4j-core@<2.17.1"]}
      statements:
        - type: https://in-toto.io/attestation/test-result/v0.1
          from: [release]
          cel: ["statement.predicate.result == 'PASSED'"]
  - name: base images
    images: [registry.acme.example/base/*, docker.io/library/*]
    require: {signatures: {from: [ops]}}
unmatched: deny
`

func TestFullPolicy(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	plan, err := p.Plan("registry.acme.example/prod/app")
	if err != nil {
		t.Fatal(err)
	}
	if plan.Rule != "production" || !plan.Signatures || plan.Platforms != PlatformsAll || len(plan.Roots[0].Root.Keys()) != 3 || len(plan.PredicateTypes) != 6 {
		t.Errorf("the plan is %+v", plan)
	}
	if plan, err = p.Plan("nginx"); err != nil || plan.Rule != "base images" || len(plan.Roots[0].Root.Keys()) != 2 || len(plan.PredicateTypes) != 0 {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
}

// TestMisspelledKeys: PO-11, every key of the full policy misspelled once, and
// every line moved out of its place.
func TestMisspelledKeys(t *testing.T) {
	t.Parallel()
	key := regexp.MustCompile(`[A-Za-z]+:[ \n]`)
	all := key.FindAllStringIndex(full, -1)
	if len(all) < 30 {
		t.Fatalf("only %d keys were found", len(all))
	}
	for _, at := range all {
		word := full[at[0] : at[1]-2]
		if word == "release" || word == "ops" {
			continue // names of the policy's own choice
		}
		for _, wrong := range []string{word + "s", word[1:], strings.ToUpper(word)} {
			if wrong == word || wrong == "ules" {
				continue
			}
			e := fault(t, full[:at[0]]+wrong+full[at[1]-2:])
			line := strings.Count(full[:at[0]], "\n") + 1
			if e.Line == 0 || e.Column == 0 || !strings.HasPrefix(e.Error(), fmt.Sprintf("policy.yaml:%d:%d: ", e.Line, e.Column)) {
				t.Errorf("PO-11 %s for %s in line %d: no place in %q", wrong, word, line, e)
			}
			if e.Line > line {
				t.Errorf("PO-11 %s for %s in line %d is reported in line %d", wrong, word, line, e.Line)
			}
		}
	}
	for _, line := range []string{"        from: [release]", "        source: https://github.com/acme/app", "      sbom:", "    platforms: all"} {
		fault(t, strings.Replace(full, line, line[2:], 1))
		fault(t, strings.Replace(full, line, "  "+line, 1))
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ from, to, want string }{
		{"signatures: {from", "signature: {from", `policy.yaml:15:7: rules[0].require: unknown entry "signature"; did you mean "signatures"?`},
		{"from: [ops]", "from: [opps]", `policy.yaml:31:35: rules[1].require.signatures.from[0]: there is no signer "opps"; did you mean "ops"?`},
		{"unmatched: deny", "unmatched: Deny", `policy.yaml:32:12: unmatched: "Deny" is none of deny, warn; did you mean "deny"?`},
		{"platforms: all", "platforms: evry", `policy.yaml:13:16: rules[0].platforms: "evry" is none of index, all`},
		{"[release, ops], atLeast: 2", "[release, ops], atLeast: 3", `policy.yaml:15:51: rules[0].require.signatures.atLeast: 3 different signers are wanted, and the list can give at most 2; a signer counts once, whatever keys it has, and so does a key; list each party under ` + "`signers`" + ` with its own key`},
		{"{file: a.pub}", "{file: missing.pub}", `policy.yaml:5:27: signers.release.keys[0].file: reading the key file: no such file; paths are relative to the policy's folder`},
		{"result == 'PASSED'", "result = 'PASSED'", `policy.yaml:28:44: rules[0].require.statements[0].cel[0]: line 1, column 28 of the condition: Syntax error: token recognition error at: '= '`},
		{"atLeast: 2}", "atLeast: two}", `policy.yaml:15:51: rules[0].require.signatures.atLeast: the text "two" where a whole number is wanted`},
		{"from: [ops]", "from: ops", `policy.yaml:31:34: rules[1].require.signatures.from: the text "ops" where a list is wanted; write [ops]`},
		{"        ref: refs/tags/v*\n", "        maxAge: 90\n", `policy.yaml:20:17: rules[0].require.provenance.maxAge: the number 90 where a length of time is wanted; write a whole number and m, h, d or w: 30m, 24h, 90d, 4w`},
	} {
		if e := fault(t, strings.Replace(full, row.from, row.to, 1)); !strings.HasPrefix(e.Error(), row.want) {
			t.Errorf("got  %s\nwant %s", e, row.want)
		}
	}
}

// TestSeveralFaults: all faults of a file come at once, in its order.
func TestSeveralFaults(t *testing.T) {
	t.Parallel()
	_, err := Parse("p.yaml", []byte("apiVersion: x\nkind: y\nmetadata: {name: z, nam: z}\nsigners: {}\nrules: []\n"), nil)
	var all *Invalid
	if !errors.As(err, &all) || len(all.Errors) != 3 || all.Errors[0].Line != 3 || all.Errors[2].Line != 5 {
		t.Errorf("got %v", err)
	}
	if !errors.Is(err, ErrEmpty) {
		t.Errorf("%v does not wrap ErrEmpty", err)
	}
}

// TestEmpty: PO-09, nothing that demands nothing is a policy.
func TestEmpty(t *testing.T) {
	t.Parallel()
	head := "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: x}\n"
	signers := "signers: {a: {keys: [{file: a.pub}]}}\n"
	for name, yaml := range map[string]string{
		"zero bytes": "", "a comment": "# nothing\n", "a space": " \n", "three dashes": "---\n", "null": "null\n", "empty mapping": "{}\n",
		"no rules":          head + signers,
		"empty rules":       head + signers + "rules: []\n",
		"null rules":        head + signers + "rules:\n",
		"empty rule":        head + signers + "rules: [{}]\n",
		"null rule":         head + signers + "rules: [null]\n",
		"no signers":        head + "rules: [{name: r, images: [x.io/a], require: {signatures: {from: [a]}}}]\n",
		"empty signers":     head + "signers: {}\nrules: [{name: r, images: [x.io/a], require: {signatures: {from: [a]}}}]\n",
		"empty keys":        strings.Replace(full, "[{file: a.pub}]", "[]", 1),
		"empty key":         strings.Replace(full, "[{file: a.pub}]", "[{}]", 1),
		"null keys":         strings.Replace(full, "[{file: a.pub}]", "", 1),
		"empty images":      strings.Replace(full, "[registry.acme.example/prod/**]", "[]", 1),
		"empty image":       strings.Replace(full, "[registry.acme.example/prod/**]", "['']", 1),
		"empty from":        strings.Replace(full, "{from: [ops]}", "{from: []}", 1),
		"no from":           strings.Replace(full, "{from: [ops]}", "{}", 1),
		"empty require":     strings.Replace(full, "{signatures: {from: [ops]}}", "{}", 1),
		"null require":      strings.Replace(full, "{signatures: {from: [ops]}}", "", 1),
		"null demand":       strings.Replace(full, "{signatures: {from: [ops]}}", "{signatures: }", 1),
		"zero threshold":    strings.Replace(full, "atLeast: 2", "atLeast: 0", 1),
		"negative":          strings.Replace(full, "atLeast: 2", "atLeast: -1", 1),
		"empty format":      strings.Replace(full, "[spdx, cyclonedx]", "[]", 1),
		"empty builder":     strings.Replace(full, "[https://github.com/actions/runner/github-hosted]", "[]", 1),
		"empty source":      strings.Replace(full, "source: https://github.com/acme/app", "source: ''", 1),
		"null source":       strings.Replace(full, "source: https://github.com/acme/app", "source:", 1),
		"empty ref":         strings.Replace(full, "ref: refs/tags/v*", "ref: ''", 1),
		"empty deny":        strings.Replace(full, "deny: {packages", "deny: {} #", 1),
		"empty packages":    strings.Replace(full, `["pkg:npm/event-stream@3.3.6", "pkg:maven/org.apache.logging.log4j/log4j-core@<2.17.1"]`, "[]", 1),
		"empty cel":         strings.Replace(full, `["statement.predicate.result == 'PASSED'"]`, "[]", 1),
		"constant cel":      strings.Replace(full, `["statement.predicate.result == 'PASSED'"]`, "['1 == 1']", 1),
		"empty statements":  full[:strings.Index(full, "      statements")] + "      statements: []\n",
		"empty policy name": strings.Replace(full, "acme-production", "''", 1),
	} {
		e := fault(t, yaml)
		if e.Line == 0 {
			t.Errorf("PO-09 %s: %v has no place", name, e)
		}
	}
}

// TestHostileYAML: PO-12, one text means one thing, and reading it is cheap.
func TestHostileYAML(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, yaml := range map[string]string{
		"duplicate key":        full + "unmatched: warn\n",
		"duplicate nested key": strings.Replace(full, "ref: refs/tags/v*", "ref: refs/tags/v*\n        ref: refs/heads/main", 1),
		"duplicate signer":     strings.Replace(full, "  ops:", "  release: {keys: [{file: c.pub}]}\n  ops:", 1),
		"merge key":            strings.Replace(full, "{name: acme-production}", "{name: x, <<: {name: y}}", 1),
		"anchor":               strings.Replace(full, "{name: acme-production}", "&x {name: x}", 1),
		"alias":                strings.Replace(full, "[release, ops]", "[release, *x]", 1),
		"alias bomb":           bomb,
		"tag":                  strings.Replace(full, "name: acme-production", "name: !!str acme", 1),
		"own tag":              strings.Replace(full, "name: acme-production", "name: !acme acme", 1),
		"binary":               strings.Replace(full, "name: acme-production", "name: !!binary YQ==", 1),
		"two documents":        full + "---\n" + full,
		"an empty second one":  full + "---\n---\n",
		"BOM":                  "\xef\xbb\xbf" + full,
		"UTF-16":               "\xff\xfea\x00",
		"no UTF-8":             strings.Replace(full, "acme-production", "acme\xff", 1),
		"NUL":                  strings.Replace(full, "acme-production", "acme\x00", 1),
		"tab":                  strings.Replace(full, "    platforms", "\tplatforms", 1),
		"tab after spaces":     strings.Replace(full, "    platforms", "    \tplatforms", 1),
		"boolean":              strings.Replace(full, "unmatched: deny", "unmatched: false", 1),
		"old boolean":          strings.Replace(full, "unmatched: deny", "unmatched: no", 1),
		"number for text":      strings.Replace(full, "name: acme-production", "name: 9123", 1),
		"octal for text":       strings.Replace(full, "name: acme-production", "name: 0o17", 1),
		"digest for text":      strings.Replace(full, "ref: refs/tags/v*", "ref: 1e63", 1),
		"date for text":        strings.Replace(full, "name: acme-production", "name: 2026-01-01", 1),
		"float for number":     strings.Replace(full, "atLeast: 2", "atLeast: 2.0", 1),
		"text for number":      strings.Replace(full, "atLeast: 2", "atLeast: '2'", 1),
		"huge number":          strings.Replace(full, "atLeast: 2", "atLeast: 99999999999999999999", 1),
		"number key":           full + "1: x\n",
		"null key":             full + "~: x\n",
		"list key":             full + "[a]: x\n",
		"invisible character":  strings.Replace(full, "acme-production", `"acme\u200b"`, 1),
		"direction mark":       strings.Replace(full, "acme-production", `"acme\u202e"`, 1),
		"line break in a name": strings.Replace(full, "acme-production", `"acme\nDENY"`, 1),
		"space at the end":     strings.Replace(full, "unmatched: deny", "unmatched: 'deny '", 1),
		"deep brackets":        "a: " + strings.Repeat("[", 1_000_000),
		"deep mappings":        "a: " + strings.Repeat("{a: ", 200_000),
		"deep dashes":          strings.Repeat("- ", 500_000) + "x",
		"deep keys":            strings.Repeat("? ", 500_000) + "x",
		"many entries":         "a: [" + strings.Repeat("a,", 400_000) + "]",
		"a long text":          strings.Replace(full, "acme-production", strings.Repeat("a", 5000), 1),
		"too large":            full + "#" + strings.Repeat("x", MaxBytes),
		"unclosed":             full + "x: [",
		"only a text":          "hello",
		"only a list":          "[a, b]",
		"many comments":        strings.Repeat("#\n", 400_000),
		"many lines":           "a:\n" + strings.Repeat("- a\n", 29_000),
		"many quotes":          "a: " + strings.Repeat("'", 900_001),
		"many anchors":         strings.Repeat("&a ", 300_000),
	} {
		t.Run("PO-12 "+name, func(t *testing.T) {
			start := time.Now()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			e := fault(t, yaml)
			runtime.ReadMemStats(&after)
			// A bound against work that grows without end, not a measurement: the race
			// detector on a busy machine takes seconds.
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("allocated %d bytes", used)
			}
			if e.Line == 0 {
				t.Errorf("no place in %v", e)
			}
		})
	}
}

// TestLaterEntries: PO-10, what a later version of the language has is refused, never
// ignored.
func TestLaterEntries(t *testing.T) {
	t.Parallel()
	var version struct {
		node `later:"tomorrow"`
		Name text `policy:"name"`
	}
	f := &faults{file: "policy.yaml"}
	tree := parseYAML([]byte("name: x\ntomorrow: {from: [a]}\n"), f)
	decoder{f, make(layouts), true}.mapping(tree, reflect.ValueOf(&version).Elem(), "")
	if err := f.err(); !errors.Is(err, ErrUnsupported) || !errors.Is(err, ErrInvalid) || version.Name.value != "x" {
		t.Errorf("PO-10: %v", err)
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	pem := string(key(t, "a").PEM())
	inline := func(text string) string {
		return strings.Replace(full, "release: {keys: [{file: a.pub}]}", "release:\n    keys:\n      - pem: |\n"+indent(text, "          "), 1)
	}
	parse(t, inline(pem))
	for name, yaml := range map[string]string{
		"no PEM":        inline("hello"),
		"two blocks":    inline(pem + pem),
		"private":       inline(strings.ReplaceAll(pem, "PUBLIC", "PRIVATE")),
		"certificate":   inline(strings.ReplaceAll(pem, "PUBLIC KEY", "CERTIFICATE")),
		"file and PEM":  strings.Replace(full, "{file: a.pub}", "{file: a.pub, pem: x}", 1),
		"missing file":  strings.Replace(full, "{file: a.pub}", "{file: missing.pub}", 1),
		"no key at all": strings.Replace(full, "{file: a.pub}", "a.pub", 1),
	} {
		if e := fault(t, yaml); e.Line < 5 {
			t.Errorf("%s: %v", name, e)
		}
	}
	if e := fault(t, inline(strings.ReplaceAll(pem, "PUBLIC", "PRIVATE"))); !strings.Contains(e.Hint, "private key") {
		t.Errorf("the hint is %q", e.Hint)
	}
	if _, err := Parse("p", []byte(full), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("key files are read by nobody, and the policy is accepted: %v", err)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	p := parse(t, `{"apiVersion": "hallmark.dev/v1alpha1", "kind": "TrustPolicy", "metadata": {"name": "x"},
 "signers": {"a": {"keys": [{"file": "a.pub"}]}},
 "rules": [{"name": "r", "images": ["**"], "require": {"signatures": {"from": ["a"]}}}]}`)
	expect(t, p.Decide(found(signed(t, "a")), noon), Allow, "")
}

// TestDigest: the digest follows the meaning.
func TestDigest(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	again, err := Parse("again.yaml", p.YAML(), nil)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, p.YAML())
	}
	if again.Digest() != p.Digest() {
		t.Errorf("the canonical form is not stable:\n%s\n%s", p.YAML(), again.YAML())
	}
	for _, same := range [][2]string{
		{"[release, ops]", "[ops, release]"},
		{"unmatched: deny\n", "# the default\n"},
		{"        format: [spdx, cyclonedx]\n", ""},
		{"docker.io/library/*", "index.docker.io/*"},
		{"https://github.com/acme/app", "git+https://GitHub.com/acme/app"},
		{"{file: b.pub}\n      - {file: c.pub}", "{file: c.pub}\n      - {file: b.pub}\n      - {file: b.pub}"},
	} {
		if got := parse(t, strings.Replace(full, same[0], same[1], 1)); got.Digest() != p.Digest() {
			t.Errorf("%q instead of %q changes the digest", same[1], same[0])
		}
	}
	for _, other := range [][2]string{{"file: c.pub", "file: d.pub"}, {"refs/tags/v*", "refs/tags/v**"}, {"unmatched: deny", "unmatched: warn"}, {"platforms: all", "platforms: index"}, {"<2.17.1", "<2.17.2"}} {
		if other[1] == "refs/tags/v**" {
			other[1] = "refs/tags/*"
		}
		if got := parse(t, strings.Replace(full, other[0], other[1], 1)); got.Digest() == p.Digest() {
			t.Errorf("%q instead of %q keeps the digest", other[1], other[0])
		}
	}
}

func TestForKey(t *testing.T) {
	t.Parallel()
	a, b := key(t, "a"), key(t, "b")
	one, err := ForKey(a, b)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ForKey(b, a)
	if err != nil || one.Digest() != other.Digest() {
		t.Errorf("SB-26 the order of keys changes the policy: %v", err)
	}
	printed, err := Parse("printed.yaml", one.YAML(), nil)
	if err != nil || printed.Digest() != one.Digest() {
		t.Errorf("the printed policy is another: %v\n%s", err, one.YAML())
	}
	for _, p := range []*Policy{one, other, printed} {
		expect(t, p.Decide(found(signed(t, "b"), signed(t, "x")), noon), Allow, "")
		expect(t, p.Decide(found(signed(t, "x"), signed(t, "b")), noon), Allow, "")
		expect(t, p.Decide(found(signed(t, "x")), noon), Deny, "IDENTITY_MISMATCH")
		expect(t, p.Decide(found(attested(t, "a", testType, passed)), noon), Deny, ReasonNoSignature)
	}
	if _, err := ForKey(); !errors.Is(err, ErrEmpty) {
		t.Errorf("PO-09 a policy of no key: %v", err)
	}
}
