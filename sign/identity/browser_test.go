package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// surf plays the person's browser: it follows the login page to the end.
func surf(t *testing.T, visited chan<- string) func(string) error {
	return func(address string) error {
		go func() {
			answer, err := http.Get(address)
			if err != nil {
				visited <- err.Error()
				return
			}
			defer func() { _ = answer.Body.Close() }()
			body, _ := io.ReadAll(answer.Body)
			visited <- fmt.Sprintf("%d %s", answer.StatusCode, body)
		}()
		return nil
	}
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	f := newIssuer(t)
	visited := make(chan string, 2)
	var prompt bytes.Buffer
	source := f.login(Options{OpenBrowser: surf(t, visited), Prompt: &prompt})
	for range 2 { // each login has secrets of its own
		token, err := source.Token(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if token.Email() != "me@example.com" || token.Issuer() != f.URL || token.Source() != "a login at "+f.URL {
			t.Errorf("got %v from %q", token, token.Source())
		}
		if page := <-visited; !strings.HasPrefix(page, "200 The login is done") {
			t.Errorf("the browser shows %q", page)
		}
	}
	for _, secret := range f.secrets() {
		if strings.Contains(prompt.String(), secret) {
			t.Errorf("KE-15: the prompt shows a secret: %s", prompt.String())
		}
	}
	if !strings.Contains(prompt.String(), f.URL+"/auth?") {
		t.Errorf("the prompt does not show the page: %s", prompt.String())
	}
}

// TestBrowserIsAskedByHand: where no browser opens, the page is shown.
func TestBrowserIsAskedByHand(t *testing.T) {
	t.Parallel()
	f := newIssuer(t)
	visited := make(chan string, 1)
	reader, writer := io.Pipe()
	go func() {
		buffer := make([]byte, 4096)
		n, _ := reader.Read(buffer)
		_, address, _ := strings.Cut(string(buffer[:n]), "\n")
		_ = surf(t, visited)(strings.TrimSpace(address))
	}()
	token, err := f.login(Options{Flow: FlowBrowser, Prompt: writer}).Token(t.Context(), "")
	if err != nil || token.Subject() != "user-1" {
		t.Errorf("got %v, %v", token, err)
	}
	<-visited
}

// TestCallback is KE-15: what a page in the same browser may send in place of the
// issuer's answer, or after it.
func TestCallback(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// change turns the right answer into another one.
		change func(url.Values)
		words  string
	}{
		"KE-15 wrong state":               {func(q url.Values) { q.Set("state", "x"+q.Get("state")[1:]) }, "its state"},
		"KE-15 no state":                  {func(q url.Values) { q.Del("state") }, "its state"},
		"KE-15 two states":                {func(q url.Values) { q.Add("state", "x") }, "state twice"},
		"KE-15 two codes":                 {func(q url.Values) { q.Add("code", "x") }, "code twice"},
		"KE-15 no code":                   {func(q url.Values) { q.Del("code") }, "no code"},
		"KE-15 large code":                {func(q url.Values) { q.Set("code", strings.Repeat("a", maxCode+1)) }, "no code"},
		"KE-15 a code of somebody else":   {func(q url.Values) { q.Set("code", "stolen-code") }, "invalid_grant"},
		"KE-15 the answer of another":     {func(q url.Values) { q.Set("iss", "https://evil.example") }, "another issuer"},
		"KE-15 error callback":            {func(q url.Values) { q.Set("error", "access_denied"); q.Set("error_description", "no\x1b[2J") }, `"access_denied": "no\x1b[2J"`},
		"KE-15 error callback, no state":  {func(q url.Values) { q.Set("error", "access_denied"); q.Del("state") }, "its state"},
		"KE-15 error with a code as well": {func(q url.Values) { q.Set("error", "x") }, `"x"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newIssuer(t)
			shown := make(chan string, 1)
			_, err := f.login(Options{OpenBrowser: tamper(f, test.change, shown)}).Token(t.Context(), "")
			if err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v", err)
			}
			page := <-shown
			if strings.Contains(page, "access_denied") || strings.Contains(page, "evil") || !strings.HasPrefix(page, "400") && !strings.HasPrefix(page, "200") {
				t.Errorf("the browser shows %q", page)
			}
			if err != nil && strings.Contains(err.Error(), "stolen-code") {
				t.Errorf("KE-15: the code is in the error: %v", err)
			}
		})
	}
}

// tamper logs in, changes the answer of the issuer, and brings it to the listener.
func tamper(f *fakeIssuer, change func(url.Values), shown chan<- string) func(string) error {
	return func(address string) error {
		back, err := callbackOf(address)
		if err != nil {
			return err
		}
		query := back.Query()
		change(query)
		back.RawQuery = query.Encode()
		go func() { shown <- visit(back.String()) }()
		return nil
	}
}

// callbackOf logs in and returns where the browser would be sent.
func callbackOf(address string) (*url.URL, error) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.Location()
}

func visit(address string) string {
	answer, err := http.Get(address)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	return fmt.Sprintf("%d %s", answer.StatusCode, body)
}

// TestReplayedCallback is KE-15: the answer of an earlier login is not one to this.
func TestReplayedCallback(t *testing.T) {
	t.Parallel()
	f := newIssuer(t)
	var first url.Values
	shown := make(chan string, 2)
	open := func(address string) error {
		back, err := callbackOf(address)
		if err != nil {
			return err
		}
		if first == nil {
			first = back.Query()
		}
		back.RawQuery = first.Encode()
		go func() { shown <- visit(back.String()) }()
		return nil
	}
	source := f.login(Options{OpenBrowser: open})
	if _, err := source.Token(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if token, err := source.Token(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "its state") {
		t.Errorf("KE-15: a replayed callback gave %v, %v", token, err)
	}
}

// TestSecondRequest is KE-15: only the first answer counts.
func TestSecondRequest(t *testing.T) {
	t.Parallel()
	d, err := listen(t.Context(), "the-state", "https://issuer.example")
	if err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]string{"/": "404", "/favicon.ico": "404", callbackPath + "/x": "404"} {
		if page := visit("http://" + d.host + path); !strings.HasPrefix(page, status) {
			t.Errorf("%s shows %q", path, page)
		}
	}
	for _, other := range []string{"localhost", "evil.example"} { // a name that points to this machine
		request, err := http.NewRequest(http.MethodGet, d.address+"?state=the-state&code=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = strings.Replace(d.host, "127.0.0.1", other, 1)
		if answer, err := http.DefaultClient.Do(request); err != nil || answer.StatusCode != http.StatusNotFound {
			t.Errorf("host %s: %v, %v", other, answer, err)
		}
	}
	if answer, err := http.PostForm(d.address, url.Values{"state": {"the-state"}, "code": {"1"}}); err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", answer, err)
	}
	if page := visit(d.address + "?state=the-state&code=first"); !strings.HasPrefix(page, "200") {
		t.Errorf("the first shows %q", page)
	}
	if page := visit(d.address + "?state=the-state&code=second"); !strings.HasPrefix(page, "410") {
		t.Errorf("KE-15: the second request shows %q", page)
	}
	if code, err := d.wait(t.Context()); code != "first" || err != nil {
		t.Errorf("got %q, %v", code, err)
	}
	d.close()
	if page := visit(d.address); !strings.Contains(page, "refused") {
		t.Errorf("the listener is still there: %q", page)
	}
}

// TestIDToken is KE-15: what the issuer's token must be bound to.
func TestIDToken(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		set   func(*fakeIssuer)
		words string
	}{
		"KE-15 wrong nonce":        {func(f *fakeIssuer) { f.claims = func(c map[string]any) { c["nonce"] = "x" } }, "nonce"},
		"KE-15 no nonce":           {func(f *fakeIssuer) { f.claims = func(c map[string]any) { delete(c, "nonce") } }, "nonce"},
		"another issuer":           {func(f *fakeIssuer) { f.claims = func(c map[string]any) { c["iss"] = "https://evil.example" } }, "different provider"},
		"another audience":         {func(f *fakeIssuer) { f.claims = func(c map[string]any) { c["aud"] = "other" } }, "audience"},
		"expired":                  {func(f *fakeIssuer) { f.claims = func(c map[string]any) { c["exp"] = 1 } }, "expired"},
		"another access token":     {func(f *fakeIssuer) { f.claims = func(c map[string]any) { c["at_hash"] = "AAAA" } }, "access token"},
		"another key":              {func(f *fakeIssuer) { f.signer = other }, "signature"},
		"no ID token":              {replyWith(`{"access_token":"a","token_type":"Bearer"}`), "without an ID token"},
		"an ID token that is none": {replyWith(`{"access_token":"a","token_type":"Bearer","id_token":7}`), "without an ID token"},
		"RE-03 a token of dots":    {replyWith(`{"access_token":"a","token_type":"Bearer","id_token":"` + strings.Repeat(".", 900<<10) + `"}`), "64 kB"},
		"no JSON":                  {replyWith(`<html>`), "trading"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newIssuer(t)
			test.set(f)
			token, err := f.login(Options{OpenBrowser: surf(t, make(chan string, 1))}).Token(t.Context(), "")
			if err == nil || token.Raw() != "" || !strings.Contains(err.Error(), test.words) || len(err.Error()) > 600 {
				t.Fatalf("got %v, %v", token, err)
			}
			for _, secret := range f.secrets() {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("KE-15: a secret is in the error: %v", err)
				}
			}
		})
	}
}

func replyWith(body string) func(*fakeIssuer) {
	return func(f *fakeIssuer) {
		f.token = func(w http.ResponseWriter, _ url.Values) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
			return true
		}
	}
}

// A refusal may echo what it was sent.
func TestRefusalHidesSecrets(t *testing.T) {
	t.Parallel()
	f := newIssuer(t)
	f.token = func(w http.ResponseWriter, form url.Values) bool {
		f.refuse(w, form.Get("code")+" "+form.Get("code_verifier"))
		return true
	}
	_, err := f.login(Options{OpenBrowser: surf(t, make(chan string, 1))}).Token(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "[hidden]") {
		t.Fatalf("got %v", err)
	}
	for _, secret := range f.secrets() {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("KE-15: %q is in the error: %v", secret, err)
		}
	}
}

func TestBrowserEnds(t *testing.T) {
	t.Parallel()
	f := newIssuer(t)
	open := func(string) error { return nil } // and nobody logs in
	ended, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if token, err := f.login(Options{OpenBrowser: open}).Token(ended, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the context ended: %v, %v", token, err)
	}
	source := f.login(Options{OpenBrowser: open}).(*checked)
	source.provider = person{source.settings, 50 * time.Millisecond}
	if token, err := source.Token(t.Context(), ""); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(Hint(err), "--oidc-flow device") {
		t.Errorf("nobody logged in: %v, %v, hint %q", token, err, Hint(err))
	}
}
