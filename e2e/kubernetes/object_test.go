package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// resource is where objects of a kind are: "deployments.apps/v1", "pods/v1".
func resource(name string) schema.GroupVersionResource {
	plural, version, _ := strings.Cut(name, "/")
	plural, group, _ := strings.Cut(plural, ".")
	return schema.GroupVersionResource{Group: group, Version: version, Resource: plural}
}

// objects are the objects of one kind in one namespace.
type objects struct {
	t testing.TB
	dynamic.ResourceInterface
}

func in(t testing.TB, namespace, kind string) objects {
	t.Helper()
	client, err := dynamic.NewForConfig(started.config)
	if err != nil {
		t.Fatal(err)
	}
	return objects{t, client.Resource(resource(kind)).Namespace(namespace)}
}

// make creates an object from YAML.
func (o objects) make(text string) (*unstructured.Unstructured, error) {
	return o.create(text, meta.CreateOptions{})
}

// try creates an object as a dry run.
func (o objects) try(text string) (*unstructured.Unstructured, error) {
	return o.create(text, meta.CreateOptions{DryRun: []string{meta.DryRunAll}})
}

func (o objects) create(text string, options meta.CreateOptions) (*unstructured.Unstructured, error) {
	o.t.Helper()
	var fields map[string]any
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
		o.t.Fatalf("%v in\n%s", err, text)
	}
	return o.Create(o.t.Context(), &unstructured.Unstructured{Object: fields}, options)
}

// merge patches an object, or a subresource of it.
func (o objects) merge(name, patch string, subresource ...string) error {
	o.t.Helper()
	_, err := o.Patch(o.t.Context(), name, types.MergePatchType, []byte(patch), meta.PatchOptions{}, subresource...)
	return err
}

// images returns the images of an object's containers as they are stored.
func (o objects) images(name string, path ...string) []string {
	o.t.Helper()
	object, err := o.Get(o.t.Context(), name, meta.GetOptions{})
	if err != nil {
		o.t.Fatal(err)
	}
	return containerImages(o.t, object, path...)
}

func containerImages(t testing.TB, object *unstructured.Unstructured, path ...string) []string {
	t.Helper()
	if len(path) == 0 {
		path = []string{"spec", "containers"}
	}
	containers, _, err := unstructured.NestedSlice(object.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	var images []string
	for _, container := range containers {
		image, _, _ := unstructured.NestedString(container.(map[string]any), "image")
		images = append(images, image)
	}
	return images
}

// pod is a Pod with one container.
func pod(name, image string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: app, image: %q}]}}", name, image)
}

// deployment is a Deployment with one container.
func deployment(name, image string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: app, image: %[2]q}]}
`, name, image, replicas)
}

// effective waits until the API server asks a webhook about a namespace's Pods: it
// learns of new configurations by a watch.
func effective(t testing.TB, namespace string) {
	t.Helper()
	pods := in(t, namespace, "pods/v1")
	eventually(t, "the API server asks a webhook about Pods in "+namespace, func() bool {
		_, err := pods.try(pod("probe", nowhere))
		return err != nil && strings.Contains(err.Error(), "webhook")
	})
}

// eventually waits for what happens in another process.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 1200 {
		if holds() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("waited for a minute, in vain: %s", what)
}

// nowhere is an image that no policy of these tests allows.
const nowhere = "127.0.0.1:1/nowhere:1"

// zeros are a digest that nothing has.
var zeros = strings.Repeat("0", 64)

const mergePatch = types.MergePatchType

// refused fails the test unless the webhook refused, with all of parts in its message.
func refused(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("was allowed")
		return
	}
	for _, part := range append([]string{"admission webhook", "denied the request"}, parts...) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
}

// allowed fails the test when there was an error.
func allowed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("was refused: %v", err)
	}
}
