package provenance_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/provenance"
)

// checkout is a git repository with one commit on branch main.
type checkout struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newCheckout(t *testing.T, remote string) *checkout {
	t.Helper()
	c := &checkout{t: t, dir: t.TempDir(), env: map[string]string{"PATH": os.Getenv("PATH"), "HOME": t.TempDir()}}
	c.git("init", "--quiet", "--initial-branch=main")
	c.write("main.go", "package main\n")
	c.git("add", ".")
	c.git("commit", "--quiet", "--message=first")
	if remote != "" {
		c.git("remote", "add", "origin", remote)
	}
	return c
}

func (c *checkout) git(args ...string) string {
	c.t.Helper()
	command := exec.CommandContext(c.t.Context(), "git", args...)
	command.Dir = c.dir
	command.Env = []string{
		"PATH=" + c.env["PATH"], "HOME=" + c.env["HOME"], "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
	}
	out, err := command.CombinedOutput()
	if err != nil {
		c.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *checkout) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *checkout) record() (*provenance.Record, error) {
	return provenance.FromGit(c.t.Context(), lookup(c.env), c.dir, started)
}

func TestFromGit(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "https://user:MARKER@GitHub.com/acme/app.git/")
	head := c.git("rev-parse", "HEAD")
	got, err := c.record()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"buildDefinition":{"buildType":"https://hallmark.dev/buildtypes/local/v1","externalParameters":{"source":"git+https://github.com/acme/app@refs/heads/main"},` +
		`"resolvedDependencies":[{"uri":"git+https://github.com/acme/app@refs/heads/main","digest":{"gitCommit":"` + head + `"}}]},` +
		`"runDetails":{"builder":{"id":"https://hallmark.dev/builders/local"},"metadata":{"startedOn":"2026-03-01T10:00:00Z"}}}`
	if string(got.Predicate) != want {
		t.Errorf("got  %s\nwant %s", got.Predicate, want)
	}
	if got.System != "git" || got.Builder != provenance.LocalBuilder || got.Commit != head || got.Ref != "refs/heads/main" || got.Source != "https://github.com/acme/app" || got.Dirty {
		t.Errorf("%+v", got)
	}
	if err := os.Mkdir(filepath.Join(c.dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	below, err := provenance.FromGit(t.Context(), lookup(c.env), filepath.Join(c.dir, "sub"), started)
	if err != nil || string(below.Predicate) != want {
		t.Errorf("from a folder below: %+v, %v", below, err)
	}
}

func TestFromGitRefs(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "git@github.com:acme/app.git")
	c.git("checkout", "--quiet", "--detach")
	expect := func(what, ref string) {
		t.Helper()
		if got, err := c.record(); err != nil || got.Ref != ref || got.Commit == "" || got.Source != "https://github.com/acme/app" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	expect("a detached head", "")
	c.git("tag", "v1")
	expect("one tag", "refs/tags/v1")
	c.git("tag", "--annotate", "--message=x", "v2")
	expect("two tags", "")
	c.git("tag", "--delete", "v1")
	expect("one annotated tag", "refs/tags/v2")
	c.git("checkout", "--quiet", "-b", "feature/x")
	expect("a branch", "refs/heads/feature/x")
}

// TestFromGitDirty: what was built is no commit, so no commit is claimed.
func TestFromGitDirty(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*checkout){
		"a changed file": func(c *checkout) { c.write("main.go", "package evil\n") },
		"a new file":     func(c *checkout) { c.write("new.go", "package evil\n") },
		"a staged file":  func(c *checkout) { c.write("new.go", "x"); c.git("add", ".") },
		"a deleted file": func(c *checkout) { c.git("rm", "--quiet", "main.go") },
		"very many files": func(c *checkout) {
			for i := range 2000 {
				c.write(strings.Repeat("n", 60)+strings.Repeat("0", i%9)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)), "x")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCheckout(t, "https://github.com/acme/app")
			head := c.git("rev-parse", "HEAD")
			change(c)
			got, err := c.record()
			if err != nil {
				t.Fatal(err)
			}
			text := string(got.Predicate)
			if !got.Dirty || got.Commit != "" || strings.Contains(text, "gitCommit") || !strings.Contains(text, `"dirty":true`) || !strings.Contains(text, `"baseCommit":"`+head+`"`) {
				t.Errorf("%s", text)
			}
		})
	}
}

func TestFromGitRemotes(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "https://github.com/acme/app")
	for remote, want := range map[string]string{
		"https://gitlab.example:8443/a/b/c.git": "https://gitlab.example:8443/a/b/c",
		"ssh://git@github.com/acme/app.git":     "https://github.com/acme/app",
		"ssh://git@github.com:22/acme/app":      "https://github.com/acme/app",
		"ssh://git@git.example:2222/acme/app":   "ssh://git.example:2222/acme/app",
		"git@github.com:/acme/app":              "https://github.com/acme/app",
		"github.com:acme/app":                   "https://github.com/acme/app",
		"git://git.example/app.git":             "git://git.example/app",
		"/srv/git/MARKER.git":                   "",
		"../MARKER":                             "",
		"file:///srv/git/MARKER":                "",
		"https://github.com/MARKER?token=x":     "",
		"https://github.com/MARKER@main":        "",
		"C:/MARKER":                             "",
		"ext::sh -c MARKER":                     "",
		"https://github.com/":                   "",
	} {
		c.git("remote", "set-url", "origin", remote)
		got, err := c.record()
		switch {
		case want == "" && (!errors.Is(err, provenance.ErrCheckout) || strings.Contains(err.Error(), "MARKER")):
			t.Errorf("%s: %+v, %v", remote, got, err)
		case want != "" && (err != nil || got.Source != want):
			t.Errorf("%s: %+v, %v", remote, got, err)
		}
	}
}

func TestFromGitNoCheckout(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "")
	if _, err := c.record(); !errors.Is(err, provenance.ErrCheckout) || !strings.Contains(err.Error(), `"origin"`) {
		t.Errorf("no remote: %v", err)
	}
	for name, dir := range map[string]string{"an empty folder": t.TempDir(), "no folder": filepath.Join(t.TempDir(), "missing")} {
		if _, err := provenance.FromGit(t.Context(), lookup(c.env), dir, started); !errors.Is(err, provenance.ErrCheckout) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := t.TempDir()
	c.dir = empty
	c.git("init", "--quiet")
	if _, err := c.record(); !errors.Is(err, provenance.ErrCheckout) || !strings.Contains(err.Error(), "no commit") {
		t.Errorf("no commit: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := provenance.FromGit(cancelled, lookup(c.env), empty, started); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCL05GitIsAbsolute: a command in the working directory or in a relative
// folder of PATH is never run, and a monitor that the checkout names neither.
func TestCL05GitIsAbsolute(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "https://github.com/acme/app")
	trap := filepath.Join(t.TempDir(), "sprung")
	script := "#!/bin/sh\n: > " + trap + "\n"
	if err := os.WriteFile(filepath.Join(c.dir, "git"), []byte(script), 0o700); err != nil { //nolint:gosec // it must be executable
		t.Fatal(err)
	}
	c.git("config", "core.fsmonitor", filepath.Join(c.dir, "git"))
	c.git("update-index", "--refresh")
	if err := os.Remove(trap); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	working, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(working, c.dir)
	if err != nil {
		t.Fatal(err)
	}
	good := c.env["PATH"]
	for _, path := range []string{".:" + good, ":" + good, relative + ":" + good} {
		c.env["PATH"] = path
		if got, err := c.record(); err != nil || !got.Dirty {
			t.Errorf("CL-05 %s: %+v, %v", path, got, err)
		}
	}
	for _, path := range []string{"", ".", relative} {
		c.env["PATH"] = path
		if _, err := c.record(); !errors.Is(err, provenance.ErrCheckout) {
			t.Errorf("CL-05 PATH %q: %v", path, err)
		}
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("CL-05 the planted command was run")
	}
}

// TestGitEnvironmentIsClean: variables that would send git elsewhere are not
// passed on.
func TestGitEnvironmentIsClean(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "https://github.com/acme/app")
	foreign := newCheckout(t, "https://github.com/evil/app")
	c.env["GIT_DIR"] = filepath.Join(foreign.dir, ".git")
	c.env["GIT_CONFIG_COUNT"] = "1"
	c.env["GIT_CONFIG_KEY_0"], c.env["GIT_CONFIG_VALUE_0"] = "remote.origin.url", "https://github.com/evil/app"
	if got, err := c.record(); err != nil || got.Source != "https://github.com/acme/app" {
		t.Errorf("%+v, %v", got, err)
	}
	one, err := c.record()
	if err != nil {
		t.Fatal(err)
	}
	two, err := provenance.Detect(t.Context(), lookup(c.env), c.dir, started.Add(time.Nanosecond))
	if err != nil || string(one.Predicate) != string(two.Predicate) {
		t.Errorf("two runs, two texts: %v\n%s\n%s", err, one.Predicate, two.Predicate)
	}
}
