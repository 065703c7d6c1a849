package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Limits of what a client remembers: a server lives for months, and whoever names images
// chooses the names. Who loses a login makes it again.
const (
	maxHosts     = 256
	maxSessions  = 1024 // repositories of one host
	maxIdleConns = 512  // of all hosts
)

// session returns the authenticated way to a repository, made on first use.
func (c *Client) session(ctx context.Context, r Reference) (*host, *session, error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	if err := c.Admits(r); err != nil {
		return nil, nil, err
	}
	c.border.admit(apiHost(r.Host))
	c.mu.Lock()
	h := c.hosts[r.Host]
	if h == nil {
		if len(c.hosts) >= maxHosts {
			clear(c.hosts) // who is using one goes on with it
		}
		h = &host{sessions: make(map[string]*session)}
		c.hosts[r.Host] = h
	}
	c.mu.Unlock()
	if err := h.pinged.do(ctx, func() error { return c.ping(ctx, h, r.Host) }); err != nil {
		return nil, nil, fmt.Errorf("asking registry %s: %w", r.Host, err)
	}
	h.mu.Lock()
	s := h.sessions[r.Repository]
	if s == nil {
		if len(h.sessions) >= maxSessions {
			clear(h.sessions)
		}
		s = &session{}
		h.sessions[r.Repository] = s
	}
	h.mu.Unlock()
	err := s.loggedIn.do(ctx, func() error { return c.login(ctx, h, s, r, h.challenge) })
	if err != nil {
		return nil, nil, fmt.Errorf("logging in to %s: %w", r.Name(), err)
	}
	return h, s, nil
}

// ping learns how a host is spoken to.
func (c *Client) ping(ctx context.Context, h *host, hostName string) error {
	registry, err := name.NewRegistry(apiHost(hostName), name.WeakValidation)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReference, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	schemes := []string{"https"}
	switch {
	case loopback(hostName):
		// A test or development registry: plain HTTP is asked first, and TLS
		// where that is what the server speaks.
		schemes = []string{"http", "https"}
	case c.options.InsecureHTTP:
		schemes = []string{"https", "http"}
	}
	var failure error
	for _, scheme := range schemes {
		challenge, err := c.pingWith(ctx, registry, scheme)
		if err == nil {
			h.registry, h.scheme, h.challenge = registry, scheme, challenge
			return nil
		}
		if failure == nil {
			failure = err
		} else {
			failure = fmt.Errorf("over %s: %w; over %s: %w", schemes[0], failure, scheme, err)
		}
		if scheme == "http" && !errors.Is(err, errSpeaksTLS) {
			break
		}
	}
	return classify(failure)
}

// errSpeaksTLS: a plain request met a TLS server; ask again with TLS.
var errSpeaksTLS = errors.New("the server speaks TLS")

// pingWith asks /v2/ over one scheme (distribution-spec, "Determining Support").
func (c *Client) pingWith(ctx context.Context, registry name.Registry, scheme string) (*transport.Challenge, error) {
	target := scheme + "://" + registry.RegistryStr() + "/v2/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	answer, err := (&http.Client{Transport: c.base, CheckRedirect: checkRedirect}).Do(request)
	if err != nil {
		if scheme == "http" && strings.Contains(err.Error(), "malformed HTTP") {
			return nil, fmt.Errorf("%w: %w", errSpeaksTLS, err) // it answered with a TLS alert
		}
		return nil, err
	}
	defer answer.Body.Close()
	if _, err := io.CopyN(io.Discard, answer.Body, maxShort); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	challenge := &transport.Challenge{Insecure: scheme == "http"}
	switch answer.StatusCode {
	case http.StatusOK:
		if strings.HasPrefix(mediaTypeOf(answer), "text/html") {
			return nil, fmt.Errorf("%w: it sent a web page", ErrUnreachable)
		}
		return challenge, nil
	case http.StatusUnauthorized:
		if err := readChallenge(challenge, answer.Header); err != nil {
			return nil, err
		}
		return challenge, nil
	case http.StatusBadRequest:
		if scheme == "http" { // what Go's and nginx's TLS servers say
			return nil, fmt.Errorf("%w: %w", errSpeaksTLS, statusError(answer.StatusCode, nil))
		}
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: it has no /v2/; is it a registry?", ErrUnreachable)
	}
	return nil, statusError(answer.StatusCode, nil)
}

// login makes the HTTP client that carries a repository's credentials, as the
// challenge asks for them.
func (c *Client) login(ctx context.Context, h *host, s *session, r Reference, challenge *transport.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	way := c.base
	if challenge.Scheme != "" {
		repository, err := name.NewRepository(apiHost(r.Host) + "/" + r.Repository)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrReference, err)
		}
		auth, err := authn.Resolve(ctx, c.options.Keychain, repository)
		if err != nil {
			return fmt.Errorf("%w: reading credentials: %w", ErrUnauthorized, err)
		}
		token := &transport.Token{}
		if challenge.Scheme == "bearer" {
			if token, err = c.token(ctx, h, repository, auth, challenge); err != nil {
				return err
			}
		}
		if way, err = transport.FromToken(h.registry, auth, c.base, challenge, token); err != nil {
			return fmt.Errorf("%w: %w", ErrUnauthorized, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = &http.Client{Transport: way, CheckRedirect: checkRedirect}
	return nil
}

// token gets a token for one repository from the realm that the challenge names.
func (c *Client) token(ctx context.Context, h *host, repository name.Repository, auth authn.Authenticator, challenge *transport.Challenge) (*transport.Token, error) {
	if err := checkRealm(challenge.Parameters["realm"], h.registry.RegistryStr(), h.scheme); err != nil {
		return nil, err
	}
	scope := repository.Scope(transport.PullScope)
	if c.options.Push {
		scope = repository.Scope(transport.PushScope)
	}
	if err := c.checkReach(challenge.Parameters["realm"]); err != nil {
		return nil, err
	}
	scopes := []string{scope}
	for _, other := range c.options.AlsoPull {
		if apiHost(other.Host) == h.registry.RegistryStr() && other.Repository != repository.RepositoryStr() {
			scopes = append(scopes, "repository:"+other.Repository+":"+transport.PullScope)
		}
	}
	token, err := transport.Exchange(ctx, h.registry, auth, c.base, scopes, challenge)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "refusing token-server redirect"):
		return nil, fmt.Errorf("%w: %w", ErrRedirectRefused, err)
	case strings.HasPrefix(err.Error(), "no token in bearer response"):
		// Its text goes on with the answer, which may hold a credential.
		return nil, fmt.Errorf("%w: the token server's answer holds no token", ErrUnreachable)
	default:
		return nil, classify(err)
	}
	if token.Token == "" {
		token.Token = token.AccessToken
	}
	return token, nil
}

// checkRealm refuses a token server that credentials should not go to: one
// without TLS, except the registry's own plain host, and one at an internal
// address that the registry itself is not at.
func checkRealm(realm, registry, scheme string) error {
	target, err := url.Parse(realm)
	if err != nil || target.Host == "" || target.User != nil {
		return fmt.Errorf("%w: the registry names no token server", ErrUnauthorized)
	}
	same := target.Host == registry
	switch {
	case target.Scheme == "https", target.Scheme == "http" && scheme == "http" && same:
	default:
		return fmt.Errorf("%w: credentials do not go to the token server %s://%s", ErrRedirectRefused, short(target.Scheme), short(target.Host))
	}
	if !same && InternalAddress(target.Hostname()) {
		return fmt.Errorf("%w: the token server is at the internal address %s", ErrRedirectRefused, short(target.Host))
	}
	return nil
}

// checkReach refuses a token server outside the client's reach by name.
func (c *Client) checkReach(realm string) error {
	target, err := url.Parse(realm)
	if err != nil {
		return fmt.Errorf("%w: the registry names no token server", ErrUnauthorized)
	}
	if err := c.border.request(target.Host); err != nil {
		return fmt.Errorf("the registry's token server is another host: %w", err)
	}
	return nil
}

// learn logs in after all where a registry whose ping asked for nothing answers
// a read with a challenge. It reports whether the read is worth repeating.
func (c *Client) learn(ctx context.Context, h *host, s *session, r Reference, answer *http.Response) (bool, error) {
	if answer.StatusCode != http.StatusUnauthorized || h.challenge.Scheme != "" || answer.Request.URL.Host != h.registry.RegistryStr() {
		return false, nil
	}
	challenge := &transport.Challenge{Insecure: h.scheme == "http"}
	if readChallenge(challenge, answer.Header) != nil {
		return false, nil
	}
	err := s.learned.do(ctx, func() error { return c.login(ctx, h, s, r, challenge) })
	if err != nil {
		return false, fmt.Errorf("logging in to %s: %w", r.Name(), err)
	}
	return true, nil
}

var challengeParameter = regexp.MustCompile(`([a-zA-Z_]+)="([^"]*)"`)

// readChallenge reads the first Bearer or Basic challenge (RFC 9110 section 11.6.1).
func readChallenge(into *transport.Challenge, header http.Header) error {
	for _, text := range header.Values("WWW-Authenticate") {
		scheme, parameters, _ := strings.Cut(strings.TrimSpace(text), " ")
		switch strings.ToLower(scheme) {
		case "bearer", "basic":
			into.Scheme = strings.ToLower(scheme)
			into.Parameters = make(map[string]string)
			for _, pair := range challengeParameter.FindAllStringSubmatch(parameters, -1) {
				into.Parameters[strings.ToLower(pair[1])] = pair[2]
			}
			return nil
		}
	}
	return fmt.Errorf("%w: it wants a login of an unknown kind", ErrUnauthorized)
}
