package policy

import (
	"errors"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify"
)

// dated is a test result of signer a, signed at some times.
func dated(t testing.TB, body string, at ...string) verify.Fact {
	return times(attested(t, "a", testType, body), at...)
}

// TestWhich: DS-14, DS-16: one statement, each, or the latest by trusted time, in
// every order.
func TestWhich(t *testing.T) {
	t.Parallel()
	const early, late, future = "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z", "2026-04-01T00:00:00Z"
	stranger := times(attested(t, "x", testType, failed), late)
	for _, row := range []struct {
		name, entries string
		facts         []verify.Fact
		verdict       Verdict
		reason        verify.Reason
		until         string
	}{
		{"DS-14 any: good old, bad new", "which: any", []verify.Fact{dated(t, passed, early), dated(t, failed, late)}, Allow, "", ""},
		{"DS-14 all: good old, bad new", "which: all", []verify.Fact{dated(t, passed, early), dated(t, failed, late)}, Deny, ReasonPolicyDeny, ""},
		{"DS-14 all: both good", "which: all", []verify.Fact{dated(t, passed, early), dated(t, passed)}, Allow, "", ""},
		{"DS-14 all: a stranger's does not count", "which: all", []verify.Fact{dated(t, passed, early), stranger}, Allow, "", ""},
		{"all of nothing", "which: all", nil, Deny, ReasonNoAttestation, ""},
		{"all of a stranger's", "which: all", []verify.Fact{stranger}, Deny, verify.ReasonIdentityMismatch, ""},
		{"DS-14 latest: good old, bad new", "which: latest", []verify.Fact{dated(t, passed, early), dated(t, failed, late)}, Deny, ReasonPolicyDeny, ""},
		{"DS-14 latest: bad old, good new", "which: latest", []verify.Fact{dated(t, failed, early), dated(t, passed, late)}, Allow, "", ""},
		{"DS-16 latest: no trusted time", "which: latest", []verify.Fact{dated(t, passed)}, Deny, verify.ReasonTimeMissing, ""},
		{"DS-16 latest: one has no trusted time", "which: latest", []verify.Fact{dated(t, passed, late), dated(t, failed)}, Deny, verify.ReasonTimeMissing, ""},
		{"DS-16 latest: the statement's own time", "which: latest", []verify.Fact{dated(t, failed, late), dated(t, `{"result":"PASSED","time":"2027-01-01T00:00:00Z"}`, early)}, Deny, ReasonPolicyDeny, ""},
		{"DS-16 latest: a stamp from the future", "which: latest", []verify.Fact{dated(t, failed, late), dated(t, passed, future)}, Deny, verify.ReasonTimeOutside, ""},
		{"latest: a second stamp makes nothing newer", "which: latest", []verify.Fact{dated(t, failed, "2026-02-10T00:00:00Z"), dated(t, passed, early, late)}, Deny, ReasonPolicyDeny, ""},
		{"latest: two at one time, one bad", "which: latest", []verify.Fact{dated(t, passed, late), dated(t, failed, late)}, Deny, ReasonPolicyDeny, ""},
		{"latest: two in one second, the bad one stamped by a log", "which: latest", []verify.Fact{dated(t, passed, "2026-02-28T00:00:00.5Z"), dated(t, failed, late)}, Deny, ReasonPolicyDeny, ""},
		{"latest: two at one time, both good", "which: latest", []verify.Fact{dated(t, passed, late), dated(t, passed, late)}, Allow, "", ""},
		{"latest: a stranger's later one", "which: latest", []verify.Fact{dated(t, passed, early), stranger}, Allow, "", ""},
		{"young enough", "maxAge: 2d", []verify.Fact{dated(t, passed, late)}, Allow, "", "2026-03-02T00:00:00Z"},
		{"too old by a second", "maxAge: 36h", []verify.Fact{dated(t, passed, late)}, Deny, ReasonTooOld, ""},
		{"TI-08 an age without a time", "maxAge: 4w", []verify.Fact{dated(t, passed)}, Deny, verify.ReasonTimeMissing, ""},
		{"the longest counts", "maxAge: 4w", []verify.Fact{dated(t, passed, late), dated(t, passed, "2026-02-20T00:00:00Z")}, Allow, "", "2026-03-28T00:00:00Z"},
		{"all: what is too old is history", "maxAge: 2d, which: all", []verify.Fact{dated(t, passed, late), dated(t, failed, early)}, Allow, "", "2026-03-02T00:00:00Z"},
		{"all: what is young is not", "maxAge: 4w, which: all", []verify.Fact{dated(t, passed, late), dated(t, failed, "2026-02-20T00:00:00Z")}, Deny, ReasonPolicyDeny, ""},
		{"latest: too old", "maxAge: 2d, which: latest", []verify.Fact{dated(t, passed, early)}, Deny, ReasonTooOld, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, require("statements: [{type: test-result, from: [a], cel: [\"statement.predicate.result == 'PASSED'\"], "+row.entries+"}]"))
			for range 2 {
				d := p.Decide(found(row.facts...), noon)
				expect(t, d, row.verdict, row.reason)
				if got := d.Until; !got.IsZero() && stamp(got) != row.until || got.IsZero() && row.until != "" {
					t.Errorf("until %s, expected %q", got, row.until)
				}
				if row.until != "" {
					if at := p.Decide(found(row.facts...), d.Until); at.Verdict == Allow {
						t.Error("it is allowed at its own end")
					}
					expect(t, p.Decide(found(row.facts...), d.Until.Add(-time.Second)), Allow, "")
				}
				if len(row.facts) > 1 { // the other order
					row.facts[0], row.facts[1] = row.facts[1], row.facts[0]
				}
			}
		})
	}
}

// TestWhichAndMissingPlaces: where each or the latest statement is asked for, a place
// that could not be looked at may hold the one that fails.
func TestWhichAndMissingPlaces(t *testing.T) {
	t.Parallel()
	for which, want := range map[string]Verdict{"any": Allow, "all": Undetermined, "latest": Undetermined} {
		p := parse(t, require("statements: [{type: test-result, from: [a], which: "+which+"}]"))
		img := found(dated(t, passed, "2026-02-01T00:00:00Z"))
		img.Target.Findings.Missing = []error{errors.New("503")}
		if d := p.Decide(img, noon); d.Verdict != want {
			t.Errorf("DS-14 %s: decided %s, expected %s", which, d.Verdict, want)
		}
	}
}

// TestAgeOfSignatures: each signer's own signature must be young enough, and the
// decision ends when too few are left.
func TestAgeOfSignatures(t *testing.T) {
	t.Parallel()
	p := parse(t, require("signatures: {from: [a, b, c], atLeast: 2, maxAge: 10d}"))
	a, b, c := times(signed(t, "a"), "2026-02-25T00:00:00Z"), times(signed(t, "b"), "2026-02-26T00:00:00Z"), times(signed(t, "c"), "2026-02-27T00:00:00Z")
	for _, row := range []struct {
		facts []verify.Fact
		until string
	}{
		{[]verify.Fact{a, b}, "2026-03-07T00:00:00Z"},
		{[]verify.Fact{a, b, c}, "2026-03-08T00:00:00Z"},
		{[]verify.Fact{c, a, a}, "2026-03-07T00:00:00Z"},
	} {
		d := p.Decide(found(row.facts...), noon)
		expect(t, d, Allow, "")
		if stamp(d.Until) != row.until {
			t.Errorf("until %s, expected %s", d.Until, row.until)
		}
		expect(t, p.Decide(found(row.facts...), d.Until.Add(-time.Second)), Allow, "")
		if p.Decide(found(row.facts...), d.Until).Verdict != Deny {
			t.Error("it is allowed at its own end")
		}
	}
	expect(t, p.Decide(found(a, signed(t, "b")), noon), Deny, verify.ReasonThreshold)
	expect(t, p.Decide(found(signed(t, "b")), noon), Deny, verify.ReasonTimeMissing)
}

func TestBadSpans(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"90", "0d", "-1d", "1.5h", "1 d", "1y", "'1'", "d", "2000w1d", "9999999d", "''", "1d1h", "[1d]", "1e3"} {
		if e := fault(t, require("signatures: {from: [a], maxAge: "+text+"}")); e.Line == 0 || e.Hint == "" && text != "''" {
			t.Errorf("PO-12 %q: %v", text, e)
		}
	}
	for text, want := range map[string]string{"24h": "1d", "60m": "1h", "2w": "14d", "90m": "90m", "36h": "36h"} {
		p := parse(t, require("signatures: {from: [a], maxAge: "+text+"}"))
		if q := parse(t, require("signatures: {from: [a], maxAge: "+want+"}")); p.Digest() != q.Digest() {
			t.Errorf("%s and %s are two policies", text, want)
		}
	}
}

// TestLatestEndsWithTheFirst: of two latest statements both must count, so that the
// first end of the two is the end of both.
func TestLatestEndsWithTheFirst(t *testing.T) {
	t.Parallel()
	at := func(days int) time.Time { return noon.AddDate(0, 0, days) }
	for which, want := range map[which]time.Time{anyOne: {}, everyOne: {}, newest: at(3)} {
		both := []contender{
			{tried: &Attempt{Accepted: true}, signed: at(-1), end: at(3)},
			{tried: &Attempt{Accepted: true}, signed: at(-1)},
		}
		for range 2 {
			if met, until := (choice{which: which}).settle(both); !met || !until.Equal(want) {
				t.Errorf("%s: %t until %s, expected %s", which, met, until, want)
			}
			both[0], both[1] = both[1], both[0]
		}
	}
}
