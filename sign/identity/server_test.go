package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// jobSecret is the bearer of a job: who holds it can be the job.
const jobSecret = "job-secret-0123456789"

// ciSystem plays GitHub's or Buildkite's token service.
type ciSystem struct {
	*httptest.Server
	asked   atomic.Int32
	respond func(http.ResponseWriter, *http.Request)
}

// play starts a service whose answer is respond.
func play(t *testing.T, respond func(http.ResponseWriter, *http.Request)) *ciSystem {
	t.Helper()
	ci := &ciSystem{respond: respond}
	ci.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ci.asked.Add(1)
		ci.respond(w, r)
	}))
	t.Cleanup(ci.Close)
	return ci
}

// githubToken answers as GitHub does: the audience is the one that was asked for.
func githubAnswer(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Query().Get("api-version") != "2.0" || r.Header.Get("Authorization") != "Bearer "+jobSecret {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	answer(w, "value", unsigned(claimsFor(r.URL.Query().Get("audience"), "repo:good/app:ref:refs/heads/main", later)))
}

func answer(w http.ResponseWriter, field, token string) {
	_ = json.NewEncoder(w).Encode(map[string]any{field: token, "count": 1})
}

// fromGitHub is a source that asks at address, without waiting between attempts.
func fromGitHub(t *testing.T, address string) Source {
	t.Helper()
	return find(t, Options{Getenv: environment(githubURL, address, githubToken, jobSecret, "GITHUB_ACTIONS", "true", "GITHUB_REPOSITORY", "evil/app")})
}

func fromBuildkite(t *testing.T, address string) Source {
	t.Helper()
	return find(t, Options{Getenv: environment(buildkiteEndpoint, address, buildkiteToken, jobSecret, buildkiteJob, "0190-ab")})
}

func find(t *testing.T, o Options) Source {
	t.Helper()
	o.TokenFile = noFile
	source, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	source.(*checked).sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return source
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	ci := play(t, githubAnswer)
	source := fromGitHub(t, ci.URL+"/token?api-version=2.0&audience=other")
	// An audience is one value of the query, whatever is in it.
	for _, audience := range []string{"sigstore", "a&audience=b", "https://a.example/?x=1#y", "ä b"} {
		token, err := source.Token(t.Context(), audience)
		if err != nil {
			t.Fatal(err)
		}
		if token.Audiences()[0] != audience || token.Subject() != "repo:good/app:ref:refs/heads/main" || token.Source() != "GitHub Actions" {
			t.Errorf("got %v for %q", token, token.Audiences())
		}
	}
	if token, err := source.Token(t.Context(), ""); err != nil || token.Audiences()[0] != DefaultAudience {
		t.Errorf("the default audience: %v, %v", token, err)
	}
}

func TestBuildkite(t *testing.T) {
	t.Parallel()
	ci := play(t, func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Audience string }
		err := json.NewDecoder(r.Body).Decode(&request)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v3/jobs/0190-ab/oidc/tokens" || r.Header.Get("Authorization") != "Token "+jobSecret {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		answer(w, "token", unsigned(claimsFor(request.Audience, "organization:acme:pipeline:app", later)))
	})
	for _, address := range []string{ci.URL + "/v3", ci.URL + "/v3/"} {
		token, err := fromBuildkite(t, address).Token(t.Context(), "mine")
		if err != nil || token.Audiences()[0] != "mine" || token.Source() != "Buildkite" {
			t.Errorf("got %v, %v", token, err)
		}
	}
	for _, job := range []string{"../../x", "a?b", "a/b", strings.Repeat("a", 65)} {
		source := find(t, Options{Getenv: environment(buildkiteEndpoint, ci.URL, buildkiteToken, jobSecret, buildkiteJob, job)})
		before := ci.asked.Load()
		if token, err := source.Token(t.Context(), ""); err == nil || ci.asked.Load() != before {
			t.Errorf("job %q was asked for: %v, %v", job, token, err)
		}
	}
}

// TestHostileService is what a token service, or somebody on the way, may answer.
func TestHostileService(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		respond  func(http.ResponseWriter, *http.Request)
		want     error
		requests int32
		words    string
	}{
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"message":"no id-token permission"}`)
		}, nil, 1, "no id-token permission"},
		"KE-15 a refusal that echoes the secret": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]string{"message": "bad credential " + r.Header.Get("Authorization")})
		}, nil, 1, "[hidden]"},
		"always broken": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, nil, 3, "502"},
		"no JSON":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, nil, 1, "JSON"},
		"another field": {func(w http.ResponseWriter, _ *http.Request) { answer(w, "jwt", good("s")) }, ErrMalformed, 1, "empty"},
		"CI-21 facts in place of a token": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "value", `{"iss":"https://token.actions.githubusercontent.com","sub":"repo:good/app","aud":"sigstore","exp":4102444800}`)
		}, ErrMalformed, 1, ""},
		"CI-21 a token without a signature": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "value", strings.TrimSuffix(good("s"), "c2lnbmF0dXJl"))
		}, ErrMalformed, 1, "not signed"},
		"for another audience": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "value", unsigned(claimsFor("other", "s", later)))
		}, ErrAudience, 1, `"other"`},
		"expired": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "value", unsigned(claimsFor("sigstore", "s", time.Unix(1, 0))))
		}, ErrExpired, 1, "1970"},
		"RE-03 an answer without end": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"value":"`)
			for range 3 << 10 {
				if _, err := io.WriteString(w, strings.Repeat(".", 1<<10)); err != nil {
					return
				}
			}
		}, errTooLarge, 1, "1 MB"},
		"RE-03 a token of dots": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "value", strings.Repeat(".", 1<<19))
		}, ErrMalformed, 1, "64 kB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ci := play(t, test.respond)
			token, err := fromGitHub(t, ci.URL).Token(t.Context(), "")
			if err == nil || token.Raw() != "" || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("got %v, %v", token, err)
			}
			if n := ci.asked.Load(); n != test.requests {
				t.Errorf("%d requests, not %d", n, test.requests)
			}
			if !strings.Contains(err.Error(), test.words) || len(err.Error()) > 500 || Hint(err) == "" && test.want != errTooLarge {
				t.Errorf("error %v with hint %q", err, Hint(err))
			}
			if strings.Contains(err.Error()+Hint(err), jobSecret) {
				t.Errorf("KE-15: the secret is in the error: %v", err)
			}
		})
	}
}

func TestBusyServiceIsAskedAgain(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	ci := play(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		githubAnswer(w, r)
	})
	if token, err := fromGitHub(t, ci.URL+"?api-version=2.0").Token(t.Context(), ""); err != nil {
		t.Errorf("got %v, %v", token, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fromGitHub(t, ci.URL).Token(ended, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

// TestRedirects is CI-22: neither the question nor the job's secret goes to another
// origin, not even to another port of the same machine.
func TestRedirects(t *testing.T) {
	t.Parallel()
	thief := play(t, func(w http.ResponseWriter, r *http.Request) {
		answer(w, "value", unsigned(claimsFor("sigstore", "stolen", later)))
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, target := range []string{thief.URL, strings.Replace(thief.URL, "127.0.0.1", "localhost", 1), "https://good.example.evil.example/"} {
			t.Run(fmt.Sprintf("CI-22 redirect %d to %s", status, target), func(t *testing.T) {
				t.Parallel()
				ci := play(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, status) })
				for _, source := range []Source{fromGitHub(t, ci.URL), fromBuildkite(t, ci.URL)} {
					before := ci.asked.Load()
					token, err := source.Token(t.Context(), "")
					if !errors.Is(err, errRedirect) || token.Raw() != "" {
						t.Errorf("got %v, %v", token, err)
					}
					if n := ci.asked.Load() - before; n != 1 {
						t.Errorf("the service was asked %d times", n)
					}
				}
			})
		}
	}
	t.Cleanup(func() {
		if n := thief.asked.Load(); n != 0 {
			t.Errorf("CI-22: the other origin was asked %d times", n)
		}
	})
	within := play(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new?"+r.URL.RawQuery, http.StatusFound)
			return
		}
		githubAnswer(w, r)
	})
	if token, err := fromGitHub(t, within.URL+"/old?api-version=2.0").Token(t.Context(), ""); err != nil {
		t.Errorf("a redirect inside the origin: %v, %v", token, err)
	}
	loop := play(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })
	if token, err := fromGitHub(t, loop.URL).Token(t.Context(), ""); err == nil || loop.asked.Load() > attempts*(maxRedirects+1) {
		t.Errorf("a loop: %v, %v after %d requests", token, err, loop.asked.Load())
	}
}

// TestAddresses is CI-22: a job's secret is sent over TLS or to this machine.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"http://token.example/", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "ftp://127.0.0.1/", "https://user:hunter2@token.example/",
		"https:///x", "https:token.example", "//token.example", "token.example", "http://[::1", "https://a.example/\u202e",
	} {
		for _, source := range []Source{fromGitHub(t, address), fromBuildkite(t, address)} {
			token, err := source.Token(t.Context(), "")
			if err == nil || strings.Contains(err.Error(), "asking") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("CI-22: %q: %v, %v", address, token, err)
			}
		}
	}
	for _, address := range []string{"https://token.example/x?y=z", "http://127.0.0.1:80/", "http://localhost/", "http://[::1]:1/"} {
		if _, err := checkURL(address); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}
