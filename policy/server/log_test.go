package server_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/telemetry"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

var update = flag.Bool("update", false, "write the golden files")

// changing is what differs from run to run.
var changing = []struct {
	pattern *regexp.Regexp
	put     string
}{
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]+`), "REGISTRY"},
	{regexp.MustCompile(`"milliseconds":[0-9.]+`), `"milliseconds":0`},
	{regexp.MustCompile(`"(policy|namespacePolicy)":"sha256:[0-9a-f]{64}"`), `"$1":"POLICY"`},
	{regexp.MustCompile(`@[0-9a-f]{8,12}…?|@sha256:[0-9a-f]{6,12}…`), "@SHORT"},
	{regexp.MustCompile(`key sha256:[0-9a-f…]+|key [0-9a-f]{8,64}…?`), "KEY"},
	{regexp.MustCompile(`sha256:[0-9a-f]{8,64}`), "DIGEST"},
}

// TestDecisionLog: what stands in the log for each kind of answer.
func TestDecisionLog(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.Now = func() time.Time { return now }
		s.cache = &gate.CacheOptions{}
		s.server.Exemptions = []admission.Exemption{{Name: "old", Namespaces: []string{"legacy"}, Reason: "is being replaced", Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}}
		s.admission.Exemptions = s.server.Exemptions
	})
	w.validate("team-a", w.signed)
	w.validate("team-a", w.signed, w.unsigned)
	w.validate("legacy", w.unsigned)
	w.post("/validate", "{}")
	w.post("/v1/verify", fmt.Sprintf(`{"images":[%q],"namespace":"team-a"}`, w.signed))
	if metrics := w.get("/metrics").body; !strings.Contains(metrics, "hallmark_exempted_reviews_total 1\n") {
		t.Errorf("the exemption is not counted:\n%s", metrics)
	}
	if status := w.get("/v1/policy").body; !strings.Contains(status, `"reason": "is being replaced"`) {
		t.Errorf("the exemption is not shown: %s", status)
	}
	w.stop()
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	got := w.log.String()
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	for _, c := range changing {
		got = c.pattern.ReplaceAllString(got, c.put)
	}
	golden := filepath.Join("testdata", "decisions.jsonl")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLogInjection, AD-27: names that a client chooses cannot start a line, move the
// cursor, turn the text or speak to a CI system, neither in the log nor in an answer.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	evil := "x\x1b[2Jy\n::set-output name=a::b\r\n{\"log\":\"image\",\"verdict\":\"allow\"}\u202egnp.exe\u200b##[command]"
	body := review("team-a", evil)
	body = strings.NewReplacer(`"dev@example.com"`, quote(evil), `"name":"web"`, `"name":`+quote(evil)).Replace(body)
	answers := w.post("/validate", body).body
	question, err := json.Marshal(map[string]any{"images": []string{evil}, "namespace": evil})
	if err != nil {
		t.Fatal(err)
	}
	answers += w.post("/v1/verify", string(question)).body
	answers += w.post("/v1/verify", `{"images":["a"],`+quote(evil)+`:1}`).body
	w.stop()
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	log := w.log.String()
	for i, line := range strings.Split(strings.TrimSpace(log), "\n") {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("AD-27: line %d is no JSON: %v", i, err)
		}
		if fields["verdict"] == "allow" {
			t.Errorf("AD-27: a line says allow: %s", line)
		}
		for name, value := range fields {
			if text, is := value.(string); is && (name != "message" && strings.Contains(text, "\n") || strings.ContainsAny(text, "\x1b\r\u202e\u200b")) {
				t.Errorf("AD-27: field %s holds %q", name, text)
			}
		}
	}
	for name, text := range map[string]string{"log": log, "answer": answers} {
		for _, bad := range []string{"\x1b", "\r", "\u202e", "\u200b", "\n::"} {
			if strings.Contains(text, bad) {
				t.Errorf("AD-27: the %s holds %q", name, bad)
			}
		}
	}
	if strings.Count(log, "\n") < 4 {
		t.Errorf("too few lines:\n%s", log)
	}
}

func quote(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// TestNoSecrets, AD-21: neither the log nor any answer holds a registry's password,
// whether it was right or wrong.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"right-hunter2", "wrong-hunter2"} {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			encoded := base64.StdEncoding.EncodeToString([]byte("bot:" + password))
			w := newWorld(t, func(w *world, s *setup) {
				w.registry = registrytest.New(t, registrytest.WithTokenAuth("bot", "right-hunter2"))
				w.write("config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.registry.Host(), encoded))
				s.live = func(o *live.Options) { o.DockerConfig = filepath.Join(w.dir, "config.json") }
			})
			a := w.post("/validate", review("a", w.signed))
			if allowed := w.outcome(a).Response.Allowed; allowed != (password == "right-hunter2") {
				t.Errorf("allowed: %t: %s", allowed, a.body)
			}
			said := a.body + w.post("/v1/verify", fmt.Sprintf(`{"images":[%q]}`, w.signed)).body + w.get("/v1/policy").body + w.get("/metrics").body
			w.stop()
			if err := w.end(); err != nil {
				t.Fatal(err)
			}
			said += w.log.String()
			if strings.Contains(said, "hunter2") || strings.Contains(said, encoded) || strings.Contains(said, "Bearer") {
				t.Errorf("AD-21: a secret is shown:\n%s", said)
			}
		})
	}
}

// stuck is a writer that never returns, until it is let go.
type stuck struct{ leave chan struct{} }

func (s stuck) Write([]byte) (int, error) {
	<-s.leave
	return 0, errors.New("the disk is full")
}

// TestStuckLog: a log that cannot be written holds no request up; what is lost is
// counted.
func TestStuckLog(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.Decisions = stuck{leave}
		s.cache = &gate.CacheOptions{}
	})
	for range 10 {
		if !w.validate("a", w.signed).Response.Allowed {
			t.Fatal("not allowed")
		}
	}
	close(leave)
	eventually(t, "the lost lines are counted", func() bool { return !strings.Contains(w.get("/metrics").body, "hallmark_decision_log_lost_total 0") })
}

// TestFixedLabels, RE-07: a hundred thousand odd names make no series.
func TestFixedLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.Rate, s.server.Decisions = -1, nil
	})
	series := func() int { return strings.Count(w.get("/metrics").body, "\n") }
	ask := func(from, n int) {
		images := make([]string, n)
		for i := range images {
			images[i] = fmt.Sprintf("BAD name %d\n\"}", from+i)
		}
		question, err := json.Marshal(map[string]any{"images": images, "namespace": fmt.Sprintf("ns-%d", from)})
		if err != nil {
			t.Fatal(err)
		}
		if a := w.post("/v1/verify", string(question)); a.code != http.StatusOK {
			t.Fatalf("%d %s", a.code, a.body)
		}
		w.post(fmt.Sprintf("/path-%d", from), "{}")
	}
	ask(0, 1)
	series() // begins the series of the question itself
	before := series()
	for i := range 1000 {
		ask(1+i*100, 100)
	}
	if after := series(); after != before {
		t.Errorf("RE-07: %d lines became %d", before, after)
	}
	metrics := w.get("/metrics").body
	for _, want := range []string{`hallmark_decisions_total{verdict="undetermined",reason="REF_INVALID"} 100001`, `hallmark_requests_total{endpoint="other",code="404"} 1001`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("RE-07: no %s in\n%s", want, metrics)
		}
	}
	if strings.Contains(metrics, "BAD") {
		t.Error("RE-07: a name stands in the metrics")
	}
}

// TestTraces: a request's span is below the caller's, an image's is below the
// request's, and the log names the trace.
func TestTraces(t *testing.T) {
	t.Parallel()
	collector := newCollector(t)
	tracer := telemetry.NewTracer(telemetry.TraceOptions{Endpoint: collector.url, Service: "hallmark-verify", Every: 10 * time.Millisecond})
	w := newWorld(t, func(_ *world, s *setup) { s.server.Tracer = tracer })
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/validate", strings.NewReader(review("a", w.signed, w.unsigned)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	response, err := w.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	eventually(t, "three spans come", func() bool { return len(collector.spans()) == 3 })
	spans := collector.spans()
	var root span
	for _, s := range spans {
		if s.Name == "POST /validate" {
			root = s
		}
	}
	if root.TraceID != trace || root.ParentSpanID != "00f067aa0ba902b7" || root.Kind != 2 {
		t.Errorf("the request's span: %+v", root)
	}
	verdicts := ""
	for _, s := range spans {
		if s.Name != "judge image" {
			continue
		}
		if s.TraceID != trace || s.ParentSpanID != root.SpanID {
			t.Errorf("an image's span: %+v", s)
		}
		verdicts += s.attribute("hallmark.verdict") + " "
	}
	if verdicts != "allow deny " && verdicts != "deny allow " {
		t.Errorf("verdicts %q", verdicts)
	}
	eventually(t, "the log names the trace", func() bool { return strings.Contains(w.log.String(), `"trace":"`+trace+`"`) })
	tracer.Close(t.Context())
}
