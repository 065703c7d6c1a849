package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestOtherDoors tries to get an unsigned image into objects by ways besides create and
// update. Each is refused, or stores nothing of it.
func TestOtherDoors(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1").TagRef(), i.unsigned("team/app", "2").TagRef()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "doors")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods, deployments := in(t, namespace, "pods/v1"), in(t, namespace, "deployments.apps/v1")
	if _, err := pods.make(pod("app", good)); err != nil {
		t.Fatal(err)
	}
	if _, err := deployments.make(deployment("app", good, 1)); err != nil {
		t.Fatal(err)
	}
	container := fmt.Sprintf(`{"spec":{"containers":[{"name":"app","image":%q}]}}`, bad)
	template := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, bad)
	unchanged := func(t *testing.T, err error) {
		t.Helper()
		t.Logf("answered: %v", err)
		for _, got := range append(pods.images("app"), deployments.images("app", "spec", "template", "spec", "containers")...) {
			if got != good {
				t.Errorf("%q is stored", got)
			}
		}
	}

	t.Run("status of a Pod", func(t *testing.T) { unchanged(t, pods.merge("app", container, "status")) })
	t.Run("resize of a Pod", func(t *testing.T) { unchanged(t, pods.merge("app", container, "resize")) })
	t.Run("ephemeralcontainers of a Pod, for its containers", func(t *testing.T) { unchanged(t, pods.merge("app", container, "ephemeralcontainers")) })
	t.Run("status of a Deployment", func(t *testing.T) { unchanged(t, deployments.merge("app", template, "status")) })
	t.Run("scale of a Deployment", func(t *testing.T) { unchanged(t, deployments.merge("app", template, "scale")) })
	t.Run("a JSON patch", func(t *testing.T) {
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, bad)
		_, err := deployments.Patch(t.Context(), "app", types.JSONPatchType, []byte(patch), meta.PatchOptions{})
		refused(t, err, bad)
		unchanged(t, err)
	})
	t.Run("a strategic merge patch adds a container", func(t *testing.T) {
		patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"more","image":%q}]}}}}`, bad)
		_, err := started.client.AppsV1().Deployments(namespace).Patch(t.Context(), "app", types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{})
		refused(t, err, bad)
		unchanged(t, err)
	})
	t.Run("server-side apply changes", func(t *testing.T) {
		_, stderr, code := kubectl(t, deployment("app", bad, 1), "apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-")
		if code == 0 || !strings.Contains(stderr, bad) {
			t.Errorf("kubectl ended with %d: %s", code, stderr)
		}
		unchanged(t, nil)
	})
	t.Run("server-side apply creates", func(t *testing.T) {
		_, stderr, code := kubectl(t, pod("applied", bad), "apply", "--server-side", "-n", namespace, "-f", "-")
		if code == 0 || !strings.Contains(stderr, bad) {
			t.Errorf("kubectl ended with %d: %s", code, stderr)
		}
	})
	t.Run("a generated name", func(t *testing.T) {
		_, err := pods.make(fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {generateName: app-}, spec: {containers: [{name: app, image: %q}]}}", bad))
		refused(t, err, bad)
	})
	t.Run("AD-20 a mirror of a static Pod", func(t *testing.T) {
		_, err := pods.make(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: mirror, annotations: {kubernetes.io/config.mirror: abc, kubernetes.io/config.source: file}},
spec: {nodeName: node, containers: [{name: app, image: %q}]}}`, bad))
		refused(t, err, bad)
	})
	t.Run("AD-20 an image that is on the node already", func(t *testing.T) {
		_, err := pods.make(fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: never}, spec: {containers: [{name: app, image: %q, imagePullPolicy: Never}]}}", bad))
		refused(t, err, bad)
	})
	t.Run("AD-23 the system's namespaces are not exempt", func(t *testing.T) {
		register(t, v.address, v.authority, nil, "kube-system")
		effective(t, "kube-system")
		_, err := in(t, "kube-system", "pods/v1").try(pod("app", bad))
		refused(t, err, bad)
	})
	t.Run("AD-16 very many containers", func(t *testing.T) {
		many := func(number int, last string) string {
			var list strings.Builder
			for n := range number {
				fmt.Fprintf(&list, "{name: c%d, image: %q}, ", n, good)
			}
			return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: many}, spec: {containers: [%s{name: last, image: %q}]}}", list.String(), last)
		}
		_, err := pods.try(many(400, good))
		allowed(t, err)
		_, err = pods.try(many(400, bad))
		refused(t, err, "spec.containers[400].image", bad)
		_, err = pods.try(many(5000, good))
		refused(t, err, "LIMIT_EXCEEDED")
	})
	t.Run("AD-18 what holds no image passes", func(t *testing.T) {
		i.Reset()
		_, err := started.client.CoreV1().Pods(namespace).Patch(t.Context(), "app", mergePatch, []byte(`{"status":{"message":"a"}}`), meta.PatchOptions{}, "status")
		allowed(t, err)
		allowed(t, pods.Delete(t.Context(), "app", meta.DeleteOptions{}))
		if n := i.Budgeted(); n != 0 {
			t.Errorf("%d requests:\n%s", n, i.Log())
		}
	})
}

// TestApplyWithMutation: who applies the same file again changes nothing, although what
// is stored has digests; and a tag that moved to another signed image is taken up.
func TestApplyWithMutation(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	first, second := i.signed("team/app", "1"), i.signed("team/app", "2")
	v := serve(t, i.policy(), settings{flags: []string{"--mutate"}})
	for _, mode := range []string{"client", "server"} {
		namespace := namespace(t, "apply-"+mode)
		register(t, v.address, v.authority, nil, namespace)
		registerMutating(t, v.address, v.authority, namespace)
		effective(t, namespace)
		i.Tag("team/app", "1", first.Digest)
		eventually(t, "tags are pinned", func() bool {
			object, err := in(t, namespace, "pods/v1").try(pod("probe", first.TagRef()))
			return err == nil && strings.Contains(containerImages(t, object)[0], "@")
		})
		t.Run(mode, func(t *testing.T) {
			apply := func(digest string, generation int64) {
				t.Helper()
				stdout, stderr, code := kubectl(t, deployment("app", first.TagRef(), 1), "apply", "--server-side="+fmt.Sprint(mode == "server"), "-n", namespace, "-f", "-")
				if code != 0 {
					t.Fatalf("kubectl ended with %d\n%s%s", code, stdout, stderr)
				}
				object, err := in(t, namespace, "deployments.apps/v1").Get(t.Context(), "app", meta.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if got, want := containerImages(t, object, "spec", "template", "spec", "containers")[0], first.TagRef()+"@"+digest; got != want {
					t.Errorf("the image is %q, want %q", got, want)
				}
				if got := object.GetGeneration(); got != generation {
					t.Errorf("generation %d, want %d", got, generation)
				}
			}
			apply(first.Digest.String(), 1)
			apply(first.Digest.String(), 1)
			i.Tag("team/app", "1", second.Digest)
			apply(second.Digest.String(), 2)
		})
	}
}
