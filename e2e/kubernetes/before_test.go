package kubernetes

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBeforeTheWebhook: what ran before the webhook came can be changed as long as its
// images stay where they are; the same image in another place is a new one (AD-07).
func TestBeforeTheWebhook(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, old := i.signed("team/app", "1").TagRef(), i.unsigned("team/old", "1").TagRef()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "before")
	pods, deployments := in(t, namespace, "pods/v1"), in(t, namespace, "deployments.apps/v1")
	if _, err := pods.make(pod("old", old)); err != nil {
		t.Fatal(err)
	}
	if _, err := deployments.make(deployment("old", old, 1)); err != nil {
		t.Fatal(err)
	}
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	strategic := func(patch string) error {
		_, err := started.client.AppsV1().Deployments(namespace).Patch(t.Context(), "old", types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{})
		return err
	}

	t.Run("labels", func(t *testing.T) { allowed(t, pods.merge("old", `{"metadata":{"labels":{"a":"b"}}}`)) })
	t.Run("replicas", func(t *testing.T) { allowed(t, deployments.merge("old", `{"spec":{"replicas":3}}`)) })
	t.Run("a signed container beside it", func(t *testing.T) {
		allowed(t, strategic(fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"side","image":%q}]}}}}`, good)))
	})
	t.Run("AD-02 the same image as an ephemeral container", func(t *testing.T) {
		patch := fmt.Sprintf(`{"spec":{"ephemeralContainers":[{"name":"debug","image":%q}]}}`, old)
		_, err := started.client.CoreV1().Pods(namespace).Patch(t.Context(), "old", types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{}, "ephemeralcontainers")
		refused(t, err, "spec.ephemeralContainers[0].image", old)
	})
	t.Run("AD-07 the same image in another container", func(t *testing.T) {
		refused(t, strategic(fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"more","image":%q}]}}}}`, old)), old)
	})
	t.Run("AD-01 the same image as an init container", func(t *testing.T) {
		refused(t, strategic(fmt.Sprintf(`{"spec":{"template":{"spec":{"initContainers":[{"name":"first","image":%q}]}}}}`, old)), "initContainers[0].image", old)
	})
	t.Run("AD-01 the container itself, made an init container", func(t *testing.T) {
		patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"initContainers":[{"name":"app","image":%q}],"containers":[{"name":"main","image":%q}]}}}}`, old, good)
		refused(t, deployments.merge("old", patch), "initContainers[0].image", old)
	})
	t.Run("AD-03 the same image as a volume", func(t *testing.T) {
		refused(t, strategic(fmt.Sprintf(`{"spec":{"template":{"spec":{"volumes":[{"name":"app","image":{"reference":%q}}]}}}}`, old)), "volumes[0].image.reference", old)
	})
	t.Run("AD-08 a Pod of the old Deployment", func(t *testing.T) {
		_, err := pods.make(pod("child", old))
		refused(t, err, old)
	})
}

// TestVerifyUnchangedTags: where the server is told so, an update of anything looks at
// tags again (AD-07).
func TestVerifyUnchangedTags(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1"), i.unsigned("team/app", "2")
	v := serve(t, i.policy(), settings{flags: []string{"--verify-unchanged-tags"}})
	namespace := namespace(t, "unchanged")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	deployments := in(t, namespace, "deployments.apps/v1")
	for name, image := range map[string]string{"tag": good.TagRef(), "digest": good.Ref()} {
		if _, err := deployments.make(deployment(name, image, 1)); err != nil {
			t.Fatal(err)
		}
		allowed(t, deployments.merge(name, `{"metadata":{"labels":{"a":"b"}}}`))
	}
	i.Tag("team/app", "1", bad.Digest)
	refused(t, deployments.merge("tag", `{"metadata":{"labels":{"a":"c"}}}`), good.TagRef())
	allowed(t, deployments.merge("digest", `{"metadata":{"labels":{"a":"c"}}}`))
	allowed(t, deployments.merge("tag", `{"spec":{"replicas":0}}`, "scale"))
}
