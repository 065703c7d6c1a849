package policy

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// TestOverlappingRules: PO-07, PO-18: a strict and a lax rule, in both orders: the more
// specific one governs, whichever stands first, and each of several images has its
// own. A name that cannot be read is governed by none, also where the policy warns.
func TestOverlappingRules(t *testing.T) {
	t.Parallel()
	strict := "  - {name: strict, images: [registry.acme.example/prod/*], require: {signatures: {from: [a, b], atLeast: 2}}}\n"
	lax := "  - {name: lax, images: [registry.acme.example/**], require: {signatures: {from: [a]}}}\n"
	for name, rules := range map[string]string{"strict first": strict + lax, "lax first": lax + strict} {
		p := parse(t, policyOf(rules)+"unmatched: warn\n")
		for _, row := range []struct {
			image string
			rule  string
			want  Verdict
		}{
			{"registry.acme.example/prod/app", "strict", Deny},
			{"registry.acme.example/prod/a/b", "lax", Allow},
			{"registry.acme.example/test/app", "lax", Allow},
			{"REGISTRY.acme.example/prod/app", "", Deny},
			{"registry.acme.example/prod/app:v1", "", Deny},
			{"registry.acme.example/prod//app", "", Deny},
			{"registry.acme.example/prod/app/..", "", Deny},
			{"", "", Deny},
		} {
			img := found(signed(t, "a"))
			img.Name = row.image
			if d := p.Decide(img, noon); d.Verdict != row.want || d.Rule != row.rule {
				t.Errorf("PO-07, PO-18 %s, %q: %s by %q, expected %s by %q", name, row.image, d.Verdict, d.Rule, row.want, row.rule)
			}
		}
	}
}

// TestHostileIdentities: PO-13: an expression that needs memory or time is no
// expression, and a hostile certificate costs little.
func TestHostileIdentities(t *testing.T) {
	t.Parallel()
	with := func(expression string) string {
		return keyless("{trustRoot: public, issuer: https://accounts.google.com, subject: {email: {regexp: '" + expression + "'}}}")
	}
	for _, expression := range []string{
		"(a{1000}){1000}@acme[.]example", "((((a{10}){10}){10}){10}){10}@acme[.]example", "a{1001}@acme[.]example", "(a@acme",
		`\1@acme[.]example`, "(?=a)a@acme[.]example", strings.Repeat("(", 600) + "a" + strings.Repeat(")", 600) + "@acme[.]example", strings.Repeat("a?", 600) + "@acme[.]example",
	} {
		start := time.Now()
		if e := fault(t, with(expression)); e.Line == 0 {
			t.Errorf("PO-13 %.40q: %v", expression, e)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("PO-13 %.40q takes %s", expression, took)
		}
	}
	p := parse(t, with(`(a|aa|a*)*b@acme\.example`))
	person := &verify.Certificate{Issuer: "https://accounts.google.com", SANType: "Email", SAN: strings.Repeat("a", 64<<10) + "@acme.example"}
	start := time.Now()
	if d := p.Decide(found(certified(t, p, "public", person)), noon); d.Verdict != Deny {
		t.Errorf("PO-13 a subject of 64 KiB: %s", d.Verdict)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("PO-13 a subject of 64 KiB takes %s", took)
	}
}

// TestHostileConditions: PO-14: whatever an expression gives but true is a refusal,
// and none runs for long.
func TestHostileConditions(t *testing.T) {
	t.Parallel()
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 3000), ",") + "]"
	body := `{"result":"PASSED","list":` + list + `,"text":"` + strings.Repeat("a", 10_000) + `","no":null,"map":{"a":1}}`
	for _, expression := range []string{
		"statement.predicate.list", "statement.predicate.map", "statement.predicate.no", "statement.predicate.text", "statement.predicate.missing", "statement.predicate.list.size()",
		"statement.predicate.list[5000] == 1", "1/(statement.predicate.list.size() - 3000) == 1", "statement.predicate.result == 1", "int(statement.predicate.text) == 1",
		"statement.predicate.list.all(a, statement.predicate.list.all(b, statement.predicate.list.all(c, a == b || c == 1)))",
		"statement.predicate.list.map(a, statement.predicate.list).map(b, statement.predicate.list).size() > 0 && statement.predicate.list.all(x, statement.predicate.list.exists(y, y == 2))",
		"statement.predicate.missing == 1 || statement.predicate.list.all(a, statement.predicate.list.all(b, statement.predicate.list.all(c, true)))",
	} {
		text := require(fmt.Sprintf("statements: [{type: test-result, from: [a], cel: [%q]}]", expression))
		p, err := Parse("policy.yaml", []byte(text), keyFiles(t))
		if err != nil {
			continue // refused even earlier
		}
		start := time.Now()
		if d := p.Decide(found(attested(t, "a", testType, body)), noon); d.Verdict != Deny {
			t.Errorf("PO-14 %s: %s", expression, d.Verdict)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("PO-14 %s takes %s", expression, took)
		}
	}
}

// TestBigFiles: PO-12: ten megabytes, and a file that is all depth, are refused
// before they cost anything.
func TestBigFiles(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"10 MB of comments": []byte(full + strings.Repeat("#\n", 5<<20)),
		"10 MB of keys":     []byte(strings.Repeat("a: b\n", 2<<20)),
		"10 MB of brackets": []byte(strings.Repeat("[", 10<<20)),
		"1e6 deep":          []byte(strings.Repeat("[", 1_000_000)),
	} {
		start := time.Now()
		if _, err := Parse("policy.yaml", data, nil); err == nil || !strings.Contains(err.Error(), "policy.yaml:1:") {
			t.Errorf("PO-12 %s: %v", name, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("PO-12 %s takes %s", name, took)
		}
	}
}

// TestNothingFromOutside: PO-19, PO-20, PO-21: what decides has no way to the
// environment, files, network or clock: it imports nothing that has.
func TestNothingFromOutside(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{".", "../verify", "../verify/trust"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) < 5 {
			t.Fatalf("%d files in %s: %v", len(files), dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range parsed.Imports {
				path, err := strconv.Unquote(one.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				for _, outside := range []string{"os", "net", "syscall", "io/ioutil", "path/filepath", "plugin", "unsafe"} {
					if path == outside || path == "os/exec" || strings.HasPrefix(path, "net/") && path != "net/url" {
						t.Errorf("PO-19, PO-20 %s imports %s", name, path)
					}
				}
			}
			for _, call := range []string{"time.Now()", "time.Since("} {
				if strings.Contains(string(source), call) {
					t.Errorf("PO-20 %s calls %s", name, call)
				}
			}
		}
	}
}

// TestRulesKeepTheirIdentities: PO-23: what satisfies one rule says nothing for
// another, at any time and with groups of both.
func TestRulesKeepTheirIdentities(t *testing.T) {
	t.Parallel()
	p := parse(t, policyOf(`  - {name: x, images: [x.io/*], require: {signatures: {from: [a]}, sbom: {from: [b]}}}
  - {name: y, images: [y.io/*], require: {signatures: {from: [b]}, sbom: {from: [a]}}}
`))
	bom := spdx("pkg:npm/good@1")
	for name, row := range map[string]struct {
		facts []verify.Fact
		x, y  Verdict
	}{
		"a signs, b lists": {[]verify.Fact{signed(t, "a"), attested(t, "b", predicate.TypeSPDX, bom)}, Allow, Deny},
		"b signs, a lists": {[]verify.Fact{signed(t, "b"), attested(t, "a", predicate.TypeSPDX, bom)}, Deny, Allow},
		"a does both":      {[]verify.Fact{signed(t, "a"), attested(t, "a", predicate.TypeSPDX, bom)}, Deny, Deny},
	} {
		img := found(row.facts...)
		img.Name = "x.io/app"
		if d := p.Decide(img, noon); d.Verdict != row.x {
			t.Errorf("PO-23 %s: %s for x", name, d.Verdict)
		}
		img.Name = "y.io/app"
		if d := p.Decide(img, noon); d.Verdict != row.y {
			t.Errorf("PO-23 %s: %s for y", name, d.Verdict)
		}
	}
}
