package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The account that the token front lets in.
const (
	frontUser     = "ci"
	frontPassword = "front-password"
)

// front stands before a registry, as a company's proxy does: it ends TLS, or asks
// for a token, or both.
type front struct {
	host   string
	caFile string // PEM, when it speaks TLS
}

// frontOptions say what a front demands. The zero value demands nothing.
type frontOptions struct {
	tls   bool
	token bool
}

// newFront starts a front before the registry at host, until the test ends.
func newFront(t *testing.T, host string, options frontOptions) front {
	t.Helper()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host // upload addresses name the front
			r.SetXForwarded()
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	var handler http.Handler = proxy
	var tokens *tokenServer
	if options.token {
		tokens = &tokenServer{next: proxy, given: map[string]string{}}
		handler = tokens
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	f := front{}
	if options.tls {
		server.StartTLS()
		f.caFile = filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(f.caFile, block, 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	f.host = server.Listener.Addr().String()
	if tokens != nil {
		tokens.realm = server.URL + "/token"
	}
	return f
}

// tokenServer gives tokens for one scope each to one account and lets through what
// comes with a fitting one (distribution's token authentication).
type tokenServer struct {
	next  http.Handler
	realm string

	mu    sync.Mutex
	given map[string]string // token -> its scopes, space-separated
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		s.give(w, r)
		return
	}
	need := scopeOf(r)
	scopes, known := s.scopes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if known && (need == "" || covers(scopes, need)) {
		s.next.ServeHTTP(w, r)
		return
	}
	challenge := fmt.Sprintf("Bearer realm=%q,service=\"e2e\"", s.realm)
	if need != "" {
		challenge += fmt.Sprintf(",scope=%q", need)
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}

func (s *tokenServer) give(w http.ResponseWriter, r *http.Request) {
	user, secret, _ := r.BasicAuth()
	if user != frontUser || secret != frontPassword {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := rand.Text()
	s.mu.Lock()
	s.given[token] = strings.Join(r.URL.Query()["scope"], " ")
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token":%q,"access_token":%q,"expires_in":300}`, token, token)
}

func (s *tokenServer) scopes(token string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scopes, known := s.given[token]
	return scopes, known
}

// scopeOf names the scope that a request needs; the ping needs none.
func scopeOf(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	for _, part := range []string{"/manifests/", "/blobs/", "/referrers/", "/tags/"} {
		if repository, _, found := strings.Cut(path, part); found {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				return "repository:" + repository + ":pull"
			}
			return "repository:" + repository + ":pull,push"
		}
	}
	return ""
}

// covers tells whether the scopes of a token allow what is needed.
func covers(scopes, need string) bool {
	wantName, wantActions := cutActions(need)
	for _, scope := range strings.Fields(scopes) {
		name, actions := cutActions(scope)
		if name != wantName {
			continue
		}
		all := true
		for action := range strings.SplitSeq(wantActions, ",") {
			all = all && strings.Contains(","+actions+",", ","+action+",")
		}
		if all {
			return true
		}
	}
	return false
}

func cutActions(scope string) (name, actions string) {
	i := strings.LastIndexByte(scope, ':')
	return scope[:max(i, 0)], scope[i+1:]
}

// logIn writes the account into the configuration that registry clients read.
func logIn(t *testing.T, home, host string) {
	t.Helper()
	dir := filepath.Join(home, ".docker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := base64.StdEncoding.EncodeToString([]byte(frontUser + ":" + frontPassword))
	text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, secret)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFronts: both tools sign and verify through a token front, a TLS front and
// both, before every kind of registry. Without the account, or without the
// authority, the answer is "could not check" and never "unsigned".
func TestFronts(t *testing.T) {
	for frontName, options := range map[string]frontOptions{
		"token": {token: true}, "TLS": {tls: true}, "token and TLS": {token: true, tls: true},
	} {
		for registryName, start := range registries {
			t.Run(frontName+" before "+registryName, func(t *testing.T) {
				t.Parallel()
				dir := workbench(t, "ecdsa-p256")
				behind := start(t)
				f := newFront(t, behind.host, options)
				throughFront(t, dir, behind, f, options)
			})
		}
	}
}

func throughFront(t *testing.T, dir string, behind registry, f front, options frontOptions) {
	t.Helper()
	push := func(repository string) string {
		return f.host + strings.TrimPrefix(behind.push(repository), behind.host)
	}
	ours, theirs := []string(nil), []string{"--allow-http-registry"}
	if options.tls {
		ours, theirs = []string{"--registry-ca", f.caFile}, []string{"--registry-cacert", f.caFile}
	}
	with := func(args []string, more ...string) []string { return append(append([]string(nil), args...), more...) }
	for _, format := range []string{"bundle", "legacy"} {
		image := push("front/ours-" + format)
		if options.token {
			os.RemoveAll(filepath.Join(dir, ".docker"))
			hallmark(t, dir, with([]string{"sign", image, "--key", "k.key", "--format", format}, ours...)...).fails(t, "hallmark sign without the account")
			logIn(t, dir, f.host)
		}
		hallmark(t, dir, with([]string{"verify", image, "--key", "k.pub"}, ours...)...).want(t, 1, "hallmark verify before anything was signed")
		hallmark(t, dir, with([]string{"sign", image, "--key", "k.key", "--format", format}, ours...)...).want(t, 0, "hallmark sign")
		hallmark(t, dir, with([]string{"verify", image, "--key", "k.pub"}, ours...)...).want(t, 0, "hallmark verify")
		tool(t, dir, "cosign", with(append([]string{"verify", image}, verifyFlags(format, "k.pub")...), theirs...)...).want(t, 0, "cosign verify")

		image = push("front/theirs-" + format)
		tool(t, dir, "cosign", with(append([]string{"sign", image}, signFlags(format)...), theirs...)...).want(t, 0, "cosign sign")
		hallmark(t, dir, with([]string{"verify", image, "--key", "k.pub"}, ours...)...).want(t, 0, "hallmark verify of cosign's signature")

		if options.token {
			os.RemoveAll(filepath.Join(dir, ".docker"))
			refused := hallmark(t, dir, with([]string{"verify", image, "--key", "k.pub"}, ours...)...).want(t, 2, "hallmark verify without the account")
			contains(t, refused.stdout+refused.stderr, "REGISTRY_AUTH")
			logIn(t, dir, f.host)
		}
		if options.tls {
			refused := hallmark(t, dir, "verify", image, "--key", "k.pub").want(t, 2, "hallmark verify without the authority")
			contains(t, refused.stdout+refused.stderr, "REGISTRY_UNREACHABLE")
		}
	}
}
