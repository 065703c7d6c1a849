package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// fakeIssuer plays an OIDC issuer that does what the specifications say; the fields
// named with verbs break it in one place each.
type fakeIssuer struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey

	discovery func(map[string]any)                       // changes the configuration
	claims    func(map[string]any)                       // changes the ID token
	signer    *ecdsa.PrivateKey                          // signs instead of key
	token     func(http.ResponseWriter, url.Values) bool // answers the token endpoint itself
	offer     func(map[string]any)                       // changes the device offer

	mu    sync.Mutex
	codes map[string]url.Values // the authorization request of each code
	polls []time.Time           // of the device flow
	asked []string              // paths
	said  []string              // secrets that were sent or given out
}

func newIssuer(t *testing.T) *fakeIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeIssuer{t: t, key: key, codes: make(map[string]url.Values)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", f.configuration)
	mux.HandleFunc("GET /keys", f.keys)
	mux.HandleFunc("GET /auth", f.authorize)
	mux.HandleFunc("POST /device", f.device)
	mux.HandleFunc("POST /token", f.trade)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.URL.Path)
		f.mu.Unlock()
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Errorf("CI-22: a credential was sent to %s", r.URL.Path)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeIssuer) reply(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

func (f *fakeIssuer) refuse(w http.ResponseWriter, code string) {
	f.reply(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": "because of " + code})
}

func (f *fakeIssuer) configuration(w http.ResponseWriter, _ *http.Request) {
	document := map[string]any{
		"issuer": f.URL, "authorization_endpoint": f.URL + "/auth", "token_endpoint": f.URL + "/token",
		"device_authorization_endpoint": f.URL + "/device", "jwks_uri": f.URL + "/keys",
		"code_challenge_methods_supported": []string{"plain", "S256"}, "id_token_signing_alg_values_supported": []string{"ES256"},
	}
	if f.discovery != nil {
		f.discovery(document)
	}
	f.reply(w, http.StatusOK, document)
}

func (f *fakeIssuer) keys(w http.ResponseWriter, _ *http.Request) {
	point, err := f.key.PublicKey.Bytes()
	if err != nil {
		f.t.Error(err)
		return
	}
	encode := base64.RawURLEncoding.EncodeToString
	f.reply(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k", "x": encode(point[1:33]), "y": encode(point[33:]),
	}}})
}

// authorize logs everybody in and sends the browser back (RFC 6749 section 4.1.2).
func (f *fakeIssuer) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("response_type") != "code" || query.Get("client_id") != "sigstore" || query.Get("scope") != "openid email" ||
		query.Get("code_challenge_method") != "S256" || len(query.Get("code_challenge")) != 43 || len(query.Get("state")) < 22 || len(query.Get("nonce")) < 22 {
		f.t.Errorf("KE-15: the authorization request lacks something: %s", r.URL.RawQuery)
		f.refuse(w, "invalid_request")
		return
	}
	code := "code-" + rand.Text()
	f.mu.Lock()
	f.codes[code] = query
	f.said = append(f.said, code)
	f.mu.Unlock()
	back, err := url.Parse(query.Get("redirect_uri"))
	if err != nil || back.Hostname() != "127.0.0.1" {
		f.t.Errorf("redirect to %q", query.Get("redirect_uri"))
	}
	back.RawQuery = url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {f.URL}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

func (f *fakeIssuer) trade(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	f.mu.Lock()
	f.said = append(f.said, r.PostForm.Get("code_verifier"), r.PostForm.Get("device_code"))
	f.mu.Unlock()
	if f.token != nil && f.token(w, r.PostForm) {
		return
	}
	if r.PostForm.Get("grant_type") == "urn:ietf:params:oauth:grant-type:device_code" {
		f.poll(w, r.PostForm)
		return
	}
	f.mu.Lock()
	code := r.PostForm.Get("code")
	request, known := f.codes[code]
	delete(f.codes, code) // a code works once
	f.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !known || r.PostForm.Get("redirect_uri") != request.Get("redirect_uri") || base64.RawURLEncoding.EncodeToString(sum[:]) != request.Get("code_challenge") {
		f.refuse(w, "invalid_grant")
		return
	}
	f.give(w, request.Get("nonce"))
}

// give answers with an ID token (OpenID Connect Core section 3.1.3.3).
func (f *fakeIssuer) give(w http.ResponseWriter, nonce string) {
	access := "access-" + rand.Text()
	sum := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss": f.URL, "sub": "user-1", "aud": "sigstore", "exp": later.Unix(), "iat": 1, "email": "me@example.com", "email_verified": true,
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if f.claims != nil {
		f.claims(claims)
	}
	raw := f.sign(claims)
	f.mu.Lock()
	f.said = append(f.said, access, raw)
	f.mu.Unlock()
	f.reply(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "id_token": raw, "expires_in": 60})
}

func (f *fakeIssuer) sign(claims map[string]any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		f.t.Error(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	message := encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode(body)
	key := f.key
	if f.signer != nil {
		key = f.signer
	}
	sum := sha256.Sum256([]byte(message))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		f.t.Error(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return message + "." + encode(signature)
}

// device offers a code (RFC 8628 section 3.2).
func (f *fakeIssuer) device(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	if r.PostForm.Get("client_id") != "sigstore" || r.PostForm.Get("code_challenge_method") != "S256" {
		f.refuse(w, "invalid_request")
		return
	}
	offer := map[string]any{
		"device_code": "device-secret-1", "user_code": "ABCD-EFGH", "verification_uri": f.URL + "/enter",
		"verification_uri_complete": f.URL + "/enter?user_code=ABCD-EFGH", "expires_in": 600, "interval": 1,
	}
	if f.offer != nil {
		f.offer(offer)
	}
	f.reply(w, http.StatusOK, offer)
}

// poll gives the token at the first question.
func (f *fakeIssuer) poll(w http.ResponseWriter, form url.Values) {
	f.mu.Lock()
	f.polls = append(f.polls, time.Now())
	f.mu.Unlock()
	if form.Get("device_code") != "device-secret-1" || form.Get("code_verifier") == "" {
		f.refuse(w, "invalid_grant")
		return
	}
	f.give(w, "")
}

// login is the source for one flow at this issuer.
func (f *fakeIssuer) login(o Options) Source {
	f.t.Helper()
	o.Issuer, o.TokenFile, o.Interactive = f.URL, noFile, true
	source, err := Find(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	return source
}

// secrets are what must not be printed.
func (f *fakeIssuer) secrets() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var secrets []string
	for _, secret := range f.said {
		if secret != "" {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}
