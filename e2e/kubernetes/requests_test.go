package kubernetes

import (
	"fmt"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestRequests holds what a Pod costs the registry.
func TestRequests(t *testing.T) {
	t.Parallel()
	const coldByTag, coldByDigest, warmByTag = 4, 3, 1 // per image, pings not counted
	i := newImages(t)
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "requests")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")

	three := func(a, b, c string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {initContainers: [{name: a, image: %q}], containers: [{name: b, image: %q}, {name: c, image: %q}]}}", a, b, c)
	}
	a, b, c := i.signed("team/a", "1"), i.signed("team/b", "1"), i.signed("team/c", "1")
	d := i.signed("team/d", "1")
	for _, step := range []struct {
		name, pod string
		most      int
	}{
		{"cold, three images by tag", three(a.TagRef(), b.TagRef(), c.TagRef()), 3 * coldByTag},
		{"cached, three images by digest", three(a.Ref(), b.Ref(), c.Ref()), 0},
		{"cached, three images by tag", three(a.TagRef(), b.TagRef(), c.TagRef()), 3 * warmByTag},
		{"cached, one image three times", three(a.TagRef(), a.TagRef(), a.TagRef()), warmByTag},
		{"cold, one image by digest", pod("app", d.Ref()), coldByDigest},
		{"cached, tag and digest", pod("app", d.TagRef()+"@"+d.Digest.String()), 0},
	} {
		i.Reset()
		_, err := pods.try(step.pod)
		allowed(t, err)
		t.Logf("%s: %d requests", step.name, i.Budgeted())
		if n := i.Budgeted(); n > step.most {
			t.Errorf("%s: %d requests, want at most %d\n%s", step.name, n, step.most, i.Log())
		}
	}
}

// TestTagFreshness: with it a tag is not asked for again at once.
func TestTagFreshness(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good := i.signed("team/app", "1")
	v := serve(t, i.policy(), settings{flags: []string{"--tag-freshness", "1h"}})
	namespace := namespace(t, "fresh")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	_, err := pods.try(pod("app", good.TagRef()))
	allowed(t, err)
	i.Reset()
	_, err = pods.try(pod("app", good.TagRef()))
	allowed(t, err)
	if n := i.Count("", registrytest.Any); n != 0 {
		t.Errorf("%d requests:\n%s", n, i.Log())
	}
}
