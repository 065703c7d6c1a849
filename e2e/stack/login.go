package stack

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// JobSecret is what a CI job shows to the issuer to be given a token.
const JobSecret = "e2e-job-secret"

// logins are the logins that have begun. The person is always [Email], who agrees to
// everything: opening a page is logging in.
type logins struct {
	mu      sync.Mutex
	codes   map[string]login // by authorization code or device code
	devices map[string]string
}

type login struct {
	client, redirect, challenge, nonce string
	approved                           bool
}

// routes adds the pages of people's logins and the endpoints of CI systems.
func (i *Issuer) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /auth", i.authorize)
	mux.HandleFunc("POST /token", i.exchange)
	mux.HandleFunc("POST /device", i.offerDevice)
	mux.HandleFunc("GET /activate", i.activate)
	mux.HandleFunc("GET /actions/idtoken", func(w http.ResponseWriter, r *http.Request) {
		i.forJob(w, r, "Bearer ", RealGitHub(), r.URL.Query().Get("audience"), "value")
	})
	mux.HandleFunc("POST /buildkite/jobs/{job}/oidc/tokens", func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Audience string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		i.forJob(w, r, "Token ", Buildkite(), request.Audience, "token")
	})
}

// forJob gives a CI job its token, as GitHub's and Buildkite's services do.
func (i *Issuer) forJob(w http.ResponseWriter, r *http.Request, scheme string, profile Profile, audience, field string) {
	if r.Header.Get("Authorization") != scheme+JobSecret {
		http.Error(w, "not this job's secret", http.StatusUnauthorized)
		return
	}
	token, err := i.Token(profile, map[string]any{"aud": audience})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]string{field: token})
}

// authorize sends the browser back with a code (OpenID Connect Core, section 3.1.2).
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Hostname() != "127.0.0.1" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		http.Error(w, "a code, with PKCE, for this machine", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.logins.mu.Lock()
	i.logins.codes[code] = login{client: q.Get("client_id"), redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), approved: true}
	i.logins.mu.Unlock()
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// offerDevice begins a login on another device (RFC 8628, section 3.2).
func (i *Issuer) offerDevice(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	device, user := rand.Text(), rand.Text()[:8]
	i.logins.mu.Lock()
	i.logins.codes[device] = login{client: r.PostForm.Get("client_id"), challenge: r.PostForm.Get("code_challenge")}
	i.logins.devices[user] = device
	i.logins.mu.Unlock()
	writeJSON(w, map[string]any{
		"device_code": device, "user_code": user, "verification_uri": i.URL + "/activate", "verification_uri_complete": i.URL + "/activate?user_code=" + user,
		"expires_in": 300, "interval": 1,
	})
}

// activate is the page on the other device.
func (i *Issuer) activate(w http.ResponseWriter, r *http.Request) {
	i.logins.mu.Lock()
	defer i.logins.mu.Unlock()
	device := i.logins.devices[r.URL.Query().Get("user_code")]
	begun, known := i.logins.codes[device]
	if !known {
		http.Error(w, "no such code", http.StatusNotFound)
		return
	}
	begun.approved = true
	i.logins.codes[device] = begun
}

// exchange gives the token for a code, once (RFC 6749, section 4.1.3; RFC 8628, section 3.4).
func (i *Issuer) exchange(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	form := r.PostForm
	code := form.Get("code")
	if strings.HasSuffix(form.Get("grant_type"), ":device_code") {
		code = form.Get("device_code")
	}
	i.logins.mu.Lock()
	begun, known := i.logins.codes[code]
	if begun.approved {
		delete(i.logins.codes, code)
	}
	i.logins.mu.Unlock()
	verifier := sha256.Sum256([]byte(form.Get("code_verifier")))
	refuse := func(reason string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"error": reason})
	}
	switch {
	case !known, begun.client != form.Get("client_id"), begun.redirect != form.Get("redirect_uri"), begun.challenge != base64.RawURLEncoding.EncodeToString(verifier[:]):
		refuse("invalid_grant")
		return
	case !begun.approved:
		refuse("authorization_pending")
		return
	}
	claims := map[string]any{"aud": begun.client}
	if begun.nonce != "" {
		claims["nonce"] = begun.nonce
	}
	token, err := i.Token(Email(), claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": int(TokenLife / time.Second), "id_token": token})
}
