package kubernetes

import (
	"fmt"
	"os"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ownNamespace is where the manifests put the server.
const ownNamespace = "hallmark-system"

// home makes the server's own namespace, once.
func home(t testing.TB) {
	t.Helper()
	object := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: ownNamespace}}
	_, err := started.client.CoreV1().Namespaces().Create(t.Context(), object, meta.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// TestManifests: the API server takes every object of the plain manifests, with no field
// that it does not know. A dry run, since the webhook is for all namespaces.
func TestManifests(t *testing.T) {
	t.Parallel()
	home(t)
	define(t, "cert-manager.io", "v1", "Certificate", "certificates")
	define(t, "cert-manager.io", "v1", "Issuer", "issuers")
	raw, err := os.ReadFile(manifests)
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := kubectl(t, string(raw), "apply", "--dry-run=server", "--validate=strict", "-f", "-")
	if code != 0 {
		t.Fatalf("kubectl ended with %d\n%s%s", code, stdout, stderr)
	}
	if got, want := strings.Count(stdout, "(server dry run)"), len(shipped(t)); got != want {
		t.Errorf("%d objects, want %d:\n%s", got, want, stdout)
	}
	for line := range strings.Lines(stderr) {
		// Pod Security's warnings come here too.
		if !strings.Contains(line, "last-applied-configuration") {
			t.Errorf("a warning: %s", line)
		}
	}
}

// TestOwnImage: when no replica is left, the server's own Pods can start, and nothing
// else can in its namespace (AD-23).
func TestOwnImage(t *testing.T) {
	t.Parallel()
	home(t)
	// Nobody listens there.
	gone := freeAddress(t)
	own := ""
	for _, document := range shipped(t) {
		_, rest, _ := strings.Cut(string(document), "\n          image: ")
		if image, _, found := strings.Cut(rest, "\n"); found {
			own = strings.TrimSpace(image)
		}
	}
	if own == "" {
		t.Fatal("the manifests name no image")
	}
	other := namespace(t, "neighbour")
	register(t, gone, newAuthority(t, "nobody"), nil, ownNamespace, other)
	effective(t, other)
	effective(t, ownNamespace)
	pods := in(t, ownNamespace, "pods/v1")
	_, err := pods.try(pod("own", own))
	allowed(t, err)
	_, err = in(t, ownNamespace, "deployments.apps/v1").try(deployment("own", own, 2))
	allowed(t, err)

	for name, text := range map[string]string{
		"another image":       pod("a", "registry.example/other:1"),
		"the own one by hand": pod("a", own+"@sha256:"+zeros),
		"an image beside it":  fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: %q}, {name: b, image: registry.example/other:1}]}}", own),
		"an init container":   fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {initContainers: [{name: b, image: registry.example/other:1}], containers: [{name: a, image: %q}]}}", own),
		"an image volume":     fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {volumes: [{name: b, image: {reference: registry.example/other:1}}], containers: [{name: a, image: %q}]}}", own),
	} {
		t.Run("AD-23 "+name, func(t *testing.T) {
			if _, err := pods.try(text); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
				t.Errorf("without a server: %v", err)
			}
		})
	}
	if _, err := in(t, other, "pods/v1").try(pod("own", own)); err == nil {
		t.Error("the own image passes in another namespace")
	}
	if _, err := in(t, ownNamespace, "daemonsets.apps/v1").try(strings.NewReplacer("NAME", "own", "SPEC", fmt.Sprintf("{containers: [{name: a, image: %q}]}", own)).Replace(kinds[6].object)); err == nil {
		t.Error("another kind passes with the own image")
	}
}

// TestShippedWebhook holds what the API server makes of the manifests' webhook: nothing
// is left to defaults that weaken it.
func TestShippedWebhook(t *testing.T) {
	hook := shippedWebhook(t)
	if hook.FailurePolicy == nil || *hook.FailurePolicy != admission.Fail {
		t.Errorf("AD-11 failurePolicy is %v", hook.FailurePolicy)
	}
	if hook.MatchPolicy == nil || *hook.MatchPolicy != admission.Equivalent {
		t.Errorf("AD-24 matchPolicy is %v", hook.MatchPolicy)
	}
	if hook.SideEffects == nil || *hook.SideEffects != admission.SideEffectClassNone {
		t.Errorf("AD-13 sideEffects is %v", hook.SideEffects)
	}
	covered := make(map[string]bool)
	for _, rule := range hook.Rules {
		for _, name := range rule.Resources {
			covered[name+"."+strings.Join(rule.APIGroups, "")] = true
		}
	}
	// What the API server itself serves and what holds a Pod's spec.
	lists, err := started.client.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	holding := map[string]bool{
		"Pod": true, "PodTemplate": true, "ReplicationController": true, "Deployment": true, "ReplicaSet": true,
		"StatefulSet": true, "DaemonSet": true, "Job": true, "CronJob": true,
	}
	found := 0
	for _, list := range lists {
		for _, one := range list.APIResources {
			group, _, slash := strings.Cut(list.GroupVersion, "/")
			if !slash {
				group = ""
			}
			if holding[one.Kind] {
				found++
				if !covered[one.Name+"."+group] {
					t.Errorf("AD-24 the webhook is not asked about %s of %q", one.Name, group)
				}
			}
		}
	}
	if found != len(holding) {
		t.Errorf("AD-24 the API server serves %d of %d kinds", found, len(holding))
	}
	if !covered["pods/ephemeralcontainers."] {
		t.Error("AD-02 the webhook is not asked about ephemeral containers")
	}
}
