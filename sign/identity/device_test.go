package identity

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inMemory brings requests to a handler without a network, so that the clock of a
// synctest bubble can run.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	m.handler.ServeHTTP(recorder, r)
	answer := recorder.Result()
	answer.Request = r
	return answer, nil
}

func (f *fakeIssuer) inMemory() *http.Client {
	return &http.Client{Transport: inMemory{f.Config.Handler}}
}

func TestDevice(t *testing.T) {
	t.Parallel()
	f := newIssuer(t)
	var prompt bytes.Buffer
	token, err := f.login(Options{Flow: FlowDevice, Prompt: &prompt}).Token(t.Context(), "")
	if err != nil || token.Email() != "me@example.com" {
		t.Fatalf("got %v, %v", token, err)
	}
	for _, shown := range []string{"ABCD-EFGH", f.URL + "/enter\n", f.URL + "/enter?user_code=ABCD-EFGH\n"} {
		if !strings.Contains(prompt.String(), shown) {
			t.Errorf("the prompt lacks %q: %s", shown, prompt.String())
		}
	}
	for _, secret := range f.secrets() {
		if strings.Contains(prompt.String(), secret) {
			t.Errorf("KE-15: the prompt shows a secret: %s", prompt.String())
		}
	}
}

// Where no browser opens, the automatic flow falls back to a code.
func TestDeviceWithoutBrowser(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(string) error{
		"none":    nil,
		"failing": func(string) error { return errors.New("no display") },
	} {
		f := newIssuer(t)
		if token, err := f.login(Options{OpenBrowser: open}).Token(t.Context(), ""); err != nil || len(f.polls) != 1 {
			t.Errorf("%s: got %v, %v", name, token, err)
		}
	}
	// The person has the time that a code has, not what was left for the browser.
	slow := newIssuer(t)
	source := slow.login(Options{}).(*checked)
	source.provider = person{source.settings, 50 * time.Millisecond}
	if token, err := source.Token(t.Context(), ""); err != nil {
		t.Errorf("got %v, %v", token, err)
	}
	f := newIssuer(t)
	f.discovery = func(d map[string]any) { delete(d, "device_authorization_endpoint") }
	if token, err := f.login(Options{Flow: FlowDevice}).Token(t.Context(), ""); err == nil || !strings.Contains(Hint(err), "--oidc-flow browser") {
		t.Errorf("an issuer without device flow: %v, %v", token, err)
	}
}

// TestDevicePace is RFC 8628 section 3.5: the interval, five seconds where none is
// given, five more after each slow_down, and the end.
func TestDevicePace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		interval any
		answers  []string // errors before the token; the last one repeats
		expires  int
		want     []int // seconds between questions
		words    string
	}{
		"interval":     {2, []string{"authorization_pending", "authorization_pending", ""}, 600, []int{2, 2, 2}, ""},
		"default":      {nil, []string{"authorization_pending", ""}, 600, []int{5, 5}, ""},
		"slow down":    {2, []string{"slow_down", "authorization_pending", "slow_down", ""}, 600, []int{2, 7, 7, 12}, ""},
		"runs out":     {5, []string{"authorization_pending"}, 12, []int{5, 5}, "in time"},
		"expired":      {5, []string{"authorization_pending", "expired_token"}, 600, []int{5, 5}, "in time"},
		"never ends":   {40, []string{"authorization_pending"}, 1 << 30, slices.Repeat([]int{40}, 22), "in time"}, // 15 minutes
		"no answer":    {5, []string{"503", "authorization_pending", "503", ""}, 600, []int{5, 10, 10, 20}, ""},
		"gone":         {nil, []string{"503"}, 600, []int{5, 10, 20, 40}, "503"},
		"denied":       {1, []string{"access_denied"}, 600, []int{1}, "access_denied"},
		"unknown":      {1, []string{"server_error"}, 600, []int{1}, "server_error"},
		"past already": {1, []string{""}, -5, nil, "in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newIssuer(t)
			var gaps []int
			var token Token
			var err error
			synctest.Test(t, func(t *testing.T) {
				f.offer = func(o map[string]any) {
					o["interval"], o["expires_in"] = test.interval, test.expires
				}
				last := time.Now()
				f.token = func(w http.ResponseWriter, _ url.Values) bool {
					gaps = append(gaps, int(time.Since(last).Seconds()))
					last = time.Now()
					reply := test.answers[min(len(gaps), len(test.answers))-1]
					if reply == "" {
						return false
					}
					if reply == "503" {
						http.Error(w, "busy", http.StatusServiceUnavailable)
						return true
					}
					f.refuse(w, reply)
					return true
				}
				token, err = f.login(Options{Flow: FlowDevice, HTTP: f.inMemory()}).Token(t.Context(), "")
			})
			if (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, %v", token, err)
			}
			if !slices.Equal(gaps, test.want) {
				t.Fatalf("asked after %v seconds, not %v", gaps, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "device-secret-1") {
				t.Errorf("KE-15: the device code is in the error: %v", err)
			}
		})
	}
}

// TestOffer: what an issuer offers is shown to a person and waited for.
func TestOffer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(map[string]any)
		words  string
	}{
		"negative interval":         {func(o map[string]any) { o["interval"] = -1 }, "every -1 seconds"},
		"interval of years":         {func(o map[string]any) { o["interval"] = int64(1) << 62 }, "seconds"},
		"no user code":              {func(o map[string]any) { o["user_code"] = "" }, "typed"},
		"no device code":            {func(o map[string]any) { o["device_code"] = "" }, "typed"},
		"a code that clears":        {func(o map[string]any) { o["user_code"] = "A\x1b[2J" }, "typed"},
		"a code of two lines":       {func(o map[string]any) { o["user_code"] = "A\nB" }, "typed"},
		"a long code":               {func(o map[string]any) { o["user_code"] = strings.Repeat("A", 65) }, "typed"},
		"a page without TLS":        {func(o map[string]any) { o["verification_uri"] = "http://evil.example/" }, "not https"},
		"a page of another kind":    {func(o map[string]any) { o["verification_uri"] = "javascript:x" }, "page"},
		"a page that is turned":     {func(o map[string]any) { o["verification_uri"] = "https://a.example/\u202ex" }, "page"},
		"no page":                   {func(o map[string]any) { o["verification_uri"] = "" }, "page"},
		"a long page":               {func(o map[string]any) { o["verification_uri"] = "https://a.example/" + strings.Repeat("a", 3000) }, "too long"},
		"a whole page without TLS":  {func(o map[string]any) { o["verification_uri_complete"] = "http://evil.example/" }, "not https"},
		"an interval that is words": {func(o map[string]any) { o["interval"] = "x" }, "asking"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newIssuer(t)
			f.offer = test.change
			var prompt bytes.Buffer
			token, err := f.login(Options{Flow: FlowDevice, Prompt: &prompt}).Token(t.Context(), "")
			if err == nil || !strings.Contains(err.Error(), test.words) || prompt.Len() > 0 || len(f.polls) > 0 {
				t.Errorf("got %v, %v; shown: %q", token, err, prompt.String())
			}
		})
	}
}

func TestDeviceEnds(t *testing.T) {
	t.Parallel()
	f := newIssuer(t)
	f.offer = func(o map[string]any) { o["interval"] = 60 }
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if token, err := f.login(Options{Flow: FlowDevice}).Token(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("the context ended: %v, %v", token, err)
	}
}
