package keyless_test

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestSign signs everything with every choice of services. A reader who asks for as many
// witnesses as were named finds them; one who asks for one more refuses.
func TestSign(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	both := []keyless.Log{{URL: k.Rekor1.URL, Version: 1}, {URL: k.Rekor2.URL, Version: 2}}
	for _, choice := range []struct {
		name     string
		services keyless.Services
		need     trust.Requirement
		legacy   string // the legacy forms that can be made
	}{
		{"Rekor v1", k.v1(), trust.Requirement{LogEntries: 1, Timestamps: 1, SCTs: 1}, "legacy image, legacy statement"},
		{"Rekor v2", k.v2(), trust.Requirement{LogEntries: 1, Timestamps: 1, SCTs: 1}, ""},
		{"second Rekor v2", keyless.Services{
			CertificateAuthority: k.Fulcio.URL + "/", Logs: []keyless.Log{{URL: k.SecondV2.URL, Version: 2}}, TimestampAuthorities: []string{k.SecondTSA.URL},
		}, trust.Requirement{LogEntries: 1, Timestamps: 1, SCTs: 1}, ""},
		{"both", keyless.Services{CertificateAuthority: k.Fulcio.URL, Logs: both, TimestampAuthorities: []string{k.TSA.URL}}, trust.Requirement{LogEntries: 2, Timestamps: 2, SCTs: 1}, ""},
		{"no log", k.stamped(), trust.Requirement{Timestamps: 1, SCTs: 1}, "legacy image"},
		{"no log and two timestamps", keyless.Services{
			CertificateAuthority: k.Fulcio.URL, TimestampAuthorities: []string{k.TSA.URL, k.SecondTSA.URL},
		}, trust.Requirement{Timestamps: 2, SCTs: 1}, ""},
	} {
		signer := k.signer(t, choice.services)
		more := choice.need
		more.LogEntries++
		moreTimes := choice.need
		moreTimes.Timestamps++
		for _, way := range ways() {
			t.Run(choice.name+"/"+way.name, func(t *testing.T) {
				t.Parallel()
				evidence, err := way.sign(soon(t), signer)
				if way.legacy && !strings.Contains(choice.legacy, way.name) {
					k.refused(t, evidence, err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				fact := k.check(t, k.Instance.Verifier(t, choice.need), evidence)
				if c := fact.Signer.Certificate; c == nil || c.SAN != verifytest.DefaultURI || c.Issuer != verifytest.DefaultIssuer {
					t.Errorf("signed by %+v", fact.Signer)
				}
				for _, need := range []trust.Requirement{more, moreTimes} {
					if _, err := k.Instance.Verifier(t, need).Check(fact.Subject, evidence.Evidence); err == nil {
						t.Errorf("a reader who needs %+v takes it", need)
					}
				}
				if _, err := verifytest.NewInstance(t).Verifier(t, trust.Requirement{Timestamps: 1}).Check(fact.Subject, evidence.Evidence); err == nil {
					t.Error("a reader who trusts another instance takes it")
				}
			})
		}
	}
}

// TestSignLegacyWithTimestamp: the tag format has a place for the timestamp of an image's
// signature. An attestation's is left away, for cosign reads another one there.
func TestSignLegacyWithTimestamp(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	services := k.v1()
	services.TimestampAuthorities = []string{k.TSA.URL}
	signer := k.signer(t, services)
	for name, times := range map[string]int{"legacy image": 2, "legacy statement": 1} {
		for _, way := range ways() {
			if way.name != name {
				continue
			}
			evidence, err := way.sign(soon(t), signer)
			if err != nil {
				t.Fatal(err)
			}
			fact := k.check(t, k.Instance.Verifier(t, trust.Keyless()), evidence)
			if len(fact.Times) != times {
				t.Errorf("%s has %d times, want %d: %+v", name, len(fact.Times), times, fact.Times)
			}
		}
	}
}
