package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/telemetry"
)

// endpoint is one path.
type endpoint struct {
	method string
	// health endpoints need no client certificate, and are also served on
	// the address for health alone.
	health bool
	serve  func(*Server, *exchange)
}

// exchange is one request and its answer.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	path    string
	began   time.Time // by the real clock: deadlines and durations are counted from it
	code    int
	remote  string
	span    *telemetry.Span
	work    *work
}

// routes are all endpoints by path.
func routes() map[string]endpoint {
	return map[string]endpoint{
		"/validate":  {http.MethodPost, false, (*Server).validate},
		"/mutate":    {http.MethodPost, false, (*Server).mutate},
		"/provider":  {http.MethodPost, false, (*Server).provide},
		"/v1/verify": {http.MethodPost, false, (*Server).verify},
		"/v1/policy": {http.MethodGet, false, (*Server).policy},
		"/healthz":   {http.MethodGet, true, (*Server).healthz},
		"/readyz":    {http.MethodGet, true, (*Server).readyz},
		"/metrics":   {http.MethodGet, true, (*Server).metrics},
	}
}

// byPath is routes(), made once and never written.
var byPath = routes()

// endpoints are the paths, for labels.
func endpoints() []string { return slices.Sorted(maps.Keys(routes())) }

// serve answers on the address of the service.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) { s.answer(w, r, false) }

// serveHealth answers on the address for health.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) { s.answer(w, r, true) }

func (s *Server) answer(w http.ResponseWriter, r *http.Request, healthOnly bool) {
	x := &exchange{ResponseWriter: w, request: r, path: r.URL.Path, began: time.Now(), remote: clientOf(r.RemoteAddr)}
	m := s.options.Metrics
	m.inFlight.Add(1)
	defer func() {
		if fault := recover(); fault != nil {
			s.options.Log.Error("internal fault; nothing was allowed", "path", report.Plain(x.path), "fault", fmt.Sprint(fault))
			if x.code == 0 {
				x.fail(http.StatusInternalServerError, "internal fault", "this is a bug of Hallmark's; nothing was allowed. Please report it.")
			}
		}
		m.inFlight.Add(-1)
		m.requests.Add(1, x.path, strconv.Itoa(x.code))
		m.duration.Observe(time.Since(x.began), x.path)
	}()
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if s.closing.Load() {
		// Clients that keep connections go to another replica with the next request,
		// before this one's end cuts it.
		header.Set("Connection", "close")
	}
	e, known := byPath[x.path]
	if !known || healthOnly && !e.health || x.path == "/mutate" && !s.options.Mutate {
		hint := ""
		if x.path == "/mutate" && known && !healthOnly {
			hint = "the server was started without --mutate"
		}
		x.fail(http.StatusNotFound, "there is no such endpoint", hint)
		return
	}
	if r.Method != e.method && !(e.method == http.MethodGet && r.Method == http.MethodHead) {
		header.Set("Allow", e.method)
		x.fail(http.StatusMethodNotAllowed, "this endpoint takes "+e.method, "")
		return
	}
	if e.health {
		e.serve(s, x)
		return
	}
	if s.options.ClientCA != "" && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		m.limited.Add(1, "certificate")
		x.fail(http.StatusUnauthorized, "a client certificate is needed", "")
		return
	}
	s.traced(x, func() { e.serve(s, x) })
}

// traced runs do in a span.
func (s *Server) traced(x *exchange, do func()) {
	ctx := s.options.Tracer.Remote(x.request.Context(), x.request.Header)
	ctx, x.span = s.options.Tracer.Start(ctx, x.request.Method+" "+x.path, telemetry.Server)
	ctx, x.work = withWork(ctx)
	x.request = x.request.WithContext(ctx)
	defer func() {
		x.span.Text("http.request.method", x.request.Method)
		x.span.Text("url.path", x.path)
		x.span.Number("http.response.status_code", int64(x.code))
		if x.code >= 500 {
			x.span.Fail(http.StatusText(x.code))
		}
		x.span.End()
	}()
	do()
}

// WriteHeader implements [http.ResponseWriter] and remembers the code.
func (x *exchange) WriteHeader(code int) {
	x.code = code
	x.ResponseWriter.WriteHeader(code)
}

// json answers with a document that is already encoded.
func (x *exchange) json(code int, body []byte) {
	x.Header().Set("Content-Type", "application/json")
	x.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(code)
	x.Write(body) //nolint:errcheck // the client is gone
}

// fail answers with an error.
func (x *exchange) fail(code int, why, hint string) {
	body, err := json.Marshal(struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{why, hint})
	if err != nil {
		body = []byte(`{"error":"internal fault"}`)
	}
	x.json(code, append(body, '\n'))
}

// busy tells the client to come again.
func (x *exchange) busy(why string) {
	x.Header().Set("Retry-After", "1")
	x.fail(http.StatusServiceUnavailable, why, "")
}

// allowed is how long the client waits: the API server says so in ?timeout=.
func (s *Server) allowed(x *exchange) (time.Duration, error) {
	text := x.request.URL.Query().Get("timeout")
	if text == "" {
		return s.options.Timeout, nil
	}
	given, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("timeout is no time such as 10s")
	}
	return min(max(given, minTimeout), maxTimeout), nil
}

// reserve is the part of a time that is kept for the way back.
func reserve(allowed time.Duration) time.Duration {
	return min(max(allowed/10, minReserve), maxReserve)
}

// slot takes a place among the requests that are worked on. It is called once the body
// is there, so that slow clients hold none. If there is none it has answered.
func (s *Server) slot(x *exchange) (done func(), ok bool) {
	if s.slots.take(x.remote, 1) {
		return func() { s.slots.give(x.remote, 1) }, true
	}
	s.options.Metrics.limited.Add(1, "busy")
	x.busy("too many requests at a time")
	return nil, false
}

// limitedBy applies the limit of requests by address. If it is exceeded it has answered.
func (s *Server) limitedBy(x *exchange) bool {
	ok, wait := s.limiter.allow(x.remote, s.options.Now())
	if ok {
		return false
	}
	s.options.Metrics.limited.Add(1, "rate")
	x.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(wait.Seconds(), 1)))))
	x.fail(http.StatusTooManyRequests, "too many requests from this address", "ask for several images in one request")
	return true
}

// client names who asked by its certificate, or "".
func client(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	return report.Plain(r.TLS.PeerCertificates[0].Subject.String())
}
