package registrytest

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// Class says what a request is about, from its path.
type Class string

// The classes of requests. A request has exactly one.
const (
	Any          Class = ""              // matches every class
	Ping         Class = "ping"          // /v2/
	Token        Class = "token"         // the token server
	Tag          Class = "tag"           // manifests/<a tag that is none of the two below>
	ReferrersTag Class = "referrers-tag" // manifests/sha256-<hex>
	LegacyTag    Class = "legacy-tag"    // manifests/sha256-<hex>.sig, .att, .sbom
	Manifest     Class = "manifest"      // manifests/<digest>
	Referrers    Class = "referrers"     // referrers/<digest>
	Blob         Class = "blob"          // blobs/<digest>
	Upload       Class = "upload"        // blobs/uploads/…
	Tags         Class = "tags"          // tags/list
	Catalog      Class = "catalog"       // /v2/_catalog
	Other        Class = "other"
)

// Request is one request as the registry saw it.
type Request struct {
	Method     string
	Class      Class
	Host       string // the Host header
	Path       string
	Query      string
	Repository string // "team/app", or ""
	Reference  string // tag, digest or upload id, or ""
	Header     http.Header
	Conn       int // number of its connection, from 1
	Status     int // 0 when the connection was cut before an answer
	BytesIn    int64
	BytesOut   int64 // body bytes that were written
}

// String returns "GET manifest team/app@sha256:… -> 200, 512 bytes, connection 1".
func (q Request) String() string {
	return fmt.Sprintf("%-4s %-13s %s -> %d, %d bytes, connection %d", q.Method, q.Class, q.Path, q.Status, q.BytesOut, q.Conn)
}

var (
	referrersTagPattern = regexp.MustCompile(`^sha(256|384|512)-[0-9a-f]+$`)
	legacyTagPattern    = regexp.MustCompile(`^sha(256|384|512)-[0-9a-f]+\.[a-z]+$`)
)

// classify reads class, repository and reference from a path.
func classify(path string) (class Class, repository, reference string) {
	switch path {
	case "/v2", "/v2/":
		return Ping, "", ""
	case tokenPath:
		return Token, "", ""
	case "/v2/_catalog":
		return Catalog, "", ""
	}
	rest, found := strings.CutPrefix(path, "/v2/")
	if !found {
		return Other, "", ""
	}
	if repository, upload, found := strings.Cut(rest, "/blobs/uploads"); found {
		return Upload, repository, strings.Trim(upload, "/")
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 3 {
		return Other, "", ""
	}
	repository = strings.Join(parts[:len(parts)-2], "/")
	reference = parts[len(parts)-1]
	switch parts[len(parts)-2] {
	case "manifests":
		switch {
		case strings.Contains(reference, ":"):
			return Manifest, repository, reference
		case referrersTagPattern.MatchString(reference):
			return ReferrersTag, repository, reference
		case legacyTagPattern.MatchString(reference):
			return LegacyTag, repository, reference
		}
		return Tag, repository, reference
	case "blobs":
		return Blob, repository, reference
	case "referrers":
		return Referrers, repository, reference
	case "tags":
		return Tags, repository, reference
	}
	return Other, repository, reference
}

type connKey struct{}

// counters records requests and connections.
type counters struct {
	mu          sync.Mutex
	requests    []*Request
	inFlight    int
	maxInFlight int
	conns       int
	open        map[net.Conn]bool
	maxOpen     int
}

func (c *counters) newConn() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns++
	return c.conns
}

func (c *counters) connState(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[net.Conn]bool)
	}
	switch state {
	case http.StateNew:
		c.open[conn] = true
		c.maxOpen = max(c.maxOpen, len(c.open))
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
}

// begin notes a request; the returned writer counts what is answered.
func (c *counters) begin(w http.ResponseWriter, req *http.Request) (finish func(), counted http.ResponseWriter) {
	class, repository, reference := classify(req.URL.Path)
	conn, _ := req.Context().Value(connKey{}).(int)
	q := &Request{
		Method: req.Method, Class: class, Host: req.Host, Path: req.URL.Path, Query: req.URL.RawQuery,
		Repository: repository, Reference: reference, Header: req.Header.Clone(), Conn: conn,
	}
	c.mu.Lock()
	c.requests = append(c.requests, q)
	c.inFlight++
	c.maxInFlight = max(c.maxInFlight, c.inFlight)
	c.mu.Unlock()

	body := &countingBody{ReadCloser: req.Body}
	req.Body = body
	writer := &countingWriter{ResponseWriter: w, counters: c, request: q}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight--
		q.BytesIn = body.n
	}, writer
}

// Requests returns all requests since the start or the last [Registry.Reset],
// in the order of their arrival, with those of the token server.
func (r *Registry) Requests() []Request {
	r.counters.mu.Lock()
	defer r.counters.mu.Unlock()
	out := make([]Request, len(r.counters.requests))
	for i, q := range r.counters.requests {
		out[i] = *q
	}
	return out
}

// Count returns the number of requests of a method ("" for every one) and a
// class ([Any] for every one).
func (r *Registry) Count(method string, class Class) int {
	n := 0
	for _, q := range r.Requests() {
		if (method == "" || q.Method == method) && (class == Any || q.Class == class) {
			n++
		}
	}
	return n
}

// Budgeted returns the number of requests besides pings and tokens, which is
// what the budgets of verify and sign speak of.
func (r *Registry) Budgeted() int {
	return r.Count("", Any) - r.Count("", Ping) - r.Count("", Token)
}

// Connections returns the number of different connections that carried a
// request since the last [Registry.Reset].
func (r *Registry) Connections() int {
	seen := make(map[int]bool)
	for _, q := range r.Requests() {
		seen[q.Conn] = true
	}
	return len(seen)
}

// MaxConnections returns the most connections that were open at one time.
func (r *Registry) MaxConnections() int {
	r.counters.mu.Lock()
	defer r.counters.mu.Unlock()
	return r.counters.maxOpen
}

// MaxConcurrent returns the most requests that were in flight at one time.
func (r *Registry) MaxConcurrent() int {
	r.counters.mu.Lock()
	defer r.counters.mu.Unlock()
	return r.counters.maxInFlight
}

// BytesOut returns the body bytes written to clients.
func (r *Registry) BytesOut() int64 {
	var n int64
	for _, q := range r.Requests() {
		n += q.BytesOut
	}
	return n
}

// BytesIn returns the body bytes read from clients.
func (r *Registry) BytesIn() int64 {
	var n int64
	for _, q := range r.Requests() {
		n += q.BytesIn
	}
	return n
}

// Log returns the requests one a line, for a test's failure message.
func (r *Registry) Log() string {
	var b strings.Builder
	for _, q := range r.Requests() {
		fmt.Fprintln(&b, q)
	}
	return b.String()
}

// Reset forgets the requests and high-water marks, not content, rules, tokens
// or connections.
func (r *Registry) Reset() {
	r.counters.mu.Lock()
	defer r.counters.mu.Unlock()
	r.counters.requests = nil
	r.counters.maxInFlight = r.counters.inFlight
	r.counters.maxOpen = len(r.counters.open)
}
