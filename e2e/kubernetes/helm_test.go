package kubernetes

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// helm renders the chart as an upgrade at the API server would: it looks at what is
// there, and changes nothing.
func helm(t testing.TB, namespace string, values ...string) string {
	t.Helper()
	caches, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// The tests in e2e/helm keep it there.
	program := filepath.Join(caches, "hallmark", "e2e", "helm-v4.3.1-"+runtime.GOOS+"-"+runtime.GOARCH)
	if _, err := os.Stat(program); err != nil {
		program = filepath.Join(t.TempDir(), "helm")
		build := exec.CommandContext(t.Context(), "go", "build", "-C", "../helm", "-trimpath", "-ldflags", "-s -w", "-o", program, "helm.sh/helm/v4/cmd/helm")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building helm: %v\n%s", err, out)
		}
	}
	home := t.TempDir()
	args := []string{
		"template", "hallmark-verify", "../../deploy/helm/hallmark-verify", "--namespace", namespace, "--dry-run=server",
		"--set", "image.repository=registry.example/hallmark-verify", "--set", "policy.existingConfigMap=own",
	}
	for _, value := range values {
		args = append(args, "--set-json", value)
	}
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "KUBECONFIG=" + started.kubeconfig,
		"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home,
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("helm: %v\n%s", err, stderr.String())
	}
	return stdout.String()
}

// TestGeneratedCertificateIsKept: an upgrade keeps the certificate that helm has made,
// renews it when two thirds of its life are over, and goes on trusting the old one, which
// replicas serve until the kubelet has brought the new.
func TestGeneratedCertificateIsKept(t *testing.T) {
	t.Parallel()
	namespace := namespace(t, "helm")
	first, bundle := certificate(t, helm(t, namespace))
	if got := len(authorities(t, bundle)); got != 1 {
		t.Errorf("a new installation trusts %d authorities", got)
	}
	// What helm itself adds when it installs.
	first.Annotations["meta.helm.sh/release-name"], first.Annotations["meta.helm.sh/release-namespace"] = "hallmark-verify", namespace
	secrets := started.client.CoreV1().Secrets(namespace)
	if _, err := secrets.Create(t.Context(), first, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kept, bundle := certificate(t, helm(t, namespace))
	if !bytes.Equal(kept.Data["tls.crt"], first.Data["tls.crt"]) || !bytes.Equal(kept.Data["tls.key"], first.Data["tls.key"]) {
		t.Error("an upgrade made another certificate")
	}
	if got, want := kept.Annotations["hallmark-verify/renew-after"], first.Annotations["hallmark-verify/renew-after"]; got != want {
		t.Errorf("an upgrade moved the end from %s to %s", want, got)
	}
	trusted(t, bundle, first)

	first.Annotations["hallmark-verify/renew-after"] = strconv.FormatInt(time.Now().Add(-time.Minute).Unix(), 10)
	if _, err := secrets.Update(t.Context(), first, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	renewed, bundle := certificate(t, helm(t, namespace))
	if bytes.Equal(renewed.Data["tls.crt"], first.Data["tls.crt"]) {
		t.Error("the certificate was not renewed")
	}
	trusted(t, bundle, renewed)
	trusted(t, bundle, first)
}

// TestChart: the API server takes whatever the chart renders, with no field that it does
// not know. Helm's own dry run goes before.
func TestChart(t *testing.T) {
	t.Parallel()
	define(t, "monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
	namespace := namespace(t, "chart")
	// What a namespace that enforces the strictest level would say.
	if _, stderr, code := kubectl(t, "", "label", "namespace", namespace, "pod-security.kubernetes.io/warn=restricted"); code != 0 {
		t.Fatal(stderr)
	}
	for name, values := range map[string][]string{
		"defaults": nil,
		"much": {
			`mutating={"enabled":true}`, `autoscaling={"enabled":true}`, `metrics={"serviceMonitor":{"enabled":true}}`,
			`webhook={"excludedNamespaces":[{"name":"kube-system","reason":"the network starts first"}]}`,
			`customResources=[{"apiGroup":"argoproj.io","apiVersions":["v1alpha1"],"resources":["rollouts"]}]`,
			`pullSecrets={"enabled":true,"namespaces":[{"namespace":"` + namespace + `","secrets":["login"],"serviceAccounts":["default"]}]}`,
			`namespacePolicies={"team-a":"kind: TrustPolicy\n"}`, `podDisruptionBudget={"maxUnavailable":"30%"}`,
			`networkPolicy={"webhookFrom":[{"ipBlock":{"cidr":"10.0.0.0/24"}}],"extraEgress":[{"to":[{"podSelector":{}}]}]}`,
			`registry={"credentialsSecret":"login","caConfigMap":"ca"}`, `tls={"clientCAConfigMap":"ca"}`,
			`tolerations=[{"key":"a","operator":"Exists"}]`, `nodeSelector={"a":"b"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := kubectl(t, helm(t, namespace, values...), "apply", "--dry-run=server", "--validate=strict", "-f", "-")
			if code != 0 {
				t.Errorf("kubectl ended with %d\n%s%s", code, stdout, stderr)
			}
			if strings.Contains(stderr, "PodSecurity") {
				t.Errorf("a warning: %s", stderr)
			}
		})
	}
}

// certificate reads the Secret and the webhook's authorities out of a rendered chart.
func certificate(t testing.TB, rendered string) (*core.Secret, []byte) {
	t.Helper()
	var secret *core.Secret
	var bundle []byte
	for _, document := range strings.Split("\n"+rendered, "\n---") {
		switch {
		case strings.Contains(document, "\nkind: Secret\n"):
			secret = &core.Secret{}
			if err := yaml.UnmarshalStrict([]byte(document), secret); err != nil {
				t.Fatal(err)
			}
		case strings.Contains(document, "\nkind: ValidatingWebhookConfiguration\n"):
			_, text, _ := strings.Cut(document, "caBundle: ")
			text, _, _ = strings.Cut(text, "\n")
			var err error
			if bundle, err = base64.StdEncoding.DecodeString(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if secret == nil || len(bundle) == 0 {
		t.Fatalf("no certificate in\n%s", rendered)
	}
	return secret, bundle
}

func authorities(t testing.TB, bundle []byte) [][]byte {
	t.Helper()
	return bytes.SplitAfter(bytes.TrimSpace(bundle), []byte("-----END CERTIFICATE-----\n"))
}

// trusted holds that a client with the bundle takes the certificate.
func trusted(t testing.TB, bundle []byte, secret *core.Secret) {
	t.Helper()
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatal("no authority")
	}
	host := "hallmark-verify." + secret.Namespace + ".svc"
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
		t.Error(err)
	}
}
