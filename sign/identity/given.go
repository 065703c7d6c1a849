package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// tokenVariable holds a token for this purpose; other clients read it too.
const tokenVariable = "SIGSTORE_ID_TOKEN"

// value is a token that somebody handed over. It cannot be made anew.
type value struct {
	from string
	read func() (string, error)
}

func (v value) name() string { return v.from }

func (v value) fetch(context.Context, string) (string, error) { return v.read() }

func (v value) advice(audience string) string {
	return fmt.Sprintf("a token that was handed over cannot be renewed: get a new one from its issuer, for the audience %q, and sign soon after", wording.Short(audience))
}

// file is a token that somebody else keeps fresh: it is read each time.
type file struct{ path string }

func (f file) name() string { return fmt.Sprintf("file %s", f.path) }

func (f file) fetch(context.Context, string) (string, error) { return readFile(f.path) }

func (f file) advice(audience string) string {
	return fmt.Sprintf("let what writes %s ask for the audience %q, and renew the token before it runs out", f.path, wording.Short(audience))
}

// given is what --identity-token names. It is never quoted: it may be a token that
// lost a part.
func (s *settings) given() (provider, error) {
	const flag = "--identity-token"
	if s.Explicit == "-" {
		return value{"the standard input", sync.OnceValues(func() (string, error) { return readToken(s.Stdin) })}, nil
	}
	if strings.Count(s.Explicit, ".") == 2 && strings.HasPrefix(strings.TrimSpace(s.Explicit), "eyJ") { // {" in base64url
		return value{flag, func() (string, error) { return s.Explicit, nil }}, nil
	}
	info, err := os.Stat(s.Explicit)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("reading %s: it names a directory", flag)
	case err == nil:
		return file{s.Explicit}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("reading %s: the file that it names must not be read: %w", flag, fs.ErrPermission)
	}
	return nil, withHint(fmt.Errorf("reading %s: it is neither a token nor the name of a file", flag),
		"a token has three parts with dots between them; give it whole, or the path of a file that holds it, or - for the standard input")
}

// variable is the token of the environment. GitLab puts it there when a job asks.
func (s *settings) variable() (provider, string, error) {
	if s.Getenv(tokenVariable) == "" {
		return nil, "no " + tokenVariable, nil
	}
	read := func() (string, error) { return s.Getenv(tokenVariable), nil }
	if s.Getenv("GITLAB_CI") == "true" {
		return gitlab{value{"GitLab (" + tokenVariable + ")", read}}, "", nil
	}
	return value{tokenVariable, read}, "", nil
}

// gitlab is the variable with a better advice.
type gitlab struct{ value }

func (gitlab) advice(audience string) string { return gitlabAdvice(audience) }

func gitlabAdvice(audience string) string {
	return fmt.Sprintf("let the job in .gitlab-ci.yml ask for a token: id_tokens: {%s: {aud: %q}}", tokenVariable, wording.Short(audience))
}

// file is a token that is mounted, such as a projected Kubernetes service account
// token.
func (s *settings) file() (provider, string, error) {
	info, err := os.Stat(s.TokenFile)
	if err != nil || info.IsDir() {
		return nil, fmt.Sprintf("no file %s", s.TokenFile), nil
	}
	return file{s.TokenFile}, "", nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	return readToken(f)
}

// readToken reads at most one token.
func readToken(from io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(from, maxToken+1))
	if err != nil {
		return "", err
	}
	return string(raw), nil
}
