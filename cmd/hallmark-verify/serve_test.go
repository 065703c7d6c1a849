package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// lines collects what a command writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// served is a server that was started by its command line.
type running struct {
	out, err lines
	code     chan int
	stop     context.CancelFunc
}

func serve(t *testing.T, env map[string]string, args ...string) *running {
	t.Helper()
	r := &running{code: make(chan int, 1)}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	a := &cli.App{Stdin: strings.NewReader(""), Stdout: &r.out, Stderr: &r.err, Getenv: func(name string) string { return env[name] }}
	go func() { r.code <- run(ctx, a, append([]string{"serve"}, args...)) }()
	t.Cleanup(r.stop)
	return r
}

// address waits until it serves.
func (r *running) address(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(r.err.String()) {
			var said struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving" {
				return said.Address
			}
		}
		select {
		case code := <-r.code:
			t.Fatalf("it ended with %d: %s", code, r.err.String())
		default:
		}
	}
	t.Fatalf("it does not serve: %s", r.err.String())
	return ""
}

func (r *running) end(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(time.Minute):
		t.Fatal("it did not end")
		return -1
	}
}

// servedPolicy writes a policy with one key.
func servedPolicy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("ops.pub", string(verifytest.NewKey(t, "ecdsa-p256").Trusted.PEM()))
	return write("policy.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: served}
signers:
  ops: {keys: [{file: ops.pub}]}
rules:
  - name: all
    images: ["**"]
    require: {signatures: {from: [ops]}}
`)
}

// TestServe: from the command line to an answer, and to the end by a signal, RE-12.
func TestServe(t *testing.T) {
	t.Parallel()
	policy := servedPolicy(t)
	r := serve(t, nil, "--policy", policy, "--insecure-plain-http", "--listen", "127.0.0.1:0", "--drain", "0s")
	url := "http://" + r.address(t)
	response, err := http.Post(url+"/v1/verify", "application/json", strings.NewReader(`{"images":["127.0.0.1:1/app:1"]}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !strings.Contains(string(body), `"verdict": "undetermined"`) || !strings.Contains(string(body), `"name": "served"`) {
		t.Errorf("%s %v", body, err)
	}
	r.stop()
	if code := r.end(t); code != 0 {
		t.Errorf("RE-12: exit code %d: %s", code, r.err.String())
	}
	if out := r.out.String(); strings.Count(out, "\n") != 2 || !strings.Contains(out, `"verdict":"undetermined"`) {
		t.Errorf("the decision log on standard output: %q", out)
	}
}

// TestServeConfig: a file says the same as flags, a flag wins, and the log goes to a
// file.
func TestServeConfig(t *testing.T) {
	t.Parallel()
	policy := servedPolicy(t)
	log := filepath.Join(t.TempDir(), "decisions.jsonl")
	config := filepath.Join(t.TempDir(), "config.yaml")
	text := "policy: " + policy + "\ninsecurePlainHttp: true\nlisten: 127.0.0.1:1\ndrain: 0s\nlogFile: " + log + `
mutate: true
registryAllow: [registry.example, "registry.example:5000"]
exemptions:
  - {name: cni, namespaces: [kube-system], images: ["registry.example/cni/**"], reason: starts first, until: 2999-01-31}
customResources:
  - {group: example.com, kind: Farm, paths: [spec.template podTemplate]}
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := serve(t, nil, "--config", config, "--listen", "127.0.0.1:0")
	url := "http://" + r.address(t)
	review := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","namespace":"kube-system","kind":{"group":"example.com","version":"v1","kind":"Farm"},"resource":{"group":"example.com","version":"v1","resource":"farms"},"object":{"apiVersion":"example.com/v1","kind":"Farm","metadata":{"name":"x"},"spec":{"template":{"spec":{"containers":[{"name":"a","image":"registry.example/cni/plugin:1"}]}}}}}}`
	for namespace, want := range map[string]string{"kube-system": `"allowed":true`, "team-a": `"allowed":false`} {
		response, err := http.Post(url+"/validate?timeout=1s", "application/json", strings.NewReader(strings.Replace(review, "kube-system", namespace, 1)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %v", namespace, body, err)
		}
	}
	r.stop()
	if code := r.end(t); code != 0 {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	written, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(written), `"exemption":"cni"`) || r.out.String() != "" {
		t.Errorf("%s %v %q", written, err, r.out.String())
	}
}

// TestServeUsage: exit codes, and a hint where something can be done.
func TestServeUsage(t *testing.T) {
	t.Parallel()
	policy := servedPolicy(t)
	plain := []string{"--policy", policy, "--insecure-plain-http", "--listen", "127.0.0.1:0"}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no policy":            {nil, cli.ExitUsage, "--policy"},
		"no certificate":       {[]string{"--policy", policy}, cli.ExitUsage, "--tls-cert"},
		"policy in a registry": {[]string{"--policy", "oci://registry.example/p@sha256:00"}, cli.ExitUsage, "policy pull"},
		"plain and TLS":        {append(plain, "--tls-cert", "x"), cli.ExitUsage, "contradicts"},
		"plain for all":        {[]string{"--policy", policy, "--insecure-plain-http", "--listen", "0.0.0.0:0"}, cli.ExitUsage, "--listen 127.0.0.1:8080"},
		"address":              {[]string{"--policy", policy, "--insecure-plain-http", "--listen", "nowhere"}, cli.ExitUsage, "ADDRESS:PORT"},
		"health address":       {append(plain, "--health-listen", "8081"), cli.ExitUsage, "ADDRESS:PORT"},
		"missing credentials":  {append(plain, "--docker-config", "/none"), cli.ExitUndetermined, "reading registry credentials /none: no such file or directory\nhallmark-verify: hint: --docker-config"},
		"timeout":              {append(plain, "--timeout", "31s"), cli.ExitUsage, "30s"},
		"rate":                 {append(plain, "--rate", "0"), cli.ExitUsage, "-1 for any number"},
		"unavailable":          {append(plain, "--on-unavailable", "ignore"), cli.ExitUsage, "deny or allow"},
		"host":                 {append(plain, "--registry-allow", "https://registry.example/"), cli.ExitUsage, "registry.example:5000"},
		"argument":             {append(plain, "image"), cli.ExitUsage, ""},
		"missing policy":       {[]string{"--policy", policy + ".none", "--insecure-plain-http", "--listen", "127.0.0.1:0"}, cli.ExitUndetermined, ".none: no such file or directory\nhallmark-verify: hint: check the path"},
		"missing certificate":  {[]string{"--policy", policy, "--tls-cert", "/none", "--tls-key", "/none"}, cli.ExitUndetermined, "reading /none: no such file or directory\nhallmark-verify: hint: --tls-cert"},
		"endpoint":             {append(plain, "--otlp-endpoint", "collector:4317"), cli.ExitUndetermined, "collector:4317"},
		"missing config":       {[]string{"--config", "/none"}, cli.ExitUndetermined, "/none"},
		"missing log":          {append(plain, "--log-file", "/none/none"), cli.ExitUndetermined, "decision log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, nil, test.args...)
			if code := r.end(t); code != test.code || !strings.Contains(r.err.String(), test.want) {
				t.Errorf("exit code %d, want %d with %q: %s", code, test.code, test.want, r.err.String())
			}
		})
	}
}

// TestBadConfig: nothing in a configuration is ignored.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string][2]string{
		"empty":             {"", "empty"},
		"list":              {"- a", "mapping"},
		"unknown":           {"tlscert: x", "tlsCert"},
		"dashes":            {"tls-cert: x", "tlsCert"},
		"itself":            {"config: x", "no such entry"},
		"twice":             {"policy: a\npolicy: b", "twice"},
		"twice deeper":      {"exemptions: [{name: a, name: b}]", "twice"},
		"anchor":            {"policy: &a x\nlisten: *a", "anchors"},
		"merge":             {"<<: {policy: x}", "no such entry"},
		"tag":               {"policy: !!binary aGk=", "tags"},
		"documents":         {"policy: a\n---\npolicy: b", "more than one"},
		"list for one":      {"policy: [a, b]", "no list"},
		"null":              {"policy:", "plain value"},
		"mapping":           {"policy: {a: b}", "plain value"},
		"number":            {"cacheEntries: many", "cacheEntries"},
		"time":              {"timeout: 10", "timeout"},
		"exemption":         {"exemptions: [{name: a, everything: true}]", "everything"},
		"exemption's end":   {"exemptions: [{name: a, namespaces: [b], reason: c, until: soon}]", "exemptions"},
		"exemption's words": {"exemptions: all", "exemptions"},
		"resource":          {"customResources: [{kind: Farm, path: spec}]", "path"},
		"depth":             {"exemptions: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "deep"},
		"no YAML":           {"\t:", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(test[0]), 0o600); err != nil {
				t.Fatal(err)
			}
			r := serve(t, nil, "--config", path)
			if code := r.end(t); code != cli.ExitUndetermined || !strings.Contains(r.err.String(), test[1]) {
				t.Errorf("exit code %d, want %q: %s", code, test[1], r.err.String())
			}
		})
	}
}

// TestConfigNames: each flag has exactly one entry.
func TestConfigNames(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"policy", "tls-cert", "insecure-plain-http", "verify-unchanged-tags"} {
		if got := kebab(camel(flag)); got != flag {
			t.Errorf("%s became %s", flag, got)
		}
	}
}

// TestServeDocumented: docs/server.md names what has no help text.
func TestServeDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, nil, "--policy", servedPolicy(t), "--insecure-plain-http", "--listen", "127.0.0.1:0", "--drain", "0s")
	response, err := http.Get("http://" + r.address(t) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(body)) {
		name, is := strings.CutPrefix(line, "# TYPE ")
		if !is {
			continue
		}
		found++
		name, _, _ = strings.Cut(name, " ")
		if !strings.Contains(string(raw), "`"+name+"`") {
			t.Errorf("docs/server.md does not name %s", name)
		}
	}
	if found < 15 {
		t.Errorf("only %d metrics", found)
	}
}
