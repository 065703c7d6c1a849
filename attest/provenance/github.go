package provenance

import (
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

// GitHubVariables are all variables that [FromGitHub] reads.
func GitHubVariables() []string {
	return []string{
		"GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_WORKFLOW_REF", "GITHUB_REF", "GITHUB_SHA", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT",
		"GITHUB_EVENT_NAME", "GITHUB_REPOSITORY_ID", "GITHUB_REPOSITORY_OWNER_ID", "RUNNER_ENVIRONMENT",
	}
}

// FromGitHub makes provenance of the GitHub Actions workflow that env belongs
// to, in the build type [GitHubBuildType]. The builder is the runner, such as
// "https://github.com/actions/runner/github-hosted". A workflow that another
// repository prescribes, and any missing variable, is refused with
// [ErrEnvironment]. A zero started leaves the start of the run out.
func FromGitHub(env func(string) string, started time.Time) (*Record, error) {
	v := &variables{env: env}
	server := v.must("GITHUB_SERVER_URL", func(text string) bool { return isRepository(text + "/owner/name") })
	name := v.must("GITHUB_REPOSITORY", func(text string) bool {
		return strings.Count(text, "/") == 1 && isRepository("https://host.example/"+text)
	})
	ref := v.must("GITHUB_REF", isFullRef)
	commit := v.must("GITHUB_SHA", isCommit)
	workflow := v.must("GITHUB_WORKFLOW_REF", func(text string) bool { return strings.Contains(text, "@refs/") })
	run, attempt := v.must("GITHUB_RUN_ID", isDigits), v.must("GITHUB_RUN_ATTEMPT", isDigits)
	runner := v.must("RUNNER_ENVIRONMENT", isWord)
	if v.err != nil {
		return nil, v.err
	}
	// Both the path and the ref may hold "@": only the known ref tells them apart.
	path, found := strings.CutSuffix(workflow, "@"+ref)
	if found {
		path, found = strings.CutPrefix(path, name+"/")
	}
	if !found || !isPath(path) {
		return nil, fmt.Errorf("making provenance: %w: GITHUB_WORKFLOW_REF is no workflow of GITHUB_REPOSITORY at GITHUB_REF", ErrEnvironment)
	}
	repository := server + "/" + name
	internal := map[string]any{"runner_environment": runner}
	for key, value := range map[string]string{
		"event_name":          v.may("GITHUB_EVENT_NAME", isWord),
		"repository_id":       v.may("GITHUB_REPOSITORY_ID", isDigits),
		"repository_owner_id": v.may("GITHUB_REPOSITORY_OWNER_ID", isDigits),
	} {
		if value != "" {
			internal[key] = value
		}
	}
	return facts{
		system:     "github",
		buildType:  GitHubBuildType,
		builder:    server + "/actions/runner/" + runner,
		invocation: repository + "/actions/runs/" + run + "/attempts/" + attempt,
		external:   map[string]any{"workflow": map[string]any{"repository": repository, "ref": ref, "path": path}},
		internal:   map[string]any{"github": internal},
		source:     predicate.Source{Repository: repository, Ref: ref},
		commit:     commit,
		started:    started,
	}.record()
}
