// Package oci reads registries, OCI layouts and archives. It is read-only, knows
// nothing of signatures, and checks size and digest of everything it returns.
//
//	client := oci.NewClient(oci.Options{})
//	ref, err := oci.ParseReference("registry.example/app:1.2")
//	image, err := client.Resolve(ctx, ref)             // one HEAD; by digest none
//	list, err := client.Referrers(ctx, ref, image.Digest)
//	m, err := client.Manifest(ctx, ref, list.Descriptors[0])
//
// Non-goals: pulling whole images, writing, credentials stores of its own.
package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Limits of one client.
const (
	maxConnsPerHost = 16               // enough to hide latency; few enough to be no burden
	maxRedirects    = 5                // registries redirect once, to their blob store
	defaultTimeout  = 30 * time.Second // of one request for a manifest or a list
	blobTimeout     = 30 * time.Minute // of one streamed layer
	pingTimeout     = 15 * time.Second
	maxPing         = 1 << 16 // bytes of a ping's answer that are read
)

// Options say how registries are reached. The zero value is right for most: TLS
// everywhere but on loopback, anonymous.
type Options struct {
	// Keychain finds credentials; nil is anonymous.
	Keychain authn.Keychain
	// RootCAs replaces the system's certificate authorities; nil keeps them.
	RootCAs *x509.CertPool
	// InsecureHTTP allows plain HTTP for every host. Weakens transport only: all
	// content is still checked against its digest.
	InsecureHTTP bool
	// Timeout bounds one request; zero is 30 seconds.
	Timeout time.Duration
	// UserAgent names the program; empty is "hallmark".
	UserAgent string
	// Push asks for tokens that may also write; only sign/publish sets it.
	Push bool
	// Transport replaces the network, in tests; nil is the real one.
	Transport http.RoundTripper
}

// Client reads registries. It pings each host once, keeps one token for each
// repository and reuses connections. Safe for concurrent use.
type Client struct {
	options Options
	base    http.RoundTripper
	mu      sync.Mutex
	hosts   map[string]*host
}

// host is what is known about one registry.
type host struct {
	mu          sync.Mutex
	registry    name.Registry
	scheme      string
	challenge   *transport.Challenge
	sessions    map[string]*session
	noReferrers bool
}

// session is an authenticated way to one repository.
type session struct {
	mu     sync.Mutex
	client *http.Client
}

// NewClient returns a client. Nothing is asked of any network yet.
func NewClient(o Options) *Client {
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.UserAgent == "" {
		o.UserAgent = "hallmark"
	}
	c := &Client{options: o, hosts: make(map[string]*host)}
	inner := o.Transport
	if inner == nil {
		inner = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: o.Timeout,
			MaxConnsPerHost:       maxConnsPerHost,
			MaxIdleConnsPerHost:   maxConnsPerHost,
			IdleConnTimeout:       time.Minute,
			ForceAttemptHTTP2:     true,
		}
	}
	c.base = transport.NewUserAgent(&guard{inner: &retrier{inner: inner}, allowHTTP: c.allowsHTTP}, o.UserAgent)
	return c
}

// allowsHTTP reports whether a host may be spoken to without TLS.
func (c *Client) allowsHTTP(host string) bool { return c.options.InsecureHTTP || loopback(host) }

// apiHost returns the host that answers for a canonical host.
func apiHost(host string) string {
	if host == dockerHub {
		return dockerHubAPI
	}
	return host
}

// Do sends one request below /v2/<repository>/ with the repository's credentials
// and returns whatever answer comes. The caller closes the body. path starts
// without a slash. Only sign/publish has a use for it beside this package.
func (c *Client) Do(ctx context.Context, r Reference, method, path string, header http.Header, body io.Reader, length int64) (*http.Response, error) {
	h, s, err := c.session(ctx, r)
	if err != nil {
		return nil, err
	}
	url := path
	if !strings.Contains(path, "://") {
		url = h.scheme + "://" + apiHost(r.Host) + "/v2/" + r.Repository + "/" + path
	}
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	if body != nil && length >= 0 {
		request.ContentLength = length
	}
	for key, values := range header {
		request.Header[key] = values
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, classify(err)
	}
	return answer, nil
}

// session returns the authenticated way to a repository, made on first use.
func (c *Client) session(ctx context.Context, r Reference) (*host, *session, error) {
	c.mu.Lock()
	h := c.hosts[r.Host]
	if h == nil {
		h = &host{sessions: make(map[string]*session)}
		c.hosts[r.Host] = h
	}
	c.mu.Unlock()
	if err := c.ping(ctx, h, r.Host); err != nil {
		return nil, nil, fmt.Errorf("asking registry %s: %w", r.Host, err)
	}
	h.mu.Lock()
	s := h.sessions[r.Repository]
	if s == nil {
		s = &session{}
		h.sessions[r.Repository] = s
	}
	h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		client, err := c.authenticate(ctx, h, r)
		if err != nil {
			return nil, nil, fmt.Errorf("logging in to %s: %w", r.Name(), err)
		}
		s.client = client
	}
	return h, s, nil
}

// ping learns how a host is spoken to, once.
func (c *Client) ping(ctx context.Context, h *host, hostName string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.challenge != nil {
		return nil
	}
	registry, err := name.NewRegistry(apiHost(hostName), name.WeakValidation)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReference, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	schemes := []string{"https"}
	if c.allowsHTTP(apiHost(hostName)) {
		// On loopback plain HTTP is asked first: a test or development registry.
		schemes = []string{"http", "https"}
	}
	var failures []error
	for _, scheme := range schemes {
		challenge, err := c.pingWith(ctx, registry, scheme)
		if err == nil {
			h.registry, h.scheme, h.challenge = registry, scheme, challenge
			return nil
		}
		failures = append(failures, err)
		if !errors.Is(err, errSpeaksTLS) && scheme == "http" && loopback(hostName) {
			break
		}
	}
	return classify(errors.Join(failures...))
}

// errSpeaksTLS: a plain request met a TLS server; ask again with TLS.
var errSpeaksTLS = errors.New("the server speaks TLS")

// pingWith asks /v2/ over one scheme (distribution-spec, "Determining Support").
func (c *Client) pingWith(ctx context.Context, registry name.Registry, scheme string) (*transport.Challenge, error) {
	url := scheme + "://" + registry.RegistryStr() + "/v2/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	answer, err := (&http.Client{Transport: c.base, CheckRedirect: checkRedirect}).Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxPing))
	if err != nil {
		return nil, err
	}
	challenge := &transport.Challenge{Insecure: scheme == "http"}
	switch answer.StatusCode {
	case http.StatusOK:
		return challenge, nil
	case http.StatusUnauthorized:
		if err := readChallenge(challenge, answer.Header); err != nil {
			return nil, err
		}
		return challenge, nil
	case http.StatusBadRequest:
		if scheme == "http" && strings.Contains(string(text), "HTTP request to an HTTPS server") {
			return nil, errSpeaksTLS
		}
	}
	if answer.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: it has no /v2/; is it a registry?", ErrUnreachable)
	}
	return nil, statusError(answer.StatusCode, nil)
}

// authenticate makes the HTTP client that carries a repository's credentials.
func (c *Client) authenticate(ctx context.Context, h *host, r Reference) (*http.Client, error) {
	auth := authn.Anonymous
	repository, err := name.NewRepository(apiHost(r.Host) + "/" + r.Repository)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	if h.challenge.Scheme != "" {
		if auth, err = authn.Resolve(ctx, c.options.Keychain, repository); err != nil {
			return nil, fmt.Errorf("%w: reading credentials: %w", ErrUnauthorized, err)
		}
	}
	way := c.base
	if h.challenge.Scheme != "" {
		token := &transport.Token{}
		if strings.EqualFold(h.challenge.Scheme, "bearer") {
			scope := repository.Scope(transport.PullScope)
			if c.options.Push {
				scope = repository.Scope(transport.PushScope)
			}
			if token, err = transport.Exchange(ctx, h.registry, auth, c.base, []string{scope}, h.challenge); err != nil {
				if strings.Contains(err.Error(), "realm") || strings.Contains(err.Error(), "refusing") {
					return nil, fmt.Errorf("%w: %w", ErrRedirectRefused, err)
				}
				return nil, classify(err)
			}
			if token.Token == "" {
				token.Token = token.AccessToken
			}
		}
		if way, err = transport.FromToken(h.registry, auth, c.base, h.challenge, token); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnauthorized, err)
		}
	}
	return &http.Client{Transport: way, CheckRedirect: checkRedirect}, nil
}
