package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// claimCase is a token and what a policy may say of the certificate that Fulcio makes
// of it: for each field the value that is true, and one that is not.
type claimCase struct {
	profile stack.Profile
	token   map[string]any // claims in place of the profile's
	block   string
	fields  [][3]string
}

// builder is a reusable workflow of another repository.
const builder = "octo-builders/builders/.github/workflows/build.yml@refs/tags/v2"

func claimCases() map[string]claimCase {
	github := [][3]string{
		{"repository", "octo-org/octo-repo", "octo-org/octo-repo2"},
		{"workflow", ".github/workflows/release.yml", ".github/workflows/release.yaml"},
		{"owner", "octo-org", "octo"},
		{"ownerID", `"65"`, `"66"`},
		{"ref", "refs/heads/main", "refs/heads/main2"},
		{"event", "push", "pull_request"},
		{"runner", "github-hosted", "self-hosted"},
		{"environment", "production", "staging"},
	}
	production := map[string]any{"environment": "production"}
	reusable := map[string]any{"job_workflow_ref": builder, "job_workflow_sha": strings.Repeat("ab", 20), "environment": "production"}
	called := append([][3]string(nil), github...)
	called[1] = [3]string{"workflow", "octo-builders/builders/.github/workflows/build.yml", ".github/workflows/release.yml"}
	return map[string]claimCase{
		"GitHub":                      {stack.RealGitHub(), production, "github", github},
		"GitHub, a reusable workflow": {stack.RealGitHub(), reusable, "github", called},
		"GitLab": {stack.GitLab(), production, "gitlab", [][3]string{
			{"project", "group/project", "group/other"},
			{"ref", "refs/heads/main", "refs/heads/dev"},
			{"pipelineSource", "push", "web"},
			{"environment", "production", "staging"},
			{"runner", "gitlab-hosted", "self-hosted"},
		}},
		"Buildkite": {stack.Buildkite(), nil, "buildkite", [][3]string{{"organization", "acme", "acme2"}, {"pipeline", "release", "test"}}},
	}
}

// TestKeylessClaims: a policy's words about CI systems mean what Fulcio writes into
// certificates. All that is true is allowed; one wrong claim is an identity mismatch.
func TestKeylessClaims(t *testing.T) {
	t.Parallel()
	services := instance(t).Services().V2()
	for name, test := range claimCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, services, test.profile)
			k.token(t, test.token)
			reg := registrytest.New(t, registrytest.WithReferrers(true))
			pushed := reg.PushImage("app", "1", map[string]string{"a": "b"}).TagRef()
			hallmark(t, k.dir, k.sign("sign", pushed)...).want(t, 0, "hallmark sign")
			hallmark(t, k.dir, "verify", pushed, "--policy", k.policyOf(t, test.identity(-1), wantSignature)).want(t, 0, "hallmark verify")
			for i, field := range test.fields {
				refused := hallmark(t, k.dir, "verify", pushed, "--output", "json", "--policy", k.policyOf(t, test.identity(i), wantSignature)).want(t, 1, "hallmark verify with another "+field[0])
				if found := reasons(t, refused.stdout); !found["IDENTITY_MISMATCH"] {
					t.Errorf("another %s: %v\n%s", field[0], found, refused.stdout)
				}
			}
		})
	}
}

// identity is what a policy says; the field of number wrong has its other value.
func (c claimCase) identity(wrong int) string {
	var said []string
	for i, field := range c.fields {
		value := field[1]
		if i == wrong {
			value = field[2]
		}
		said = append(said, field[0]+": "+value)
	}
	return fmt.Sprintf("issuer: %q, %s: {%s}", c.profile.Issuer, c.block, strings.Join(said, ", "))
}
