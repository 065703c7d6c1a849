package gate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestKeyTimes: TR-17, TI-01, TI-08: signatures by keys whose times a log vouches
// for, from end to end: what was logged in a key's time counts after it, and what was
// not logged there does not.
func TestKeyTimes(t *testing.T) {
	t.Parallel()
	day := func(d int) string { return verifytest.Now.AddDate(0, 0, d).UTC().Format(time.RFC3339) }
	for name, row := range map[string]struct {
		entries string // of the key
		signer  string // of the signer
		options func(s sigstores) (*verifytest.Instance, verifytest.Options)
		want    policy.Verdict
		reason  verify.Reason
	}{
		"in force":                               {"", "timesFrom: acme, ", nil, policy.Allow, ""},
		"TR-17 retired after it signed":          {", notAfter: '" + day(0) + "'", "timesFrom: acme, ", nil, policy.Allow, ""},
		"TR-17 retired before it signed":         {", notAfter: '" + day(-1) + "'", "timesFrom: acme, ", nil, policy.Deny, verify.ReasonKeyExpired},
		"TR-17 compromised after it signed":      {", compromisedSince: '" + day(1) + "'", "timesFrom: acme, ", nil, policy.Allow, ""},
		"TR-17 compromised before it signed":     {", compromisedSince: '" + day(-1) + "'", "timesFrom: acme, ", nil, policy.Deny, verify.ReasonKeyExpired},
		"not yet":                                {", notBefore: '" + day(1) + "'", "timesFrom: acme, ", nil, policy.Deny, verify.ReasonKeyExpired},
		"TI-08 retired, and nobody is asked":     {", notAfter: '" + day(0) + "'", "", nil, policy.Deny, verify.ReasonKeyExpired},
		"TI-08 compromised, and nobody is asked": {", compromisedSince: '" + day(9) + "'", "", nil, policy.Deny, verify.ReasonKeyExpired},
		"TI-01 logged by strangers": {", notAfter: '" + day(0) + "'", "timesFrom: acme, ", func(s sigstores) (*verifytest.Instance, verifytest.Options) {
			return s.other, verifytest.Options{}
		}, policy.Deny, ""},
		"not logged": {"", "timesFrom: acme, ", func(s sigstores) (*verifytest.Instance, verifytest.Options) {
			return s.acme, verifytest.Options{Entries: []verifytest.Entry{}}
		}, policy.Deny, ""},
		"not logged, and nobody is asked": {"", "", func(s sigstores) (*verifytest.Instance, verifytest.Options) {
			return s.acme, verifytest.Options{Entries: []verifytest.Entry{}}
		}, policy.Allow, ""},
		"in the form of tags": {", notAfter: '" + day(0) + "'", "timesFrom: acme, ", func(s sigstores) (*verifytest.Instance, verifytest.Options) {
			return s.acme, verifytest.Options{Form: verifytest.LegacySignature}
		}, policy.Allow, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSigstores(t)
			by, o := s.acme, verifytest.Options{}
			if row.options != nil {
				by, o = row.options(s)
			}
			o.Key = s.key
			s.keyless(by, o)
			text := fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
trustRoots: {acme: {sigstore: acme.json}}
signers:
  ops: {%skeys: [{file: ops.pub%s}]}
rules: [{name: all, images: ["**"], require: {signatures: {from: [ops]}}}]
`, row.signer, row.entries)
			p, err := policy.Parse("test.yaml", []byte(text), func(name string) ([]byte, error) {
				if name == "acme.json" {
					return s.acme.TrustedRoot(t), nil
				}
				return s.key.Trusted.PEM(), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			image := s.judge(p)
			if image.Verdict != row.want || row.reason != "" && image.Reason != row.reason {
				t.Errorf("decided %s, %s, expected %s, %s: %+v", image.Verdict, image.Reason, row.want, row.reason, image.Demands)
			}
		})
	}
}
