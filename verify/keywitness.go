package verify

import (
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
)

// checkKeyWitnesses checks what stands beside a key's signature, where the root
// trusts anybody to witness it: timestamps and log entries. What is supplied must be
// right, and where the root trusts a log there must be entries of as many different
// ones as are wanted. Then the key's window is judged by each proven time.
func (v *Verifier) checkKeyWitnesses(fact *Fact, e Evidence, parsed *entity, c candidate, with engine) *Rejection {
	if v.root.Sigstore() != nil {
		material := root.TrustedMaterialCollection{with.material, v.root.Sigstore()}
		if rejection := v.keyStamps(fact, e, parsed, material); rejection != nil {
			return rejection
		}
		if rejection := v.keyLogs(fact, e, parsed, c, material); rejection != nil {
			return rejection
		}
	}
	times := fact.Times
	if len(times) == 0 && !c.window.IsZero() {
		// Without a proven time the key must be in force now: what a signature says of
		// its own time counts for nothing.
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

// keyStamps verifies the timestamps beside a key's signature.
func (v *Verifier) keyStamps(fact *Fact, e Evidence, parsed *entity, material root.TrustedMaterial) (rejection *Rejection) {
	defer e.refusePanic(&rejection)
	stamps, _, err := sigverify.VerifySignedTimestamp(parsed.bundle, material)
	if err == nil {
		for _, stamp := range stamps {
			fact.Times = append(fact.Times, TrustedTime{Time: stamp.Time.UTC(), Source: "tsa", URI: stamp.URI})
		}
	}
	if len(stamps) > 0 {
		fact.Checks = append(fact.Checks, StepTimestamp)
	}
	return v.checkStamps(e, parsed, fact.Times)
}

// keyLogs verifies the log entries beside a key's signature.
func (v *Verifier) keyLogs(fact *Fact, e Evidence, parsed *entity, c candidate, material root.TrustedMaterial) (rejection *Rejection) {
	defer e.refusePanic(&rejection)
	if len(material.RekorLogs()) == 0 || v.need.LogEntries == 0 {
		return nil
	}
	if rejection := checkEntryKinds(e, parsed); rejection != nil {
		return rejection
	}
	if len(parsed.kept) > 0 {
		if rejection := v.proveEnvelopes(e, parsed, publicDER(c.public), false, material); rejection != nil {
			return rejection
		}
	} else {
		times, err := sigverify.VerifyTlogEntry(parsed.logged(), material, v.need.LogEntries, true)
		if err != nil {
			return e.reject(StepLog, v.logReason(parsed, err.Error()), err)
		}
		for _, logged := range times {
			fact.Times = append(fact.Times, TrustedTime{Time: logged.Time.UTC(), Source: "log", URI: logged.URI})
		}
	}
	fact.Log = v.provedEntries(parsed, material)
	logs := make(map[string]bool)
	for _, entry := range fact.Log {
		logs[entry.LogID] = true
	}
	if len(logs) < v.need.LogEntries {
		return e.reject(StepLog, ReasonThreshold, fmt.Errorf("entries of %d different logs, %d are wanted", len(logs), v.need.LogEntries))
	}
	fact.Checks = append(fact.Checks, StepLog)
	return v.checkLogTimes(e, fact, material)
}

// refusePanic turns a panic of the engine on hostile bytes into a refusal of them.
func (e Evidence) refusePanic(rejection **Rejection) {
	if fault := recover(); fault != nil {
		*rejection = e.reject(StepParse, ReasonSignatureFormat, fmt.Errorf("%w: %v", errEnginePanic, fault))
	}
}
