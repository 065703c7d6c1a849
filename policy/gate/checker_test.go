package gate

import (
	"errors"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestFitting: what a piece says of itself saves attempts and loses none.
func TestFitting(t *testing.T) {
	t.Parallel()
	all := checkers{{name: ""}, {name: "a", keyless: true}, {name: "b", keyless: true}}
	bundle := func(text string) verify.Evidence {
		return verify.Evidence{Format: verify.FormatBundle, Raw: []byte(text)}
	}
	certified := verify.Evidence{Format: verify.FormatLegacySignature, Annotations: map[string]string{verify.LegacyCertificateAnnotation: "x"}}
	for name, row := range map[string]struct {
		among checkers
		piece verify.Evidence
		want  int
	}{
		"a certificate":          {all, bundle(`{"verificationMaterial":{"certificate":{"rawBytes":""}}}`), 2},
		"a chain":                {all, bundle(`{"verificationMaterial":{"x509CertificateChain":{}}}`), 2},
		"a key":                  {all, bundle(`{"verificationMaterial":{"publicKey":{"hint":"x"}}}`), 1},
		"both":                   {all, bundle(`{"verificationMaterial":{"publicKey":{"hint":"x"},"certificate":{}}}`), 3},
		"neither":                {all, bundle(`{"verificationMaterial":{}}`), 3},
		"no JSON":                {all, bundle(`hello`), 3},
		"legacy with":            {all, certified, 2},
		"legacy without":         {all, verify.Evidence{Format: verify.FormatLegacyAttestation}, 1},
		"no key is trusted":      {all[1:], verify.Evidence{Format: verify.FormatLegacySignature}, 2},
		"only one root":          {all[:1], certified, 1},
		"no authority for a key": {all[:1], bundle(`{"verificationMaterial":{"certificate":{}}}`), 1},
	} {
		if got := len(row.among.fitting(row.piece)); got != row.want {
			t.Errorf("%s: %d roots are tried, want %d", name, got, row.want)
		}
	}
}

// TestNearestRefusal: of several refusals the one that got furthest is told,
// whichever root it came from.
func TestNearestRefusal(t *testing.T) {
	t.Parallel()
	in, other := verifytest.NewInstance(t), verifytest.NewInstance(t)
	signed := in.Sign(t, verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}})
	for _, order := range [][]string{{"in", "other"}, {"other", "in"}} {
		var plan policy.Plan
		for _, name := range order {
			root := in.Root(t)
			if name == "other" {
				root = other.Root(t)
			}
			plan.Roots = append(plan.Roots, policy.Anchor{Name: name, Root: root, Need: trust.Keyless()})
		}
		g := New(&policy.Policy{}, nil, Options{Now: func() time.Time { return in.ClockAtVerification }})
		all, err := g.checkersOf(plan)
		if err != nil {
			t.Fatal(err)
		}
		_, rejection := all.check(signed.Subject(), signed.Evidence(t))
		if rejection == nil || rejection.Reason != verify.ReasonSCTMissing || rejection.Err == nil || errors.Unwrap(rejection.Err) == nil {
			t.Errorf("%v: refused with %v", order, rejection)
		}
		again, err := g.checkersOf(plan)
		if err != nil || again[0].verifier != all[0].verifier || len(g.checkers) != 2 {
			t.Errorf("a verifier was made twice: %v", err)
		}
		plan.Roots[0].Need.LogEntries = 2
		if more, err := g.checkersOf(plan); err != nil || more[0].verifier == all[0].verifier {
			t.Errorf("a verifier is shared between thresholds: %v", err)
		}
	}
	if _, rejection := (checkers{}).check(signed.Subject(), signed.Evidence(t)); rejection == nil {
		t.Error("without a root something is proved")
	}
}
