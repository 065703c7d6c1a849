package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/server"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestRefused: what is no question gets a status and never a decision.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	good := review("a", w.signed)
	for _, test := range []struct {
		name, method, path, kind, body string
		code                           int
	}{
		{"unknown path", "POST", "/validat", "application/json", good, 404},
		{"a path below", "POST", "/validate/x", "application/json", good, 404},
		{"dots", "POST", "/x/../validate", "application/json", good, 404},
		{"mutate is off", "POST", "/mutate", "application/json", good, 404},
		{"pprof", "GET", "/debug/pprof/", "", "", 404},
		{"GET", "GET", "/validate", "", "", 405},
		{"PUT", "PUT", "/validate", "application/json", good, 405},
		{"POST of metrics", "POST", "/metrics", "application/json", good, 405},
		{"AD-18 no content type", "POST", "/validate", "", good, 415},
		{"AD-18 wrong content type", "POST", "/validate", "text/plain", good, 415},
		{"AD-18 YAML", "POST", "/validate", "application/yaml", good, 415},
		{"AD-16 empty body", "POST", "/validate", "application/json", "", 400},
		{"AD-16 too large", "POST", "/validate", "application/json", good + strings.Repeat(" ", admission.DefaultMaxBody), 413},
		{"AD-16 cut off", "POST", "/validate", "application/json", good[:len(good)/2], 400},
		{"timeout", "POST", "/validate?timeout=soon", "application/json", good, 400},
		{"RE-06 depth", "POST", "/validate", "application/json", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), 400},
		{"RE-06 depth of lists", "POST", "/v1/verify", "application/json", strings.Repeat("[", 100_000), 400},
		{"no images", "POST", "/v1/verify", "application/json", `{"images":[]}`, 400},
		{"unknown entry", "POST", "/v1/verify", "application/json", `{"images":["a"],"policy":"mine"}`, 400},
		{"twice", "POST", "/v1/verify", "application/json", `{"images":["a"],"images":["b"]}`, 400},
		{"many images", "POST", "/v1/verify", "application/json", `{"images":[` + strings.Repeat(`"a",`, 100) + `"a"]}`, 400},
		{"platform", "POST", "/v1/verify", "application/json", `{"images":["a"],"platform":"linux"}`, 400},
		{"RE-08 a large question", "POST", "/v1/verify", "application/json", `{"images":["` + strings.Repeat("x", 300<<10) + `"]}`, 413},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), test.method, w.url+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.kind != "" {
				request.Header.Set("Content-Type", test.kind)
			}
			response, err := w.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.code || strings.Contains(string(body), `"allowed":true`) {
				t.Errorf("%s: %.300s", response.Status, body)
			}
			if test.path == "/mutate" && !strings.Contains(string(body), "without --mutate") {
				t.Errorf("it does not say why: %s", body)
			}
			if len(body) > 4<<10 {
				t.Errorf("RE-08: an answer of %d bytes", len(body))
			}
		})
	}
}

// TestHugeBody, AD-16: 64 MiB without an announced length are cut off at the limit, and
// little memory is taken for them.
func TestHugeBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	endless := io.MultiReader(strings.NewReader(`{"request":{"uid":"`), io.LimitReader(repeat('x'), 64<<20))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/validate", endless)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return // the server closed the connection while the rest was being sent
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("AD-16: %s", response.Status)
	}
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// TestTenThousandContainers, AD-16: more places than are looked at are refused whole.
func TestTenThousandContainers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	images := make([]string, 10_001)
	for i := range images {
		images[i] = w.signed
	}
	w.registry.Reset()
	if o := w.validate("a", images...); o.Response.Allowed {
		t.Error("AD-16: allowed")
	}
	if n := w.registry.Budgeted(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// raw opens a TLS connection of its own.
func (w *world) raw(t *testing.T) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{RootCAs: w.ca.pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSlowHeader, RE-11: a header that never ends is not waited for.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	conn := w.raw(t)
	if _, err := io.WriteString(conn, "POST /validate HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// The server gives it readHeaderTimeout, ten seconds; the test's own deadline is a
	// minute.
	if raw, err := io.ReadAll(conn); err != nil || strings.Contains(string(raw), " 200 ") {
		t.Errorf("RE-11: %q, %v", raw, err)
	}
	// Others are served meanwhile and afterwards.
	if a := w.get("/healthz"); a.code != http.StatusOK {
		t.Errorf("RE-11: %d", a.code)
	}
}

// TestLargeHeader, RE-11: headers have a bound.
func TestLargeHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	conn := w.raw(t)
	go func() {
		fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
		for range 1000 {
			if _, err := fmt.Fprintf(conn, "X-Large: %s\r\n", strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	}()
	line, _ := bufio.NewReader(conn).ReadString('\n')
	if line != "" && !strings.Contains(line, "431") {
		t.Errorf("RE-11: %q", line)
	}
}

// TestHTTP2Preface, RE-11: the first bytes of HTTP/2 are no request.
func TestHTTP2Preface(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{RootCAs: w.ca.pool, NextProtos: []string{"h2"}})
	if err == nil {
		defer conn.Close()
		if conn.ConnectionState().NegotiatedProtocol == "h2" {
			t.Error("RE-11: h2 was negotiated")
		}
	}
	plain := w.raw(t)
	if _, err := io.WriteString(plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(plain).ReadString('\n')
	if !strings.HasPrefix(line, "HTTP/1.1 4") && !strings.HasPrefix(line, "HTTP/1.1 5") {
		t.Errorf("RE-11: %q", line)
	}
}

// TestRateLimit, AD-22: one address cannot make the server ask registries without end.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.Rate, s.server.Burst = 1, 3
		s.server.Now = func() time.Time { return now }
	})
	body := fmt.Sprintf(`{"images":[%q]}`, w.signed)
	var codes []int
	for range 5 {
		a := w.post("/v1/verify", body)
		codes = append(codes, a.code)
		if a.code == http.StatusTooManyRequests && a.header.Get("Retry-After") == "" {
			t.Error("AD-22: no Retry-After")
		}
	}
	if got := fmt.Sprint(codes); got != "[200 200 200 429 429]" {
		t.Errorf("AD-22: %s", got)
	}
	if o := w.validate("a", w.signed); !o.Response.Allowed {
		t.Errorf("the API server was limited too: %+v", o)
	}
}

// TestAllowList, AD-22: registries that nobody named are not asked, by either endpoint.
func TestAllowList(t *testing.T) {
	t.Parallel()
	victim := registrytest.NewVictim(t)
	w := newWorld(t, func(w *world, s *setup) {
		w.registry = registrytest.New(t)
		s.oci.Hosts = []string{w.registry.Host()}
	})
	if o := w.validate("a", w.signed); !o.Response.Allowed {
		t.Errorf("the named registry: %+v", o)
	}
	other := victim.Host() + "/team/app:1"
	if o := w.validate("a", other); o.Response.Allowed {
		t.Errorf("AD-22: %+v", o)
	}
	if a := w.post("/v1/verify", fmt.Sprintf(`{"images":[%q]}`, other)); !strings.Contains(a.body, `"verdict": "undetermined"`) && !strings.Contains(a.body, `"verdict": "deny"`) {
		t.Errorf("AD-22: %s", a.body)
	}
	if n := len(victim.Requests()); n != 0 {
		t.Errorf("AD-22: %d requests reached a registry that was not named", n)
	}
}

// TestClientCA, AD-22: without a certificate of the named authority there is health and
// nothing else.
func TestClientCA(t *testing.T) {
	t.Parallel()
	clients, strangers := newAuthority(t), newAuthority(t)
	w := newWorld(t, func(w *world, s *setup) {
		s.server.ClientCA = filepath.Join(w.dir, "clients.crt")
		w.write("clients.crt", clients.pem())
	})
	known, stranger, nobody := clients.client(t, "kube-apiserver"), strangers.client(t, "stranger"), w.ca.client(t)
	for _, c := range []*http.Client{known, stranger} {
		c.Transport.(*http.Transport).TLSClientConfig.RootCAs = w.ca.pool
	}
	for path, want := range map[string]int{"/validate": 401, "/v1/verify": 401, "/provider": 401, "/v1/policy": 401, "/healthz": 200, "/readyz": 200, "/metrics": 200} {
		method, body := http.MethodPost, "{}"
		if want == 200 || path == "/v1/policy" {
			method, body = http.MethodGet, ""
		}
		if a, err := send(nobody, method, w.url+path, body); err != nil || a.code != want {
			t.Errorf("AD-22 %s: %d %v, want %d", path, a.code, err, want)
		}
	}
	if a, err := send(stranger, http.MethodPost, w.url+"/validate", review("a", w.signed)); err == nil {
		t.Errorf("AD-22: a stranger's certificate got %d %s", a.code, a.body)
	}
	a, err := send(known, http.MethodPost, w.url+"/validate", review("a", w.signed))
	if err != nil {
		t.Fatal(err)
	}
	if !w.outcome(a).Response.Allowed {
		t.Errorf("the API server: %s", a.body)
	}
	eventually(t, "the log names the client", func() bool { return strings.Contains(w.log.String(), `"client":"CN=kube-apiserver"`) })
}

// TestBusy: more requests than are worked on at a time are told to come again, and none
// is allowed.
func TestBusy(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.MaxConcurrent = 4 // two of one address
		s.server.Reviewer = waiting{entered, leave}
	})
	results := make(chan int, 2)
	for range 2 {
		go func() {
			a, err := w.try("/validate", "{}")
			if err != nil {
				t.Error(err)
			}
			results <- a.code
		}()
		<-entered
	}
	if a := w.post("/validate", "{}"); a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.code, a.header)
	}
	if a := w.get("/readyz"); a.code != http.StatusOK {
		t.Errorf("a busy server says that it is not ready: %d", a.code)
	}
	close(leave)
	for range 2 {
		if code := <-results; code != http.StatusOK {
			t.Errorf("a request in time got %d", code)
		}
	}
}

// from returns a client with another source address.
func (w *world) from(t *testing.T, address string) *http.Client {
	t.Helper()
	client := w.ca.client(t)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	client.Transport.(*http.Transport).DialContext = dialer.DialContext
	return client
}

// TestSlowBodies, RE-11, AD-22: a client that announces large bodies and sends them
// slowly, on many connections, does not keep others from being answered.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}, Config: &tls.Config{RootCAs: w.ca.pool}}
	for range 50 {
		conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are being read", func() bool { return strings.Contains(w.get("/metrics").body, "hallmark_requests_in_flight 51\n") })
	if o := w.validate("a", w.signed); !o.Response.Allowed {
		t.Errorf("RE-11: %+v", o)
	}
}

// TestShareOfRequests, AD-22: a client whose requests all take long does not keep others
// from being answered.
func TestShareOfRequests(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.MaxConcurrent = 4
		s.server.Reviewer = waiting{entered, leave}
	})
	greedy := w.from(t, "127.0.0.2")
	results := make(chan int, 10)
	ask := func(client *http.Client) {
		a, err := send(client, http.MethodPost, w.url+"/validate", "{}")
		if err != nil {
			t.Error(err)
		}
		results <- a.code
	}
	for range 2 {
		go ask(greedy)
		<-entered
	}
	ask(greedy)
	if code := <-results; code != http.StatusServiceUnavailable {
		t.Errorf("AD-22: the third request of one address got %d", code)
	}
	go ask(w.client)
	<-entered
	close(leave)
	for range 3 {
		if code := <-results; code != http.StatusOK {
			t.Errorf("AD-22: %d", code)
		}
	}
}

// waiting is a reviewer that answers when it is told to.
type waiting struct {
	entered chan<- struct{}
	leave   <-chan struct{}
}

func (r waiting) Validate(ctx context.Context, _ []byte) admission.Answer {
	r.entered <- struct{}{}
	select {
	case <-r.leave:
	case <-ctx.Done():
	}
	return admission.Answer{Status: http.StatusOK, Body: []byte(`{"response":{"uid":"1","allowed":true}}`)}
}

func (r waiting) Mutate(ctx context.Context, body []byte) admission.Answer {
	return r.Validate(ctx, body)
}

func (r waiting) Provide(ctx context.Context, body []byte) admission.Answer {
	return r.Validate(ctx, body)
}

// TestPanic: a fault of our own is an error, and never an allowance.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) { s.server.Reviewer = broken{} })
	for range 3 {
		if a := w.post("/validate", "{}"); a.code != http.StatusInternalServerError || strings.Contains(a.body, "secret") {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
}

type broken struct{ server.Reviewer }

func (broken) Validate(context.Context, []byte) admission.Answer { panic("secret") }

// TestInsecureHTTP: plain HTTP is for loopback.
func TestInsecureHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) {
		s.server.InsecurePlainHTTP, s.server.Certificate, s.server.Key = true, "", ""
	})
	if a := w.get("/healthz"); a.code != http.StatusOK {
		t.Errorf("%d", a.code)
	}
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "example.com:0", "192.0.2.1:0", "localhost.example:0"} {
		o := server.Options{Listen: address, InsecurePlainHTTP: true, Live: w.live, Reviewer: broken{}, Judge: server.NewJudge(w.live, server.JudgeOptions{})}
		if _, err := server.New(o); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
