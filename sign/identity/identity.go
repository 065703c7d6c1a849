// Package identity gets the OIDC identity token that a keyless signer trades for a
// certificate.
//
//	source, err := identity.Find(ctx, identity.Options{Explicit: flag, Getenv: os.Getenv, Stdin: os.Stdin})
//	token, err := source.Token(ctx, "sigstore")
//	fmt.Println(token)       // whose it is, by whom, until when; never the token itself
//	send(token.Raw())        // to the certificate authority and nowhere else
//
// [Find] decides which source serves, in a fixed order, and asks nobody. What is in
// the environment (GITHUB_REPOSITORY, CI_PROJECT_PATH, …) is never taken for an
// identity: it only says where a token is to be had, and only an issuer's signature
// makes one.
//
// Non-goals: proving tokens of CI systems (the certificate authority does), refresh
// tokens, client secrets, keeping tokens on disk.
package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Defaults are those of Sigstore's public instance.
const (
	DefaultAudience = "sigstore"
	DefaultIssuer   = "https://oauth2.sigstore.dev/auth"
)

// defaultTokenFile is where a projected Kubernetes token for this purpose is
// mounted; other clients look there too.
const defaultTokenFile = "/var/run/sigstore/cosign/oidc-token"

// Flows are the ways in which a person logs in.
const (
	FlowAuto    = "auto"    // at a terminal: the browser, or a code where none can be opened
	FlowBrowser = "browser" // authorization code with PKCE, answered on a loopback address
	FlowDevice  = "device"  // a code that is entered on any device (RFC 8628)
	FlowNone    = "none"    // nobody is there
)

// Errors that callers may branch on.
var (
	// ErrNoSource: there is no token to be had; the error lists where it was looked for.
	ErrNoSource = errors.New("no identity token to be had")
	// ErrExpired: the token has run out. Sources that can make a new one have done so.
	ErrExpired = errors.New("the identity token has expired")
	// ErrAudience: the token is for somebody else; ask for one for the right audience.
	ErrAudience = errors.New("the identity token is for another audience")
)

// Source gives identity tokens. It may be asked again, when a certificate has run
// out. Implementations of this package are safe for concurrent use, but two calls
// of a person's flow ask the person twice.
type Source interface {
	// Token returns a token that has not expired and is for audience; "" stands for
	// Options.Audience. Tokens of a person's flow are always for Options.ClientID.
	Token(ctx context.Context, audience string) (Token, error)
}

// Options say where tokens may come from. The zero value finds nothing.
type Options struct {
	Explicit    string              // --identity-token: a token, the name of a file, or "-" for Stdin
	Getenv      func(string) string // nil: an empty environment
	Stdin       io.Reader           // read for "-" only; nil is empty
	HTTP        *http.Client        // its Transport and Timeout are used; nil: the usual ones
	Audience    string              // "": [DefaultAudience]
	Issuer      string              // for a person's flow; "": [DefaultIssuer]
	ClientID    string              // for a person's flow; "": the audience
	Flow        string              // "" is [FlowAuto]
	Interactive bool                // a person sits at a terminal; FlowAuto needs it
	Prompt      io.Writer           // where the person is told what to do; nil: nowhere
	OpenBrowser func(string) error  // nil: none can be opened, and the person is told the address
	Now         func() time.Time    // nil: [time.Now]
	TokenFile   string              // "": /var/run/sigstore/cosign/oidc-token
}

// provider is one place that gives tokens, before they are checked.
type provider interface {
	// name is what errors and [Token.Source] call it.
	name() string
	fetch(ctx context.Context, audience string) (string, error)
	// advice is the hint for a token that has expired or is for somebody else.
	advice(audience string) string
}

// settings are Options without gaps.
type settings struct {
	Options
	client *http.Client
	sleep  func(context.Context, time.Duration) error
}

func complete(o Options) (*settings, error) {
	s := &settings{Options: o, client: newClient(o.HTTP), sleep: sleep}
	fill := func(target *string, value string) {
		if *target == "" {
			*target = value
		}
	}
	fill(&s.Audience, DefaultAudience)
	fill(&s.Issuer, DefaultIssuer)
	fill(&s.ClientID, s.Audience)
	fill(&s.Flow, FlowAuto)
	fill(&s.TokenFile, defaultTokenFile)
	if s.Getenv == nil {
		s.Getenv = func(string) string { return "" }
	}
	if s.Stdin == nil {
		s.Stdin = strings.NewReader("")
	}
	if s.Prompt == nil {
		s.Prompt = io.Discard
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	flows := []string{FlowAuto, FlowBrowser, FlowDevice, FlowNone}
	if !slices.Contains(flows, s.Flow) {
		return nil, fmt.Errorf("choosing a login flow: %q is none of %s", wording.Short(s.Flow), strings.Join(flows, ", "))
	}
	return s, nil
}

// Find decides which source serves: what was given explicitly; the login flow that
// was named; then SIGSTORE_ID_TOKEN (GitLab sets it), GitHub Actions, Buildkite, a
// token file, the SPIFFE workload API; then, for a person at a terminal, a login.
// It looks at the environment and at files and asks no server. What was given is
// used or fails: nothing else is tried in its place. With no source the error wraps
// [ErrNoSource] and lists what was looked for; [Hint] has what to change.
func Find(ctx context.Context, o Options) (Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := complete(o)
	if err != nil {
		return nil, err
	}
	if s.Explicit != "" {
		given, err := s.given()
		if err != nil {
			return nil, err
		}
		return &checked{settings: s, provider: given}, nil
	}
	if s.Flow == FlowBrowser || s.Flow == FlowDevice {
		return s.person(), nil
	}
	looked := []string{"no --identity-token"}
	for _, look := range []func() (provider, string, error){s.variable, s.github, s.buildkite, s.file, s.spiffe} {
		found, missing, err := look()
		if err != nil {
			return nil, err
		}
		if found != nil {
			return &checked{settings: s, provider: found}, nil
		}
		looked = append(looked, missing)
	}
	if s.Flow == FlowAuto && s.Interactive {
		return s.person(), nil
	}
	looked = append(looked, "no terminal to log in at")
	return nil, withHint(fmt.Errorf("%w: %s", ErrNoSource, strings.Join(looked, "; ")), "%s", s.howToGetOne())
}

// howToGetOne is the advice for the place that this seems to be. A wrong guess costs
// nothing but a wrong hint.
func (s *settings) howToGetOne() string {
	switch {
	case s.Getenv("GITHUB_ACTIONS") == "true":
		return githubAdvice
	case s.Getenv("GITLAB_CI") == "true":
		return gitlabAdvice(s.Audience)
	case s.Getenv("BUILDKITE") == "true":
		return buildkiteAdvice
	}
	return "give a token with --identity-token (a value, a file, or - for the standard input), or log in with --oidc-flow browser or --oidc-flow device"
}

// checked asks a provider and lets no token pass that cannot serve.
type checked struct {
	*settings
	provider provider
	// fixed is the audience of tokens whose audience cannot be chosen.
	fixed string
}

// Token is [Source.Token].
func (c *checked) Token(ctx context.Context, audience string) (Token, error) {
	switch {
	case c.fixed != "":
		audience = c.fixed
	case audience == "":
		audience = c.Audience
	}
	name := c.provider.name()
	raw, err := c.provider.fetch(ctx, audience)
	if err != nil {
		return Token{}, fmt.Errorf("getting an identity token from %s: %w", name, redact(err, raw))
	}
	token, err := Parse(raw)
	if err != nil {
		return Token{}, withHint(fmt.Errorf("reading the identity token of %s: %w", name, err), "%s", c.provider.advice(audience))
	}
	token.source = name
	if !slices.Contains(token.audiences, audience) {
		return Token{}, withHint(fmt.Errorf("checking the identity token of %s: %w: it is for %s, not for %q",
			name, ErrAudience, quoted(token.audiences), wording.Short(audience)), "%s", c.provider.advice(audience))
	}
	if now := c.Now(); !now.Before(token.expires) {
		return Token{}, withHint(fmt.Errorf("checking the identity token of %s: %w: at %s, %s ago",
			name, ErrExpired, token.expires.Format(time.RFC3339), now.Sub(token.expires).Round(time.Second)), "%s", c.provider.advice(audience))
	}
	return token, nil
}

// quoted lists the first few words.
func quoted(words []string) string {
	const shown = 3
	var list []string
	for i, word := range words {
		if i == shown {
			list = append(list, "…")
			break
		}
		list = append(list, fmt.Sprintf("%q", wording.Short(word)))
	}
	return strings.Join(list, ", ")
}
