package provenance

import (
	"time"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

// GitLabVariables are all variables that [FromGitLab] reads.
func GitLabVariables() []string {
	return []string{
		"CI_PROJECT_URL", "CI_COMMIT_SHA", "CI_COMMIT_TAG", "CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_REF_PATH", "CI_COMMIT_REF_PROTECTED", "CI_CONFIG_PATH",
		"CI_JOB_NAME", "CI_JOB_ID", "CI_JOB_STARTED_AT", "CI_PIPELINE_ID", "CI_PIPELINE_SOURCE", "CI_RUNNER_ID", "CI_RUNNER_VERSION", "CI_RUNNER_EXECUTABLE_ARCH",
	}
}

// FromGitLab makes provenance of the GitLab CI job that env belongs to, in the
// build type [GitLabBuildType]; its "variables" are a few harmless ones, never
// the job's whole environment. The builder is the project's runner, as GitLab
// names it. A missing variable is refused with [ErrEnvironment]. A zero started
// takes the time that GitLab says, if it does.
//
// GitLab lets a job's own configuration set these variables, the tag's name
// among them: as everything here, they are the build's word.
func FromGitLab(env func(string) string, started time.Time) (*Record, error) {
	v := &variables{env: env}
	project := v.must("CI_PROJECT_URL", isRepository)
	commit := v.must("CI_COMMIT_SHA", isCommit)
	name := v.must("CI_JOB_NAME", isLabel)
	job := v.must("CI_JOB_ID", isDigits)
	runner := v.must("CI_RUNNER_ID", isDigits)
	if v.err != nil {
		return nil, v.err
	}
	passed := make(map[string]any)
	for variable, form := range map[string]func(string) bool{
		"CI_COMMIT_TAG":             isRefName,
		"CI_COMMIT_BRANCH":          isRefName,
		"CI_MERGE_REQUEST_REF_PATH": isFullRef,
		"CI_COMMIT_REF_PROTECTED":   isWord,
		"CI_CONFIG_PATH":            isPath,
		"CI_PIPELINE_ID":            isDigits,
		"CI_PIPELINE_SOURCE":        isWord,
	} {
		if value := v.may(variable, form); value != "" {
			passed[variable] = value
		}
	}
	external := map[string]any{"source": project, "entryPoint": name}
	if len(passed) > 0 {
		external["variables"] = passed
	}
	internal := map[string]any{"job": job}
	if architecture := v.may("CI_RUNNER_EXECUTABLE_ARCH", isPath); architecture != "" {
		internal["architecture"] = architecture
	}
	var version map[string]string
	if text := v.may("CI_RUNNER_VERSION", isWord); text != "" {
		version = map[string]string{"gitlab-runner": text}
	}
	if said, err := time.Parse(time.RFC3339, v.env("CI_JOB_STARTED_AT")); err == nil && started.IsZero() {
		started = said
	}
	return facts{
		system:     "gitlab",
		buildType:  GitLabBuildType,
		builder:    project + "/-/runners/" + runner,
		version:    version,
		invocation: project + "/-/jobs/" + job,
		external:   external,
		internal:   internal,
		source:     predicate.Source{Repository: project, Ref: gitLabRef(passed)},
		commit:     commit,
		started:    started,
	}.record()
}

// gitLabRef is the ref that a pipeline runs for: a tag's pipeline has no branch,
// and a merge request's neither.
func gitLabRef(passed map[string]any) string {
	if tag, isTag := passed["CI_COMMIT_TAG"].(string); isTag {
		return "refs/tags/" + tag
	}
	if branch, isBranch := passed["CI_COMMIT_BRANCH"].(string); isBranch {
		return "refs/heads/" + branch
	}
	path, _ := passed["CI_MERGE_REQUEST_REF_PATH"].(string)
	return path
}
