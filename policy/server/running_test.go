package server_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/server"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestReload: a good policy is in force soon, a bad one is reported and changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if !w.validate("a", w.signed).Response.Allowed {
		t.Fatal("not allowed at first")
	}
	stranger := verifytest.NewKey(t, "ecdsa-p256")
	w.write("policy.yaml", policyBy(stranger, "other", `"**"`))
	eventually(t, "the new policy denies", func() bool { return !w.validate("a", w.signed).Response.Allowed })

	w.write("policy.yaml", "rubbish: 1\nmore: 2\n")
	eventually(t, "the bad policy is reported", func() bool { return strings.Contains(w.get("/v1/policy").body, `"refused"`) })
	if why := w.get("/v1/policy").body; strings.Contains(why, "u{a}") || !strings.Contains(why, "; ") {
		t.Errorf("several errors are not told apart: %s", why)
	}
	if w.validate("a", w.signed).Response.Allowed {
		t.Error("allowed under a policy that cannot be read")
	}
	metrics := w.get("/metrics").body
	for _, want := range []string{`hallmark_reloads_total{what="policy",result="refused"} 1`, `hallmark_reloads_total{what="policy",result="ok"} 1`, "hallmark_policy_refused_timestamp_seconds "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if a := w.get("/readyz"); a.code != http.StatusOK {
		t.Errorf("a server with a good old policy is not ready: %d", a.code)
	}
	w.write("policy.yaml", w.policy("prod", `"**"`))
	eventually(t, "the first policy allows again", func() bool { return w.validate("a", w.signed).Response.Allowed })
	if strings.Contains(w.get("/v1/policy").body, `"refused"`) || strings.Contains(w.get("/metrics").body, "hallmark_policy_refused_timestamp_seconds ") {
		t.Error("an old refusal is still told")
	}
}

// TestHangup: SIGHUP makes a load at once.
func TestHangup(t *testing.T) {
	t.Parallel()
	hangup := make(chan struct{})
	w := newWorld(t, func(_ *world, s *setup) { s.server.Reload, s.server.Hangup = time.Hour, hangup })
	w.write("policy.yaml", w.policy("renamed", `"**"`))
	hangup <- struct{}{}
	eventually(t, "the new policy is in force", func() bool { return strings.Contains(w.get("/v1/policy").body, `"renamed"`) })
}

// TestEndedCertificate: a server whose certificate's time is over says so, and is not
// ready.
func TestEndedCertificate(t *testing.T) {
	t.Parallel()
	said := &buffer{}
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		s.server.Log = slog.New(slog.NewTextHandler(said, nil))
	})
	if a := w.get("/readyz"); a.code != http.StatusServiceUnavailable || !strings.Contains(a.body, "the certificate has ended") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if !strings.Contains(said.String(), "the certificate has ended") {
		t.Errorf("the log says %q", said.String())
	}
}

// TestCertificateRotation: connections that stand go on, new ones get the new
// certificate, and a pair that does not fit is refused.
func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	serial := func() int64 {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{RootCAs: w.ca.pool})
		if err != nil {
			t.Error(err)
			return 0
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	standing := w.raw(t)
	before := serial()
	stop, failures := make(chan struct{}), make(chan error, 1)
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a, err := w.try("/validate", review("a", w.signed)); err != nil || a.code != http.StatusOK {
				select {
				case failures <- fmt.Errorf("%d %w", a.code, err):
				default:
				}
				return
			}
		}
	})
	w.ca.issue(t, w.dir, "127.0.0.1")
	eventually(t, "new connections get the new certificate", func() bool { return serial() != before })
	after := serial()
	_, otherKey := w.ca.leaf(t, "127.0.0.1")
	w.write("tls.key", otherKey)
	eventually(t, "a key that does not fit is counted", func() bool {
		return strings.Contains(w.get("/metrics").body, `hallmark_reloads_total{what="certificate",result="refused"}`)
	})
	if got := serial(); got != after {
		t.Errorf("serial %d in spite of a bad key", got)
	}
	if _, err := io.WriteString(standing, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(standing); err != nil || !strings.HasPrefix(string(raw), "HTTP/1.1 200") {
		t.Errorf("a connection from before: %q %v", raw, err)
	}
	close(stop)
	load.Wait()
	select {
	case err := <-failures:
		t.Errorf("a request failed meanwhile: %v", err)
	default:
	}
}

// TestShutdown, RE-12: after a signal /readyz says no, requests that have begun are
// answered, new connections are not taken, and the end is no error.
func TestShutdown(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.Reviewer, s.server.HealthListen = waiting{entered, leave}, "127.0.0.1:0"
		s.server.Drain = 200 * time.Millisecond
	})
	health := "http://" + w.server.HealthAddress().String()
	plain := &http.Client{Transport: &http.Transport{}}
	if a, err := send(plain, http.MethodGet, health+"/readyz", ""); err != nil || a.code != http.StatusOK {
		t.Fatalf("%d %v", a.code, err)
	}
	for path, want := range map[string]int{"/metrics": 200, "/v1/policy": 404, "/validate": 404} {
		if a, err := send(plain, http.MethodGet, health+path, ""); err != nil || a.code != want {
			t.Errorf("%s on the address for health: %d %v", path, a.code, err)
		}
	}
	result := make(chan error, 1)
	go func() {
		a, err := w.try("/validate", "{}")
		if err == nil && a.code != http.StatusOK {
			err = fmt.Errorf("status %d", a.code)
		}
		result <- err
	}()
	<-entered
	w.stop()
	eventually(t, "/readyz says no or is gone", func() bool {
		a, err := send(plain, http.MethodGet, health+"/readyz", "")
		return err != nil || a.code == http.StatusServiceUnavailable
	})
	eventually(t, "no connection is taken", func() bool {
		_, err := send(w.ca.client(t), http.MethodGet, w.url+"/healthz", "")
		return err != nil
	})
	close(leave)
	if err := <-result; err != nil {
		t.Errorf("RE-12: a request that had begun: %v", err)
	}
	if err := w.end(); err != nil {
		t.Errorf("RE-12: %v", err)
	}
}

// TestCancelled, RE-12: a client that goes away leaves nothing behind, and the log says
// that nothing was allowed.
func TestCancelled(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	w := newWorld(t, func(_ *world, s *setup) { s.server.Reviewer = waiting{entered, leave} })
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/validate", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	gone := make(chan error, 1)
	go func() {
		response, err := w.client.Do(request)
		if err == nil {
			response.Body.Close()
		}
		gone <- err
	}()
	<-entered
	cancel()
	if err := <-gone; err == nil {
		t.Error("a cancelled request was answered")
	}
	eventually(t, "nothing is in flight", func() bool { return strings.Contains(w.get("/metrics").body, "hallmark_requests_in_flight 1\n") }) // the question itself
}

// TestVerify: the plain question gets the report of the command line.
func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world, s *setup) {
		s.live = func(o *live.Options) {
			o.Namespaces = filepath.Join(w.dir, "namespaces")
			if err := os.MkdirAll(o.Namespaces, 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(o.Namespaces, "strict.yaml"), policyBy(verifytest.NewKey(t, "ecdsa-p256"), "strict", `"**"`))
		}
	})
	ask := func(body string) *report.Report {
		t.Helper()
		a := w.post("/v1/verify", body)
		if a.code != http.StatusOK {
			t.Fatalf("%d %s", a.code, a.body)
		}
		r := &report.Report{}
		if err := json.Unmarshal([]byte(a.body), r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for body, want := range map[string]string{
		fmt.Sprintf(`{"images":[%q]}`, w.signed):                                "allow allow",
		fmt.Sprintf(`{"images":[%q,%q]}`, w.signed, w.unsigned):                 "deny allow deny",
		fmt.Sprintf(`{"images":[%q],"namespace":"strict"}`, w.signed):           "deny deny",
		fmt.Sprintf(`{"images":[%q],"namespace":"other"}`, w.signed):            "allow allow",
		fmt.Sprintf(`{"images":[%q],"platform":"linux/amd64"}`, w.signed):       "allow allow",
		`{"images":["127.0.0.1:1/none:1"]}`:                                     "undetermined undetermined",
		`{"images":["NOT A REFERENCE"]}`:                                        "undetermined undetermined",
		fmt.Sprintf(`{"images":["127.0.0.1:1/none:1",%q]}`, w.unsigned):         "deny undetermined deny",
		fmt.Sprintf(`{"images":[%q],"namespace":"../../etc/passwd"}`, w.signed): "allow allow",
	} {
		r := ask(body)
		got := r.Verdict.String()
		for _, image := range r.Images {
			got += " " + image.Verdict.String()
		}
		if got != want || r.Schema != report.Schema || r.Policy.Name != "prod" {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	var status struct {
		Name, Digest string
		Namespaces   map[string]struct{ Name, Digest string }
	}
	if err := json.Unmarshal([]byte(w.get("/v1/policy").body), &status); err != nil {
		t.Fatal(err)
	}
	if status.Name != "prod" || status.Digest != w.live.Current().Digest().String() || status.Namespaces["strict"].Name != "strict" || status.Namespaces["strict"].Digest == "" {
		t.Errorf("%+v", status)
	}
}

// TestMutateAndProvide: the two other forms of the same question.
func TestMutateAndProvide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) { s.server.Mutate = true })
	tag := strings.Split(w.signed, "@")[0] + ":signed"
	o := w.outcome(w.post("/mutate", review("a", tag)))
	if !o.Response.Allowed || !strings.Contains(string(o.Response.Patch), tag+"@sha256:") {
		t.Errorf("%+v %s", o, o.Response.Patch)
	}
	a := w.post("/provider", fmt.Sprintf(`{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":[%q,%q]}}`, w.signed, w.unsigned))
	var answer struct {
		Response struct {
			Items []struct{ Key, Value, Error string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || len(answer.Response.Items) != 2 {
		t.Fatalf("%s: %v", a.body, err)
	}
	if items := answer.Response.Items; items[0].Error != "" || items[1].Error == "" {
		t.Errorf("%+v", items)
	}
}

// TestStart: what cannot be served is an error before anything is served.
func TestStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	good := server.Options{
		Listen: "127.0.0.1:0", Certificate: filepath.Join(w.dir, "tls.crt"), Key: filepath.Join(w.dir, "tls.key"),
		Live: w.live, Reviewer: broken{}, Judge: server.NewJudge(w.live, server.JudgeOptions{}),
	}
	for name, change := range map[string]func(o *server.Options){
		"no key":            func(o *server.Options) { o.Key = "" },
		"missing key":       func(o *server.Options) { o.Key = filepath.Join(w.dir, "none") },
		"rubbish":           func(o *server.Options) { o.Certificate = filepath.Join(w.dir, "policy.yaml") },
		"rubbish of client": func(o *server.Options) { o.ClientCA = filepath.Join(w.dir, "policy.yaml") },
		"taken address":     func(o *server.Options) { o.Listen = w.server.Address().String() },
		"taken health":      func(o *server.Options) { o.HealthListen = w.server.Address().String() },
		"no address":        func(o *server.Options) { o.Listen = "nowhere.invalid:0" },
		"no policy":         func(o *server.Options) { o.Live = nil },
	} {
		o := good
		change(&o)
		if _, err := server.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := live.Open(live.Options{}); err == nil {
		t.Error("no policy was named, and no error came")
	}
}
