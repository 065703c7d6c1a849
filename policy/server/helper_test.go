package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/server"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// world is a registry with a signed and an unsigned image, a folder of the server's
// files, and the server over TLS.
type world struct {
	t        testing.TB
	registry *registrytest.Registry
	key      *verifytest.Key
	signed   string // by digest
	unsigned string
	dir      string
	ca       *authority

	live    *live.Live
	metrics *server.Metrics
	log     *buffer // of decisions
	server  *server.Server
	client  *http.Client
	url     string
	stop    context.CancelFunc
	ended   chan error
}

// setup changes what a world's server is made with.
type setup struct {
	server    server.Options
	admission admission.Options
	judge     server.JudgeOptions
	cache     *gate.CacheOptions
	oci       oci.Options
	registry  []registrytest.Option
	live      func(*live.Options)
}

func newWorld(t testing.TB, change func(w *world, s *setup)) *world {
	t.Helper()
	s := &setup{}
	w := &world{t: t, dir: t.TempDir(), key: verifytest.NewKey(t, "ecdsa-p256"), log: &buffer{}, ca: newAuthority(t)}
	s.server = server.Options{
		Listen: "127.0.0.1:0", Certificate: filepath.Join(w.dir, "tls.crt"), Key: filepath.Join(w.dir, "tls.key"),
		Reload: 10 * time.Millisecond, Timeout: 10 * time.Second, Version: "test", Decisions: w.log, Log: testLog(t),
	}
	s.admission.Deadline = time.Minute
	s.oci.Timeout = 10 * time.Second
	w.ca.issue(t, w.dir, "127.0.0.1")
	if change != nil {
		change(w, s)
	}
	if w.registry == nil {
		w.registry = registrytest.New(t, s.registry...)
	}
	w.signed = w.sign(w.push("team/app", "signed"))
	w.unsigned = w.push("team/app", "unsigned").ref()
	if _, err := os.Stat(filepath.Join(w.dir, "policy.yaml")); err != nil {
		w.write("policy.yaml", w.policy("prod", `"**"`))
	}
	options := live.Options{
		Policy: filepath.Join(w.dir, "policy.yaml"), Log: testLog(t),
		Source: func(k authn.Keychain) gate.Source { o := s.oci; o.Keychain = k; return oci.NewClient(o) },
	}
	if s.cache != nil {
		options.Gate.Cache = gate.NewCache(*s.cache)
		t.Cleanup(func() { options.Gate.Cache.Close() })
	}
	if s.live != nil {
		s.live(&options)
	}
	var err error
	if w.live, err = live.Open(options); err != nil {
		t.Fatal(err)
	}
	w.metrics = server.NewMetrics("test", time.Unix(0, 0))
	s.judge.Metrics, s.judge.Tracer = w.metrics, s.server.Tracer
	judge := server.NewJudge(w.live, s.judge)
	reviewer, err := admission.New(judge, s.admission)
	if err != nil {
		t.Fatal(err)
	}
	s.server.Live, s.server.Judge, s.server.Metrics = w.live, judge, w.metrics
	if s.server.Reviewer == nil {
		s.server.Reviewer = reviewer
	}
	if w.server, err = server.New(s.server); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.server.Run(ctx) }()
	t.Cleanup(func() { w.stop(); w.end() })
	scheme := "https"
	if s.server.InsecurePlainHTTP {
		scheme = "http"
	}
	w.url = scheme + "://" + w.server.Address().String()
	w.client = w.ca.client(t)
	return w
}

// end waits until the server has stopped.
func (w *world) end() error {
	select {
	case err := <-w.ended:
		w.ended <- err
		return err
	case <-time.After(time.Minute):
		w.t.Error("the server did not end")
		return nil
	}
}

// pushed is an image of the world's registry.
type pushed struct {
	registrytest.Pushed
	host string
}

func (p pushed) ref() string {
	return fmt.Sprintf("%s/%s@%s", p.host, p.Repository, p.Digest)
}

func (w *world) push(repository, tag string) pushed {
	return pushed{w.registry.PushImage(repository, tag, map[string]string{"app": tag}), w.registry.Host()}
}

// sign hangs a signature by the world's key on an image.
func (w *world) sign(p pushed) string {
	raw := w.key.Signature(w.t, p.Digest).Raw
	w.registry.Attach(p.Repository, p.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: raw,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
	})
	return p.ref()
}

// policy is one rule that wants a signature by the world's key.
func (w *world) policy(name, images string) string { return policyBy(w.key, name, images) }

func policyBy(key *verifytest.Key, name, images string) string {
	text := strings.ReplaceAll(strings.TrimSpace(string(key.Trusted.PEM())), "\n", "\n          ")
	return fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: %s}
signers:
  ops:
    keys:
      - pem: |
          %s
rules:
  - name: all
    images: [%s]
    require:
      signatures: {from: [ops]}
`, name, text, images)
}

// write replaces a file of the world in one step.
func (w *world) write(name, content string) { writeFile(w.t, filepath.Join(w.dir, name), content) }

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

// review is an AdmissionReview of a new Pod with images.
func review(namespace string, images ...string) string {
	containers := make([]map[string]any, len(images))
	for i, image := range images {
		containers[i] = map[string]any{"name": fmt.Sprintf("c%d", i), "image": image}
	}
	raw, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": namespace, "name": "web",
			"kind":     map[string]any{"group": "", "version": "v1", "kind": "Pod"},
			"resource": map[string]any{"group": "", "version": "v1", "resource": "pods"},
			"userInfo": map[string]any{"username": "dev@example.com"},
			"object": map[string]any{
				"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web", "namespace": namespace},
				"spec": map[string]any{"containers": containers},
			},
		},
	})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// answered is a response that was read.
type answered struct {
	code   int
	header http.Header
	body   string
}

// post sends a JSON body.
func (w *world) post(path, body string) answered {
	w.t.Helper()
	a, err := w.try(path, body)
	if err != nil {
		w.t.Fatalf("POST %s: %v", path, err)
	}
	return a
}

func (w *world) try(path, body string) (answered, error) {
	return send(w.client, http.MethodPost, w.url+path, body)
}

func (w *world) get(path string) answered {
	w.t.Helper()
	a, err := send(w.client, http.MethodGet, w.url+path, "")
	if err != nil {
		w.t.Fatalf("GET %s: %v", path, err)
	}
	return a
}

func send(client *http.Client, method, url, body string) (answered, error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, response.Header, string(raw)}, err
}

// outcome is what an AdmissionReview answered.
type outcome struct {
	Response struct {
		UID      string
		Allowed  bool
		Status   struct{ Message string }
		Warnings []string
		Patch    []byte
	}
}

// validate posts a review and reads the answer.
func (w *world) validate(namespace string, images ...string) outcome {
	w.t.Helper()
	return w.outcome(w.post("/validate?timeout=10s", review(namespace, images...)))
}

func (w *world) outcome(a answered) outcome {
	w.t.Helper()
	var o outcome
	if err := json.Unmarshal([]byte(a.body), &o); err != nil || a.code != http.StatusOK {
		w.t.Fatalf("%d %s: %v", a.code, a.body, err)
	}
	return o
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
	serial      int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool(), serial: 1}
	if a.certificate, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.certificate)
	return a
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

// leaf issues a certificate for a name or an address.
func (a *authority) leaf(t testing.TB, name string) (certificate, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// issue writes tls.crt and tls.key.
func (a *authority) issue(t testing.TB, dir, name string) {
	t.Helper()
	certificate, key := a.leaf(t, name)
	writeFile(t, filepath.Join(dir, "tls.crt"), certificate)
	writeFile(t, filepath.Join(dir, "tls.key"), key)
}

// client trusts the authority and, where a name is given, has a certificate of it.
func (a *authority) client(t testing.TB, name ...string) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: a.pool}
	if len(name) > 0 {
		certificate, key := a.leaf(t, name[0])
		pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// testLog passes a server's log on to the test's.
func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("did not come true: %s", what)
}
