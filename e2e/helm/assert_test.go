package helm

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"
)

func checkPod(t *testing.T, r rendered) {
	t.Helper()
	deployment := r.get(t, "Deployment hallmark-verify")
	for _, want := range []struct {
		value any
		path  []any
	}{
		{true, []any{"securityContext", "runAsNonRoot"}},
		{"RuntimeDefault", []any{"securityContext", "seccompProfile", "type"}},
		{false, []any{"containers", 0, "securityContext", "allowPrivilegeEscalation"}},
		{false, []any{"containers", 0, "securityContext", "privileged"}},
		{true, []any{"containers", 0, "securityContext", "readOnlyRootFilesystem"}},
		{true, []any{"containers", 0, "securityContext", "runAsNonRoot"}},
		{"ALL", []any{"containers", 0, "securityContext", "capabilities", "drop", 0}},
		{nil, []any{"containers", 0, "securityContext", "capabilities", "add"}},
		{nil, []any{"hostNetwork"}},
		{nil, []any{"hostPID"}},
		{nil, []any{"containers", 1}},
		{false, []any{"enableServiceLinks"}},
		{"/readyz", []any{"containers", 0, "readinessProbe", "httpGet", "path"}},
		{"/healthz", []any{"containers", 0, "livenessProbe", "httpGet", "path"}},
	} {
		path := append([]any{"spec", "template", "spec"}, want.path...)
		if got := deployment.at(path...); got != want.value {
			t.Errorf("%v is %v, not %v", path, got, want.value)
		}
	}
	// No token unless it has a use.
	_, needsAccess := r["Role hallmark-verify-pull-secrets in team-a"]
	if got := deployment.at("spec", "template", "spec", "automountServiceAccountToken"); got != needsAccess {
		t.Errorf("the token is mounted: %v; there is a role: %v", got, needsAccess)
	}
	if got := r.get(t, "ServiceAccount hallmark-verify").at("automountServiceAccountToken"); got != false {
		t.Errorf("the service account mounts its token: %v", got)
	}
	for key, o := range r {
		if strings.HasPrefix(key, "ClusterRole") {
			t.Errorf("%s: access beyond a namespace", key)
		}
		if o["kind"] != "Role" {
			continue
		}
		for _, raw := range o.at("rules").([]any) {
			rule := object(raw.(map[string]any))
			names, _ := rule.at("resourceNames").([]any)
			verbs, _ := rule.at("verbs").([]any)
			if len(names) == 0 || !slices.Equal(verbs, []any{"get"}) {
				t.Errorf("%s: %v: want get on named objects alone", key, rule)
			}
		}
	}
}

// checkMounts: each path in the arguments is below a mount, and each mount has its volume.
func checkMounts(t *testing.T, r rendered) {
	t.Helper()
	deployment := r.get(t, "Deployment hallmark-verify")
	var paths, volumes []string
	mounts, _ := deployment.at("spec", "template", "spec", "containers", 0, "volumeMounts").([]any)
	for _, raw := range deployment.at("spec", "template", "spec", "volumes").([]any) {
		volume := object(raw.(map[string]any))
		volumes = append(volumes, volume["name"].(string))
		// What the chart names it also makes, or the values say that it exists.
		for _, source := range []struct{ kind, in, name string }{{"ConfigMap", "configMap", "name"}, {"Secret", "secret", "secretName"}} {
			if name, _ := volume.at(source.in, source.name).(string); strings.HasPrefix(name, "hallmark-verify") {
				_, made := r[source.kind+" "+name]
				_, byCertManager := r["Certificate hallmark-verify"]
				if !made && (!byCertManager || name != "hallmark-verify-tls") {
					t.Errorf("nobody makes %s %s", source.kind, name)
				}
			}
		}
	}
	for _, raw := range mounts {
		mount := object(raw.(map[string]any))
		paths = append(paths, mount["mountPath"].(string))
		if mount["readOnly"] != true {
			t.Errorf("%v is not read-only", mount)
		}
		if !slices.Contains(volumes, mount["name"].(string)) {
			t.Errorf("%v has no volume", mount)
		}
	}
	if len(paths) != len(volumes) {
		t.Errorf("%d mounts, %d volumes", len(paths), len(volumes))
	}
	for _, raw := range deployment.at("spec", "template", "spec", "containers", 0, "args").([]any) {
		_, path, _ := strings.Cut(raw.(string), "=")
		if strings.HasPrefix(path, "/") && !slices.ContainsFunc(paths, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") }) {
			t.Errorf("%s is in no mount", raw)
		}
	}
}

// checkWebhooks: AD-11 (fails closed, answers before the API server gives up), AD-10
// and AD-23 (who is left out), for both kinds.
func checkWebhooks(t *testing.T, r rendered) {
	t.Helper()
	found := 0
	for key, o := range r {
		kind, _ := o["kind"].(string)
		if !strings.HasSuffix(kind, "WebhookConfiguration") {
			continue
		}
		found++
		webhook := object(o.at("webhooks", 0).(map[string]any))
		for _, want := range []struct {
			value any
			path  []any
		}{
			{"Fail", []any{"failurePolicy"}},
			{"Equivalent", []any{"matchPolicy"}},
			{"None", []any{"sideEffects"}},
			{float64(10), []any{"timeoutSeconds"}},
			{"v1", []any{"admissionReviewVersions", 0}},
			{nil, []any{"objectSelector", "matchLabels"}},
			{nil, []any{"objectSelector", "matchExpressions"}},
			{nil, []any{"namespaceSelector", "matchLabels"}},
			{nil, []any{"namespaceSelector", "matchExpressions", 1}},
			{nil, []any{"matchConditions", 1}},
		} {
			if got := webhook.at(want.path...); got != want.value {
				t.Errorf("%s: %v is %v, not %v", key, want.path, got, want.value)
			}
		}
		if expression := webhook.at("namespaceSelector", "matchExpressions", 0); expression != nil {
			e := object(expression.(map[string]any))
			if e["key"] != "kubernetes.io/metadata.name" || e["operator"] != "NotIn" {
				t.Errorf("%s: namespaces are left out by a label that others can set: %v", key, e)
			}
		}
	}
	if found == 0 {
		t.Error("no webhook")
	}
	args := r.get(t, "Deployment hallmark-verify").at("spec", "template", "spec", "containers", 0, "args").([]any)
	if !slices.Contains(args, any("--timeout=10s")) {
		t.Errorf("the server's own timeout is not the API server's, of which it keeps a part: %v", args)
	}
	if got, want := slices.Contains(args, any("--mutate")), r["MutatingWebhookConfiguration hallmark-system-hallmark-verify"] != nil; got != want {
		t.Errorf("the server mutates: %v; the API server asks it to: %v", got, want)
	}
}

func checkPair(t *testing.T, bundle any, secret object) {
	t.Helper()
	decode := func(value any) []byte {
		text, _ := value.(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	pair, err := tls.X509KeyPair(decode(secret.at("data", "tls.crt")), decode(secret.at("data", "tls.key")))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(decode(bundle)) {
		t.Fatal("caBundle holds no certificate")
	}
	for _, name := range []string{"hallmark-verify.hallmark-system.svc", "hallmark-verify.hallmark-system.svc.cluster.local"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if life := time.Until(pair.Leaf.NotAfter); life < 700*24*time.Hour || life > 731*24*time.Hour {
		t.Errorf("the certificate lives %s", life)
	}
}
