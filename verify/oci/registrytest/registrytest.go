// Package registrytest is the registry that tests read from and write to: the
// in-memory registry of go-containerregistry on a loopback listener, behind a
// layer that counts every request and injects faults.
//
//	reg := registrytest.New(t, registrytest.WithReferrers(false))
//	image := reg.PushImage("team/app", "1.2", map[string]string{"app": "bytes"})
//	reg.Attach(image.Repository, image.Descriptor, registrytest.Artifact{Type: "…", Content: raw})
//	reg.Inject(registrytest.Match{Class: registrytest.Blob, Times: 1}, registrytest.Status(503))
//	… run the code under test against image.Ref() …
//	if got := reg.Budgeted(); got != 2 { t.Errorf("%d requests:\n%s", got, reg.Log()) }
//
// The Push, Put, Tag and Attach helpers write beside the listener: they are
// never counted, delayed, faulted or asked for credentials.
//
// Order of the layers, outermost first: counting, latency, injected faults,
// authentication, conditional PUT and referrers, go-containerregistry. A fault
// therefore also reaches the ping, the token server and the 401 answers.
//
// It is no place for production: everything is kept in memory and the faults
// are the point.
package registrytest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is one running test registry. It ends with its test. All methods
// are safe for concurrent use.
type Registry struct {
	t        testing.TB
	options  options
	server   *httptest.Server
	tokens   *httptest.Server // the token server's own listener, or nil
	store    *store
	guard    *guard
	ca       *authority
	counters counters

	mu    sync.Mutex
	rules []*rule
}

type options struct {
	referrers      bool
	plainReferrers bool
	pageSize       int
	filter         bool
	conditionalPut bool
	latency        time.Duration
	tls            bool
	names          []string
	auth           authOptions
	middleware     []func(http.Handler) http.Handler
}

// Option changes what [New] starts.
type Option func(*options)

// WithReferrers switches the OCI 1.1 referrers API; the default is on. Off, the
// registry answers 404 there and names no OCI-Subject, as distribution v3 does.
func WithReferrers(on bool) Option { return func(o *options) { o.referrers = on } }

// WithPlainReferrers leaves the referrers API to go-containerregistry, which
// reports the config's media type as artifactType, in random order, and never
// answers OCI-Subject. The default is an answer as the distribution spec
// 1.1 describes it, in the order of the pushes.
func WithPlainReferrers() Option { return func(o *options) { o.plainReferrers = true } }

// WithReferrersPages cuts the referrers list into pages of n descriptors with
// a Link header each.
func WithReferrersPages(n int) Option { return func(o *options) { o.pageSize = n } }

// WithReferrersFilter makes the registry honour ?artifactType= and say so in
// OCI-Filters-Applied; the default ignores it, as the spec allows.
func WithReferrersFilter() Option { return func(o *options) { o.filter = true } }

// WithConditionalPut gives manifests an ETag and honours If-Match and
// If-None-Match on PUT with 412. The default ignores both headers.
func WithConditionalPut() Option { return func(o *options) { o.conditionalPut = true } }

// WithLatency delays every answer by d.
func WithLatency(d time.Duration) Option { return func(o *options) { o.latency = d } }

// WithTLS serves HTTPS under a certificate of the registry's own authority,
// valid for 127.0.0.1, ::1, localhost and names. See [Registry.CAs].
func WithTLS(names ...string) Option {
	return func(o *options) { o.tls, o.names = true, names }
}

// WithMiddleware wraps the whole registry below counting and faults, for what
// no other option does. The first one given is the outermost.
func WithMiddleware(wrap func(http.Handler) http.Handler) Option {
	return func(o *options) { o.middleware = append(o.middleware, wrap) }
}

// New starts a registry on 127.0.0.1 that stops with the test.
func New(t testing.TB, opts ...Option) *Registry {
	t.Helper()
	r := &Registry{t: t, options: options{referrers: true}}
	for _, option := range opts {
		option(&r.options)
	}
	quiet := log.New(io.Discard, "", 0)
	plain := registry.New(registry.Logger(quiet), registry.WithReferrersSupport(r.options.referrers && r.options.plainReferrers))
	r.store = newStore(plain, r.options)
	r.guard = newGuard(r.options.auth)

	var handler http.Handler = r.guard.protect(r.store)
	for i := len(r.options.middleware) - 1; i >= 0; i-- {
		handler = r.options.middleware[i](handler)
	}
	front := r.front(handler)
	if r.options.tls {
		r.ca = newAuthority(t, r.options.names)
	}
	r.server = r.start(front)
	r.guard.setRealm(r.server.URL + tokenPath)
	if r.options.auth.ownListener {
		r.tokens = r.start(front)
		r.guard.setRealm(r.tokens.URL + tokenPath)
	}
	return r
}

// start opens one listener whose connections are numbered.
func (r *Registry) start(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, r.counters.newConn())
	}
	server.Config.ConnState = r.counters.connState
	if r.options.tls {
		server.TLS = r.ca.serverConfig()
		server.StartTLS()
	} else {
		server.Start()
	}
	r.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// front counts, waits and injects faults.
func (r *Registry) front(next http.Handler) http.Handler {
	faulted := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.faultsFor(req, next).ServeHTTP(w, req)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		finish, counted := r.counters.begin(w, req)
		defer finish()
		if r.options.latency > 0 && !wait(req, r.options.latency) {
			return
		}
		faulted.ServeHTTP(counted, req)
	})
}

// Host returns "127.0.0.1:port".
func (r *Registry) Host() string {
	return strings.TrimPrefix(strings.TrimPrefix(r.URL(), "https://"), "http://")
}

// URL returns the registry's base URL without a trailing slash.
func (r *Registry) URL() string { return r.server.URL }

// TokenHost returns the host of the token server, which is [Registry.Host]
// unless [WithTokenServer] gave it a listener of its own.
func (r *Registry) TokenHost() string {
	if r.tokens != nil {
		return r.tokens.Listener.Addr().String()
	}
	return r.Host()
}

// Close stops the listener early, so that the registry is down.
func (r *Registry) Close() {
	r.server.CloseClientConnections()
	r.server.Close()
}

// wait sleeps for d unless the client leaves; it reports whether it slept on.
func wait(req *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-req.Context().Done():
		return false
	}
}
