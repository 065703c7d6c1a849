package gate_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestEveryPlaceIsLookedAt: DS-14: where each statement counts, one that fails is
// found also where the good one alone would have been enough to stop looking; and what
// a rule only warns about, or an exception skips, is looked for as well.
func TestEveryPlaceIsLookedAt(t *testing.T) {
	t.Parallel()
	const good, bad = `{"result":"PASSED"}`, `{"result":"FAILED"}`
	statement := func(which string) string {
		return "      statements: [{type: " + custom + ", from: [ops], which: " + which + ", cel: [\"statement.predicate.result == 'PASSED'\"]}]"
	}
	for name, row := range map[string]struct {
		which  string
		want   policy.Verdict
		reason verify.Reason
	}{
		"any":    {"any", policy.Allow, ""},
		"all":    {"all", policy.Deny, policy.ReasonPolicyDeny},
		"latest": {"latest", policy.Deny, verify.ReasonTimeMissing}, // a key proves no time
	} {
		t.Run("DS-14 "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.attest(w.image, w.key, custom, good)
			w.attestLegacy(w.image, w.key, custom, bad)
			want(t, newGate(w.rule("index", statement(row.which)), gate.Options{}).Judge(t.Context(), w.image.Ref()), row.want, row.reason)
		})
	}
	t.Run("DS-14 a place that cannot be looked at", func(t *testing.T) {
		t.Parallel()
		for which, verdict := range map[string]policy.Verdict{"any": policy.Allow, "all": policy.Undetermined} {
			w := newWorld(t)
			w.attest(w.image, w.key, custom, good)
			w.attestLegacy(w.image, w.key, custom, bad)
			w.Inject(registrytest.Match{Class: registrytest.LegacyTag}, registrytest.Status(403))
			image := newGate(w.rule("index", statement(which)), gate.Options{}).Judge(t.Context(), w.image.Ref())
			if image.Verdict != verdict {
				t.Errorf("%s: %s, expected %s: %+v", which, image.Verdict, verdict, image.Demands)
			}
		}
	})
	t.Run("PO-15 a warning is about what is there", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.signLegacy(w.image, w.key)
		p := w.rule("index\n    mode: warn", "      signatures: {from: [ops]}")
		image := newGate(p, gate.Options{}).Judge(t.Context(), w.image.Ref())
		if image.Verdict != policy.Allow || image.Warned != nil {
			t.Errorf("a good image is warned about: %+v", image.Warned)
		}
		other := newWorld(t)
		other.signLegacy(other.image, verifytest.NewKey(t, "ecdsa-p256"))
		image = newGate(p, gate.Options{}).Judge(t.Context(), other.image.Ref())
		if image.Verdict != policy.Allow || image.Warned == nil || image.Warned.Verdict != policy.Deny {
			t.Errorf("a bad image is not warned about: %+v", image.Warned)
		}
	})
}

// TestPlatformOfARevokedIndex: a digest that the policy revokes is denied also where
// it is the index of the platform that is judged.
func TestPlatformOfARevokedIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index := w.PushIndex(repository, "multi", "linux/amd64", "linux/arm64")
	w.sign(index, w.key)
	text := strings.TrimSpace(string(w.rule("index", "      signatures: {from: [ops]}").YAML()))
	text += "\nrevoked: [{digest: '" + index.Digest.String() + "', reason: leaked}]\n"
	pattern := regexp.MustCompile(`(?s)images:\n.*?\n    [a-z]`).FindString(text)
	unmatched := strings.Replace(strings.Replace(text, "unmatched: deny", "unmatched: warn", 1), pattern, "images: [elsewhere.example/x]\n    "+pattern[len(pattern)-1:], 1)
	for _, text := range []string{text, unmatched} {
		p, err := policy.Parse("test.yaml", []byte(text), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, platform := range []string{"", "linux/amd64"} {
			want(t, newGate(p, gate.Options{Platform: platform}).Judge(t.Context(), index.Ref()), policy.Deny, policy.ReasonImageRevoked)
		}
	}
}
