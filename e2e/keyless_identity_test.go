package e2e

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// TestKeylessJobs: where a CI system offers a token, no flag is needed.
func TestKeylessJobs(t *testing.T) {
	t.Parallel()
	s := instance(t)
	given := func(profile stack.Profile) string {
		token, err := s.Issuer.Token(profile, nil)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, test := range map[string]struct {
		profile     stack.Profile
		environment []string
	}{
		"GitHub Actions": {stack.RealGitHub(), []string{
			"GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_URL=" + s.Issuer.URL + "/actions/idtoken?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + stack.JobSecret,
		}},
		"Buildkite": {stack.Buildkite(), []string{
			"BUILDKITE=true", "BUILDKITE_AGENT_ENDPOINT=" + s.Issuer.URL + "/buildkite", "BUILDKITE_AGENT_ACCESS_TOKEN=" + stack.JobSecret,
			"BUILDKITE_JOB_ID=0184990a-477b-4fa8-9968-496074483cee",
		}},
		"GitLab":      {stack.GitLab(), []string{"GITLAB_CI=true", "SIGSTORE_ID_TOKEN=" + given(stack.GitLab())}},
		"environment": {stack.Email(), []string{"SIGSTORE_ID_TOKEN=" + given(stack.Email())}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, s.Services().V2(), test.profile)
			runWith(t, test.environment, k.dir, hallmarkPath(t), "sign-blob", "blob", "--bundle", "b.json", "--signing-config", "signing.json", "--trusted-root", "trusted_root.json", "--oidc-flow", "none").
				want(t, 0, "hallmark sign-blob")
			hallmark(t, k.dir, k.verify("verify-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark verify-blob")
		})
	}
}

// TestKeylessLogins: a person logs in with a browser, or with a code on another device.
func TestKeylessLogins(t *testing.T) {
	t.Parallel()
	s := instance(t)
	for flow, page := range map[string]*regexp.Regexp{
		"browser": regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/auth\?\S+\n`), "device": regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/activate\?user_code=\S+\n`),
	} {
		t.Run(flow, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, s.Services().V2(), stack.Email())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, hallmarkPath(t), "sign-blob", "blob", "--bundle", "b.json", "--signing-config", "signing.json", "--trusted-root", "trusted_root.json", "--oidc-flow", flow)
			command.Dir = k.dir
			command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + k.dir, "XDG_CACHE_HOME=" + filepath.Join(k.dir, "cache")}
			said := &watched{page: page, found: make(chan string, 1)}
			command.Stderr = said
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			select {
			case address := <-said.found:
				answer, err := http.Get(address) // the person opens the page and agrees
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					t.Errorf("the page answered %s", answer.Status)
				}
			case err := <-ended:
				t.Fatalf("ended without a login: %v\n%s", err, said)
			}
			if err := <-ended; err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			hallmark(t, k.dir, k.verify("verify-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark verify-blob")
		})
	}
}

// watched is what a program says, and tells of the first page in it.
type watched struct {
	page *regexp.Regexp

	mu    sync.Mutex
	text  bytes.Buffer
	told  bool
	found chan string
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(p)
	if page := w.page.Find(w.text.Bytes()); page != nil && !w.told {
		w.told = true
		w.found <- string(bytes.TrimSpace(page))
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
