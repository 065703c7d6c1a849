package evidence_test

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestReferrersOf: what claims one of the types comes first, and alone; the rest comes
// later, each piece once and the list once, whichever way the registry lists.
func TestReferrersOf(t *testing.T) {
	t.Parallel()
	const first, second = "https://example.com/first", "https://example.com/second"
	want := evidence.Want{Signatures: true, PredicateTypes: []string{first, second}}
	for _, api := range []bool{true, false} {
		w := newWorld(t, registrytest.WithReferrers(api))
		w.attach(t, second)
		w.attach(t, first)
		w.attach(t, "https://example.com/unwanted")
		w.attachAs("", w.key.Attestation(t, w.image.Digest, first, `{"claims":"nothing"}`).Raw)
		w.attachAs(verify.SignaturePredicateType, w.key.Signature(t, w.image.Digest).Raw)

		s := w.search(t, want)
		found := s.ReferrersOf(t.Context(), []string{first})
		if len(found.Evidence) != 1 || found.Evidence[0].Origin.ClaimedType != first || len(found.Missing)+len(found.Rejected) != 0 {
			t.Fatalf("API %t: first %d pieces, %v", api, len(found.Evidence), found.Missing)
		}
		rest := s.Referrers(t.Context())
		var claims []string
		for _, e := range rest.Evidence {
			claims = append(claims, e.Origin.ClaimedType)
		}
		if got := strings.Join(claims, " "); got != second+"  "+verify.SignaturePredicateType || len(rest.Skipped) != 1 {
			t.Errorf("API %t: then %q, skipped %d", api, got, len(rest.Skipped))
		}
		if again := s.Referrers(t.Context()); len(again.Evidence) != 0 {
			t.Errorf("API %t: %d pieces twice", api, len(again.Evidence))
		}
		if n := w.Count("", registrytest.Referrers) + w.Count("", registrytest.ReferrersTag); api && n != 1 || !api && n != 2 {
			t.Errorf("API %t: %d lists:\n%s", api, n, w.Log())
		}
		if n := w.Count("", registrytest.Manifest); n != 4 {
			t.Errorf("API %t: %d manifests:\n%s", api, n, w.Log())
		}
		if nothing := w.search(t, want).ReferrersOf(t.Context(), nil); len(nothing.Evidence) != 0 {
			t.Errorf("API %t: of no type %d pieces", api, len(nothing.Evidence))
		}
		// What is not wanted is not fetched for being first.
		if unwanted := w.search(t, want).ReferrersOf(t.Context(), []string{"https://example.com/unwanted"}); len(unwanted.Evidence) != 0 || len(unwanted.Skipped) != 1 {
			t.Errorf("API %t: %d unwanted pieces", api, len(unwanted.Evidence))
		}
	}
	w := newWorld(t)
	w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500))
	s := w.search(t, want)
	if first, rest := s.ReferrersOf(t.Context(), []string{first}), s.Referrers(t.Context()); len(first.Missing) != 1 || len(rest.Missing) != 0 || w.Count("", registrytest.Referrers) != 1 {
		t.Errorf("a list that failed: %v, then %v", first.Missing, rest.Missing)
	}
}
