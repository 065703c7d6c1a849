package provenance_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/provenance"
)

const commit = "c27d339ee6075c1f744c5d4b200f7901aad2c369"

var started = time.Date(2026, 3, 1, 11, 0, 0, 999, time.FixedZone("CET", 3600))

func github() map[string]string {
	return map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/app",
		"GITHUB_WORKFLOW_REF": "acme/app/.github/workflows/release@2.yml@refs/tags/v1.2@rc", "GITHUB_REF": "refs/tags/v1.2@rc", "GITHUB_SHA": commit,
		"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_EVENT_NAME": "push", "GITHUB_REPOSITORY_ID": "1296269", "GITHUB_REPOSITORY_OWNER_ID": "583231",
		"RUNNER_ENVIRONMENT": "github-hosted",
	}
}

func gitlab() map[string]string {
	return map[string]string{
		"GITLAB_CI": "true", "CI_PROJECT_URL": "https://gitlab.com/acme/group/app", "CI_COMMIT_SHA": commit, "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_PROTECTED": "true",
		"CI_CONFIG_PATH": ".gitlab-ci.yml", "CI_JOB_NAME": "build: [linux, 1.26]", "CI_JOB_ID": "412", "CI_JOB_STARTED_AT": "2026-03-01T09:00:00Z", "CI_PIPELINE_ID": "576",
		"CI_PIPELINE_SOURCE": "push", "CI_RUNNER_ID": "33", "CI_RUNNER_VERSION": "18.3.0", "CI_RUNNER_EXECUTABLE_ARCH": "linux/amd64",
	}
}

func lookup(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestFromGitHub(t *testing.T) {
	t.Parallel()
	got, err := provenance.FromGitHub(lookup(github()), started)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1",` +
		`"externalParameters":{"workflow":{"path":".github/workflows/release@2.yml","ref":"refs/tags/v1.2@rc","repository":"https://github.com/acme/app"}},` +
		`"internalParameters":{"github":{"event_name":"push","repository_id":"1296269","repository_owner_id":"583231","runner_environment":"github-hosted"}},` +
		`"resolvedDependencies":[{"uri":"git+https://github.com/acme/app@refs/tags/v1.2@rc","digest":{"gitCommit":"` + commit + `"}}]},` +
		`"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"},` +
		`"metadata":{"invocationId":"https://github.com/acme/app/actions/runs/7/attempts/1","startedOn":"2026-03-01T10:00:00Z"}}}`
	if diff := cmp.Diff(want, string(got.Predicate)); diff != "" {
		t.Error(diff)
	}
	if got.System != "github" || got.Type != predicate.TypeProvenanceV1 || got.Source != "https://github.com/acme/app" || got.Ref != "refs/tags/v1.2@rc" || got.Commit != commit || got.Dirty {
		t.Errorf("%+v", got)
	}
	read, err := predicate.ReadProvenance(got.Type, got.Predicate)
	if err != nil || read.Workflow != ".github/workflows/release@2.yml" || read.Parameters["workflow.ref"] != "refs/tags/v1.2@rc" {
		t.Errorf("%+v, %v", read, err)
	}
	if _, err := predicate.ResolveFor("slsaprovenance", got.Predicate); err != nil {
		t.Error(err)
	}
}

func TestFromGitLab(t *testing.T) {
	t.Parallel()
	got, err := provenance.FromGitLab(lookup(gitlab()), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"buildDefinition":{"buildType":"https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1",` +
		`"externalParameters":{"entryPoint":"build: [linux, 1.26]","source":"https://gitlab.com/acme/group/app",` +
		`"variables":{"CI_COMMIT_BRANCH":"main","CI_COMMIT_REF_PROTECTED":"true","CI_CONFIG_PATH":".gitlab-ci.yml","CI_PIPELINE_ID":"576","CI_PIPELINE_SOURCE":"push"}},` +
		`"internalParameters":{"architecture":"linux/amd64","job":"412"},` +
		`"resolvedDependencies":[{"uri":"git+https://gitlab.com/acme/group/app@refs/heads/main","digest":{"gitCommit":"` + commit + `"}}]},` +
		`"runDetails":{"builder":{"id":"https://gitlab.com/acme/group/app/-/runners/33","version":{"gitlab-runner":"18.3.0"}},` +
		`"metadata":{"invocationId":"https://gitlab.com/acme/group/app/-/jobs/412","startedOn":"2026-03-01T09:00:00Z"}}}`
	if diff := cmp.Diff(want, string(got.Predicate)); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct {
		change map[string]string
		ref    string
	}{
		"a tag":           {map[string]string{"CI_COMMIT_TAG": "v1", "CI_COMMIT_BRANCH": ""}, "refs/tags/v1"},
		"a merge request": {map[string]string{"CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/1/head", "CI_COMMIT_BRANCH": ""}, "refs/merge-requests/1/head"},
		"no ref at all":   {map[string]string{"CI_COMMIT_BRANCH": ""}, ""},
	} {
		env := gitlab()
		for key, value := range c.change {
			env[key] = value
		}
		got, err := provenance.FromGitLab(lookup(env), started)
		if err != nil || got.Ref != c.ref || got.Source != "https://gitlab.com/acme/group/app" || got.Commit != commit {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if !strings.Contains(string(got.Predicate), `"startedOn":"2026-03-01T10:00:00Z"`) {
			t.Errorf("%s: the given start is not recorded: %s", name, got.Predicate)
		}
	}
}

// TestNothingElseIsRead: a secret in any other variable is never even asked for,
// and one in a variable that is optional is not recorded.
func TestNothingElseIsRead(t *testing.T) {
	t.Parallel()
	const marker = "MARKER secret\nhttps://user:pass@host/?token=x"
	for name, c := range map[string]struct {
		good    map[string]string
		allowed []string
		make    func(func(string) string, time.Time) (*provenance.Record, error)
		must    int
	}{
		"GitHub": {github(), provenance.GitHubVariables(), provenance.FromGitHub, 8},
		"GitLab": {gitlab(), provenance.GitLabVariables(), provenance.FromGitLab, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(map[string]bool)
			full, err := c.make(func(key string) string {
				asked[key] = true
				if value, known := c.good[key]; known {
					return value
				}
				return marker
			}, started)
			if err != nil {
				t.Fatal(err)
			}
			for key := range asked {
				if !slices.Contains(c.allowed, key) {
					t.Errorf("%s is read and not on the list", key)
				}
			}
			if strings.Contains(string(full.Predicate), "MARKER") {
				t.Errorf("a secret is recorded: %s", full.Predicate)
			}
			must := 0
			for _, key := range c.allowed {
				if !asked[key] {
					t.Errorf("%s is on the list and not read", key)
				}
				for _, value := range []string{marker, ""} {
					env := make(map[string]string)
					for k, v := range c.good {
						env[k] = v
					}
					env[key] = value
					got, err := c.make(lookup(env), started)
					switch {
					case err == nil && strings.Contains(string(got.Predicate), "MARKER"):
						t.Errorf("%s: a secret is recorded: %s", key, got.Predicate)
					case err == nil:
					case !errors.Is(err, provenance.ErrEnvironment) || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "MARKER"):
						t.Errorf("%s: %v", key, err)
					case value == "":
						must++
					}
				}
			}
			if must != c.must {
				t.Errorf("%d variables are needed, not %d", must, c.must)
			}
		})
	}
}

func TestGitHubRefusesOtherForms(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"a workflow of another repository": {"GITHUB_WORKFLOW_REF", "evil/ci/.github/workflows/release.yml@refs/tags/v1.2@rc"},
		"a workflow of another ref":        {"GITHUB_WORKFLOW_REF", "acme/app/.github/workflows/release.yml@refs/heads/main"},
		"a workflow path that climbs":      {"GITHUB_WORKFLOW_REF", "acme/app/../x.yml@refs/tags/v1.2@rc"},
		"a token in the server":            {"GITHUB_SERVER_URL", "https://token@github.com"},
		"a path in the repository":         {"GITHUB_REPOSITORY", "acme/app/x"},
		"a short ref":                      {"GITHUB_REF", "main"},
		"a short commit":                   {"GITHUB_SHA", "c27d339"},
		"a commit in upper case":           {"GITHUB_SHA", strings.ToUpper(commit)},
		"a run that is no number":          {"GITHUB_RUN_ID", "7x"},
	} {
		env := github()
		env[change[0]] = change[1]
		if got, err := provenance.FromGitHub(lookup(env), started); !errors.Is(err, provenance.ErrEnvironment) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for want, env := range map[string]map[string]string{"github": github(), "gitlab": gitlab()} {
		got, err := provenance.Detect(t.Context(), lookup(env), "/", started)
		if err != nil || got.System != want {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	both := github()
	both["GITLAB_CI"] = "true"
	if _, err := provenance.Detect(t.Context(), lookup(both), "/", started); !errors.Is(err, provenance.ErrEnvironment) {
		t.Errorf("both systems: %v", err)
	}
	broken := map[string]string{"GITHUB_ACTIONS": "true"}
	if _, err := provenance.Detect(t.Context(), lookup(broken), ".", started); !errors.Is(err, provenance.ErrEnvironment) {
		t.Errorf("an incomplete GitHub job falls back to git: %v", err)
	}
	if _, err := provenance.Detect(t.Context(), lookup(nil), ".", started); !errors.Is(err, provenance.ErrCheckout) {
		t.Errorf("no git in an empty environment: %v", err)
	}
}

func ExampleFromGitHub() {
	env := map[string]string{
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/app", "GITHUB_REF": "refs/heads/main",
		"GITHUB_WORKFLOW_REF": "acme/app/.github/workflows/release.yml@refs/heads/main", "GITHUB_SHA": "c27d339ee6075c1f744c5d4b200f7901aad2c369",
		"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1", "RUNNER_ENVIRONMENT": "github-hosted",
		"AWS_SECRET_ACCESS_KEY": "never read",
	}
	record, err := provenance.FromGitHub(func(name string) string { return env[name] }, time.Time{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(record.Type)
	fmt.Println(record.Builder, "built", record.Source, "at", record.Ref)
	// Output:
	// https://slsa.dev/provenance/v1
	// https://github.com/actions/runner/github-hosted built https://github.com/acme/app at refs/heads/main
}
