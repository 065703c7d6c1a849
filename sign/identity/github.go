package identity

import (
	"context"
	"fmt"
	"net/http"
)

const (
	githubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

const githubAdvice = "let the job in the workflow ask for an identity: permissions: {id-token: write, contents: read} (a pull request from a fork gets none)"

// github is GitHub Actions: a GET with the job's bearer token returns an identity
// token for any audience.
type github struct{ *settings }

func (s *settings) github() (provider, string, error) {
	if s.Getenv(githubURL) == "" || s.Getenv(githubToken) == "" {
		return nil, "no GitHub Actions job that may ask (" + githubURL + ")", nil
	}
	return github{s}, "", nil
}

func (github) name() string { return "GitHub Actions" }

func (github) advice(string) string { return githubAdvice }

func (g github) fetch(ctx context.Context, audience string) (string, error) {
	address, bearer := g.Getenv(githubURL), g.Getenv(githubToken)
	endpoint, err := checkURL(address)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", githubURL, err)
	}
	query := endpoint.Query()
	query.Set("audience", audience)
	endpoint.RawQuery = query.Encode()
	build := func() (*http.Request, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint.String(), nil)
		if err != nil {
			return nil, withoutURL(err)
		}
		request.Header.Set("Authorization", "Bearer "+bearer)
		request.Header.Set("Accept", "application/json; api-version=2.0")
		return request, nil
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := g.ask(ctx, build, &answer, bearer); err != nil {
		return "", withHint(err, "%s", githubAdvice)
	}
	return answer.Value, nil
}
