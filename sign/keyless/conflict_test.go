package keyless_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// pointer rewrites what a log says of where its entry is.
type pointer struct {
	inner http.RoundTripper
	to    func(http.Header)
}

func (p *pointer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := p.inner.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusConflict {
		p.to(response.Header)
	}
	return response, err
}

// TestConflictPointsElsewhere: a log that says where its entry is can point to nothing
// else than an entry of its own with the signature.
func TestConflictPointsElsewhere(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		v2   bool
		to   func(t *testing.T, h http.Header)
		made bool
	}{
		"v1, as it is":              {false, func(*testing.T, http.Header) {}, true},
		"v1, on another host":       {false, func(t *testing.T, h http.Header) { h.Set("Location", verifytest.NewVictim(t)+h.Get("Location")) }, true},
		"v1, on no host":            {false, func(_ *testing.T, h http.Header) { h.Set("Location", "/elsewhere/"+h.Get("Location")) }, true},
		"v1, nowhere":               {false, func(_ *testing.T, h http.Header) { h.Del("Location") }, false},
		"v1, no URL":                {false, func(_ *testing.T, h http.Header) { h.Set("Location", "http://[") }, false},
		"v1, a parent":              {false, func(_ *testing.T, h http.Header) { h.Set("Location", "/api/v1/log/entries/..") }, false},
		"v1, another path":          {false, func(_ *testing.T, h http.Header) { h.Set("Location", "/api/v1/log/entries/%2e%2e%2fentries") }, false},
		"v2, as it is":              {true, func(*testing.T, http.Header) {}, true},
		"v2, somebody else's":       {true, func(_ *testing.T, h http.Header) { h.Set("x-log-index", "0") }, false},
		"v2, nowhere":               {true, func(_ *testing.T, h http.Header) { h.Del("x-log-index") }, false},
		"v2, below":                 {true, func(_ *testing.T, h http.Header) { h.Set("x-log-index", "-1") }, false},
		"v2, no number":             {true, func(_ *testing.T, h http.Header) { h.Set("x-log-index", "5/../6") }, false},
		"v2, beyond the checkpoint": {true, func(_ *testing.T, h http.Header) { h.Set("x-log-index", "6") }, false},
		"v2, far away":              {true, func(_ *testing.T, h http.Header) { h.Set("x-log-index", "4611686018427387903") }, false},
		"v2, too far":               {true, func(_ *testing.T, h http.Header) { h.Set("x-log-index", "18446744073709551615") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			services, service := k.v1(), k.Rekor1
			if row.v2 {
				services, service = k.v2(), k.Rekor2
			}
			options := k.options(t, services)
			options.Transport = &pointer{&http.Transport{}, func(h http.Header) { row.to(t, h) }}
			source, err := keyless.New(options)
			if err != nil {
				t.Fatal(err)
			}
			source.Hurry()
			service.Fail(verifytest.Fault{On: "POST", Lose: true, Times: 1})
			evidence, err := k.signImage(soon(t), source)
			if !row.made {
				k.refused(t, evidence, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			k.check(t, k.Instance.Verifier(t, trust.Keyless()), evidence)
		})
	}
}

// TestConflictOfUnknownLog: an entry of a log whose key is not trusted is not fetched, for
// nothing says that it is there.
func TestConflictOfUnknownLog(t *testing.T) {
	t.Parallel()
	k, other := newKit(t), newKit(t)
	services := k.v2()
	services.Logs[0].URL = other.Rekor2.URL
	other.Rekor2.Fail(verifytest.Fault{On: "POST", Lose: true, Times: 1})
	evidence, err := image(soon(t), k.signer(t, services))
	k.refused(t, evidence, err)
	if !strings.Contains(err.Error(), "not in the trusted root") {
		t.Errorf("the error is about something else: %v", err)
	}
	if n := other.Rekor2.Requests(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}
