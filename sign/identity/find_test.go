package identity

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// environment is a Getenv.
func environment(pairs ...string) func(string) string {
	values := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return values[name] }
}

func writeToken(t *testing.T, raw string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noFile keeps the machine's own token file out of the tests.
const noFile = "/nonexistent/token"

func TestOrder(t *testing.T) {
	t.Parallel()
	path := writeToken(t, good("file"))
	all := []string{
		tokenVariable, good("variable"), githubURL, "http://127.0.0.1:1/", githubToken, "x",
		buildkiteToken, "x", buildkiteJob, "j", spiffeSocket, "unix:///nonexistent",
	}
	for name, test := range map[string]struct {
		options Options
		from    string
	}{
		"explicit value before all":    {Options{Explicit: good("value"), Getenv: environment(all...), TokenFile: path}, "--identity-token"},
		"explicit value before a flow": {Options{Explicit: good("value"), Flow: FlowDevice}, "--identity-token"},
		"explicit file":                {Options{Explicit: path, Getenv: environment(all...)}, "file " + path},
		"explicit standard input":      {Options{Explicit: "-", Getenv: environment(all...)}, "the standard input"},
		"a named flow before CI":       {Options{Flow: FlowDevice, Getenv: environment(all...), TokenFile: path}, "a login at " + DefaultIssuer},
		"the variable":                 {Options{Getenv: environment(all...), TokenFile: path}, tokenVariable},
		"GitLab's variable":            {Options{Getenv: environment(append(all, "GITLAB_CI", "true")...), TokenFile: path}, "GitLab (" + tokenVariable + ")"},
		"GitHub":                       {Options{Getenv: environment(all[2:]...), TokenFile: path}, "GitHub Actions"},
		"Buildkite":                    {Options{Getenv: environment(all[6:]...), TokenFile: path}, "Buildkite"},
		"file":                         {Options{Getenv: environment(all[10:]...), TokenFile: path}, "file " + path},
		"SPIFFE":                       {Options{Getenv: environment(all[10:]...), TokenFile: noFile}, "the SPIFFE workload API"},
		"CI before a person":           {Options{Getenv: environment(all[10:]...), TokenFile: noFile, Interactive: true}, "the SPIFFE workload API"},
		"a person":                     {Options{TokenFile: noFile, Interactive: true}, "a login at " + DefaultIssuer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, err := Find(t.Context(), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if got := source.(*checked).provider.name(); got != test.from {
				t.Errorf("the token would come from %q, not from %q", got, test.from)
			}
		})
	}
}

func TestNoSource(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options Options
		hint    string
	}{
		"nothing":                      {Options{}, "--identity-token"},
		"no flow wanted":               {Options{Interactive: true, Flow: FlowNone}, "--identity-token"},
		"nobody at the terminal":       {Options{Flow: FlowAuto}, "--oidc-flow device"},
		"GitHub without permission":    {Options{Getenv: environment("GITHUB_ACTIONS", "true")}, "id-token: write"},
		"GitHub with half":             {Options{Getenv: environment("GITHUB_ACTIONS", "true", githubURL, "https://x.example")}, "id-token: write"},
		"GitLab without id_tokens":     {Options{Audience: "mine", Getenv: environment("GITLAB_CI", "true")}, `id_tokens: {SIGSTORE_ID_TOKEN: {aud: "mine"}}`},
		"Buildkite without its tokens": {Options{Getenv: environment("BUILDKITE", "true")}, "buildkite-agent oidc request-token"},
		// What the environment says of a job is not signed by anybody.
		"CI-21 unsigned facts are no identity": {Options{Getenv: environment("GITHUB_ACTIONS", "true", "GITHUB_REPOSITORY", "good/app", "GITHUB_ACTOR", "me",
			"CI_JOB_JWT", good("old"), "CI_PROJECT_PATH", "good/app", "AWS_WEB_IDENTITY_TOKEN_FILE", "/x", "BUILDKITE_PIPELINE_SLUG", "app", "USER", "root")}, "id-token: write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.options.TokenFile = noFile
			source, err := Find(t.Context(), test.options)
			if !errors.Is(err, ErrNoSource) || source != nil {
				t.Fatalf("found %v, %v", source, err)
			}
			for _, looked := range []string{"--identity-token", tokenVariable, githubURL, buildkiteToken, noFile, spiffeSocket, "terminal"} {
				if !strings.Contains(err.Error(), looked) {
					t.Errorf("the error does not say that %s was looked for: %v", looked, err)
				}
			}
			// A terminal gets one line of at most 400 characters of each.
			if len(err.Error()) > 360 || len(Hint(err)) > 400 || strings.Contains(err.Error()+Hint(err), "\n") {
				t.Errorf("%d and %d characters: %v, %s", len(err.Error()), len(Hint(err)), err, Hint(err))
			}
			if !strings.Contains(Hint(err), test.hint) {
				t.Errorf("hint %q lacks %q", Hint(err), test.hint)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	t.Parallel()
	cut, _, _ := strings.Cut(good("s"), ".c2") // a token that lost its signature
	for name, o := range map[string]Options{
		"unknown flow":      {Flow: "telepathy"},
		"no such file":      {Explicit: "/nonexistent/file"},
		"a directory":       {Explicit: t.TempDir()},
		"KE-15 a cut token": {Explicit: cut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What was given is used or fails: the good token beside it must not serve.
			o.Getenv = environment(tokenVariable, good("other"))
			source, err := Find(t.Context(), o)
			if err == nil {
				t.Fatalf("found %v", source)
			}
			if strings.Contains(err.Error()+Hint(err), cut) {
				t.Errorf("KE-15: the token is in the error: %v", err)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ended, Options{Explicit: good("s")}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

func TestGivenTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	old := unsigned(claimsFor("sigstore", "s", now.Add(-time.Hour)))
	edge := unsigned(claimsFor("sigstore", "s", now))
	foreign := unsigned(claimsFor("https://github.com/me", "s", later))
	for name, test := range map[string]struct {
		raw      string
		audience string
		want     error
		words    []string
	}{
		"good":                      {good("me"), "", nil, nil},
		"good with white space":     {"\n " + good("me") + "\n", "sigstore", nil, nil},
		"expired":                   {old, "", ErrExpired, []string{"2026-11-24T11:00:00Z", "1h0m0s ago"}},
		"expires now":               {edge, "", ErrExpired, nil},
		"for another audience":      {foreign, "", ErrAudience, []string{`"https://github.com/me"`, `"sigstore"`}},
		"for the default audience":  {good("me"), "mine", ErrAudience, []string{`"mine"`}},
		"an audience that contains": {unsigned(claimsFor("sigstore.evil", "s", later)), "", ErrAudience, nil},
		"malformed":                 {"eyJ.." + strings.Repeat("x", 50), "", ErrMalformed, nil},
		"RE-03 large":               {"eyJ.." + strings.Repeat("x", 1<<20), "", ErrMalformed, []string{"64 kB"}},
	} {
		for from, o := range map[string]Options{
			"value":    {Explicit: test.raw},
			"variable": {Getenv: environment(tokenVariable, test.raw)},
			"stdin":    {Explicit: "-", Stdin: strings.NewReader(test.raw)},
			"path":     {Explicit: writeToken(t, test.raw)},
			"file":     {TokenFile: writeToken(t, test.raw)},
		} {
			t.Run(name+"/"+from, func(t *testing.T) {
				t.Parallel()
				o.Now = func() time.Time { return now }
				source, err := Find(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // asked again, it says the same
					token, err := source.Token(t.Context(), test.audience)
					if !errors.Is(err, test.want) || (err == nil) != (token.Raw() != "") {
						t.Fatalf("got %v, %v", token, err)
					}
					if err == nil && (token.Subject() != "me" || token.Source() == "") {
						t.Errorf("got %v from %q", token, token.Source())
					}
					if err != nil && (Hint(err) == "" || strings.Contains(err.Error()+Hint(err), test.raw)) {
						t.Errorf("error %v with hint %q", err, Hint(err))
					}
					for _, word := range test.words {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("%v lacks %s", err, word)
						}
					}
				}
			})
		}
	}
}

// endless is an input that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, bytes.Repeat([]byte("."), len(p))), nil
}

// TestEndlessInput is RE-03: a token is not looked for without end.
func TestEndlessInput(t *testing.T) {
	t.Parallel()
	input := &endless{}
	source, err := Find(t.Context(), Options{Explicit: "-", Stdin: input})
	if err != nil {
		t.Fatal(err)
	}
	if token, err := source.Token(t.Context(), ""); !errors.Is(err, ErrMalformed) || input.read > 2*maxToken {
		t.Errorf("RE-03: got %v, %v after %d bytes", token, err, input.read)
	}
}

// A mounted file is renewed by somebody else; a value is not.
func TestFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := writeToken(t, good("first"))
	source, err := Find(t.Context(), Options{TokenFile: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(good(subject)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if token, err := source.Token(t.Context(), ""); err != nil || token.Subject() != subject {
			t.Errorf("got %v, %v", token, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if token, err := source.Token(t.Context(), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, %v", token, err)
	}
}

func TestValueCannotBeRenewed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	clock := now
	source, err := Find(t.Context(), Options{Explicit: unsigned(claimsFor("sigstore", "s", now.Add(time.Minute))), Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Token(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	clock = now.Add(2 * time.Minute)
	_, err = source.Token(t.Context(), "")
	if !errors.Is(err, ErrExpired) || !strings.Contains(Hint(err), "cannot be renewed") {
		t.Errorf("got %v with hint %q", err, Hint(err))
	}
}

func TestSystemBrowser(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		system string
		env    func(string) string
		want   string
	}{
		"a desktop":        {"linux", environment("DISPLAY", ":0"), "xdg-open"},
		"Wayland":          {"linux", environment("WAYLAND_DISPLAY", "w"), "xdg-open"},
		"no display":       {"linux", environment(), ""},
		"a Mac":            {"darwin", environment(), "/usr/bin/open"},
		"a Mac over SSH":   {"darwin", environment("SSH_TTY", "/dev/x"), ""},
		"Windows":          {"windows", environment(), "rundll32"},
		"Windows over SSH": {"windows", environment("SSH_CONNECTION", "x"), ""},
	} {
		if got, _ := opener(test.system, test.env); got != test.want {
			t.Errorf("%s: %q, not %q", name, got, test.want)
		}
	}
	for _, address := range []string{"file:///etc/passwd", "--version", "http://issuer.example", "javascript:alert(1)", "https://a.example/\x1b[2J"} {
		if err := SystemBrowser(environment("DISPLAY", ":0"))(address); err == nil || !strings.Contains(err.Error(), "opening a browser") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
