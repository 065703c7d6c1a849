package registrytest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

const tokenPath = "/token"

// tokenService is the service name in the challenge.
const tokenService = "registrytest"

type authOptions struct {
	mode        authMode
	user        string
	password    string
	ownListener bool
	anonymous   bool
	tokenUses   int
}

type authMode uint8

const (
	authOff authMode = iota
	authBasic
	authToken
)

// WithBasicAuth demands this user and password on every request.
func WithBasicAuth(user, password string) Option {
	return func(o *options) {
		o.auth.mode, o.auth.user, o.auth.password = authBasic, user, password
	}
}

// WithTokenAuth demands a Bearer token for the repository and the action,
// which the token server at /token on the same listener gives for this user
// and password.
func WithTokenAuth(user, password string) Option {
	return func(o *options) {
		o.auth.mode, o.auth.user, o.auth.password = authToken, user, password
	}
}

// WithTokenServer moves the token server of [WithTokenAuth] to a listener of
// its own. Its requests are counted with the registry's.
func WithTokenServer() Option { return func(o *options) { o.auth.ownListener = true } }

// WithAnonymousPull lets the token server give pull tokens to anyone.
func WithAnonymousPull() Option { return func(o *options) { o.auth.anonymous = true } }

// WithTokenUses makes every token good for n requests, after which the
// registry answers 401 as for an expired one.
func WithTokenUses(n int) Option { return func(o *options) { o.auth.tokenUses = n } }

// guard is the authentication in front of the store.
type guard struct {
	options authOptions

	mu     sync.Mutex
	realm  string
	tokens map[string]*grant
}

// grant is what a token allows: "team/app" -> "pull,push".
type grant struct {
	actions map[string]string
	left    int // requests left; below zero is unlimited
}

func newGuard(o authOptions) *guard {
	return &guard{options: o, tokens: make(map[string]*grant)}
}

func (g *guard) setRealm(realm string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.realm = realm
}

// challenge is the WWW-Authenticate header for req.
func (g *guard) challenge(req *http.Request) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	challenge := fmt.Sprintf("Bearer realm=%q,service=%q", g.realm, tokenService)
	if repository, action := wanted(req); repository != "" {
		challenge += fmt.Sprintf(",scope=%q", "repository:"+repository+":"+action)
	}
	return challenge
}

func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case g.options.mode == authToken && req.URL.Path == tokenPath:
			g.serveToken(w, req)
		case g.options.mode == authBasic && !g.basic(req):
			w.Header().Set("WWW-Authenticate", `Basic realm="registrytest"`)
			writeError(w, http.StatusUnauthorized, "UNAUTHORIZED")
		case g.options.mode == authToken && !g.bearer(req):
			w.Header().Set("WWW-Authenticate", g.challenge(req))
			writeError(w, http.StatusUnauthorized, "UNAUTHORIZED")
		default:
			next.ServeHTTP(w, req)
		}
	})
}

func (g *guard) basic(req *http.Request) bool {
	user, password, found := req.BasicAuth()
	return found && user == g.options.user && password == g.options.password
}

// bearer reports whether the request's one token allows what it wants.
func (g *guard) bearer(req *http.Request) bool {
	values := req.Header.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	token, found := strings.CutPrefix(values[0], "Bearer ")
	if !found {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	granted := g.tokens[token]
	if granted == nil || granted.left == 0 {
		return false
	}
	if repository, action := wanted(req); repository != "" {
		for one := range strings.SplitSeq(action, ",") {
			if !strings.Contains(granted.actions[repository], one) {
				return false
			}
		}
	}
	granted.left--
	return true
}

// serveToken answers both forms of a token request: GET with basic
// credentials, POST with a password grant.
func (g *guard) serveToken(w http.ResponseWriter, req *http.Request) {
	if err := req.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, "UNSUPPORTED")
		return
	}
	known := g.basic(req) ||
		req.PostForm.Get("grant_type") == "password" && req.PostForm.Get("username") == g.options.user && req.PostForm.Get("password") == g.options.password ||
		req.PostForm.Get("grant_type") == "refresh_token" && req.PostForm.Get("refresh_token") == g.options.password
	if !known && !(g.options.anonymous && req.Header.Get("Authorization") == "" && req.Method == http.MethodGet) {
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	granted := &grant{actions: make(map[string]string), left: -1}
	if g.options.tokenUses > 0 {
		granted.left = g.options.tokenUses
	}
	for _, line := range req.Form["scope"] {
		for scope := range strings.FieldsSeq(line) {
			kind, rest, _ := strings.Cut(scope, ":")
			at := strings.LastIndex(rest, ":")
			if kind != "repository" || at < 0 {
				continue
			}
			actions := rest[at+1:]
			if !known {
				actions = "pull"
			}
			granted.actions[rest[:at]] = actions
		}
	}
	token := rand.Text()
	g.mu.Lock()
	g.tokens[token] = granted
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300}) //nolint:errcheck // see held.send
}

// RevokeTokens makes every token given so far worthless.
func (r *Registry) RevokeTokens() {
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	clear(r.guard.tokens)
}

// wanted returns the repository that a request is about and the actions it needs.
func wanted(req *http.Request) (repository, action string) {
	_, repository, _ = classify(req.URL.Path)
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return repository, "pull"
	case http.MethodDelete:
		return repository, "delete"
	}
	return repository, "pull,push"
}
