package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// manifests is what users apply.
const manifests = "../../deploy/manifests/hallmark-verify.yaml"

// shipped returns the documents of the plain manifests.
func shipped(t testing.TB) [][]byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(manifests))
	if err != nil {
		t.Fatal(err)
	}
	var documents [][]byte
	for document := range bytes.SplitSeq(raw, []byte("\n---\n")) {
		var fields map[string]any
		if err := yaml.Unmarshal(document, &fields); err != nil {
			t.Fatal(err)
		}
		if len(fields) > 0 {
			documents = append(documents, document)
		}
	}
	return documents
}

// shippedWebhook returns the webhook that the manifests register.
func shippedWebhook(t testing.TB) admission.ValidatingWebhook {
	t.Helper()
	for _, document := range shipped(t) {
		var configuration admission.ValidatingWebhookConfiguration
		if err := yaml.Unmarshal(document, &configuration); err == nil && configuration.Kind == "ValidatingWebhookConfiguration" {
			if len(configuration.Webhooks) != 1 {
				t.Fatalf("%d webhooks in the manifests, want one", len(configuration.Webhooks))
			}
			return configuration.Webhooks[0]
		}
	}
	t.Fatal("the manifests hold no ValidatingWebhookConfiguration")
	return admission.ValidatingWebhook{}
}

var counter atomic.Int64

// namespace makes a namespace with a name of its own.
func namespace(t testing.TB, name string) string {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, counter.Add(1))
	object := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}
	if _, err := started.client.CoreV1().Namespaces().Create(t.Context(), object, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// register registers what the manifests register, but at an address, and only for some
// namespaces: tests share the API server. change may be nil.
func register(t testing.TB, address string, by *authority, change func(*admission.ValidatingWebhook), namespaces ...string) {
	t.Helper()
	hook := shippedWebhook(t)
	hook.ClientConfig = at(address, "/validate", by)
	hook.NamespaceSelector = narrowed(hook.NamespaceSelector, namespaces)
	if change != nil {
		change(&hook)
	}
	object := &admission.ValidatingWebhookConfiguration{
		ObjectMeta: meta.ObjectMeta{Name: unique(t)}, Webhooks: []admission.ValidatingWebhook{hook},
	}
	hooks := started.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := hooks.Create(t.Context(), object, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hooks.Delete(background, object.Name, meta.DeleteOptions{}) })
}

// registerMutating registers the webhook's rules for /mutate, as the chart does with
// mutating.enabled.
func registerMutating(t testing.TB, address string, by *authority, namespaces ...string) {
	t.Helper()
	from := shippedWebhook(t)
	again := admission.IfNeededReinvocationPolicy
	hook := admission.MutatingWebhook{
		Name: "mutating.verify.hallmark", ClientConfig: at(address, "/mutate", by), Rules: from.Rules, FailurePolicy: from.FailurePolicy,
		MatchPolicy: from.MatchPolicy, NamespaceSelector: narrowed(from.NamespaceSelector, namespaces), SideEffects: from.SideEffects,
		TimeoutSeconds: from.TimeoutSeconds, AdmissionReviewVersions: from.AdmissionReviewVersions,
		ReinvocationPolicy: &again, MatchConditions: from.MatchConditions,
	}
	object := &admission.MutatingWebhookConfiguration{
		ObjectMeta: meta.ObjectMeta{Name: unique(t)}, Webhooks: []admission.MutatingWebhook{hook},
	}
	hooks := started.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := hooks.Create(t.Context(), object, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hooks.Delete(background, object.Name, meta.DeleteOptions{}) })
}

func unique(t testing.TB) string {
	// A test's name may hold what an object's must not.
	name, _, _ := strings.Cut(strings.ToLower(t.Name()), "/")
	return fmt.Sprintf("h%d-%s", counter.Add(1), name)
}

func at(address, path string, by *authority) admission.WebhookClientConfig {
	url := "https://" + address + path
	return admission.WebhookClientConfig{URL: &url, CABundle: by.bundle}
}

// narrowed is the selector, and only these namespaces.
func narrowed(selector *meta.LabelSelector, namespaces []string) *meta.LabelSelector {
	narrow := selector.DeepCopy()
	if narrow == nil {
		narrow = new(meta.LabelSelector)
	}
	narrow.MatchExpressions = append(narrow.MatchExpressions, meta.LabelSelectorRequirement{
		Key: "kubernetes.io/metadata.name", Operator: meta.LabelSelectorOpIn, Values: namespaces,
	})
	return narrow
}
