package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestValidate: a real gate behind real TLS gives each of the three verdicts.
func TestValidate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if o := w.validate("team-a", w.signed); !o.Response.Allowed || o.Response.UID == "" {
		t.Errorf("signed: %+v", o)
	}
	denied := w.validate("team-a", w.signed, w.unsigned).Response
	if denied.Allowed || !strings.Contains(denied.Status.Message, "spec.containers[1].image") || !strings.Contains(denied.Status.Message, "NO_SIGNATURE") {
		t.Errorf("unsigned: %+v", denied)
	}
	w.registry.Inject(registrytest.Match{}, registrytest.Status(503))
	unknown := w.validate("team-a", w.signed).Response
	if unknown.Allowed || !strings.Contains(unknown.Status.Message, "could not") {
		t.Errorf("registry down: %+v", unknown)
	}
}

// TestCached: what was allowed is answered without a request until the decision ends.
func TestCached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) { s.cache = &gate.CacheOptions{} })
	w.validate("a", w.signed)
	w.registry.Reset()
	if o := w.validate("a", w.signed); !o.Response.Allowed {
		t.Errorf("not allowed: %+v", o)
	}
	if n := w.registry.Budgeted(); n != 0 {
		t.Errorf("%d requests for a cached decision:\n%s", n, w.registry.Log())
	}
	metrics := w.get("/metrics").body
	for _, want := range []string{
		`hallmark_decision_cache_total{result="hit"} 1`, `hallmark_decision_cache_total{result="miss"} 1`,
		`hallmark_decisions_total{verdict="allow",reason=""} 2`, `hallmark_requests_total{endpoint="/validate",code="200"} 2`,
		`hallmark_reviews_total{endpoint="/validate",answer="allowed"} 2`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no line %s in\n%s", want, metrics)
		}
	}
}

// TestDeadline, AD-11: a registry that answers slowly makes the answer "could not
// check", and it is there before the API server stops waiting.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault registrytest.Fault
	}{
		{"AD-11 silent", registrytest.Hang()},
		{"AD-11 byte by byte", registrytest.SlowBody(time.Second)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.registry.Inject(registrytest.Match{}, test.fault)
			started := time.Now()
			o := w.outcome(w.post("/validate?timeout=1s", review("a", w.signed))).Response
			if took := time.Since(started); took > 20*time.Second { // far less; the machine may be slow, and a request alone may take 30
				t.Errorf("answered after %s", took)
			}
			if o.Allowed || !strings.Contains(o.Status.Message, "could not") {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestHTTP2NotSpoken, RE-11: a client that would like HTTP/2 gets HTTP/1.1.
func TestHTTP2NotSpoken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	response, err := w.client.Get(w.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ProtoMajor != 1 || response.TLS.NegotiatedProtocol == "h2" {
		t.Errorf("spoke %s, %q", response.Proto, response.TLS.NegotiatedProtocol)
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %s", response.Status)
	}
}
