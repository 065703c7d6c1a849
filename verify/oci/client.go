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
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	maxHeaderBytes  = 64 << 10 // of an answer; a signed address of a blob store has 2 kB
	maxShort        = 1 << 16  // bytes that are read of a ping's answer or of an error
)

// Options say how registries are reached. The zero value is right for most: TLS
// everywhere but on loopback, anonymous.
type Options struct {
	// Keychain finds credentials; nil is anonymous.
	Keychain authn.Keychain
	// RootCAs replaces the system's certificate authorities; nil keeps them.
	RootCAs *x509.CertPool
	// InsecureHTTP allows plain HTTP for every host that does not answer over TLS.
	// It exposes credentials and tags to the network; content is still checked
	// against its digest.
	InsecureHTTP bool
	// Timeout bounds one request; zero is 30 seconds.
	Timeout time.Duration
	// UserAgent names the program; empty is "hallmark".
	UserAgent string
	// Push asks for tokens that may also write; only sign/publish sets it.
	Push bool
	// AlsoPull are repositories that a token shall be good for reading too, where
	// they are in the same registry: blobs can be mounted from them.
	AlsoPull []Reference
	// Reach limits where connections go; zero is anywhere.
	Reach Reach
	// Hosts, when there are any, are the only registries that the client asks: each a
	// host with its port, if it has one, as references name it. A reference to another
	// one is refused with [ErrHostRefused] before anything is sent. It is about the hosts of
	// references: the token servers and blob stores that a listed registry names are
	// followed as Reach allows. See [CheckHost].
	Hosts []string
	// Proxy chooses a proxy for a request; nil is as HTTPS_PROXY and its kin say.
	Proxy func(*http.Request) (*url.URL, error)
	// Transport replaces the network, in tests; nil is the real one.
	Transport http.RoundTripper
}

// Client reads registries. It pings each host once, keeps one token for each
// repository and reuses connections. Safe for concurrent use.
type Client struct {
	options Options
	base    http.RoundTripper
	border  *border
	allowed allowed
	mu      sync.Mutex
	hosts   map[string]*host
}

// host is what is known about one registry.
type host struct {
	pinged    once // guards the next three
	registry  name.Registry
	scheme    string
	challenge *transport.Challenge

	mu        sync.Mutex
	sessions  map[string]*session
	referrers support
}

// session is an authenticated way to one repository.
type session struct {
	loggedIn once
	learned  once
	mu       sync.Mutex
	client   *http.Client
}

// http returns the client with the newest credentials.
func (s *session) http() *http.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
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
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	c := &Client{options: o, border: newBorder(o.Reach), allowed: allowedHosts(o.Hosts), hosts: make(map[string]*host)}
	inner := o.Transport
	if inner == nil {
		inner = &http.Transport{
			Proxy:                  o.Proxy,
			DialContext:            c.border.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			MaxResponseHeaderBytes: maxHeaderBytes,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  o.Timeout,
			MaxConnsPerHost:        maxConnsPerHost,
			MaxIdleConnsPerHost:    maxConnsPerHost,
			MaxIdleConns:           maxIdleConns,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // the bytes that are hashed are the bytes that were sent
		}
	}
	c.base = transport.NewUserAgent(&guard{inner: &retrier{inner: counting{inner}}, allowHTTP: c.allowsHTTP, border: c.border}, o.UserAgent)
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
	target := path
	if !strings.Contains(path, "://") {
		target = h.scheme + "://" + apiHost(r.Host) + "/v2/" + r.Repository + "/" + path
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	if body != nil && length >= 0 {
		request.ContentLength = length
	}
	for key, values := range header {
		request.Header[key] = values
	}
	answer, err := s.http().Do(request)
	if err != nil {
		return nil, classify(err)
	}
	if body != nil {
		return answer, nil
	}
	again, err := c.learn(ctx, h, s, r, answer)
	if !again && err == nil {
		return answer, nil
	}
	drain(answer)
	if err != nil {
		return nil, err
	}
	if answer, err = s.http().Do(request.Clone(ctx)); err != nil {
		return nil, classify(err)
	}
	return answer, nil
}
