package convert_test

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/convert"
	"github.com/hallmark-project/hallmark/verify"
)

const (
	actions  = "https://token.actions.githubusercontent.com"
	workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"
)

// identityOf is a ClusterImagePolicy for one identity.
func identityOf(fields string) string {
	return "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\nspec:\n  images: [{glob: '**'}]\n  authorities:\n    - name: a\n      keyless: {identities: [{" + fields + "}]}\n"
}

func signedBy(issuer, kind, name string) []verify.Fact {
	fact := evidence{signed: []string{"x@acme.example"}}.facts(failing{})[0]
	fact.Signer.Certificate = &verify.Certificate{Issuer: issuer, SANType: kind, SAN: name, Root: publicRoot()}
	if kind == "URI" {
		repository, _, _ := strings.Cut(name, "/.github/")
		fact.Signer.Certificate.Extensions = map[string]string{"1.3.6.1.4.1.57264.1.12": repository}
	}
	return []verify.Fact{fact}
}

// TestIdentities compares identities as policy-controller documents them, exact texts
// and regular expressions that match somewhere, with the converted ones.
func TestIdentities(t *testing.T) {
	t.Parallel()
	issuer := "issuer: '" + actions + "', "
	for name, test := range map[string]struct {
		fields string
		lossy  bool
		good   []string // URIs that both accept
		bad    []string // URIs that the result refuses
	}{
		"exact": {issuer + "subject: '" + workflow + "'", false, []string{workflow}, []string{workflow + "0", "https://evil.example/" + workflow}},
		"anchored": {
			issuer + `subjectRegExp: '^https://github\.com/acme/[^/]+/\.github/workflows/release\.yml@refs/tags/v[0-9]+$'`, false,
			[]string{workflow},
			[]string{workflow + "x", "https://github.com/acme-evil/app/.github/workflows/release.yml@refs/tags/v1"},
		},
		"open at the end": {issuer + `subjectRegExp: '^https://github\.com/acme/'`, false, []string{workflow}, []string{"https://github.com/evil/app/.github/workflows/release.yml@refs/tags/v1"}},
		"CI-01 open at both": {
			issuer + `subjectRegExp: 'https://github\.com/acme/app/'`, true,
			[]string{workflow},
			[]string{"https://evil.example/?x=" + workflow},
		},
		"CI-02 dots": {
			issuer + `subjectRegExp: '^https://github.com/acme/app/'`, true,
			[]string{workflow},
			[]string{strings.Replace(workflow, "github.com", "githubXcom", 1)},
		},
		"alternatives": {
			issuer + `subjectRegExp: '^https://github\.com/acme/app/|^https://github\.com/acme/api/'`, true,
			[]string{workflow, strings.Replace(workflow, "/app/", "/api/", 1)},
			[]string{"https://evil.example/?x=" + workflow},
		},
		"issuer by expression":   {`issuerRegExp: '^https://token\.actions\.githubusercontent\.com$', subject: '` + workflow + `'`, false, []string{workflow}, nil},
		"issuer open at the end": {`issuerRegExp: '^https://token\.actions\.githubusercontent\.com', subject: '` + workflow + `'`, true, nil, []string{workflow}},
		"CI-03 anybody":          {`issuerRegExp: '.*', subjectRegExp: '.*'`, true, nil, []string{workflow}},
		"CI-03 issuer only":      {"issuer: '" + actions + "'", true, nil, []string{workflow}},
		"CI-03 subject only":     {"subject: '" + workflow + "'", true, nil, []string{workflow}},
		"no expression":          {issuer + "subjectRegExp: '('", true, nil, []string{workflow}},
		"both":                   {issuer + "subject: '" + workflow + "', subjectRegExp: '.*'", true, nil, []string{workflow}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, p := convertText(t, "", identityOf(test.fields))
			if (len(result.Losses) > 0) != test.lossy {
				t.Errorf("losses: %v", result.Losses)
			}
			decide := func(uri string) bool {
				findings := policy.Findings{Facts: signedBy(actions, "URI", uri)}
				return p.Decide(policy.Image{Name: "reg.example/a", Target: policy.Part{Subject: verify.Subject{Digest: imageDigest}, Findings: findings}}, noon).Verdict == policy.Allow
			}
			for _, uri := range test.good {
				if !decide(uri) {
					t.Errorf("%s is refused:\n%s", uri, result.Policy)
				}
			}
			for _, uri := range test.bad {
				if decide(uri) {
					t.Errorf("%s is allowed:\n%s", uri, result.Policy)
				}
			}
		})
	}
}

// FuzzConvert gives sources of another content: what is converted is a policy.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(identityOf("issuer: '" + actions + "', subject: '" + workflow + "'")))
	f.Add([]byte(`{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {"a.example/b:c": [{"type": "reject"}]}}}`))
	f.Add([]byte(`{"version": "1.0", "trustPolicies": [{"name": "a", "registryScopes": ["*"], "signatureVerification": {"level": "skip"}}]}`))
	f.Add([]byte("apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec: {rules: [{name: a, verifyImages: [{imageReferences: ['*'], attestors: [{entries: [{keys: {kms: x}}]}]}]}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []convert.Kind{"", convert.Cosign} {
			result, err := convert.Convert([]convert.Source{{Name: "source", Data: data}}, convert.Options{Kind: kind})
			if err != nil {
				continue
			}
			if _, err := policy.Parse("policy.yaml", result.Policy, files(t)); err != nil {
				t.Fatalf("%v\n%s", err, result.Policy)
			}
		}
	})
}
