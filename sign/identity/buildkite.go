package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

const (
	buildkiteToken    = "BUILDKITE_AGENT_ACCESS_TOKEN"
	buildkiteJob      = "BUILDKITE_JOB_ID"
	buildkiteEndpoint = "BUILDKITE_AGENT_ENDPOINT"
	buildkiteDefault  = "https://agent.buildkite.com/v3"
)

const buildkiteAdvice = "run inside a Buildkite job and pass BUILDKITE_AGENT_ACCESS_TOKEN, BUILDKITE_JOB_ID and BUILDKITE_AGENT_ENDPOINT on (a container gets them only when told), or set SIGSTORE_ID_TOKEN to what buildkite-agent oidc request-token --audience sigstore prints"

// buildkite is the agent's API: what "buildkite-agent oidc request-token" asks.
type buildkite struct{ *settings }

func (s *settings) buildkite() (provider, string, error) {
	if s.Getenv(buildkiteToken) == "" || s.Getenv(buildkiteJob) == "" {
		return nil, "no Buildkite job (" + buildkiteToken + ")", nil
	}
	return buildkite{s}, "", nil
}

func (buildkite) name() string { return "Buildkite" }

func (buildkite) advice(string) string { return buildkiteAdvice }

func (b buildkite) fetch(ctx context.Context, audience string) (string, error) {
	bearer := b.Getenv(buildkiteToken)
	address := b.Getenv(buildkiteEndpoint)
	if address == "" {
		address = buildkiteDefault
	}
	endpoint, err := checkURL(address)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", buildkiteEndpoint, err)
	}
	job := b.Getenv(buildkiteJob)
	if !plainID(job) {
		return "", fmt.Errorf("reading %s: not the name of a job", buildkiteJob)
	}
	endpoint = endpoint.JoinPath("jobs", job, "oidc", "tokens")
	body, err := json.Marshal(map[string]string{"audience": audience})
	if err != nil {
		return "", err
	}
	build := func() (*http.Request, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), bytes.NewReader(body))
		if err != nil {
			return nil, withoutURL(err)
		}
		request.Header.Set("Authorization", "Token "+bearer)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json")
		return request, nil
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := b.ask(ctx, build, &answer, bearer); err != nil {
		return "", withHint(err, "%s", buildkiteAdvice)
	}
	return answer.Token, nil
}

// plainID reports whether text is a UUID or something like it: no path, no query.
func plainID(text string) bool {
	const longest = 64 // a UUID has 36
	for i := range len(text) {
		c := text[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return text != "" && len(text) <= longest
}
