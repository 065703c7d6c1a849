package helm

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write deploy/manifests anew")

// smallest are the only values that have no default.
const smallest = `
image: {repository: registry.example/hallmark/hallmark-verify}
policy: {files: {policy.yaml: "apiVersion: hallmark.dev/v1alpha1\n"}}
`

// variants turn on what is off by default, alone and together.
var variants = map[string]string{
	"smallest":     ``,
	"digest":       `image: {digest: "sha256:` + zeros + `"}`,
	"cert-manager": `tls: {mode: certManager}`,
	"issuer":       `tls: {mode: certManager, certManager: {issuerName: ca, issuerKind: ClusterIssuer}}`,
	"given":        "tls: {mode: given, given: {secretName: mine, caBundle: \"-----BEGIN CERTIFICATE-----\\n\"}}",
	"mutating":     `mutating: {enabled: true}`,
	"scaled":       `{autoscaling: {enabled: true}, podDisruptionBudget: {maxUnavailable: "30%"}}`,
	"monitored":    `{metrics: {serviceMonitor: {enabled: true, labels: {team: a}}}, server: {otlpEndpoint: "http://collector.monitoring:4318"}}`,
	"namespaces":   `{namespacePolicies: {team-a: "kind: TrustPolicy\n"}, webhook: {excludedNamespaces: [{name: kube-system, reason: "the network starts first"}]}}`,
	"pull secrets": `pullSecrets: {enabled: true, namespaces: [{namespace: team-a, secrets: [login], serviceAccounts: [default]}, {namespace: team-b, secrets: [one, two]}]}`,
	"custom":       `customResources: [{apiGroup: argoproj.io, apiVersions: [v1alpha1], resources: [rollouts]}, {apiGroup: acme.example, apiVersions: [v1], resources: [runners], kind: Runner, paths: [spec.template podTemplate]}]`,
	"exemptions":   `exemptions: [{name: cni, namespaces: [kube-system], images: ["registry.example/cni/**"], kinds: [apps/DaemonSet], reason: "the network starts first", until: "2027-01-31"}, {name: old, namespaces: [old], reason: "ticket 123", until: "2027-01-31T12:00:00Z"}]`,
	"trust state":  `policy: {trustStateConfigMap: trust}`,
	"bare":         `{networkPolicy: {enabled: false}, podDisruptionBudget: {enabled: false}, priorityClassName: "", goMemLimit: "", webhook: {admitOwnImage: false}}`,
	"placed":       `{nodeSelector: {pool: system}, tolerations: [{key: a, operator: Exists}], topologySpreadConstraints: [{maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}], podLabels: {a: b}, podAnnotations: {c: d}, replicas: 5}`,
	"registries":   `{registry: {credentialsSecret: login, caConfigMap: ca}, server: {registries: ["registry.example:5000", "[::1]:5000"], requireDigest: true, tagFreshness: 30s, extraArgs: ["--rate=100"]}, tls: {clientCAConfigMap: apiserver}}`,
	"strict net":   `networkPolicy: {webhookFrom: [{ipBlock: {cidr: 10.0.0.0/24}}], metricsFrom: [{namespaceSelector: {matchLabels: {a: b}}}], egressCIDRs: [], extraEgress: [{to: [{podSelector: {}}]}]}`,
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func TestLint(t *testing.T) {
	t.Parallel()
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"lint", "--strict", chart}, valueFlags(t, []string{smallest, values})...)
			if stdout, stderr, err := run(t, args...); err != nil {
				t.Errorf("%v\n%s%s", err, stdout, stderr)
			}
		})
	}
}

// TestEveryVariant: each rendering is a list of objects with namespaces, labels and no
// name that stands twice, and what must hold everywhere holds.
func TestEveryVariant(t *testing.T) {
	t.Parallel()
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, smallest, values)
			for key, o := range r {
				kind, _ := o["kind"].(string)
				clusterWide := strings.HasSuffix(kind, "WebhookConfiguration")
				if namespace, _ := o.at("metadata", "namespace").(string); clusterWide != (namespace == "") {
					t.Errorf("%s: namespace %q", key, namespace)
				}
				if o.at("metadata", "labels", "app.kubernetes.io/instance") != release {
					t.Errorf("%s has no label of the release", key)
				}
			}
			checkPod(t, r)
			checkMounts(t, r)
			checkWebhooks(t, r)
		})
	}
}

// TestManifests: the plain manifests are what the chart renders.
func TestManifests(t *testing.T) {
	t.Parallel()
	const path = "../../deploy/manifests/hallmark-verify.yaml"
	stdout, stderr, err := run(t, "template", release, chart, "--namespace", namespace, "--values", "../../deploy/manifests/values.yaml")
	if err != nil {
		t.Fatal(stderr)
	}
	want := "# Rendered from deploy/helm/hallmark-verify by make manifests. Do not edit.\n" + stdout
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path) != want {
		t.Errorf("%s is not what the chart renders; make manifests", path)
	}
}

// TestRefusedValues: what would make a weaker or a broken installation does not render,
// and the message says what to do.
func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ values, want string }{
		"an unknown name":         {`server: {onUnavailabel: deny}`, "onUnavailabel"},
		"an unknown top name":     {`failurePolicy: Ignore`, "failurePolicy"},
		"an odd failure policy":   {`webhook: {failurePolicy: ignore}`, "failurePolicy"},
		"AD-11 a short timeout":   {`webhook: {timeoutSeconds: 1}`, "timeoutSeconds"},
		"AD-11 a long timeout":    {`webhook: {timeoutSeconds: 31}`, "timeoutSeconds"},
		"AD-10 no reason":         {`webhook: {excludedNamespaces: [{name: kube-system}]}`, "reason"},
		"AD-10 a short reason":    {`webhook: {excludedNamespaces: [{name: kube-system, reason: x}]}`, "reason"},
		"AD-10 lines in a reason": {"webhook: {excludedNamespaces: [{name: a, reason: \"because\\nthat\\n- b\"}]}", "reason"},
		"AD-10 a pattern":         {`webhook: {excludedNamespaces: [{name: "kube-*", reason: "everything of the system"}]}`, "name"},
		"AD-23 an endless one":    {`exemptions: [{name: x, namespaces: [a], reason: "just because"}]`, "until"},
		"AD-23 an unsaid one":     {`exemptions: [{name: x, namespaces: [a], until: "2027-01-31"}]`, "reason"},
		"another main":            {`policy: {main: other.yaml}`, "other.yaml"},
		"paths without a kind":    {`customResources: [{apiGroup: a.b, apiVersions: [v1], resources: [c], paths: [spec]}]`, "kind"},
		"no image":                {`image: {repository: ""}`, "make image"},
		"a short digest":          {`image: {digest: "sha256:00"}`, "digest"},
		"no named secrets":        {`pullSecrets: {enabled: true}`, "named Secrets alone"},
		"all secrets":             {`pullSecrets: {enabled: true, namespaces: [{namespace: a, secrets: []}]}`, "secrets"},
		"a namespace with a path": {`namespacePolicies: {"../x": "a"}`, "no name of a namespace"},
		"no authority":            {`tls: {mode: given, given: {secretName: a}}`, "caBundle"},
		"an odd mode":             {`tls: {mode: none}`, "mode"},
		"a short grace":           {`terminationGracePeriodSeconds: 1`, "terminationGracePeriodSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := renderText(t, smallest, test.values)
			if err == nil {
				t.Fatal("rendered")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not speak of %q", err, test.want)
			}
		})
	}
}

// TestNoPolicy: without a policy nothing renders, and the message says how to give one.
func TestNoPolicy(t *testing.T) {
	t.Parallel()
	_, err := renderText(t, `image: {repository: registry.example/hallmark/hallmark-verify}`)
	if err == nil || !strings.Contains(err.Error(), "policy.files has no policy.yaml") || !strings.Contains(err.Error(), "--set-file") {
		t.Errorf("got %v", err)
	}
}

// TestCustomResources: AD-04, custom resources reach the API server's rules and, where
// their paths are the cluster's own, the server's configuration.
func TestCustomResources(t *testing.T) {
	t.Parallel()
	r := render(t, smallest, variants["custom"], `mutating: {enabled: true}`)
	for _, kind := range []string{"Validating", "Mutating"} {
		rules := r.get(t, kind+"WebhookConfiguration hallmark-system-hallmark-verify").at("webhooks", 0, "rules").([]any)
		var got []string
		for _, raw := range rules {
			rule := object(raw.(map[string]any))
			got = append(got, rule.at("apiGroups", 0).(string)+"/"+rule.at("resources", 0).(string))
		}
		if want := "/pods apps/deployments batch/jobs argoproj.io/rollouts acme.example/runners"; strings.Join(got, " ") != want {
			t.Errorf("%s: rules for %q, not %q", kind, got, want)
		}
	}
	config, _ := r.get(t, "ConfigMap hallmark-verify-config").at("data", "config.yaml").(string)
	if !strings.Contains(config, `customResources: [{"group":"acme.example","kind":"Runner","paths":["spec.template podTemplate"]}]`) {
		t.Errorf("the configuration is\n%s", config)
	}
}

// TestPullSecrets: access is to named Secrets and service accounts of named namespaces, by
// the server's own account, and the API server can be reached.
func TestPullSecrets(t *testing.T) {
	t.Parallel()
	r := render(t, smallest, variants["pull secrets"])
	role := r.get(t, "Role hallmark-verify-pull-secrets in team-a")
	for i, want := range []string{"secrets/login", "serviceaccounts/default"} {
		rule := object(role.at("rules", i).(map[string]any))
		if got := rule.at("resources", 0).(string) + "/" + rule.at("resourceNames", 0).(string); got != want || rule.at("resources", 1) != nil || rule.at("resourceNames", 1) != nil {
			t.Errorf("rule %d is about %s, not %s: %v", i, got, want, rule)
		}
	}
	if rules := r.get(t, "Role hallmark-verify-pull-secrets in team-b").at("rules").([]any); len(rules) != 1 {
		t.Errorf("team-b names no service account, and gives %v", rules)
	}
	for _, in := range []string{"team-a", "team-b"} {
		binding := r.get(t, "RoleBinding hallmark-verify-pull-secrets in "+in)
		if binding.at("subjects", 0, "namespace") != namespace || binding.at("subjects", 0, "name") != "hallmark-verify" || binding.at("subjects", 1) != nil {
			t.Errorf("%s gives access to %v", in, binding.at("subjects"))
		}
	}
	egress := r.get(t, "NetworkPolicy hallmark-verify").at("spec", "egress").([]any)
	if last := object(egress[len(egress)-1].(map[string]any)); last.at("ports", 1, "port") != float64(6443) {
		t.Errorf("the API server cannot be reached: %v", egress)
	}
}

// TestGeneratedCertificate: the certificate in the Secret is for the Service, is signed
// by the authority that the API server is told of, and no authority's key is kept.
func TestGeneratedCertificate(t *testing.T) {
	t.Parallel()
	r := render(t, smallest, `mutating: {enabled: true}`)
	secret := r.get(t, "Secret hallmark-verify-tls")
	keys := make([]string, 0, 3)
	for key := range secret.at("data").(map[string]any) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if got := strings.Join(keys, " "); got != "ca.crt tls.crt tls.key" {
		t.Errorf("the Secret holds %s", got)
	}
	for _, kind := range []string{"Validating", "Mutating"} {
		bundle := r.get(t, kind+"WebhookConfiguration hallmark-system-hallmark-verify").at("webhooks", 0, "clientConfig", "caBundle")
		checkPair(t, bundle, secret)
	}
}
