package kubernetes

import (
	"fmt"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestMutate: what is stored has the digest that was judged, and the tag too (AD-14).
func TestMutate(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, second, bad := i.signed("team/app", "1"), i.signed("team/side", "2"), i.unsigned("team/app", "3")
	v := serve(t, i.policy(), settings{flags: []string{"--mutate"}})
	namespace := namespace(t, "mutate")
	register(t, v.address, v.authority, nil, namespace)
	registerMutating(t, v.address, v.authority, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	pinned := func(p registrytest.Pushed) string { return p.TagRef() + "@" + p.Digest.String() }
	v.eventually("tags are pinned", func() bool {
		object, err := pods.try(pod("probe", good.TagRef()))
		return err == nil && containerImages(t, object)[0] == pinned(good)
	})

	t.Run("AD-14 every place of a Pod", func(t *testing.T) {
		_, err := pods.make(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {initContainers: [{name: first, image: %q}],
containers: [{name: app, image: %q}, {name: digest, image: %q}], volumes: [{name: data, image: {reference: %q}}]}}`,
			second.TagRef(), good.TagRef(), second.Ref(), good.TagRef()))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := started.client.CoreV1().Pods(namespace).Get(t.Context(), "app", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{stored.Spec.InitContainers[0].Image, stored.Spec.Containers[0].Image, stored.Spec.Containers[1].Image, stored.Spec.Volumes[0].Image.Reference}
		want := []string{pinned(second), pinned(good), second.Ref(), pinned(good)}
		for n := range want {
			if got[n] != want[n] {
				t.Errorf("image %d is %q, want %q", n, got[n], want[n])
			}
		}
	})
	t.Run("AD-14 a CronJob", func(t *testing.T) {
		object, err := in(t, namespace, "cronjobs.batch/v1").make(fmt.Sprintf(`{apiVersion: batch/v1, kind: CronJob, metadata: {name: app}, spec: {schedule: '0 3 * * *',
jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: %q}]}}}}}}`, good.TagRef()))
		if err != nil {
			t.Fatal(err)
		}
		if got := containerImages(t, object, "spec", "jobTemplate", "spec", "template", "spec", "containers"); got[0] != pinned(good) {
			t.Errorf("the image is %q, want %q", got[0], pinned(good))
		}
	})
	t.Run("AD-02 an ephemeral container", func(t *testing.T) {
		patch := fmt.Sprintf(`{"spec":{"ephemeralContainers":[{"name":"debug","image":%q}]}}`, second.TagRef())
		stored, err := started.client.CoreV1().Pods(namespace).Patch(t.Context(), "app", types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{}, "ephemeralcontainers")
		if err != nil {
			t.Fatal(err)
		}
		if got := stored.Spec.EphemeralContainers[0].Image; got != pinned(second) {
			t.Errorf("the image is %q, want %q", got, pinned(second))
		}
	})
	t.Run("AD-14 the tag is moved after", func(t *testing.T) {
		i.Tag("team/app", "1", bad.Digest)
		if got := pods.images("app"); got[0] != pinned(good) {
			t.Errorf("the image is %q, want %q", got[0], pinned(good))
		}
		_, err := pods.make(pod("late", good.TagRef()))
		refused(t, err, good.TagRef())
	})
	t.Run("an unsigned image", func(t *testing.T) {
		_, err := pods.make(pod("bad", bad.TagRef()))
		refused(t, err, bad.TagRef())
	})
}

// TestRequireDigest: a tag alone is refused where the server is told so (AD-14).
func TestRequireDigest(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good := i.signed("team/app", "1")
	v := serve(t, i.policy(), settings{flags: []string{"--require-digest"}})
	namespace := namespace(t, "digest")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	_, err := pods.make(pod("tag", good.TagRef()))
	refused(t, err, good.TagRef(), "a tag alone is not allowed", good.Digest.String())
	_, err = pods.make(pod("digest", good.Ref()))
	allowed(t, err)
	_, err = pods.make(pod("both", good.TagRef()+"@"+good.Digest.String()))
	allowed(t, err)
}

// TestWebhookOrder: what another mutating webhook adds after ours is judged too, since
// the validating phase sees what will be stored (AD-15).
func TestWebhookOrder(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1"), i.unsigned("team/injected", "1")
	v := serve(t, i.policy(), settings{flags: []string{"--mutate"}})
	namespace := namespace(t, "order")
	injector := newInjector(t, bad.TagRef())
	register(t, v.address, v.authority, nil, namespace)
	registerMutating(t, v.address, v.authority, namespace)
	registerMutating(t, injector.address, injector.authority, namespace)
	effective(t, namespace)
	v.eventually("AD-15 the injected image is refused", func() bool {
		_, err := in(t, namespace, "pods/v1").try(pod("app", good.TagRef()))
		if err == nil {
			return false // the injector is not asked yet
		}
		refused(t, err, bad.TagRef())
		return true
	})
}
