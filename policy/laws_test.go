package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// lawful are policies that use what depends on time and on several statements.
func lawful() []string {
	var all []string
	for _, which := range []string{"any", "all", "latest"} {
		for _, age := range []string{"", ", maxAge: 20d"} {
			demands := "signatures: {from: [a, b], atLeast: 2" + age + "}\nstatements:\n- {type: test-result, from: [a, b], which: " + which + age + ", cel: [\"statement.predicate.result == 'PASSED'\"]}"
			plain := require(demands)
			all = append(
				all, plain,
				strings.Replace(plain, "{file: a.pub}", "{file: a.pub, notAfter: 2026-03-20}, {file: old.pub, notAfter: 2026-02-20}, {file: lost.pub, compromisedSince: 2026-02-10}", 1),
				strings.Replace(plain, "    require:", "    from: 2026-01-01\n    until: 2026-03-15\n    require:", 1),
				plain+"exceptions: [{image: '"+image+"@"+imageDigest.String()+"', rule: one, skip: [signatures], reason: r, owner: o, ticket: t, expires: 2026-03-10}]\n",
				plain+"revoked: [{key: '"+digest.FromBytes(nil).String()+"', since: 2026-02-10, reason: r}]\n",
			)
		}
	}
	return all
}

// timed are facts with times, without, in and out of windows; and those of strangers.
func timed(t testing.TB) (own, foreign []verify.Fact) {
	when := []string{"", "2026-02-05T00:00:00Z", "2026-02-15T00:00:00Z", "2026-02-25T00:00:00Z", "2026-03-05T00:00:00Z"}
	for i, at := range when {
		for _, name := range []string{"a", "b", "old", "lost"} {
			body := passed
			if (i+len(name))%3 == 0 {
				body = failed
			}
			sig, st := signed(t, name), attested(t, name, testType, body)
			if at != "" {
				sig, st = times(sig, at), times(st, at)
			}
			if i == 3 {
				st = times(st, when[1])
			}
			own = append(own, sig, st)
		}
		stranger, other := attested(t, "x", testType, failed), attested(t, "a", testType, failed)
		other.Subject.Digest = digest.FromBytes([]byte("another"))
		if at != "" {
			stranger, other = times(stranger, at), times(other, at)
		}
		foreign = append(foreign, stranger, other, attested(t, "a", predicate.TypeVuln, failed), signed(t, "x"))
	}
	return own, foreign
}

// checkLaws says what holds of every policy and any evidence.
func checkLaws(t *testing.T, p *Policy, facts, foreign []verify.Fact, at time.Time, random *rand.Rand) {
	t.Helper()
	exact := cmp.Comparer(func(a, b digest.Digest) bool { return a == b })
	img := found(facts...)
	want := p.Decide(img, at)

	if diff := cmp.Diff(want, p.Decide(found(shuffle(random, facts)...), at), exact); diff != "" {
		t.Fatalf("SB-26, PO-07 the order of the facts matters (-one +other):\n%s\n%s", diff, p.YAML())
	}

	more := found(shuffle(random, slices.Concat(facts, foreign))...)
	more.Target.Findings.Rejected = rejectionPool()
	if after := p.Decide(more, at); after.Verdict != want.Verdict || !after.Until.Equal(want.Until) {
		t.Fatalf("what does not count turns %s until %s into %s until %s:\n%s", want.Verdict, want.Until, after.Verdict, after.Until, p.YAML())
	}

	away := img
	away.Target.Findings.Missing = []error{errors.New("503")}
	if after := p.Decide(away, at).Verdict; after == Allow && want.Verdict != Allow || after == Deny && want.Reason != ReasonNoMatch {
		t.Fatalf("with a place missing, %s becomes %s:\n%s", want.Verdict, after, p.YAML())
	}

	// Taking a fact away never allows. Where each or the latest statement counts, that
	// holds of those that pass: what speaks against an image must be seen.
	every := !strings.Contains(string(p.YAML()), "which: any")
	for i, f := range facts {
		signed, proved := signedAt(f)
		against := f.Statement != nil && (string(f.Statement.Predicate) == failed || !proved || signed.After(at))
		if every && against {
			continue
		}
		less := found(slices.Delete(slices.Clone(facts), i, i+1)...)
		if p.Decide(less, at).Verdict == Allow && want.Verdict != Allow {
			t.Fatalf("without a fact, %s becomes allow:\n%s", want.Verdict, p.YAML())
		}
	}

	if want.Verdict != Allow {
		return
	}
	for range 4 { // it holds until its end
		end := want.Until
		if end.IsZero() {
			end = at.Add(10 * 365 * 24 * time.Hour)
		}
		if !end.After(at) {
			t.Fatalf("decided at %s, it ends at %s:\n%s", at, end, p.YAML())
		}
		later := at.Add(time.Duration(random.Int64N(int64(end.Sub(at)))))
		if d := p.Decide(img, later); d.Verdict != Allow {
			t.Fatalf("decided at %s to hold until %s, at %s it is %s, %s:\n%s", at, end, later, d.Verdict, d.Reason, p.YAML())
		}
	}
}

// TestLaws runs the laws on random evidence, from fixed seeds.
func TestLaws(t *testing.T) {
	t.Parallel()
	own, foreign := timed(t)
	var mu sync.Mutex
	total := make(map[Verdict]int)
	t.Cleanup(func() {
		if total[Allow] < 50 || total[Deny] < 50 {
			t.Errorf("the samples give only %v: the test has lost its grip", total)
		}
	})
	for n, text := range lawful() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			p := parse(t, text)
			random := rand.New(rand.NewPCG(uint64(n), 9))
			verdicts := make(map[Verdict]int)
			for range 40 {
				var facts []verify.Fact
				for _, f := range own {
					if random.IntN(5) == 0 {
						facts = append(facts, f)
					}
				}
				at := noon.Add(time.Duration(random.IntN(20*24)-10*24) * time.Hour)
				checkLaws(t, p, facts, foreign, at, random)
				verdicts[p.Decide(found(facts...), at).Verdict]++
			}
			mu.Lock()
			defer mu.Unlock()
			for verdict, n := range verdicts {
				total[verdict] += n
			}
		})
	}
}

// FuzzDecide: the laws hold for whatever evidence is picked.
func FuzzDecide(f *testing.F) {
	f.Add(uint8(0), uint64(0xffff), int16(0))
	f.Add(uint8(7), uint64(0x0f0f0f), int16(-300))
	f.Add(uint8(29), uint64(1<<39|7), int16(300))
	all := lawful()
	policies := make([]*Policy, len(all))
	for i, text := range all {
		policies[i] = parse(f, text)
	}
	own, foreign := timed(f)
	f.Fuzz(func(t *testing.T, which uint8, picked uint64, hours int16) {
		var facts []verify.Fact
		for i, fact := range own {
			if picked>>(i%64)&1 == 1 {
				facts = append(facts, fact)
			}
		}
		random := rand.New(rand.NewPCG(picked, uint64(which)))
		checkLaws(t, policies[int(which)%len(policies)], facts, foreign, noon.Add(time.Duration(hours)*time.Hour), random)
	})
}
