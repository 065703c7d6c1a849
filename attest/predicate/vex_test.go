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

const vexDocument = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://acme.example/vex/1","author":"Acme","timestamp":"2026-01-02T03:04:05Z","version":1,
"statements":[{"vulnerability":{"name":"CVE-2026-1","aliases":["GHSA-aaaa-bbbb-cccc"]},"timestamp":"2026-01-03T00:00:00Z","status":"not_affected","justification":"vulnerable_code_not_present",
 "products":[{"@id":"pkg:oci/app@sha256%3Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","subcomponents":[{"@id":"pkg:npm/left-pad@1.3.0"}]}]},
{"vulnerability":"CVE-2026-2","status":"fixed","products":["pkg:npm/left-pad"]},
{"vulnerability":{"name":"CVE-2026-3"},"status":"affected","last_updated":"2026-02-01T00:00:00Z","products":[{"identifiers":{"purl":"pkg:npm/x@1"},"hashes":{"sha-256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}]}]}`

func TestReadVEX(t *testing.T) {
	t.Parallel()
	image, err := digest.Parse(sbomDigest)
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := []predicate.VEXStatement{
		{Vulnerabilities: []string{"CVE-2026-1", "GHSA-aaaa-bbbb-cccc"}, Status: predicate.VEXNotAffected, Time: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC), Products: []predicate.VEXProduct{
			{PURLs: []string{"pkg:oci/app@sha256%3A" + strings.Repeat("a", 64)}, Digests: []digest.Digest{image}, Components: []predicate.VEXProduct{{PURLs: []string{"pkg:npm/left-pad@1.3.0"}}}},
		}},
		{Vulnerabilities: []string{"CVE-2026-2"}, Status: predicate.VEXFixed, Time: made, Products: []predicate.VEXProduct{{PURLs: []string{"pkg:npm/left-pad"}}}},
		{Vulnerabilities: []string{"CVE-2026-3"}, Status: predicate.VEXAffected, Time: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Products: []predicate.VEXProduct{{PURLs: []string{"pkg:npm/x@1"}, Digests: []digest.Digest{image}}}},
	}
	for _, uri := range []string{predicate.TypeOpenVEX, predicate.TypeOpenVEX + "/v0.2.0"} {
		got, err := predicate.ReadVEX(uri, []byte(vexDocument))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
}

func TestVEXRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		from, to string
		want     error
	}{
		{`"justification":"vulnerable_code_not_present",`, "", predicate.ErrMalformed},
		{`"status":"fixed"`, `"status":"Fixed"`, predicate.ErrMalformed},
		{`"status":"fixed",`, ``, predicate.ErrMalformed},
		{`"CVE-2026-2"`, `""`, predicate.ErrMalformed},
		{`"name":"CVE-2026-3"`, `"@id":"CVE-2026-3"`, predicate.ErrMalformed},
		{`"statements"`, `"Statements"`, predicate.ErrMalformed},
		{`["pkg:npm/left-pad"]`, `"pkg:npm/left-pad"`, predicate.ErrMalformed},
		{`openvex.dev`, `example.com`, predicate.ErrContradiction},
	} {
		if !strings.Contains(vexDocument, row.from) {
			t.Fatalf("%q does not stand in the document", row.from)
		}
		if _, err := predicate.ReadVEX(predicate.TypeOpenVEX, []byte(strings.Replace(vexDocument, row.from, row.to, 1))); !errors.Is(err, row.want) {
			t.Errorf("%q for %q: %v", row.to, row.from, err)
		}
	}
	if _, err := predicate.ReadVEX(predicate.TypeVuln, []byte(vexDocument)); !errors.Is(err, predicate.ErrUnknownType) {
		t.Errorf("another type: %v", err)
	}
}

// FuzzReadVEX: what is read names a vulnerability and has one of four statuses.
func FuzzReadVEX(f *testing.F) {
	f.Add([]byte(vexDocument))
	f.Add([]byte(`{"@context":["https://openvex.dev/ns"],"statements":[{"vulnerability":"x","status":"fixed","products":[{}],"subcomponents":["pkg:npm/a"]}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		statements, err := predicate.ReadVEX(predicate.TypeOpenVEX, document)
		if err != nil {
			return
		}
		for _, s := range statements {
			if len(s.Vulnerabilities) == 0 || s.Vulnerabilities[0] == "" || s.Status == "" {
				t.Errorf("read %+v", s)
			}
		}
	})
}
