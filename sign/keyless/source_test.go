package keyless_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestCertificates: what stands in a certificate decides what is made with it. Rows that
// fail are refused by the signer's own verification.
func TestCertificates(t *testing.T) {
	t.Parallel()
	window := func(k *kit, from, to time.Duration) verifytest.Leaf {
		return verifytest.Leaf{Valid: verifytest.Window{Start: k.Now().Add(from), End: k.Now().Add(to)}}
	}
	for name, row := range map[string]struct {
		leaf    func(*kit) verifytest.Leaf
		made    bool
		subject string
		warned  bool
		need    trust.Requirement
	}{
		"workflow": {func(*kit) verifytest.Leaf { return verifytest.Leaf{} }, true, verifytest.DefaultURI, false, trust.Keyless()},
		"person": {func(*kit) verifytest.Leaf {
			return verifytest.Leaf{Emails: []string{"ann@example.com"}, Issuer: "https://login.example"}
		}, true, "ann@example.com", false, trust.Keyless()},
		"in no CT log": {func(*kit) verifytest.Leaf { return verifytest.Leaf{CT: []verifytest.SCT{}} }, true, verifytest.DefaultURI, true, trust.Requirement{LogEntries: 1, Timestamps: 1}},
		"in a CT log of others": {func(k *kit) verifytest.Leaf {
			return verifytest.Leaf{CT: []verifytest.SCT{{Log: verifytest.NewInstance(t).CT, At: k.Now()}}}
		}, false, "", false, trust.Requirement{}},
		"with a forged SCT": {func(k *kit) verifytest.Leaf {
			return verifytest.Leaf{CT: []verifytest.SCT{{Log: k.Instance.CT, At: k.Now(), Forge: func(sig []byte) []byte {
				sig[len(sig)-1] ^= 1
				return sig
			}}}}
		}, false, "", false, trust.Requirement{}},
		"an hour":       {func(k *kit) verifytest.Leaf { return window(k, 0, time.Hour) }, true, verifytest.DefaultURI, false, trust.Keyless()},
		"two minutes":   {func(k *kit) verifytest.Leaf { return window(k, 0, 2*time.Minute) }, true, verifytest.DefaultURI, false, trust.Keyless()},
		"a minute":      {func(k *kit) verifytest.Leaf { return window(k, 0, time.Minute) }, true, verifytest.DefaultURI, false, trust.Keyless()},
		"over":          {func(k *kit) verifytest.Leaf { return window(k, -time.Hour, -time.Minute) }, false, "", false, trust.Requirement{}},
		"not valid yet": {func(k *kit) verifytest.Leaf { return window(k, time.Hour, 2*time.Hour) }, false, "", false, trust.Requirement{}},
		"for several": {func(*kit) verifytest.Leaf {
			return verifytest.Leaf{Emails: []string{"ann@example.com", "ben@example.com"}}
		}, false, "", false, trust.Requirement{}},
		"of two issuers": {func(*kit) verifytest.Leaf {
			return verifytest.Leaf{Issuer: "https://a.test", IssuerV1: "https://b.test"}
		}, false, "", false, trust.Requirement{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.Certify(row.leaf(k))
			options := k.options(t, k.v2())
			var warnings []string
			options.Warn = func(text string) { warnings = append(warnings, text) }
			source, err := keyless.New(options)
			if err != nil {
				t.Fatal(err)
			}
			source.Hurry()
			evidence, err := k.signImage(soon(t), source)
			if (len(warnings) > 0) != row.warned {
				t.Errorf("warnings %q", warnings)
			}
			if !row.made {
				k.refused(t, evidence, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			fact := k.check(t, k.Instance.Verifier(t, row.need), evidence)
			if c := fact.Signer.Certificate; c == nil || c.SAN != row.subject {
				t.Errorf("signed by %+v, want %s", c, row.subject)
			}
			if _, err := k.Instance.Verifier(t, trust.Keyless()).Check(fact.Subject, evidence.Evidence); (err != nil) != row.warned {
				t.Errorf("a usual reader: %v", err)
			}
		})
	}
}

// listener keeps what is sent to the services.
type listener struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   map[string][]byte // by path
}

func (l *listener) RoundTrip(request *http.Request) (*http.Response, error) {
	var body bytes.Buffer
	if request.Body != nil {
		if _, err := body.ReadFrom(request.Body); err != nil {
			return nil, err
		}
	}
	again := request.Clone(request.Context())
	again.Body = http.NoBody
	if body.Len() > 0 {
		reader := bytes.NewReader(body.Bytes())
		again.Body = readCloser{reader}
	}
	l.mu.Lock()
	l.requests = append(l.requests, request)
	if l.bodies == nil {
		l.bodies = make(map[string][]byte)
	}
	l.bodies[request.URL.Path] = body.Bytes()
	l.mu.Unlock()
	return http.DefaultTransport.RoundTrip(again)
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// TestWhatIsSent: KE-15, the token goes to the certificate authority only, and in a
// header; a Rekor v2 and a timestamp authority are sent no content of what is signed.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	listener := &listener{}
	services := k.v2()
	services.Logs = append(services.Logs, keyless.Log{URL: k.Rekor1.URL, Version: 1})
	options := k.options(t, services)
	options.Transport, options.UserAgent = listener, "hallmark/1.2.3 test"
	source, err := keyless.New(options)
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := k.signImage(soon(t), source)
	if err != nil {
		t.Fatal(err)
	}
	if evidence.Format != verify.FormatBundle || len(listener.requests) != 4 {
		t.Fatalf("%d requests", len(listener.requests))
	}
	for _, request := range listener.requests {
		if agent := request.Header.Get("User-Agent"); agent != options.UserAgent {
			t.Errorf("%s was told the user agent %q", request.URL, agent)
		}
		if got := request.Header.Get("Authorization") != ""; got != strings.HasPrefix(request.URL.String(), k.Fulcio.URL) {
			t.Errorf("%s was sent an authorization: %t", request.URL, got)
		}
		if request.URL.RawQuery != "" {
			t.Errorf("%s has a query", request.URL)
		}
	}
	for path, body := range listener.bodies {
		if bytes.Contains(body, []byte(k.Token)) {
			t.Errorf("the token is in the body to %s", path)
		}
		if n := len(body); path != "/api/v1/log/entries" && n > 4<<10 {
			t.Errorf("%d bytes were sent to %s", n, path)
		}
	}
}
