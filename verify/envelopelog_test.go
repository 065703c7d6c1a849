package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestEnvelopesInRekorV2: entries about envelopes in a log of version 2, which the
// engine does not read, are proved, and each binding of them has a twin that is broken.
func TestEnvelopesInRekorV2(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	plain := func(c *verifytest.Checkpoint) { c.Origin, _, _ = strings.Cut(c.Origin, " - ") }
	kinds := map[string]verifytest.Entry{
		"dsse 0.0.2":   {Kind: verifytest.DSSEEntryV2},
		"dsse 0.0.1":   {Kind: verifytest.DSSEEntry, Log: in.Rekor2, Checkpoint: plain, WithoutPromise: true, Time: time.Unix(0, 0)},
		"intoto 0.0.2": {Kind: verifytest.IntotoEntry, Log: in.Rekor2, Checkpoint: plain, WithoutPromise: true, Time: time.Unix(0, 0)},
	}
	for name, entry := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed := func(change func(*verifytest.Entry), more ...verifytest.Entry) *verifytest.Signed {
				one := entry
				if change != nil {
					change(&one)
				}
				return in.Sign(t, verifytest.Options{Entries: append([]verifytest.Entry{one}, more...), Stamps: []verifytest.Stamp{{}}})
			}
			v := in.Verifier(t, trust.Keyless())
			good := signed(nil)
			fact, err := v.Check(good.Subject(), good.Evidence(t))
			if err != nil {
				t.Fatal(err)
			}
			if len(fact.Log) != 1 || !fact.Log[0].Time.IsZero() || len(fact.Times) != 1 || fact.Times[0].Source != "tsa" {
				t.Errorf("log %+v, times %+v", fact.Log, fact.Times)
			}
			other := in.Sign(t, verifytest.Options{})
			for wrong, bad := range map[string]struct {
				made *verifytest.Signed
				need trust.Requirement
				want verify.Reason
			}{
				"SB-06 about another signature": {signed(func(e *verifytest.Entry) { e.Of = other }), trust.Keyless(), verify.ReasonLogMismatch},
				"SB-07 another payload": {signed(func(e *verifytest.Entry) {
					e.Raw = func(raw []byte) []byte {
						return []byte(strings.Replace(string(raw), payloadHash(string(raw)), flipped(payloadHash(string(raw))), 1))
					}
				}), trust.Keyless(), verify.ReasonLogMismatch},
				"SB-14 an unknown field": {signed(func(e *verifytest.Entry) {
					e.Body = func(body map[string]any) { body["more"] = true }
				}), trust.Keyless(), verify.ReasonLogMismatch},
				"SB-12 an unsigned checkpoint": {signed(func(e *verifytest.Entry) {
					before := e.Checkpoint
					e.Checkpoint = func(c *verifytest.Checkpoint) {
						if before != nil {
							before(c)
						}
						c.Signers[0].By = in.SecondV2
					}
				}), trust.Keyless(), verify.ReasonLogProof},
				"SB-10 one log of two":    {signed(nil, entry), trust.Requirement{LogEntries: 2, Timestamps: 1, SCTs: 1}, verify.ReasonThreshold},
				"SB-14 mixed with others": {signed(nil, verifytest.Entry{}), trust.Keyless(), verify.ReasonLogMismatch},
			} {
				t.Run(wrong, func(t *testing.T) {
					t.Parallel()
					wantReason(t, in.Verifier(t, bad.need), bad.made.Subject().Digest, bad.made.Evidence(t), bad.want)
				})
			}
		})
	}
}

// payloadHash finds the payload's hash in an entry's body.
func payloadHash(body string) string {
	_, rest, _ := strings.Cut(body, `"payloadHash":`)
	for _, name := range []string{`"digest":"`, `"value":"`} {
		if _, value, found := strings.Cut(rest, name); found {
			value, _, _ = strings.Cut(value, `"`)
			return value
		}
	}
	return ""
}

// flipped changes the first character of a hash and keeps its form.
func flipped(hash string) string {
	if strings.HasPrefix(hash, "0") {
		return "1" + hash[1:]
	}
	return "0" + hash[1:]
}
