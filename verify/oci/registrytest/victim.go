package registrytest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Victim is a listener that no client may send credentials to, and that, by
// default, none may contact at all. It fails its test when one does.
type Victim struct {
	server *httptest.Server

	mu       sync.Mutex
	requests []Request
}

// NewVictim starts a listener that fails the test when it is contacted.
func NewVictim(t testing.TB) *Victim {
	t.Helper()
	return newVictim(t, nil)
}

// NewWatchedVictim starts a listener that may be contacted and answers with
// handler, but fails the test when it receives Authorization, a Cookie, or
// credentials in the URL or in a form.
func NewWatchedVictim(t testing.TB, handler http.HandlerFunc) *Victim {
	t.Helper()
	return newVictim(t, handler)
}

func newVictim(t testing.TB, handler http.HandlerFunc) *Victim {
	v := new(Victim)
	v.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		v.mu.Lock()
		v.requests = append(v.requests, Request{
			Method: req.Method, Class: Other, Host: req.Host, Path: req.URL.Path, Query: req.URL.RawQuery, Header: req.Header.Clone(),
		})
		v.mu.Unlock()
		for _, key := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Registry-Auth"} {
			if req.Header.Get(key) != "" {
				t.Errorf("victim %s received %s on %s %s", req.Host, key, req.Method, req.URL.Path)
			}
		}
		if err := req.ParseForm(); err == nil {
			for _, key := range []string{"password", "refresh_token", "access_token", "username"} {
				if req.Form.Has(key) {
					t.Errorf("victim %s received %s in a form on %s %s", req.Host, key, req.Method, req.URL.Path)
				}
			}
		}
		if handler == nil {
			t.Errorf("victim %s was contacted: %s %s", req.Host, req.Method, req.URL)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		handler(w, req)
	}))
	t.Cleanup(func() {
		v.server.CloseClientConnections()
		v.server.Close()
	})
	return v
}

// URL returns the listener's base URL without a trailing slash.
func (v *Victim) URL() string { return v.server.URL }

// Host returns "127.0.0.1:port".
func (v *Victim) Host() string { return strings.TrimPrefix(v.server.URL, "http://") }

// Requests returns what the listener received.
func (v *Victim) Requests() []Request {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]Request(nil), v.requests...)
}
