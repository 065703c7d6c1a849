package kubernetes

import (
	"fmt"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestUpdates: an update that changes no image passes without the registry, and one that
// changes an image is verified, whatever else it is.
func TestUpdates(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, other, bad := i.signed("team/app", "1").TagRef(), i.signed("team/app", "2").TagRef(), i.unsigned("team/app", "3").TagRef()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "updates")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods, deployments := in(t, namespace, "pods/v1"), in(t, namespace, "deployments.apps/v1")
	make := func(t *testing.T, here objects, text string) {
		t.Helper()
		if _, err := here.make(text); err != nil {
			t.Fatal(err)
		}
	}
	podImage := func(image string) string {
		return fmt.Sprintf(`{"spec":{"containers":[{"name":"app","image":%q}]}}`, image)
	}
	templateImage := func(image, rest string) string {
		return fmt.Sprintf(`{%s"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, rest, image)
	}

	t.Run("AD-19 a Pod's image is changed", func(t *testing.T) {
		make(t, pods, pod("changed", good))
		refused(t, pods.merge("changed", podImage(bad)), "spec.containers[0].image", bad)
		allowed(t, pods.merge("changed", podImage(other)))
		if got := pods.images("changed"); got[0] != other {
			t.Errorf("the Pod's image is %q, want %q", got[0], other)
		}
	})
	t.Run("AD-05 fewer replicas and another image", func(t *testing.T) {
		make(t, deployments, deployment("scaled", good, 3))
		patch := fmt.Sprintf(`{"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, bad)
		refused(t, deployments.merge("scaled", patch), "spec.template.spec.containers[0].image", bad)
		zero := fmt.Sprintf(`{"spec":{"replicas":0,"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, bad)
		refused(t, deployments.merge("scaled", zero), bad)
		allowed(t, deployments.merge("scaled", `{"spec":{"replicas":2}}`, "scale"))
	})
	t.Run("AD-06 an object that waits for its end", func(t *testing.T) {
		make(t, deployments, deployment("held", good, 1))
		make(t, pods, pod("held", good))
		for _, here := range []objects{deployments, pods} {
			allowed(t, here.merge("held", `{"metadata":{"finalizers":["example.dev/held"]}}`))
			none := int64(0)
			if err := here.Delete(t.Context(), "held", meta.DeleteOptions{GracePeriodSeconds: &none}); err != nil {
				t.Fatal(err)
			}
			object, err := here.Get(t.Context(), "held", meta.GetOptions{})
			if err != nil || object.GetDeletionTimestamp() == nil {
				t.Fatalf("no object that waits for its end: %v, %v", object, err)
			}
		}
		refused(t, deployments.merge("held", templateImage(bad, "")), "spec.template.spec.containers[0].image", bad)
		refused(t, deployments.merge("held", templateImage(bad, `"metadata":{"finalizers":null},`)), bad)
		refused(t, pods.merge("held", podImage(bad)), bad)
		allowed(t, pods.merge("held", `{"metadata":{"finalizers":null}}`))
		allowed(t, deployments.merge("held", `{"metadata":{"finalizers":null}}`))
	})
	t.Run("AD-08 a Pod with an owner", func(t *testing.T) {
		make(t, deployments, deployment("parent", good, 1))
		parent, err := deployments.Get(t.Context(), "parent", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = pods.make(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: child, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: parent, uid: %q, controller: true}]},
spec: {containers: [{name: app, image: %q}]}}`, parent.GetUID(), bad))
		refused(t, err, bad)
	})
	t.Run("AD-09 annotations and labels of the object's own", func(t *testing.T) {
		_, err := pods.make(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: forged,
annotations: {hallmark.dev/verified: "true", hallmark.dev/verdict: allow, policy.sigstore.dev/policy-controller: "true", kyverno.io/verify-images: '{"%[1]s":"pass"}'},
labels: {hallmark.dev/exempt: "true", policy.sigstore.dev/exclude: "true"}}, spec: {containers: [{name: app, image: %[1]q}]}}`, bad))
		refused(t, err, bad)
	})
	t.Run("AD-10 labels of the namespace", func(t *testing.T) {
		patch := []byte(`{"metadata":{"labels":{"hallmark.dev/exempt":"true","policy.sigstore.dev/include":"false","control-plane":"true","kubernetes.io/metadata.name":"kube-system"}}}`)
		if _, err := started.client.CoreV1().Namespaces().Patch(t.Context(), namespace, mergePatch, patch, meta.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := pods.make(pod("unlabelled", bad))
		refused(t, err, bad)
	})

	t.Run("AD-17 odd references", func(t *testing.T) {
		for _, image := range []string{"", "UPPER/app:1", i.Host() + "/team/app:1@sha256:12", i.Host() + "/team/app@sha256:" + zeros + "@sha256:" + zeros, "-"} {
			_, err := pods.try(pod("odd", image))
			if err == nil {
				t.Errorf("%q was allowed", image)
			}
		}
		// A tag of a signed image with the digest of an unsigned one.
		unsigned := i.unsigned("team/app", "4")
		_, err := pods.try(pod("odd", good+"@"+unsigned.Digest.String()))
		refused(t, err, unsigned.Digest.String())
	})

	t.Run("without the registry", func(t *testing.T) {
		make(t, deployments, deployment("quiet", good, 1))
		make(t, pods, pod("quiet", good))
		i.Inject(registrytest.Match{}, registrytest.Drop())
		i.Reset()
		defer i.ClearFaults()
		allowed(t, deployments.merge("quiet", `{"spec":{"replicas":5},"metadata":{"labels":{"a":"b"}}}`))
		allowed(t, deployments.merge("quiet", `{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}`))
		allowed(t, deployments.merge("quiet", `{"spec":{"replicas":4}}`, "scale"))
		allowed(t, pods.merge("quiet", `{"metadata":{"labels":{"a":"b"}}}`))
		allowed(t, deployments.Delete(t.Context(), "quiet", meta.DeleteOptions{}))
		if n := i.Count("", registrytest.Any); n != 0 {
			t.Errorf("%d requests were made for what changes no image:\n%s", n, i.Log())
		}
		refused(t, pods.merge("quiet", podImage(other)), "could not check", other)
	})
}

// TestMovedTags: a tag is resolved each time, and what it was yesterday counts for
// nothing (AD-07, AD-14).
func TestMovedTags(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1"), i.unsigned("team/app", "2")
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "moved")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")

	_, err := pods.make(pod("before", good.TagRef()))
	allowed(t, err)
	i.Tag("team/app", "1", bad.Digest)
	_, err = pods.make(pod("after", good.TagRef()))
	refused(t, err, good.TagRef())
	_, err = pods.make(pod("digest", good.Ref()))
	allowed(t, err)
}
