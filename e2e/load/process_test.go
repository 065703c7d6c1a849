package load_test

import (
	"bufio"
	"bytes"
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
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// program returns the server's program: HALLMARK_VERIFY, or one that is built as make
// does.
func program(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("HALLMARK_VERIFY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "hallmark-verify")
	build := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace,nethttpomithttp2", "-ldflags", "-s -w", "-o", path, "github.com/hallmark-project/hallmark/cmd/hallmark-verify")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the server: %v\n%s", err, out)
	}
	return path
}

// place is a registry with signed and unsigned images, and the files of servers.
type place struct {
	dir      string
	registry *registrytest.Registry
	signed   []string // by digest
	unsigned string
	roots    *x509.CertPool
}

func newPlace(t *testing.T, images int) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), registry: registrytest.New(t), roots: x509.NewCertPool()}
	key := verifytest.NewKey(t, "ecdsa-p256")
	for i := range images {
		image := p.registry.PushImage("team/app", fmt.Sprintf("v%d", i), map[string]string{"app": fmt.Sprint(i)})
		p.registry.Attach(image.Repository, image.Descriptor, registrytest.Artifact{
			Type: verifytest.BundleMediaType, Content: key.Signature(t, image.Digest).Raw,
			Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
		})
		p.signed = append(p.signed, fmt.Sprintf("%s/%s@%s", p.registry.Host(), image.Repository, image.Digest))
	}
	bad := p.registry.PushImage("team/app", "unsigned", map[string]string{"app": "bad"})
	p.unsigned = fmt.Sprintf("%s/%s@%s", p.registry.Host(), bad.Repository, bad.Digest)
	p.write(t, "ops.pub", string(key.Trusted.PEM()))
	p.write(t, "policy.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: load}
signers:
  ops: {keys: [{file: ops.pub}]}
rules:
  - name: all
    images: ["**"]
    require: {signatures: {from: [ops]}}
`)
	p.certificate(t)
	return p
}

func (p *place) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificate writes a self-signed certificate for loopback.
func (p *place) certificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "load"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	p.roots.AppendCertsFromPEM(certificate)
	p.write(t, "tls.crt", string(certificate))
	p.write(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// server is a running process.
type server struct {
	t       *testing.T
	command *exec.Cmd
	address string
	health  string
	ready   time.Duration // from the start of the process to the ready line
	mu      sync.Mutex
	errors  bytes.Buffer
	ended   chan struct{}
}

// start runs a server and waits until it says that it serves.
func (p *place) start(t *testing.T, program string, more ...string) *server {
	t.Helper()
	args := append([]string{
		"serve", "--policy", filepath.Join(p.dir, "policy.yaml"), "--tls-cert", filepath.Join(p.dir, "tls.crt"), "--tls-key", filepath.Join(p.dir, "tls.key"),
		"--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--drain", "0s", "--rate", "-1",
	}, more...)
	s := &server{t: t, command: exec.Command(program, args...), ended: make(chan struct{})}
	s.command.Env = []string{"HOME=" + p.dir, "GOMAXPROCS=" + os.Getenv("GOMAXPROCS")}
	log, err := os.Create(filepath.Join(t.TempDir(), "decisions.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s.command.Stdout = log
	pipe, err := s.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			var line struct{ Msg, Address, Health string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				s.address, s.health, s.ready = line.Address, line.Health, time.Since(started)
				close(ready)
			}
			s.mu.Lock()
			s.errors.WriteString(lines.Text() + "\n")
			s.mu.Unlock()
		}
		s.command.Wait() //nolint:errcheck // its code is looked at by who stops it
	}()
	t.Cleanup(func() { s.command.Process.Kill(); <-s.ended }) //nolint:errcheck // it may have ended
	select {
	case <-ready:
	case <-s.ended:
		t.Fatalf("the server ended: %s", s.said())
	case <-time.After(time.Minute):
		t.Fatalf("the server did not start: %s", s.said())
	}
	return s
}

func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.errors.String()
}

// stop ends it as Kubernetes does, and returns its exit code.
func (s *server) stop() int {
	s.command.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	<-s.ended
	return s.command.ProcessState.ExitCode()
}

// metric reads one metric without labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	response, err := http.Get("http://" + s.health + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return value
		}
	}
	s.t.Fatalf("no metric %s", name)
	return 0
}

// state is what a leak would show in.
type state struct {
	resident   float64 // MiB
	files      float64
	goroutines float64
	cpu        time.Duration
}

func (s *server) state() state {
	return state{
		s.metric("process_resident_memory_bytes") / (1 << 20), s.metric("process_open_fds"), s.metric("go_goroutines"), s.cpu(),
	}
}

// most is the most memory that the process had, in MiB (proc(5), status).
func (s *server) most() float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kB, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kB / 1024
		}
	}
	s.t.Fatal("no VmHWM")
	return 0
}

// cpu is the processor time of the process so far (proc(5), stat).
func (s *server) cpu() time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.command.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// client returns TLS settings that trust the place's certificate.
func (p *place) client() *tls.Config { return &tls.Config{RootCAs: p.roots, ServerName: "127.0.0.1"} }
