package kubernetes

import (
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"
)

// TestChartWebhooks: the mutating webhook asks about the same as the validating one, and
// custom resources are in both.
func TestChartWebhooks(t *testing.T) {
	t.Parallel()
	text := helm(t, namespace(t, "hooks"), `mutating={"enabled":true}`,
		`customResources=[{"apiGroup":"example.dev","apiVersions":["v1"],"resources":["crates"],"kind":"Crate","paths":["spec.pod podTemplate"]}]`)
	var validating admission.ValidatingWebhookConfiguration
	var mutating admission.MutatingWebhookConfiguration
	for document := range strings.SplitSeq(text, "\n---\n") {
		var kind struct{ Kind string }
		err := yaml.Unmarshal([]byte(document), &kind)
		switch kind.Kind {
		case "ValidatingWebhookConfiguration":
			err = yaml.UnmarshalStrict([]byte(document), &validating)
		case "MutatingWebhookConfiguration":
			err = yaml.UnmarshalStrict([]byte(document), &mutating)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(validating.Webhooks) != 1 || len(mutating.Webhooks) != 1 {
		t.Fatalf("%d validating and %d mutating webhooks", len(validating.Webhooks), len(mutating.Webhooks))
	}
	v, m := validating.Webhooks[0], mutating.Webhooks[0]
	for name, same := range map[string]bool{
		"rules":             equality.Semantic.DeepEqual(v.Rules, m.Rules),
		"namespaceSelector": equality.Semantic.DeepEqual(v.NamespaceSelector, m.NamespaceSelector),
		"matchConditions":   equality.Semantic.DeepEqual(v.MatchConditions, m.MatchConditions),
		"failurePolicy":     equality.Semantic.DeepEqual(v.FailurePolicy, m.FailurePolicy),
	} {
		if !same {
			t.Errorf("AD-24 %s differ between the phases", name)
		}
	}
	last := v.Rules[len(v.Rules)-1]
	if last.APIGroups[0] != "example.dev" || last.Resources[0] != "crates" {
		t.Errorf("AD-04 the custom resource is not asked about: %v", last)
	}
}
