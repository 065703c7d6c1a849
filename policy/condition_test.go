package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

func condition1(expression string) string {
	return require("statements: [{type: test-result, from: [a], cel: [" + fmt.Sprintf("%q", expression) + "]}]")
}

// TestConditions: PO-14 and DS-12, everything but true is a denial, whatever the
// predicate is.
func TestConditions(t *testing.T) {
	t.Parallel()
	big := `{"list":[` + strings.Repeat("1,", 100_000) + `1]}`
	for _, row := range []struct{ name, cel, predicate, want string }{
		{"true", "statement.predicate.ok", `{"ok":true}`, ""},
		{"false", "statement.predicate.ok", `{"ok":false}`, "it is false"},
		{"a text that says true", "statement.predicate.ok", `{"ok":"true"}`, "string"},
		{"a number", "statement.predicate.ok", `{"ok":1}`, "int"},
		{"a list", "statement.predicate.ok", `{"ok":[true]}`, "list"},
		{"null", "statement.predicate.ok", `{"ok":null}`, "null_type"},
		{"a missing field", "statement.predicate.ok", `{}`, "no such key"},
		{"a missing field compared", "statement.predicate.count == 0", `{}`, "no such key"},
		{"a missing field negated", "!statement.predicate.bad", `{}`, "no such key"},
		{"a missing field asked for", "!has(statement.predicate.bad)", `{}`, ""},
		{"the predicate is a text", "statement.predicate.ok", `"ok"`, "no such key"},
		{"the predicate is a list", "statement.predicate.ok", `[1]`, "it cannot be evaluated"},
		{"the predicate is a number", "statement.predicate > 3", `4`, ""},
		{"the predicate is null", "statement.predicate.ok", `null`, "no such key"},
		{"there is no predicate", "statement.predicate.ok", ``, "no such key"},
		{"whole numbers", "statement.predicate.n == 3 && statement.predicate.n % 2 == 1", `{"n":3}`, ""},
		{"large numbers", "statement.predicate.n == 9007199254740993", `{"n":9007199254740993}`, ""},
		{"large numbers differ", "statement.predicate.n == 9007199254740993", `{"n":9007199254740992}`, "it is false"},
		{"fractions", "statement.predicate.n > 0.5", `{"n":0.75}`, ""},
		{"division by zero", "1 / statement.predicate.n == 1", `{"n":0}`, "division by zero"},
		{"overflow", "statement.predicate.n + 1 > 0", `{"n":9223372036854775807}`, "overflow"},
		{"an error hidden by or", "statement.predicate.x || statement.predicate.ok", `{"ok":true}`, ""},
		{"the type", "statement.predicateType.startsWith('https://in-toto.io/') && statement._type == 'https://in-toto.io/Statement/v1'", `{}`, ""},
		{"the subject", "statement.subject.exists(s, s.digest.sha256 == '" + imageDigest.Hex() + "')", `{}`, ""},
		{"all of nothing", "statement.predicate.list.all(x, x > 3)", `{"list":[]}`, ""},
		{"all", "statement.predicate.list.all(x, x == 1)", `{"list":[1,2]}`, "it is false"},
		{"too much work", "statement.predicate.list.exists(x, statement.predicate.list.exists(y, x != y))", big, "too much work"},
		{"a search through many packages", "statement.predicate.list.all(p, p.name != 'evil' || p.version != '1.0')", `{"list":[` + strings.Repeat(`{"name":"good","version":"1.0"},`, 9_999) + `{"name":"good","version":"1.0"}]}`, ""},
		{"growth", "statement.predicate.list.map(x, statement.predicate.list.map(y, y)).size() > 0", big, "too much work"},
		{"a pattern", "statement.predicate.v.matches('^v[0-9]+$')", `{"v":"v12"}`, ""},
		{"a pattern on a large text", "statement.predicate.list.all(x, statement.predicate.pad.matches('^(x|y)*z$') || x > 0)", `{"pad":"` + strings.Repeat("x", 1_000_000) + `",` + big[1:], "too much work"},
		{"comparing large trees", "statement.predicate.list.all(x, statement.predicate.list == statement.predicate.list)", big, "too much work"},
		{"looking for something in a large list", "statement.predicate.list.all(x, !(5 in statement.predicate.list))", big, "too much work"},
		{"an endless filter", "statement.predicate.list.filter(x, statement.predicate.list.filter(y, false).size() > 0).size() == 0", big, "too much work"},
		{"too much work hidden by or", "statement.predicate.list.exists(x, statement.predicate.list.exists(y, x != y)) || true", big, "too much work"},
	} {
		t.Run("PO-14, DS-12 "+row.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			d := parse(t, condition1(row.cel)).Decide(found(attested(t, "a", testType, row.predicate)), noon)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if row.want == "" {
				expect(t, d, Allow, "")
				return
			}
			expect(t, d, Deny, ReasonPolicyDeny)
			if detail := d.Demands[0].Tried[0].Detail; !strings.Contains(detail, row.want) {
				t.Errorf("the detail is %q, without %q", detail, row.want)
			}
		})
	}
}

// TestConditionLimits: a statement too large for conditions is denied by a
// reason of its own, before it is turned into a tree.
func TestConditionLimits(t *testing.T) {
	t.Parallel()
	p := parse(t, condition1("statement.predicate.ok"))
	huge := `{"ok":true,"pad":"` + strings.Repeat("x", maxConditionStatement) + `"}`
	expect(t, p.Decide(found(attested(t, "a", testType, huge)), noon), Deny, verify.ReasonLimitExceeded)
	if d := p.Decide(found(attested(t, "x", testType, huge)), noon); d.Reason != verify.ReasonIdentityMismatch {
		t.Errorf("a stranger's statement is looked into: %s", d.Reason)
	}
}

// TestBadConditions: what can never be true or asks nothing is refused when the
// policy is read; and PO-19, no function reaches out of the statement.
func TestBadConditions(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		"true", "1 == 1", "'statement' == 'x'", "statement.predicate.x == ", "statement.predicate.x = 1", "statment.predicate.x", "size(statement.subject)", "'x' + statement._type",
		"[statement]", "{'a': statement}", "statement.predicate.x.matches('(')", "statement.predicate.x.matches('((a{1,40}){1,40}){1,40}')",
		"http.get(statement.predicate.url) == 'x'", "statement.predicate.url.fetch()", "getenv('HOME') == statement._type", "now() > timestamp(statement.predicate.t)", "readFile(statement.predicate.f) == ''",
		"'aaaa'.matches(statement.predicate.re)", "matches('aaaa', statement.predicate.re)", "statement.predicate.v.matches('a' + 'b')", "timestamp(statement.predicate.t).getHours('Europe/Berlin') == 3", "statement.predicate.x.all(x, y, true)", strings.Repeat("(", 200) + "statement" + strings.Repeat(")", 200),
		"statement._type == '" + strings.Repeat("x", maxCondition) + "'",
	} {
		if e := fault(t, condition1(expression)); e.Line != 12 || !strings.HasPrefix(e.Path, "rules[0].require.statements[0].cel[0]") {
			t.Errorf("PO-19, PO-14 %q: %v", wording.Short(expression), e)
		}
	}
	var compiler conditionCompiler
	environment, err := compiler.environment()
	if err != nil {
		t.Fatal(err)
	}
	for name := range environment.Functions() {
		for _, word := range []string{"http", "net", "file", "env", "exec", "now", "rand", "read", "url"} {
			if strings.Contains(strings.ToLower(name), word) {
				t.Errorf("PO-19 CEL has a function %q", name)
			}
		}
	}
	if vars := environment.Variables(); len(vars) == 0 {
		t.Error("the environment has no variable")
	}
}

// TestTimeZones: a time zone by name would be read from the host's files.
func TestTimeZones(t *testing.T) {
	t.Parallel()
	d := parse(t, condition1("timestamp(statement.predicate.t).getHours() == 12")).Decide(found(attested(t, "a", testType, `{"t":"2026-03-01T12:00:00Z"}`)), noon)
	expect(t, d, Allow, "")
}

func TestConditionsShareNothing(t *testing.T) {
	t.Parallel()
	p := parse(t, condition1("statement.predicate.ok"))
	good, bad := found(attested(t, "a", testType, `{"ok":true}`)), found(attested(t, "a", testType, `{"ok":false}`))
	done := make(chan Verdict, 64)
	for i := range cap(done) {
		go func() {
			img, want := good, Allow
			if i%2 == 1 {
				img, want = bad, Deny
			}
			if got := p.Decide(img, noon).Verdict; got != want {
				done <- Undetermined
				return
			}
			done <- want
		}()
	}
	for range cap(done) {
		if <-done == Undetermined {
			t.Error("a decision depends on another one at the same time")
		}
	}
}
