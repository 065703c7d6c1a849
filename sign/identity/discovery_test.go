package identity

import (
	"net/http"
	"strings"
	"testing"
)

// TestDiscovery is CI-22: who the issuer is, and where its keys and its token
// endpoint are, is not for others to say.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	set := func(key string, value any) func(*fakeIssuer) {
		return func(f *fakeIssuer) { f.discovery = func(d map[string]any) { d[key] = value } }
	}
	for name, test := range map[string]struct {
		set   func(*fakeIssuer)
		words string
	}{
		"CI-22 another issuer":              {set("issuer", "https://good.example.evil.example"), "calls itself"},
		"CI-22 a slash more":                {func(f *fakeIssuer) { f.discovery = func(d map[string]any) { d["issuer"] = f.URL + "/" } }, "calls itself"},
		"CI-22 no issuer":                   {set("issuer", ""), "calls itself"},
		"CI-22 keys over plain HTTP":        {set("jwks_uri", "http://keys.example/"), "jwks_uri"},
		"CI-22 keys in a file":              {set("jwks_uri", "file:///etc/keys"), "jwks_uri"},
		"CI-22 token endpoint over HTTP":    {set("token_endpoint", "http://token.example/"), "token_endpoint"},
		"CI-22 token endpoint missing":      {set("token_endpoint", ""), "token_endpoint"},
		"CI-22 page of another kind":        {set("authorization_endpoint", "javascript:alert(1)"), "authorization_endpoint"},
		"CI-22 page that steers a terminal": {set("authorization_endpoint", "https://a.example/\u202e"), "authorization_endpoint"},
		"CI-22 device endpoint over HTTP":   {set("device_authorization_endpoint", "http://a.example/"), "device_authorization_endpoint"},
		"KE-15 PKCE without S256":           {set("code_challenge_methods_supported", []string{"plain"}), "S256"},
		"of another shape":                  {set("code_challenge_methods_supported", "S256"), "configuration"},
		"RE-03 a document without end":      {set("more", strings.Repeat("x", 2<<20)), "1 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newIssuer(t)
			test.set(f)
			for _, flow := range []string{FlowBrowser, FlowDevice} {
				open := func(address string) error { t.Errorf("opened %s", address); return nil }
				token, err := f.login(Options{Flow: flow, OpenBrowser: open}).Token(t.Context(), "")
				if err == nil || !strings.Contains(err.Error(), test.words) || len(err.Error()) > 600 {
					t.Errorf("%s: got %v, %v", flow, token, err)
				}
			}
			for _, path := range f.asked {
				if path != "/.well-known/openid-configuration" {
					t.Errorf("%s was asked", path)
				}
			}
		})
	}
}

// TestDiscoveryRedirect is CI-22: a redirect to another host must not choose the
// configuration or the keys.
func TestDiscoveryRedirect(t *testing.T) {
	t.Parallel()
	thief := newIssuer(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/keys", "/token", "/device"} {
		t.Run("CI-22 redirect of "+path, func(t *testing.T) {
			t.Parallel()
			f := newIssuer(t)
			whole := f.Config.Handler
			f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == path {
					http.Redirect(w, r, thief.URL+path, http.StatusTemporaryRedirect)
					return
				}
				whole.ServeHTTP(w, r)
			})
			flow := FlowBrowser
			if path == "/device" {
				flow = FlowDevice
			}
			token, err := f.login(Options{Flow: flow, OpenBrowser: surf(t, make(chan string, 1))}).Token(t.Context(), "")
			if err == nil || !strings.Contains(err.Error(), errRedirect.Error()) {
				t.Errorf("got %v, %v", token, err)
			}
			for _, secret := range f.secrets() {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("KE-15: a secret is in the error: %v", err)
				}
			}
		})
	}
	t.Cleanup(func() {
		if len(thief.asked) > 0 {
			t.Errorf("CI-22: the other origin was asked %q", thief.asked)
		}
	})
}

func TestIssuerAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://issuer.example", "issuer.example", "https://issuer.example?x=1", "https://issuer.example#x", "https://me:secret@issuer.example"} {
		source, err := Find(t.Context(), Options{Issuer: address, Flow: FlowDevice})
		if err != nil {
			t.Fatal(err)
		}
		if token, err := source.Token(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "reading the address of the issuer") {
			t.Errorf("%s: %v, %v", address, token, err)
		}
	}
}

// TestNoStepDown is CI-22: an issuer over TLS leads nowhere without it, not even to
// this machine or to its own name.
func TestNoStepDown(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*fakeIssuer){
		"endpoint on loopback": func(f *fakeIssuer) {
			f.discovery = func(d map[string]any) { d["token_endpoint"] = "http://127.0.0.1:1/token" }
		},
		"redirect to its own name": func(f *fakeIssuer) {
			whole := f.Config.Handler
			f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Scheme == "https" {
					http.Redirect(w, r, "http://issuer.example"+r.URL.Path, http.StatusFound)
					return
				}
				whole.ServeHTTP(w, r)
			})
		},
	} {
		t.Run("CI-22 "+name, func(t *testing.T) {
			t.Parallel()
			f := newIssuer(t)
			f.URL = "https://issuer.example"
			set(f)
			source := f.login(Options{Flow: FlowDevice, HTTP: f.inMemory()})
			token, err := source.Token(t.Context(), "")
			if err == nil || !strings.Contains(err.Error(), "it is not https") && !strings.Contains(err.Error(), errRedirect.Error()) || len(f.polls) > 0 {
				t.Errorf("got %v, %v", token, err)
			}
		})
	}
	f := newIssuer(t)
	f.URL = "https://issuer.example"
	if token, err := f.login(Options{Flow: FlowDevice, HTTP: f.inMemory()}).Token(t.Context(), ""); err != nil {
		t.Errorf("the twin that does neither: %v, %v", token, err)
	}
}
