package provenance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

// maxGitOutput bounds what is read of one answer of git; they are one line each,
// but for a status, of which the first byte says enough.
const maxGitOutput = 64 << 10

// FromGit makes provenance of the git checkout that holds dir, in the build type
// [LocalBuildType], by [LocalBuilder]: where the remote "origin" is, the commit,
// the branch, or for a detached head the one tag there, and whether something is
// changed. User names and passwords in the remote's address are dropped, and an
// ssh address becomes the https one of the same host and path.
//
// It runs the git command of env's PATH, found under an absolute path, without
// the environment's other variables but HOME and XDG_CONFIG_HOME. It reads only.
// Errors wrap [ErrCheckout], or the context's error.
func FromGit(ctx context.Context, env func(string) string, dir string, started time.Time) (*Record, error) {
	record, err := fromGit(ctx, env, dir, started)
	if err != nil {
		return nil, fmt.Errorf("making provenance of the checkout in %q: %w", dir, err)
	}
	return record, nil
}

func fromGit(ctx context.Context, env func(string) string, dir string, started time.Time) (*Record, error) {
	g, err := newGit(env, dir)
	if err != nil {
		return nil, err
	}
	commit, err := g.line(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil {
		return nil, err
	}
	if !isCommit(commit) {
		return nil, fmt.Errorf("%w: it has no commit", ErrCheckout)
	}
	ref, err := g.ref(ctx)
	if err != nil {
		return nil, err
	}
	remote, err := g.line(ctx, "config", "--get", "remote.origin.url")
	if err != nil {
		return nil, err
	}
	if remote == "" {
		return nil, fmt.Errorf("%w: it has no remote %q", ErrCheckout, "origin")
	}
	source, err := remoteSource(remote)
	if err != nil {
		return nil, err
	}
	source.Ref = ref
	status, err := g.line(ctx, "status", "--porcelain", "--untracked-files=normal")
	if err != nil {
		return nil, err
	}
	f := facts{
		system: "git", buildType: LocalBuildType, builder: LocalBuilder,
		external: map[string]any{"source": source.String()},
		source:   source, commit: commit, started: started,
	}
	dirty := status != ""
	if dirty {
		f.external["dirty"] = true
		f.internal = map[string]any{"baseCommit": commit}
		f.commit = ""
	}
	record, err := f.record()
	if err != nil {
		return nil, err
	}
	record.Dirty = dirty
	return record, nil
}

// remoteSource reads the address of a git remote (git-fetch, "GIT URLS") as the
// address by which others know the repository.
func remoteSource(remote string) (predicate.Source, error) {
	scheme, rest, isURL := strings.Cut(remote, "://")
	if !isURL {
		// The scp-like form: [user@]host:path, without a slash before the colon.
		host, path, found := strings.Cut(remote, ":")
		if !found || strings.Contains(host, "/") || len(host) < 2 {
			return predicate.Source{}, fmt.Errorf("%w: its remote %q is a folder, which others cannot fetch from", ErrCheckout, "origin")
		}
		scheme, rest = "ssh", host+"/"+strings.TrimPrefix(path, "/")
	}
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:] // a user name, and with https often a token
	}
	if scheme == "ssh" || scheme == "git+ssh" {
		host = strings.TrimSuffix(host, ":22")
		scheme = "ssh"
		if !strings.Contains(host, ":") {
			scheme = "https"
		}
	}
	path = strings.TrimSuffix(strings.TrimRight(path, "/"), ".git")
	source, err := predicate.ParseSource(scheme + "://" + host + "/" + path)
	if err != nil || source.Ref != "" {
		return predicate.Source{}, fmt.Errorf("%w: the address of its remote %q is of no known form", ErrCheckout, "origin")
	}
	return source, nil
}

// git runs the git command in one checkout.
type git struct {
	path string
	dir  string
	env  []string
}

func newGit(env func(string) string, dir string) (*git, error) {
	var folders []string
	for _, folder := range filepath.SplitList(env("PATH")) {
		if filepath.IsAbs(folder) { // never the working directory's own "git"
			folders = append(folders, folder)
		}
	}
	name := "git"
	if runtime.GOOS == "windows" {
		name = "git.exe"
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode()&0o111 == 0 {
			continue
		}
		g := &git{path: path, dir: dir, env: []string{
			"PATH=" + strings.Join(folders, string(filepath.ListSeparator)),
			"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
		}}
		for _, home := range []string{"HOME", "XDG_CONFIG_HOME"} { // safe.directory stands there
			if value := env(home); value != "" {
				g.env = append(g.env, home+"="+value)
			}
		}
		return g, nil
	}
	return nil, fmt.Errorf("%w: no git command in an absolute folder of PATH", ErrCheckout)
}

// ref returns the branch that is checked out, the one tag at a detached head, or
// "".
func (g *git) ref(ctx context.Context) (string, error) {
	branch, err := g.line(ctx, "symbolic-ref", "--quiet", "HEAD")
	if err != nil || branch != "" {
		return branch, err
	}
	tags, err := g.line(ctx, "for-each-ref", "--points-at=HEAD", "--format=%(refname)", "refs/tags")
	if err != nil || strings.Contains(tags, "\n") {
		return "", err
	}
	return tags, nil
}

// line runs one command of git and returns its output without the line's end. An
// answer of "no" (exit code 1) is the empty output.
func (g *git) line(ctx context.Context, args ...string) (string, error) {
	// A file system monitor is a program that the checkout's configuration names.
	args = append([]string{"-C", g.dir, "--no-pager", "-c", "core.fsmonitor=false"}, args...)
	command := exec.CommandContext(ctx, g.path, args...)
	command.Env = g.env
	command.WaitDelay = time.Second
	stdout, stderr := &limited{}, &limited{}
	command.Stdout, command.Stderr = stdout, stderr
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return "", nil
	case err != nil:
		why, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%w: git %s: %w: %.200s", ErrCheckout, args[5], err, why)
	}
	return strings.TrimRight(stdout.String(), "\r\n"), nil
}

// limited keeps the first bytes and drops the rest. The buffer is no embedded
// one: its ReadFrom would take everything.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxGitOutput - l.kept.Len(); room > 0 {
		l.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *limited) String() string { return l.kept.String() }
