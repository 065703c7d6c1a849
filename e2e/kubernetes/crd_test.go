package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// define makes a kind whose objects may hold anything, and waits until the API server
// serves it.
func define(t testing.TB, group, version, kind, plural string) {
	t.Helper()
	client, err := dynamic.NewForConfig(started.config)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[4]s.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: %[3]s, plural: %[4]s, singular: %[5]s}
  versions:
    - name: %[2]s
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, group, version, kind, plural, strings.ToLower(kind))
	var fields map[string]any
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	definitions := client.Resource(resource("customresourcedefinitions.apiextensions.k8s.io/v1"))
	// Another test may have made it. It stays: the API server ends with the tests.
	if _, err := definitions.Create(t.Context(), &unstructured.Unstructured{Object: fields}, meta.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	eventually(t, "the API server serves "+plural, func() bool {
		_, err := client.Resource(resource(plural+"."+group+"/"+version)).List(t.Context(), meta.ListOptions{Limit: 1})
		return err == nil
	})
}
