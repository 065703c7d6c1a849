package convert_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/convert"
	"github.com/hallmark-project/hallmark/verify"
)

// TestNotation compares verdicts about the images of testdata/notation.json: those by
// the Notary Project's specification, where a certificate of the trust store signed,
// with those of the converted policy.
func TestNotation(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "notation.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, p := convertText(t, convert.Notation, string(raw), func(o *convert.Options) { o.TrustStore = store })
	roots := p.TrustRoots()
	if len(roots) != 1 {
		t.Fatalf("%d roots", len(roots))
	}
	certified := func(kind, name string, known bool) []verify.Fact {
		c := &verify.Certificate{SANType: kind, SAN: name, Root: publicRoot()}
		if known {
			c.Root = roots[0].Root.Digest()
		}
		fact := evidence{signed: []string{"x"}}.facts(t)[0]
		fact.Signer = verify.Signer{Certificate: c}
		return []verify.Fact{fact}
	}
	const app, tool, runner, other = "registry.acme.example/prod/app", "registry.vendor.example/tool", "registry.acme.example/tests/runner", "registry.acme.example/other"
	for name, test := range map[string]struct {
		image          string
		facts          []verify.Fact
		source, result bool
	}{
		"signed by the store":          {app, certified("Email", "release@acme.example", true), true, true},
		"signed by the store, host":    {app, certified("DNS", "build.acme.example", true), true, true},
		"signed by another authority":  {app, certified("Email", "release@acme.example", false), false, false},
		"not signed":                   {app, nil, false, false},
		"a repository below":           {app + "/x", certified("Email", "release@acme.example", true), false, false},
		"a distinguished name":         {tool, certified("DNS", "release.vendor.example", true), true, false}, // stricter: a loss
		"skipped":                      {runner, nil, true, true},
		"the wildcard, revocation":     {other, certified("Email", "release@acme.example", true), true, false}, // stricter: a loss
		"the wildcard, not signed":     {other, nil, false, false},
		"a key that nobody listed":     {app, evidence{signed: []string{"ann"}}.facts(t), false, false},
		"somebody else, no name there": {app, certified("Other", "root", true), true, false}, // stricter: no name
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := p.Decide(policy.Image{Name: test.image, Target: policy.Part{Subject: verify.Subject{Digest: imageDigest}, Findings: policy.Findings{Facts: test.facts}}}, noon)
			got := d.Verdict == policy.Allow
			if got != test.result || got && !test.source {
				t.Errorf("decided %s/%s, the source allows: %v", d.Verdict, d.Reason, test.source)
			}
		})
	}
}

// TestNotationStores names trust stores that do not help.
func TestNotationStores(t *testing.T) {
	t.Parallel()
	statement := func(stores string) string {
		return `{"version": "1.0", "trustPolicies": [{"name": "a", "registryScopes": ["reg.example/a"], "signatureVerification": {"level": "permissive"}, "trustStores": [` + stores + `], "trustedIdentities": ["*"]}]}`
	}
	for name, test := range map[string]struct {
		stores string
		store  func(kind, name string) ([]byte, error)
	}{
		"no folder":              {`"ca:acme", "tsa:acme"`, nil},
		"no such store":          {`"ca:missing", "tsa:acme"`, store},
		"no timestamp authority": {`"ca:acme"`, store},
		"another type":           {`"signingAuthority:acme", "tsa:acme"`, store},
		"no certificates":        {`"ca:acme", "tsa:acme"`, func(string, string) ([]byte, error) { return []byte("hello"), nil }},
	} {
		t.Run("PO-09 "+name, func(t *testing.T) {
			t.Parallel()
			result, p := convertText(t, convert.Notation, statement(test.stores), func(o *convert.Options) { o.TrustStore = test.store })
			if len(result.Losses) < 2 || len(p.TrustRoots()) != 0 || allows(t, p, "reg.example/a", everyone()) {
				t.Errorf("losses %v\n%s", result.Losses, result.Policy)
			}
		})
	}
}
