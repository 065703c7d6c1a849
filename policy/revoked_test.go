package policy

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// TestRevoked: TR-17, evidence of a revoked signer is refused, and what trusted
// times place before that still counts.
func TestRevoked(t *testing.T) {
	t.Parallel()
	person := &verify.Certificate{Issuer: "https://accounts.google.com", SANType: "Email", SAN: "release@acme.example"}
	const before, after = "2026-04-30T23:59:59Z", "2026-05-01T00:00:00Z"
	for name, row := range map[string]struct {
		entry  string
		signed []string
		refuse bool
	}{
		"TR-17 always":                  {"{subject: release@acme.example, reason: left}", []string{before}, true},
		"TR-17 always, glob":            {"{subject: {glob: '*@acme.example'}, reason: left}", []string{before}, true},
		"TR-17 everybody of an issuer":  {"{issuer: https://accounts.google.com, reason: broken}", []string{before}, true},
		"TR-17 before":                  {"{subject: release@acme.example, since: 2026-05-01, reason: left}", []string{before}, false},
		"TR-17 at the second":           {"{subject: release@acme.example, since: 2026-05-01, reason: left}", []string{after}, true},
		"TR-17 a time of day":           {"{subject: release@acme.example, since: 2026-05-01T12:00:00+02:00, reason: left}", []string{"2026-05-01T09:59:59Z"}, false},
		"TR-17 after a time of day":     {"{subject: release@acme.example, since: 2026-05-01T12:00:00+02:00, reason: left}", []string{"2026-05-01T10:00:00Z"}, true},
		"TR-17 quoted":                  {"{subject: release@acme.example, since: '2026-05-01', reason: left}", []string{after}, true},
		"TI-02 one of two times before": {"{subject: release@acme.example, since: 2026-05-01, reason: left}", []string{before, after}, true},
		"TI-08 no trusted time":         {"{subject: release@acme.example, since: 2026-05-01, reason: left}", nil, true},
		"another subject":               {"{subject: other@acme.example, reason: left}", []string{after}, false},
		"another issuer":                {"{subject: release@acme.example, issuer: https://x.example, reason: left}", []string{after}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, revoking(row.entry))
			again, err := Parse("again", p.YAML(), nil)
			if err != nil || again.Digest() != p.Digest() {
				t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
			}
			img := found(times(certified(t, p, "public", person), row.signed...))
			for _, p := range []*Policy{p, again} {
				d := p.Decide(img, noon)
				if !row.refuse {
					expect(t, d, Allow, "")
					continue
				}
				expect(t, d, Deny, verify.ReasonKeyExpired)
				if tried := d.Demands[0].Tried; len(tried) != 1 || !strings.Contains(tried[0].Detail, "the policy revokes its signer") || !strings.Contains(tried[0].Detail, "release@acme.example") {
					t.Errorf("the denial does not say who is revoked: %+v", tried)
				}
			}
			if len(img.Target.Findings.Facts) != 1 || len(img.Target.Findings.Rejected) != 0 {
				t.Error("the findings were changed")
			}
		})
	}
}

// TestRevokedKeys: TR-17, a key is revoked under every name, for signatures and for
// statements, and on every platform; another key of the signer still counts.
func TestRevokedKeys(t *testing.T) {
	t.Parallel()
	yaml := require("signatures: {from: [a]}\nstatements:\n- {type: "+testType+", from: [a, b]}") + "revoked:\n- {key: '" + key(t, "a").ID() + "', reason: leaked}\n"
	p := parse(t, strings.Replace(yaml, "a: {keys: [{file: a.pub}]}", "a: {keys: [{file: a.pub}, {file: new.pub}]}", 1))
	old, statement := signed(t, "a"), attested(t, "a", testType, passed)
	expect(t, p.Decide(found(old, attested(t, "b", testType, passed)), noon), Deny, verify.ReasonKeyExpired)
	expect(t, p.Decide(found(signed(t, "new"), statement), noon), Deny, verify.ReasonKeyExpired)
	expect(t, p.Decide(found(signed(t, "new"), attested(t, "new", testType, passed), old, statement), noon), Allow, "")
	d := p.Decide(found(old, statement, attested(t, "a", predicate.TypeSPDX, spdx())), noon)
	for _, demand := range d.Demands {
		if demand.Reason != verify.ReasonKeyExpired || len(demand.Tried) == 0 || demand.Tried[0].Type == predicate.TypeSPDX {
			t.Errorf("%s: %+v", demand.Name, demand)
		}
	}
	all := parse(t, strings.Replace(yaml, "    require:", "    platforms: all\n    require:", 1))
	img := found(signed(t, "b"))
	img.Index, img.Platforms = true, []Part{{Subject: subject(), Platform: "linux/amd64", Findings: Findings{Facts: []verify.Fact{old, statement}}}}
	if d := all.Decide(img, noon); d.Verdict != Deny || d.Demands[1].Reason != verify.ReasonKeyExpired {
		t.Errorf("TR-17 a platform's signature by a revoked key: %+v", d)
	}
}

func TestBadRevocations(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]string{
		"PO-09 nobody":     "{reason: left}",
		"PO-09 empty":      "{}",
		"PO-09 no reason":  "{subject: a@acme.example}",
		"a key and a name": "{key: 'sha256:" + strings.Repeat("00", 32) + "', subject: a@acme.example, reason: left}",
		"a short key":      "{key: 'sha256:12ab', reason: left}",
		"an upper key":     "{key: 'sha256:" + strings.Repeat("AA", 32) + "', reason: left}",
		"no day":           "{subject: a@acme.example, since: yesterday, reason: left}",
		"a number":         "{subject: a@acme.example, since: 2026, reason: left}",
		"a year and day":   "{subject: a@acme.example, since: 2026-13-01, reason: left}",
		"no zone":          "{subject: a@acme.example, since: '2026-05-01T12:00:00', reason: left}",
		"PO-11 misspelt":   "{subjects: a@acme.example, reason: left}",
	} {
		if e := fault(t, revoking(entry)); e.Line == 0 {
			t.Errorf("%s: no place in %v", name, e)
		}
	}
	fault(t, keyless(mail)+"revoked: []\n")
}
