package credentials_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/policy/credentials"
)

// fakeAPI plays the few objects that are read, and knows what was asked.
type fakeAPI struct {
	*httptest.Server
	t         *testing.T
	tokenFile string
	caFile    string

	mu      sync.Mutex
	token   string
	objects map[string]string // path -> body, or "!404"
	asked   []string
	now     time.Time
	warned  []string
}

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	dir := t.TempDir()
	f := &fakeAPI{t: t, tokenFile: filepath.Join(dir, "token"), caFile: filepath.Join(dir, "ca.crt"), objects: make(map[string]string), now: time.Unix(1_800_000_000, 0)}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	f.setToken("first")
	if err := os.WriteFile(f.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakeAPI) setToken(token string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = token
	if err := os.WriteFile(f.tokenFile, []byte(token+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.RequestURI)
	body, found := f.objects[r.URL.Path]
	switch {
	case r.Header.Get("Authorization") != "Bearer "+f.token:
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case !found:
		http.Error(w, "not here", http.StatusNotFound)
	case body == "!403":
		http.Error(w, "no", http.StatusForbidden)
	case body == "!500":
		http.Error(w, "hunter2", http.StatusInternalServerError)
	case body == "!302":
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
	default:
		fmt.Fprint(w, body)
	}
}

// secret stores a Secret with a login for a host.
func (f *fakeAPI) secret(namespace, secret, host, user string) {
	f.t.Helper()
	config := fmt.Sprintf(`{"auths": {%q: {"username": %q, "password": "x"}}}`, host, user)
	f.object(namespace, "secrets", secret, fmt.Sprintf(`{"kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": %q, "namespace": %q, "managedFields": [{"a": {}}]}, "data": {".dockerconfigjson": %q}}`,
		secret, namespace, base64.StdEncoding.EncodeToString([]byte(config))))
}

func (f *fakeAPI) account(namespace, account string, secrets ...string) {
	f.t.Helper()
	type named struct {
		Name string `json:"name"`
	}
	all := []named{}
	for _, secret := range secrets {
		all = append(all, named{secret})
	}
	raw, err := json.Marshal(all)
	if err != nil {
		f.t.Fatal(err)
	}
	f.object(namespace, "serviceaccounts", account, fmt.Sprintf(`{"kind": "ServiceAccount", "metadata": {"name": %q, "namespace": %q}, "imagePullSecrets": %s}`, account, namespace, raw))
}

func (f *fakeAPI) object(namespace, resource, object, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects["/api/v1/namespaces/"+namespace+"/"+resource+"/"+object] = body
}

func (f *fakeAPI) pullSecrets(fallback authn.Keychain) *credentials.PullSecrets {
	f.t.Helper()
	api, err := credentials.NewAPI(f.URL, f.tokenFile, f.caFile)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(api.Close)
	p, err := credentials.NewPullSecrets(credentials.PullSecretOptions{
		API: api, Fallback: fallback,
		Now: func() time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.now
		},
		Warn: func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.warned = append(f.warned, err.Error())
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *fakeAPI) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func TestPullSecrets(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.secret("shop", "one", "one.example", "one")
	f.secret("shop", "two", "two.example", "two")
	f.secret("shop", "also", "one.example", "also")
	f.secret("other", "theirs", "one.example", "theirs")
	f.account("shop", "default", "one")
	f.account("shop", "builder", "two", "one")
	f.account("shop", "none")
	own, err := credentials.Parse([]byte(`{"auths": {"own.example": {"username": "own", "password": "x"}, "one.example": {"username": "server", "password": "x"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	p := f.pullSecrets(own)
	for name, tc := range map[string]struct {
		namespace string
		secrets   []string
		account   string
		want      map[string]string // nil: no credentials at all
	}{
		"named secrets":          {"shop", []string{"one", "two"}, "builder", map[string]string{"one.example/x": "one", "two.example/x": "two", "own.example/x": "own", "three.example/x": ""}},
		"the first counts":       {"shop", []string{"also", "one"}, "", map[string]string{"one.example/x": "also"}},
		"the account's":          {"shop", nil, "builder", map[string]string{"one.example/x": "one", "two.example/x": "two"}},
		"the default account's":  {"shop", nil, "", map[string]string{"one.example/x": "one", "two.example/x": ""}},
		"an account without any": {"shop", nil, "none", nil},
		"no such account":        {"shop", nil, "missing", nil},
		"no such secret":         {"shop", []string{"missing"}, "builder", nil},
		"one of two is there":    {"shop", []string{"missing", "two"}, "", map[string]string{"two.example/x": "two", "one.example/x": "server"}},
		"of another namespace":   {"shop", []string{"theirs"}, "", nil},
		"AD-21 another path":     {"shop", []string{"../../other/secrets/theirs", "..", "one/../two", "ONE", "a%2fb", ""}, "", nil},
		"AD-21 another account":  {"shop", nil, "../../other", nil},
		"no namespace":           {"", []string{"one"}, "", nil},
	} {
		keychain, id, err := p.ForAsker(t.Context(), tc.namespace, tc.secrets, tc.account)
		if err != nil || (id == "") != (tc.want == nil) || (keychain == nil) != (tc.want == nil) {
			t.Errorf("%s: %q, %v", name, id, err)
			continue
		}
		for repository, want := range tc.want {
			if got := userFor(t, keychain, repository); got != want {
				t.Errorf("%s: %s gets %q, want %q", name, repository, got, want)
			}
		}
	}
	for _, asked := range f.requests() {
		if !strings.HasPrefix(asked, "GET /api/v1/namespaces/shop/") || strings.Contains(asked, "..") || strings.Contains(asked, "?") {
			t.Errorf("AD-21 asked %s", asked)
		}
	}
}

// TestSameCredentialsSameID: clients are kept by the id.
func TestSameCredentialsSameID(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.secret("a", "s", "one.example", "u")
	f.secret("b", "other-name", "one.example", "u")
	f.secret("c", "s", "one.example", "v")
	p := f.pullSecrets(nil)
	ids := make(map[string]string)
	for namespace, secret := range map[string]string{"a": "s", "b": "other-name", "c": "s"} {
		_, id, err := p.ForAsker(t.Context(), namespace, []string{secret}, "")
		if err != nil {
			t.Fatal(err)
		}
		ids[namespace] = id
	}
	if ids["a"] != ids["b"] || ids["a"] == ids["c"] || strings.Contains(ids["a"], "one.example") {
		t.Errorf("%v", ids)
	}
}

// TestFreshness: an answer is used again for half a minute, errors are not, and a token
// that was replaced is read.
func TestFreshness(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.secret("shop", "one", "one.example", "old")
	p := f.pullSecrets(nil)
	user := func() string {
		keychain, _, err := p.ForAsker(t.Context(), "shop", []string{"one"}, "")
		if err != nil {
			return err.Error()
		}
		return userFor(t, keychain, "one.example/x")
	}
	for range 3 {
		if got := user(); got != "old" {
			t.Fatal(got)
		}
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
	f.secret("shop", "one", "one.example", "new")
	f.setToken("second")
	f.mu.Lock()
	f.now = f.now.Add(30 * time.Second)
	f.mu.Unlock()
	if got := user(); got != "new" {
		t.Error(got)
	}
	f.object("shop", "secrets", "one", "!500")
	f.mu.Lock()
	f.now = f.now.Add(30 * time.Second)
	f.mu.Unlock()
	if got := user(); !strings.Contains(got, "it answered 500") || strings.Contains(got, "hunter2") {
		t.Error(got)
	}
	f.secret("shop", "one", "one.example", "newer")
	if got := user(); got != "newer" {
		t.Error(got)
	}
}

// TestAPIFaults: what could not be asked is an error and never "no credentials"; what
// cannot be used is passed over, and told.
func TestAPIFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body, fails, warns string
	}{
		"forbidden":       {"!403", "", "may not read it"},
		"server fault":    {"!500", "it answered 500", ""},
		"redirect":        {"!302", "it answered 302", ""},
		"no JSON":         {"<html>", "no such object", ""},
		"another kind":    {`{"kind": "ConfigMap", "metadata": {"name": "one", "namespace": "shop"}}`, "another object", ""},
		"another name":    {`{"kind": "Secret", "metadata": {"name": "two", "namespace": "shop"}}`, "another object", ""},
		"another place":   {`{"kind": "Secret", "metadata": {"name": "one", "namespace": "other"}}`, "another object", ""},
		"a key twice":     {`{"kind": "Secret", "kind": "Secret", "metadata": {"name": "one", "namespace": "shop"}}`, "no such object", ""},
		"too large":       {`{"kind": "Secret", "x": "` + strings.Repeat("x", 2<<20) + `"}`, "more than", ""},
		"another type":    {`{"kind": "Secret", "type": "Opaque", "metadata": {"name": "one", "namespace": "shop"}}`, "", "not of a type"},
		"an empty one":    {`{"kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": "one", "namespace": "shop"}}`, "", "no JSON"},
		"a broken legacy": {`{"kind": "Secret", "type": "kubernetes.io/dockercfg", "metadata": {"name": "one", "namespace": "shop"}, "data": {".dockercfg": "aHVudGVyMg=="}}`, "", "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAPI(t)
			f.object("shop", "secrets", "one", tc.body)
			_, id, err := f.pullSecrets(nil).ForAsker(t.Context(), "shop", []string{"one"}, "")
			switch {
			case tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)):
				t.Errorf("%v", err)
			case tc.fails == "" && (err != nil || id != "" || len(f.warned) != 1 || !strings.Contains(f.warned[0], tc.warns)):
				t.Errorf("%v, %q", err, f.warned)
			}
			for _, said := range append(f.warned, fmt.Sprint(err)) {
				if strings.Contains(said, "hunter2") || len(said) > 500 {
					t.Errorf("it says %q", said)
				}
			}
		})
	}
}

// TestWithoutAPI: files that are missing or hold something else, and a deadline.
func TestWithoutAPI(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.secret("shop", "one", "one.example", "u")
	foreign := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(foreign, []byte("-----BEGIN NOTHING-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][2]string{
		"no token":       {filepath.Join(t.TempDir(), "none"), f.caFile},
		"no authority":   {f.tokenFile, filepath.Join(t.TempDir(), "none")},
		"no certificate": {f.tokenFile, foreign},
	} {
		api, err := credentials.NewAPI(f.URL, files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		p, err := credentials.NewPullSecrets(credentials.PullSecretOptions{API: api, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.ForAsker(t.Context(), "shop", []string{"one"}, ""); err == nil {
			t.Errorf("%s: it was asked", name)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.pullSecrets(nil).ForAsker(ended, "shop", []string{"one"}, ""); err == nil {
		t.Error("an ended context")
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "http://10.0.0.1", "https://", "https://u@10.0.0.1", "https://10.0.0.1/x", "https://10.0.0.1?x"} {
		if _, err := credentials.NewAPI(address, "", ""); err == nil {
			t.Errorf("%q is accepted", address)
		}
	}
	if _, err := credentials.InCluster(func(string) string { return "" }, credentials.InClusterFolder); err == nil {
		t.Error("there is no cluster here")
	}
	if _, err := credentials.InCluster(func(name string) string {
		return map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}[name]
	}, credentials.InClusterFolder); err != nil {
		t.Error(err)
	}
	api, err := credentials.NewAPI("https://10.0.0.1", "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []credentials.PullSecretOptions{{}, {API: api}, {Now: time.Now}, {API: api, Now: time.Now, Fresh: 2 * time.Minute}, {API: api, Now: time.Now, Fresh: -1}} {
		if _, err := credentials.NewPullSecrets(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	f := newFakeAPI(t)
	if _, _, err := f.pullSecrets(nil).ForAsker(t.Context(), "shop", make([]string, 21), ""); err == nil {
		t.Error("21 secrets are read")
	}
	if _, _, err := f.pullSecrets(nil).ForAsker(t.Context(), "a/b", nil, ""); err == nil {
		t.Error("a namespace with a slash")
	}
}

// TestManyAskers: one question for many, each answer right.
func TestManyAskers(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	for i := range 4 {
		f.secret("shop", fmt.Sprintf("s%d", i), "one.example", fmt.Sprintf("u%d", i))
	}
	p := f.pullSecrets(nil)
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Go(func() {
			keychain, _, err := p.ForAsker(t.Context(), "shop", []string{fmt.Sprintf("s%d", i%4)}, "")
			if err != nil {
				t.Error(err)
			} else if got := userFor(t, keychain, "one.example/x"); got != fmt.Sprintf("u%d", i%4) {
				t.Errorf("asker %d got %s", i, got)
			}
		})
	}
	wait.Wait()
	if n := len(f.requests()); n != 4 {
		t.Errorf("%d requests", n)
	}
}
