package oci_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// answer makes one HTTP answer.
func answer(r *http.Request, status int, body string, header ...string) *http.Response {
	out := &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body)), Request: r, ContentLength: int64(len(body))}
	for i := 0; i+1 < len(header); i += 2 {
		out.Header.Set(header[i], header[i+1])
	}
	return out
}

// network plays registry.example, whose challenge names realm. It records who
// was sent a credential.
type network struct {
	realm      string
	redirectTo string // where the token server sends on to
	mu         sync.Mutex
	asked      []string // scheme://host of every request
	trusted    []string // those that came with Authorization
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	place := r.URL.Scheme + "://" + r.URL.Host
	n.asked = append(n.asked, place)
	if r.Header.Get("Authorization") != "" {
		n.trusted = append(n.trusted, place)
	}
	switch {
	case r.URL.Host == "registry.example" && r.Header.Get("Authorization") == "Bearer good":
		return answer(r, 200, "", "Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64), "Content-Type", oci.TypeImage), nil
	case r.URL.Host == "registry.example" && r.URL.Path != "/token":
		return answer(r, 401, "", "WWW-Authenticate", `Bearer realm="`+n.realm+`",service="registry.example"`), nil
	case n.redirectTo != "" && r.URL.Path == "/token":
		return answer(r, 302, "", "Location", n.redirectTo), nil
	}
	return answer(r, 200, `{"token":"good"}`), nil
}

type oneLogin struct{}

func (oneLogin) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "user", Password: "secret"}, nil
}

// TestOC24RealmsThatGetNoPassword: a registry may name any token server; its
// user's password goes to one on the public network, over TLS, and to no other.
func TestOC24RealmsThatGetNoPassword(t *testing.T) {
	t.Parallel()
	for realm, allowed := range map[string]bool{
		"https://auth.example/token":          true,
		"https://registry.example/token":      true,
		"http://auth.example/token":           false,
		"http://registry.example/token":       false,
		"https://169.254.169.254/latest/meta": false,
		"https://10.0.0.1/token":              false,
		"https://127.0.0.1/token":             false,
		"https://127.0.0.1.:443/token":        false,
		"https://2130706433/token":            false,
		"https://0x7f000001/token":            false,
		"https://127.1/token":                 false,
		"https://100.64.1.1/token":            false,
		"https://[::1]/token":                 false,
		"https://[fe80::1]/token":             false,
		"https://[fd00:ec2::254]/token":       false,
		"https://[::ffff:10.0.0.1]/token":     false,
		"https://[64:ff9b::a00:1]/token":      false,
		"https://localhost/token":             false,
		"https://metadata.localhost/token":    false,
		"ftp://auth.example/token":            false,
		"file:///etc/passwd":                  false,
		"https://user:pw@auth.example/token":  false,
		"/token":                              false,
		"":                                    false,
	} {
		t.Run("OC-24 "+realm, func(t *testing.T) {
			t.Parallel()
			n := &network{realm: realm}
			client := oci.NewClient(oci.Options{Transport: n, Keychain: oneLogin{}})
			_, err := client.Resolve(t.Context(), parse(t, "registry.example/app:1"))
			if allowed != (err == nil) {
				t.Fatalf("allowed %v: %v", allowed, err)
			}
			if allowed {
				return
			}
			if !errors.Is(err, oci.ErrRedirectRefused) && !errors.Is(err, oci.ErrUnauthorized) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("user:secret"))) {
				t.Errorf("the password stands in the error: %v", err)
			}
			for _, place := range n.asked {
				if place != "https://registry.example" {
					t.Errorf("%s was contacted", place)
				}
			}
		})
	}
}

// TestOC25TokenServerRedirects: each hop of a token request is checked.
func TestOC25TokenServerRedirects(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"https://169.254.169.254/x", "http://auth.example/x", "https://[::1]/x", "http://127.0.0.1:1/x"} {
		n := &network{realm: "https://auth.example/token", redirectTo: target}
		client := oci.NewClient(oci.Options{Transport: n, Keychain: oneLogin{}})
		_, err := client.Resolve(t.Context(), parse(t, "registry.example/app:1"))
		if !errors.Is(err, oci.ErrRedirectRefused) {
			t.Errorf("%s: %v", target, err)
		}
		for _, place := range n.asked {
			if strings.HasPrefix(target, place+"/") {
				t.Errorf("%s was contacted", target)
			}
		}
	}
	// A public hop is followed, without the password.
	n := &network{realm: "https://auth.example/token", redirectTo: "https://other.example/x"}
	client := oci.NewClient(oci.Options{Transport: n, Keychain: oneLogin{}})
	if _, err := client.Resolve(t.Context(), parse(t, "registry.example/app:1")); err != nil {
		t.Errorf("a public hop: %v", err)
	}
	for _, place := range n.trusted {
		if place == "https://other.example" {
			t.Error("the password followed the redirect")
		}
	}
}

// TestOC26RedirectedReadsCarryNothing: a host that a registry redirects to sees no
// credential, even if it asks for one.
func TestOC26RedirectedReadsCarryNothing(t *testing.T) {
	t.Parallel()
	for _, front := range []registrytest.Option{registrytest.WithTokenAuth("user", "secret"), registrytest.WithBasicAuth("user", "secret")} {
		var victim *registrytest.Victim
		victim = registrytest.NewWatchedVictim(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+victim.URL()+`/token",service="x"`)
			w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		reg := registrytest.New(t, front)
		image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
		for _, class := range []registrytest.Class{registrytest.Blob, registrytest.Manifest, registrytest.Tag, registrytest.Referrers} {
			reg.Inject(registrytest.Match{Class: class}, registrytest.Redirect(http.StatusTemporaryRedirect, victim.URL()+"/"+string(class)))
		}
		client := oci.NewClient(oci.Options{Keychain: staticKeychain{reg.Host()}})
		ref := parse(t, image.TagRef())
		for name, read := range map[string]func() error{
			"tag":       func() error { return resolve(t.Context(), client, ref, image) },
			"manifest":  func() error { return manifest(t.Context(), client, ref, image) },
			"referrers": func() error { return referrers(t.Context(), client, ref, image) },
			"blob": func() error {
				_, err := client.Blob(t.Context(), ref, oci.Descriptor{Digest: image.Digest, Size: 1}, 10)
				return err
			},
		} {
			if err := read(); !errors.Is(err, oci.ErrUnauthorized) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(victim.Requests()) == 0 {
			t.Error("the redirect was not followed, so nothing was shown")
		}
	}
}

// TestRedirects: OC-37 and the bound on hops.
func TestRedirects(t *testing.T) {
	t.Parallel()
	t.Run("OC-37 from https to http", func(t *testing.T) {
		t.Parallel()
		victim := registrytest.NewVictim(t)
		reg := registrytest.New(t, registrytest.WithTLS())
		image := reg.PushImage("app", "1", nil)
		reg.Inject(registrytest.Match{Class: registrytest.Tag}, registrytest.Redirect(http.StatusFound, victim.URL()+"/v2/app/manifests/1"))
		_, err := oci.NewClient(oci.Options{RootCAs: reg.CAs()}).Resolve(t.Context(), parse(t, image.TagRef()))
		if !errors.Is(err, oci.ErrRedirectRefused) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("OC-37 no plain HTTP after a TLS error", func(t *testing.T) {
		t.Parallel()
		var asked []string
		broken := roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Scheme)
			return nil, errors.New("tls: handshake failure")
		})
		_, err := oci.NewClient(oci.Options{Transport: broken}).Resolve(t.Context(), parse(t, "registry.example/app:1"))
		if !errors.Is(err, oci.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		for _, scheme := range asked {
			if scheme != "https" {
				t.Errorf("asked over %s", scheme)
			}
		}
		asked = nil
		oci.NewClient(oci.Options{Transport: broken, InsecureHTTP: true}).Resolve(t.Context(), parse(t, "registry.example/app:1"))
		if len(asked) != 2 || asked[0] != "https" || asked[1] != "http" {
			t.Errorf("with plain HTTP allowed, asked over %v; want https first", asked)
		}
	})
	t.Run("OC-26 from the public network to an internal address", func(t *testing.T) {
		t.Parallel()
		asked := 0
		redirecting := roundTrip(func(r *http.Request) (*http.Response, error) {
			if asked++; r.URL.Path == "/v2/" {
				return answer(r, 200, "{}"), nil
			}
			return answer(r, 307, "", "Location", "https://169.254.169.254/latest/meta-data"), nil
		})
		_, err := oci.NewClient(oci.Options{Transport: redirecting}).Resolve(t.Context(), parse(t, "registry.example/app:1"))
		if !errors.Is(err, oci.ErrRedirectRefused) || asked != 2 {
			t.Errorf("%d requests, %v", asked, err)
		}
	})
	t.Run("a circle ends", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t)
		image := reg.PushImage("app", "1", nil)
		reg.Inject(registrytest.Match{Class: registrytest.Tag}, registrytest.Redirect(http.StatusFound, "/v2/app/manifests/1"))
		_, err := oci.NewClient(oci.Options{}).Resolve(t.Context(), parse(t, image.TagRef()))
		if !errors.Is(err, oci.ErrRedirectRefused) || reg.Count("", registrytest.Tag) > 10 {
			t.Errorf("%d requests, %v", reg.Count("", registrytest.Tag), err)
		}
	})
}

// TestFronts reads through each kind of login, with and without TLS.
func TestFronts(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]registrytest.Option{
		"basic":                 {registrytest.WithBasicAuth("user", "secret")},
		"token":                 {registrytest.WithTokenAuth("user", "secret")},
		"token for two uses":    {registrytest.WithTokenAuth("user", "secret"), registrytest.WithTokenUses(2)},
		"basic, TLS":            {registrytest.WithBasicAuth("user", "secret"), registrytest.WithTLS()},
		"token, TLS, no API":    {registrytest.WithTokenAuth("user", "secret"), registrytest.WithTLS(), registrytest.WithReferrers(false)},
		"anyone may read":       {registrytest.WithTokenAuth("someone", "else"), registrytest.WithAnonymousPull()},
		"login only where used": {registrytest.WithBasicAuth("user", "secret"), registrytest.WithMiddleware(openPing)},
		"token only where used": {registrytest.WithTokenAuth("user", "secret"), registrytest.WithMiddleware(openPing)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, options...)
			image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
			reg.Attach("team/app", image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte("bundle")})
			keychain := authn.Keychain(staticKeychain{reg.Host()})
			if name == "anyone may read" {
				keychain = nil
			}
			client := oci.NewClient(oci.Options{Keychain: keychain, RootCAs: reg.CAs()})
			ref := parse(t, image.TagRef())
			for range 2 {
				d, err := client.Resolve(t.Context(), ref)
				if err != nil {
					t.Fatal(err)
				}
				list, err := client.Referrers(t.Context(), ref, d.Digest)
				if err != nil || len(list.Descriptors) != 1 {
					t.Fatalf("%v, %v", list, err)
				}
				m, err := client.Manifest(t.Context(), ref, list.Descriptors[0])
				if err != nil {
					t.Fatal(err)
				}
				if raw, err := client.Blob(t.Context(), ref, m.Layers[0], 100); err != nil || string(raw) != "bundle" {
					t.Fatalf("%q, %v", raw, err)
				}
			}
			if n := reg.Count("", registrytest.Ping); n != 1 {
				t.Errorf("%d pings", n)
			}
			if n := reg.Count("", registrytest.Token); n > 1 && name != "token for two uses" {
				t.Errorf("%d tokens for one repository", n)
			}
			for _, q := range reg.Requests() {
				if len(q.Header.Values("Authorization")) > 1 {
					t.Errorf("OC-42: several Authorization headers: %s", q)
				}
			}
		})
	}
}

// openPing answers the ping without a login, as some registries do.
func openPing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			w.WriteHeader(http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestNoTokenNoSecretInTheError: an answer of a token server may hold a
// credential and is not repeated.
func TestNoTokenNoSecretInTheError(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.WithTokenAuth("user", "secret"))
	image := reg.PushImage("app", "1", nil)
	reg.Inject(registrytest.Match{Class: registrytest.Token}, registrytest.Answer(200, "application/json", []byte(`{"refresh_token":"hunter2"}`)))
	_, err := oci.NewClient(oci.Options{Keychain: staticKeychain{reg.Host()}}).Resolve(t.Context(), parse(t, image.TagRef()))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
