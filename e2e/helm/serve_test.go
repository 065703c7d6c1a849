package helm

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// installed are values that turn on all that has a say in the server's arguments.
const installed = `
image: {repository: registry.example/hallmark/hallmark-verify}
policy:
  files:
    policy.yaml: |
      apiVersion: hallmark.dev/v1alpha1
      kind: TrustPolicy
      metadata: {name: cluster}
      signers:
        release: {keys: [{file: release.pub}]}
      rules:
        - name: ours
          images: ["registry.invalid/**"]
          require: {signatures: {from: [release]}}
    release.pub: |
      -----BEGIN PUBLIC KEY-----
      MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEN6PhlMjSTSkZNGu23iES1cAzomcd
      wbUW3wiKpQscV5GMYnDouFPT9RGNyRpV3VLw+upBlDxQK2xK6OslLweyxA==
      -----END PUBLIC KEY-----
namespacePolicies:
  team-a: |
    apiVersion: hallmark.dev/v1alpha1
    kind: TrustPolicy
    metadata: {name: team-a}
    signers:
      other:
        keys:
          - pem: |
              -----BEGIN PUBLIC KEY-----
              MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEN6PhlMjSTSkZNGu23iES1cAzomcd
              wbUW3wiKpQscV5GMYnDouFPT9RGNyRpV3VLw+upBlDxQK2xK6OslLweyxA==
              -----END PUBLIC KEY-----
    rules:
      - {name: ours, images: ["registry.example/a/**"], require: {signatures: {from: [other]}}}
mutating: {enabled: true}
exemptions:
  - {name: legacy, namespaces: [legacy], images: ["registry.example/legacy/**"], reason: "ticket 123, moves this year", until: "2099-01-31"}
customResources:
  - {apiGroup: acme.example, apiVersions: [v1], resources: [runners], kind: Runner, paths: ["spec.template podTemplate"]}
server:
  requireDigest: true
  registries: [registry.example, "registry.example:5000"]
  tagFreshness: 30s
  verifyUnchangedTags: true
`

// TestTheServerRuns: what the chart renders is what hallmark-verify takes: its arguments,
// its configuration, its policies and its certificate. AD-10: the exemption that the
// values name works in its namespace alone.
func TestTheServerRuns(t *testing.T) {
	t.Parallel()
	r := render(t, installed)
	dir := t.TempDir()
	mountAll(t, r, dir)
	at := serve(t, append(arguments(t, r, dir), "--drain=0s"))
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		answer, err := http.Get("http://" + at.Health + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}

	bundle, err := base64.StdEncoding.DecodeString(r.get(t, "ValidatingWebhookConfiguration hallmark-system-hallmark-verify").at("webhooks", 0, "clientConfig", "caBundle").(string))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "hallmark-verify.hallmark-system.svc"}}}
	defer client.CloseIdleConnections()
	for name, test := range map[string]struct {
		path, namespace, image string
		allowed                bool
	}{
		"no rule":              {"/validate", "default", "registry.example/legacy/app@sha256:" + zeros, false},
		"AD-10 exempt":         {"/validate", "legacy", "registry.example/legacy/app@sha256:" + zeros, true},
		"AD-10 another image":  {"/validate", "legacy", "registry.example/app@sha256:" + zeros, false},
		"namespace's policy":   {"/validate", "team-a", "registry.example/legacy/app@sha256:" + zeros, false},
		"a tag":                {"/validate", "default", "registry.example/legacy/app:1", false},
		"mutating, no rule":    {"/mutate", "default", "registry.example/app@sha256:" + zeros, false},
		"AD-22 other registry": {"/validate", "default", "registry.invalid/app@sha256:" + zeros, false},
	} {
		t.Run(name, func(t *testing.T) {
			if allowed, message := review(t, client, at.Address, test.path, test.namespace, test.image); allowed != test.allowed {
				t.Errorf("allowed: %v: %s", allowed, message)
			}
		})
	}
}

// TestTrustState: a state of hallmark trust in a ConfigMap is read. One of a version that
// is not known is refused for that, and not for the mode of the mount.
func TestTrustState(t *testing.T) {
	t.Parallel()
	r := render(t, smallest, variants["trust state"], `
policy:
  files:
    policy.yaml: |
      apiVersion: hallmark.dev/v1alpha1
      kind: TrustPolicy
      metadata: {name: public}
      trustRoots: {public: {sigstore: public-good}}
      signers:
        ci: {keyless: {trustRoot: public, issuer: https://issuer.example, subject: {uri: https://example.com/ci}}}
      rules:
        - {name: all, images: ["**"], require: {signatures: {from: [ci]}}}
`)
	r["ConfigMap trust"] = object{"data": map[string]any{"state.json": `{"version": 99}`}}
	dir := t.TempDir()
	mountAll(t, r, dir)
	command := exec.Command(verifier, arguments(t, r, dir)...)
	command.Env = []string{"HOME=" + t.TempDir()}
	out, _ := command.CombinedOutput()
	if command.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "version 99 of state.json is not known") {
		t.Errorf("%d: %s", command.ProcessState.ExitCode(), out)
	}
}

// arguments are those of the container, for a server whose files are in a folder.
func arguments(t *testing.T, r rendered, dir string) []string {
	t.Helper()
	var args []string
	for _, arg := range r.get(t, "Deployment hallmark-verify").at("spec", "template", "spec", "containers", 0, "args").([]any) {
		args = append(args, strings.NewReplacer("/etc/hallmark", dir, "=:8443", "=127.0.0.1:0", "=:8081", "=127.0.0.1:0").Replace(arg.(string)))
	}
	return args
}

// TestArgumentsAreKnown: there is no flag in the chart that the server does not know.
// Exit code 64 is wrong usage; 2 is a policy that is not there.
func TestArgumentsAreKnown(t *testing.T) {
	t.Parallel()
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for _, arg := range render(t, smallest, values).get(t, "Deployment hallmark-verify").at("spec", "template", "spec", "containers", 0, "args").([]any) {
				if !strings.HasPrefix(arg.(string), "--config=") {
					args = append(args, arg.(string))
				}
			}
			command := exec.Command(verifier, args...)
			command.Env = []string{"HOME=" + t.TempDir()}
			var stderr bytes.Buffer
			command.Stderr = &stderr
			if err := command.Run(); command.ProcessState == nil || command.ProcessState.ExitCode() != 2 {
				t.Errorf("%v: %s", err, stderr.String())
			}
		})
	}
}

// mountAll writes the volumes of the Deployment where the container would have them.
func mountAll(t *testing.T, r rendered, dir string) {
	t.Helper()
	spec := object(r.get(t, "Deployment hallmark-verify").at("spec", "template", "spec").(map[string]any))
	files := make(map[string]map[string][]byte) // of each volume
	for _, raw := range spec.at("volumes").([]any) {
		volume := object(raw.(map[string]any))
		content := make(map[string][]byte)
		if name, is := volume.at("configMap", "name").(string); is {
			for key, text := range r.get(t, "ConfigMap "+name).at("data").(map[string]any) {
				content[key] = []byte(text.(string))
			}
		} else {
			secret := r.get(t, "Secret "+volume.at("secret", "secretName").(string))
			for key, text := range secret.at("data").(map[string]any) {
				decoded, err := base64.StdEncoding.DecodeString(text.(string))
				if err != nil {
					t.Fatal(err)
				}
				content[key] = decoded
			}
		}
		files[volume["name"].(string)] = content
	}
	for _, raw := range spec.at("containers", 0, "volumeMounts").([]any) {
		mount := object(raw.(map[string]any))
		to := strings.Replace(mount["mountPath"].(string), "/etc/hallmark", dir, 1)
		// As the kubelet does it: the files are links into a folder that is swapped.
		if err := os.MkdirAll(filepath.Join(to, "..one"), 0o755); err != nil {
			t.Fatal(err)
		}
		// Everybody may write the mount itself, by its mode.
		if err := os.Chmod(to, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("..one", filepath.Join(to, "..data")); err != nil {
			t.Fatal(err)
		}
		for name, content := range files[mount["name"].(string)] {
			if err := os.WriteFile(filepath.Join(to, "..one", name), content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(to, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// serving is the line that says where the server is.
type serving struct{ Msg, Address, Health string }

// serve starts the server and waits until it says that it serves.
func serve(t *testing.T, args []string) serving {
	t.Helper()
	command := exec.Command(verifier, args...)
	command.Env = []string{"HOME=" + t.TempDir()}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		for range lines {
		}
		if err := command.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	var all []string
	for {
		select {
		case line, more := <-lines:
			if !more {
				t.Fatalf("the server did not start: %s", strings.Join(all, "\n"))
			}
			all = append(all, line)
			var s serving
			if json.Unmarshal([]byte(line), &s) == nil && s.Msg == "serving" {
				return s
			}
		case <-time.After(time.Minute):
			t.Fatalf("the server says nothing: %s", strings.Join(all, "\n"))
		}
	}
}

// review asks as the API server does.
func review(t *testing.T, client *http.Client, address, path, namespace, image string) (bool, string) {
	t.Helper()
	pod := map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a", "namespace": namespace},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "a", "image": image}}},
	}
	kind := map[string]any{"group": "", "version": "v1", "kind": "Pod"}
	resource := map[string]any{"group": "", "version": "v1", "resource": "pods"}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "0b5a6a0e-0000-4000-8000-000000000001", "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
			"name": "a", "namespace": namespace, "operation": "CREATE", "userInfo": map[string]any{"username": "dev"}, "object": pod, "dryRun": false,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Post("https://127.0.0.1:"+port+path+"?timeout=10s", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Response struct {
			Allowed bool
			Status  struct{ Message string }
		}
	}
	if err := json.Unmarshal(raw, &out); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %v: %s", answer.Status, err, raw)
	}
	t.Logf("%s", raw)
	return out.Response.Allowed, out.Response.Status.Message
}
