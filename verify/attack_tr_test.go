package verify_test

import (
	"slices"
	"testing"
	"time"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// keyVerifier trusts keys within windows, and the instance's witnesses.
func keyVerifier(t *testing.T, in *verifytest.Instance, at time.Time, need trust.Requirement, keys ...trust.Key) *verify.Verifier {
	t.Helper()
	root, err := trust.NewRoot(trust.WithKeys(keys...), trust.WithTrustedRoot(in.TrustedRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(root, need, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func within(t *testing.T, key *verifytest.Key, w trust.Window) trust.Key {
	t.Helper()
	limited, err := key.Trusted.Within(w)
	if err != nil {
		t.Fatal(err)
	}
	return limited
}

// keyShapes are the forms in which a key's signature travels with a proven time.
func keyShapes(key *verifytest.Key) map[string]verifytest.Options {
	all := map[string]verifytest.Options{
		"rekor v2 and timestamp":       {Key: key, V2: true},
		"rekor v2, message":            {Key: key, V2: true, Message: true},
		"older rekor v2 and timestamp": {Key: key, V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}},
	}
	for _, form := range verifytest.Forms() {
		all[string(form)] = verifytest.Options{Key: key, Form: form}
	}
	return all
}

// TestKeyWindows: the window of a key is judged by the proven signing time, and by
// now where none is proven (TR-11, TR-12).
func TestKeyWindows(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	key, next := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")
	later := in.Now.AddDate(2, 0, 0)
	need := trust.Keyless()
	for name, options := range keyShapes(key) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed := in.Sign(t, options)
			check := func(w trust.Window) *verify.Verifier { return keyVerifier(t, in, later, need, within(t, key, w)) }
			t.Run("TR-11 ended since", func(t *testing.T) {
				t.Parallel()
				fact := wantFact(t, check(trust.Window{From: in.Now, Until: in.Now}), signed)
				if fact.Signer.KeyID != key.Trusted.ID() || len(fact.Times) != 1 || len(fact.Log) != 1 {
					t.Errorf("signed by %s with times %v and log %v", fact.Signer, fact.Times, fact.Log)
				}
			})
			t.Run("TR-11 ended before", func(t *testing.T) {
				t.Parallel()
				wantReason(t, check(trust.Window{Until: in.Now.Add(-time.Second)}), signed.Subject().Digest, signed.Evidence(t), verify.ReasonKeyExpired)
			})
			t.Run("TR-11 not begun", func(t *testing.T) {
				t.Parallel()
				wantReason(t, check(trust.Window{From: in.Now.Add(time.Second)}), signed.Subject().Digest, signed.Evidence(t), verify.ReasonKeyExpired)
			})
			t.Run("TR-17 compromised since", func(t *testing.T) {
				t.Parallel()
				wantFact(t, check(trust.Window{CompromisedSince: in.Now.Add(time.Second)}), signed)
				wantReason(t, check(trust.Window{CompromisedSince: in.Now}), signed.Subject().Digest, signed.Evidence(t), verify.ReasonKeyExpired)
			})
		})
	}
	t.Run("TR-12 rotation", func(t *testing.T) {
		t.Parallel()
		change := in.Now
		v := keyVerifier(t, in, later, need, within(t, key, trust.Window{Until: change}), within(t, next, trust.Window{From: change.Add(time.Second)}))
		for name, row := range map[string]struct {
			key  *verifytest.Key
			at   time.Time
			want verify.Reason
		}{
			"the old key before the change": {key, change, ""}, "the old key after it": {key, change.Add(time.Hour), verify.ReasonKeyExpired},
			"the new key before the change": {next, change.Add(-time.Hour), verify.ReasonKeyExpired}, "the new key after it": {next, change.Add(time.Hour), ""},
		} {
			t.Run("TR-12 "+name, func(t *testing.T) {
				t.Parallel()
				signed := in.Sign(t, verifytest.Options{Key: row.key, V2: true, Stamps: []verifytest.Stamp{{At: row.at}}})
				if row.want == "" {
					wantFact(t, v, signed)
				} else {
					wantReason(t, v, signed.Subject().Digest, signed.Evidence(t), row.want)
				}
			})
		}
	})
	t.Run("TR-11 no proven time, so now counts", func(t *testing.T) {
		t.Parallel()
		signed := in.Sign(t, verifytest.Options{Key: key, V2: true, Stamps: []verifytest.Stamp{}})
		window := within(t, key, trust.Window{Until: in.Now})
		wantFact(t, keyVerifier(t, in, in.Now, need, window), signed)
		wantReason(t, keyVerifier(t, in, in.Now.Add(time.Second), need, window), signed.Subject().Digest, signed.Evidence(t), verify.ReasonKeyExpired)
	})
	t.Run("TR-11 TI-01 an unsigned time does not save an ended key", func(t *testing.T) {
		t.Parallel()
		signed := in.Sign(t, verifytest.Options{Key: key, Entries: []verifytest.Entry{{WithoutPromise: true}}})
		wantReason(t, keyVerifier(t, in, later, need, within(t, key, trust.Window{Until: in.Now})), signed.Subject().Digest, signed.Evidence(t), verify.ReasonKeyExpired)
	})
}

// TestWitnessesOfAKey: what stands beside a key's signature is held to the same as
// beside a certificate's (SB-01, SB-06, SB-07, CI-26).
func TestWitnessesOfAKey(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	stranger := verifytest.NewInstance(t)
	key := verifytest.NewKey(t, "ecdsa-p256")
	v := keyVerifier(t, in, in.Now.Add(time.Hour), trust.Keyless(), key.Trusted)
	for name, options := range keyShapes(key) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim := in.Sign(t, options)
			wantFact(t, v, victim)
			broken := func(change func(*verifytest.Options)) *verifytest.Signed {
				o := clone(options)
				if len(o.Entries) == 0 {
					o.Entries = []verifytest.Entry{{}}
				}
				if o.V2 && o.Entries[0].Kind == "" {
					o.Entries[0].Kind = verifytest.HashedRekordV2
				}
				change(&o)
				return in.Sign(t, o)
			}
			refuse := func(name string, want verify.Reason, change func(*verifytest.Options)) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					signed := broken(change)
					wantReason(t, v, signed.Subject().Digest, signed.Evidence(t), want)
				})
			}
			refuse("SB-06 the entry is another signature's", verify.ReasonLogMismatch, func(o *verifytest.Options) { o.Entries[0].Of = victim })
			refuse("SB-06 the entry is another key's", verify.ReasonLogMismatch, func(o *verifytest.Options) {
				o.Entries[0].Of = in.Sign(t, verifytest.Options{Key: verifytest.NewKey(t, "ecdsa-p256"), Form: o.Form, Message: o.Message, V2: o.V2})
			})
			refuse("CI-26 no entry", verify.ReasonLogMissing, func(o *verifytest.Options) { o.Entries = []verifytest.Entry{} })
			refuse("TR-07 the entry of an unknown log", verify.ReasonLogProof, func(o *verifytest.Options) {
				o.Entries[0].Log = stranger.Rekor1
				if o.V2 {
					o.Entries[0].Log = stranger.Rekor2
				}
			})
			refuse("TI-06 the timestamp of an unknown authority", verify.ReasonCertificateChain, func(o *verifytest.Options) {
				o.Stamps = []verifytest.Stamp{{TSA: stranger.TSA}}
			})
			refuse("TI-05 the timestamp of another signature", verify.ReasonTimeOutside, func(o *verifytest.Options) {
				o.Stamps = []verifytest.Stamp{{Over: []byte("another")}}
			})
			if !options.V2 {
				refuse("SB-28 the promise is forged", verify.ReasonLogProof, func(o *verifytest.Options) {
					o.Entries[0].Change = func(e *protorekor.TransparencyLogEntry) {
						e.InclusionPromise.SignedEntryTimestamp = flip(e.GetInclusionPromise().GetSignedEntryTimestamp())
					}
				})
			}
		})
	}
}

// TestChecksOfAKey: a fact by a key lists the witnesses that were checked, and no
// others; a log is asked for only where the root trusts one (SB-31).
func TestChecksOfAKey(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	key := verifytest.NewKey(t, "ecdsa-p256")
	noLogs := func(wire *prototrustroot.TrustedRoot) { wire.Tlogs = nil }
	for name, row := range map[string]struct {
		options verifytest.Options
		need    trust.Requirement
		root    func(*prototrustroot.TrustedRoot)
		want    []verify.Step
	}{
		"log and timestamp": {verifytest.Options{V2: true}, trust.Keyless(), nil, []verify.Step{verify.StepTimestamp, verify.StepLog}},
		"log":               {verifytest.Options{}, trust.Keyless(), nil, []verify.Step{verify.StepLog}},
		"no log is wanted":  {verifytest.Options{V2: true}, trust.Requirement{Timestamps: 1}, nil, []verify.Step{verify.StepTimestamp}},
		"no log is trusted": {verifytest.Options{V2: true}, trust.Keyless(), noLogs, []verify.Step{verify.StepTimestamp}},
		"nothing":           {verifytest.Options{Entries: []verifytest.Entry{}}, trust.Requirement{Timestamps: 1}, nil, nil},
	} {
		t.Run("SB-31 "+name, func(t *testing.T) {
			t.Parallel()
			options := row.options
			options.Key = key
			var changes []func(*prototrustroot.TrustedRoot)
			if row.root != nil {
				changes = append(changes, row.root)
			}
			root, err := trust.NewRoot(trust.WithKeys(key.Trusted), trust.WithTrustedRoot(in.TrustedRoot(t, changes...)))
			if err != nil {
				t.Fatal(err)
			}
			v, err := verify.New(root, row.need, func() time.Time { return in.ClockAtVerification })
			if err != nil {
				t.Fatal(err)
			}
			fact := wantFact(t, v, in.Sign(t, options))
			want := slices.Concat([]verify.Step{verify.StepParse, verify.StepSignature}, row.want, []verify.Step{verify.StepStatement, verify.StepSubject})
			if !slices.Equal(fact.Checks, want) {
				t.Errorf("the checks were %v, want %v", fact.Checks, want)
			}
			if logged := slices.Contains(row.want, verify.StepLog); logged != (len(fact.Log) == 1) {
				t.Errorf("log %v", fact.Log)
			}
		})
	}
}
