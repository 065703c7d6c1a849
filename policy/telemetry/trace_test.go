package telemetry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy/telemetry"
)

// collector remembers what it was sent, and answers as it is told.
type collector struct {
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	answers []int
	url     string
}

func newCollector(t *testing.T, answers ...int) *collector {
	t.Helper()
	c := &collector{answers: answers}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		code := http.StatusOK
		if len(c.answers) > 0 {
			code, c.answers = c.answers[0], c.answers[1:]
		}
		if code == http.StatusOK {
			c.bodies, c.headers = append(c.bodies, r.URL.Path+" "+string(raw)), append(c.headers, r.Header)
		}
		w.WriteHeader(code)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL + "/v1/traces"
	return c
}

func (c *collector) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.bodies...)
}

// TestExport: what a collector is sent, field by field.
func TestExport(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	now := time.Unix(1700000000, 5)
	tracer := telemetry.NewTracer(telemetry.TraceOptions{
		Endpoint: c.url, Service: "svc", Version: "v1", Attributes: map[string]string{"k8s.pod.name": "p"}, Headers: map[string]string{"X-Key": "k"},
		Every: time.Hour, Now: func() time.Time { return now },
	})
	ctx := tracer.Remote(t.Context(), http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}})
	ctx, outer := tracer.Start(ctx, "outer", telemetry.Server)
	_, inner := tracer.Start(ctx, "inner", telemetry.Internal)
	inner.Text("text", "bad \xff utf8")
	inner.Text("long", strings.Repeat("x", 10_000))
	inner.Number("number", 1<<60)
	inner.Fail("broken")
	inner.End()
	outer.End()
	if outer.TraceID() != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("trace %s", outer.TraceID())
	}
	tracer.Close(t.Context())
	all := c.got()
	if len(all) != 1 {
		t.Fatalf("%d posts", len(all))
	}
	path, body, _ := strings.Cut(all[0], " ")
	if path != "/v1/traces" || c.headers[0].Get("X-Key") != "k" || c.headers[0].Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", path, c.headers[0])
	}
	var request map[string]any
	if err := json.Unmarshal([]byte(body), &request); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"key":"service.name","value":{"stringValue":"svc"}}`, `{"key":"service.version","value":{"stringValue":"v1"}}`, `{"key":"k8s.pod.name","value":{"stringValue":"p"}}`,
		`"traceId":"4bf92f3577b34da6a3ce929d0e0e4736"`, `"parentSpanId":"00f067aa0ba902b7"`, `"name":"outer","kind":2,"startTimeUnixNano":"1700000000000000005"`,
		`"name":"inner","kind":1`, `{"key":"number","value":{"intValue":"1152921504606846976"}}`, `{"key":"text","value":{"stringValue":"bad �`, `"status":{"code":2,"message":"broken"}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if len(body) > 3000 {
		t.Errorf("%d bytes: an attribute was not cut", len(body))
	}
	if tracer.Sent() != 2 || tracer.Dropped() != 0 {
		t.Errorf("sent %d, dropped %d", tracer.Sent(), tracer.Dropped())
	}
}

// TestRetry: a collector that is busy is asked again, one that refuses is not, and what
// is lost is counted and told.
func TestRetry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answers       []int
		sent, dropped uint64
	}{
		{[]int{503, 200}, 1, 0},
		{[]int{429, 502, 200}, 1, 0},
		{[]int{503, 503, 503, 200}, 0, 1},
		{[]int{400, 200}, 0, 1},
		{[]int{301, 200}, 0, 1},
	} {
		t.Run(fmt.Sprint(test.answers), func(t *testing.T) {
			t.Parallel()
			c := newCollector(t, test.answers...)
			var mu sync.Mutex
			var told []error
			tracer := telemetry.NewTracer(telemetry.TraceOptions{Endpoint: c.url, Every: 10 * time.Millisecond, Failed: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, err)
			}})
			_, span := tracer.Start(t.Context(), "x", telemetry.Server)
			span.End()
			deadline := time.Now().Add(30 * time.Second)
			for tracer.Sent()+tracer.Dropped() == 0 && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			tracer.Close(t.Context())
			if tracer.Sent() != test.sent || tracer.Dropped() != test.dropped {
				t.Errorf("sent %d, dropped %d", tracer.Sent(), tracer.Dropped())
			}
			mu.Lock()
			defer mu.Unlock()
			if len(told) != int(test.dropped) {
				t.Errorf("told %v", told)
			}
		})
	}
}

// TestBounded: a collector that does not answer takes bounded memory and no request's
// time.
func TestBounded(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }))
	t.Cleanup(server.Close)
	tracer := telemetry.NewTracer(telemetry.TraceOptions{Endpoint: server.URL, Every: time.Millisecond})
	for range 20_000 {
		_, span := tracer.Start(t.Context(), "x", telemetry.Server)
		span.End()
	}
	if tracer.Dropped() < 20_000-4096-2*512 {
		t.Errorf("dropped %d", tracer.Dropped())
	}
	close(leave)
	tracer.Close(t.Context())
}

// TestSampling: the caller's word about a trace counts, else the ratio.
func TestSampling(t *testing.T) {
	t.Parallel()
	tracer := telemetry.NewTracer(telemetry.TraceOptions{Endpoint: "http://127.0.0.1:1", Every: time.Hour, Ratio: 0.25, Client: &http.Client{Timeout: time.Millisecond}})
	kept := 0
	for range 4000 {
		ctx, span := tracer.Start(t.Context(), "x", telemetry.Server)
		if (span != nil) != telemetry.Traced(ctx) {
			t.Fatal("Traced does not agree")
		}
		if span == nil {
			if _, below := tracer.Start(ctx, "y", telemetry.Internal); below != nil {
				t.Fatal("a span below one that is not kept")
			}
			continue
		}
		kept++
	}
	if kept < 800 || kept > 1200 {
		t.Errorf("%d of 4000 kept", kept)
	}
	for header, sampled := range map[string]bool{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": true, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00": false,
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x": true,
	} {
		ctx := tracer.Remote(t.Context(), http.Header{"Traceparent": {header}})
		if _, span := tracer.Start(ctx, "x", telemetry.Server); (span != nil) != sampled {
			t.Errorf("%s: %t", header, span != nil)
		}
	}
	var none *telemetry.Tracer
	ctx, span := none.Start(none.Remote(t.Context(), nil), "x", telemetry.Server)
	span.Text("a", "b")
	span.Number("a", 1)
	span.Fail("x")
	span.End()
	none.Close(ctx)
	if span.TraceID() != "" || none.Sent()+none.Dropped() != 0 {
		t.Error("a nil tracer did something")
	}
	closed, cancel := context.WithCancel(t.Context())
	cancel()
	tracer.Close(closed)
}

// TestBadParents: what is no traceparent begins a trace of its own.
func TestBadParents(t *testing.T) {
	t.Parallel()
	tracer := telemetry.NewTracer(telemetry.TraceOptions{Endpoint: "http://127.0.0.1:1", Every: time.Hour, Client: &http.Client{Timeout: time.Millisecond}})
	defer tracer.Close(t.Context())
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, header := range []string{
		"", "x", good[:54], good + "0", good + "-0", strings.ToUpper(good), strings.Replace(good, "00-", "ff-", 1), strings.Replace(good, "4bf", "xbf", 1),
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "01" + good[2:] + "x", good + strings.Repeat("-0", 200),
	} {
		_, span := tracer.Start(tracer.Remote(t.Context(), http.Header{"Traceparent": {header}}), "x", telemetry.Server)
		if id := span.TraceID(); strings.HasPrefix(id, "4bf92f3577b34da6") || len(id) != 32 {
			t.Errorf("%q: %s", header, id)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flag string
		env  map[string]string
		want string
		bad  bool
	}{
		{want: ""},
		{flag: "http://c:4318", want: "http://c:4318/v1/traces"},
		{flag: "https://c/custom", want: "https://c/custom"},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, want: "http://c:4318/v1/traces"},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/base"}, want: "http://c:4318/base/v1/traces"},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"}, want: "http://t/x"},
		{flag: "c:4318", bad: true},
		{flag: "grpc://c:4317", bad: true},
		{flag: "http://c", env: map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "secret"}, bad: true},
	} {
		o, err := telemetry.FromEnvironment(test.flag, func(name string) string { return test.env[name] })
		if (err != nil) != test.bad || !test.bad && o.Endpoint != test.want {
			t.Errorf("%+v: %q %v", test, o.Endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds a header: %v", err)
		}
	}
	o, err := telemetry.FromEnvironment("http://c", func(name string) string {
		return map[string]string{
			"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, b=c", "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,k=v", "OTEL_SERVICE_NAME": "b",
		}[name]
	})
	if err != nil || o.Headers["authorization"] != "Bearer x" || o.Headers["b"] != "c" || o.Service != "b" || o.Attributes["k"] != "v" {
		t.Errorf("%+v %v", o, err)
	}
}
