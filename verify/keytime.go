package verify

import (
	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
)

// checkWindow finds the proven times of a key's signature, where the root trusts
// anybody to tell them, and judges the key's window by each. Without a proven time
// the key must be in force now: what a signature says of its own time counts for
// nothing.
func (v *Verifier) checkWindow(fact *Fact, e Evidence, parsed *entity, c candidate, with engine) *Rejection {
	if v.root.Sigstore() != nil {
		v.keyTimes(fact, parsed, with)
	}
	if c.window.IsZero() {
		return nil
	}
	times := fact.Times
	if len(times) == 0 {
		times = []TrustedTime{{}}
	}
	for _, t := range times {
		if t.Time.After(v.now().Add(clockSkew)) {
			return e.reject(StepTimestamp, ReasonTimeOutside, errFuture(t.Time))
		}
		if err := c.window.Check(t.Time, v.now()); err != nil {
			return e.reject(StepSignature, ReasonKeyExpired, err)
		}
	}
	return nil
}

// keyTimes adds the timestamps and log entries that prove when a key's signature
// was made. They are an addition to a signature that is right already: one that
// cannot be proved adds nothing.
func (v *Verifier) keyTimes(fact *Fact, parsed *entity, with engine) {
	defer func() { _ = recover() }() // hostile bytes in what is optional prove nothing
	material := root.TrustedMaterialCollection{with.material, v.root.Sigstore()}
	stamps, _, err := sigverify.VerifySignedTimestamp(parsed.bundle, material)
	if err == nil {
		for _, stamp := range stamps {
			fact.Times = append(fact.Times, TrustedTime{Time: stamp.Time.UTC(), Source: "tsa", URI: stamp.URI})
		}
	}
	if len(stamps) > 0 {
		fact.Checks = append(fact.Checks, StepTimestamp)
	}
	if len(parsed.bundle.GetVerificationMaterial().GetTlogEntries()) == 0 {
		return
	}
	times, err := sigverify.VerifyTlogEntry(parsed.bundle, material, 1, true)
	if err != nil {
		return
	}
	for _, logged := range times {
		fact.Times = append(fact.Times, TrustedTime{Time: logged.Time.UTC(), Source: "log", URI: logged.URI})
	}
	fact.Log = v.provedEntries(parsed, material)
	fact.Checks = append(fact.Checks, StepLog)
}
