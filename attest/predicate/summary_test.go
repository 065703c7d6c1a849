package predicate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
)

func summaryOf() predicate.Summary {
	of := func(s string) digest.Digest { return digest.FromBytes([]byte(s)) }
	return predicate.Summary{
		Verifier: "https://hallmark.dev/verifier", Version: map[string]string{"hallmark": "1.0"}, TimeVerified: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Resource: "oci://registry.example/app", PolicyURI: "urn:hallmark:policy:acme", Policy: of("policy"),
		Inputs: []predicate.SummaryInput{{URI: "oci://registry.example/app", Digest: of("bundle")}},
		Result: predicate.SummaryPassed, Levels: []string{"SLSA_BUILD_LEVEL_3"}, SLSAVersion: "1.0",
		Rule: "production", Roots: []digest.Digest{of("root")}, Until: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
	}
}

func sameDigests() cmp.Option {
	return cmp.Comparer(func(a, b digest.Digest) bool { return a == b })
}

func TestSummaryIsReadAsWritten(t *testing.T) {
	t.Parallel()
	raw, err := summaryOf().Predicate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := predicate.ReadSummary(predicate.TypeVSA, raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(summaryOf(), got, sameDigests()); diff != "" {
		t.Error(diff)
	}
	// As slsa.dev's own example has it: other digests, unknown fields.
	const other = `{"verifier":{"id":"https://example.com/publication_verifier"},"timeVerified":"1985-04-12T23:20:50.52Z","resourceUri":"https://example.com/example-1.2.3.tar.gz",
"policy":{"uri":"https://example.com/example_tarball.policy","digest":{"sha512":"00"}},"inputAttestations":[{"uri":"https://example.com/provenances/example-1.2.3.tar.gz.intoto.jsonl","digest":{"sha256":"abcd000000000000000000000000000000000000000000000000000000000000"}}],
"verificationResult":"PASSED","verifiedLevels":["SLSA_BUILD_LEVEL_3"],"dependencyLevels":{"SLSA_BUILD_LEVEL_3":5},"slsaVersion":"1.0","acme_note":1}`
	s, err := predicate.ReadSummary(predicate.TypeVSA, []byte(other))
	if err != nil || !s.Policy.IsZero() || len(s.Inputs) != 1 || s.Result != predicate.SummaryPassed {
		t.Errorf("%+v %v", s, err)
	}
}

func TestSummaryRefused(t *testing.T) {
	t.Parallel()
	raw, err := summaryOf().Predicate()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][2]string{
		{`"verifier":`, `"Verifier":`},
		{`"id":"https://hallmark.dev/verifier"`, `"id":""`},
		{`"id":"https://hallmark.dev/verifier"`, `"ID":"https://hallmark.dev/verifier"`},
		{`"verificationResult":"PASSED"`, `"verificationResult":"passed"`},
		{`"verificationResult":"PASSED",`, ``},
		{`"verificationResult":"PASSED"`, `"verificationResult":"FAILED","verification_result":"PASSED"`},
		{`"resourceUri":"oci://registry.example/app"`, `"resourceUri":"registry.example/app"`},
		{`"2026-03-01T12:00:00Z"`, `"yesterday"`},
		{`"hallmark_until"`, `"hallmark_Until"`},
		{`"2026-04-01T00:00:00Z"`, `"soon"`},
		{`"verifiedLevels":["SLSA_BUILD_LEVEL_3"]`, `"verifiedLevels":"SLSA_BUILD_LEVEL_3"`},
		{`"policy":{`, `"policy":{"Digest":{},`},
		{`"sha256":"`, `"sha256":"A`},
	} {
		if !strings.Contains(string(raw), row[0]) {
			t.Fatalf("%s does not stand in %s", row[0], raw)
		}
		if s, err := predicate.ReadSummary(predicate.TypeVSA, []byte(strings.Replace(string(raw), row[0], row[1], 1))); !errors.Is(err, predicate.ErrMalformed) {
			t.Errorf("%s: %+v %v", row[1], s, err)
		}
	}
	for _, raw := range []string{"", "[]", "null", `{}`, `"PASSED"`, strings.Repeat(" ", predicate.MaxSummaryBytes+1)} {
		if _, err := predicate.ReadSummary(predicate.TypeVSA, []byte(raw)); !errors.Is(err, predicate.ErrMalformed) {
			t.Errorf("%.20q: %v", raw, err)
		}
	}
	if _, err := predicate.ReadSummary(predicate.TypeVuln, raw); !errors.Is(err, predicate.ErrUnknownType) {
		t.Errorf("another type: %v", err)
	}
	if _, err := (predicate.Summary{}).Predicate(); err == nil {
		t.Error("the zero summary is written")
	}
}

// FuzzReadSummary: what is read names a verifier, a resource and a result.
func FuzzReadSummary(f *testing.F) {
	raw, err := summaryOf().Predicate()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := predicate.ReadSummary(predicate.TypeVSA, raw)
		if err == nil && (s.Verifier == "" || s.Resource == "" || s.Result != predicate.SummaryPassed && s.Result != predicate.SummaryFailed) {
			t.Errorf("read %+v", s)
		}
	})
}
