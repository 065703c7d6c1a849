package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	admission "k8s.io/api/admissionregistration/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kinds are the kinds that hold Pods: where the Pod's spec stands, and an object
// around it.
var kinds = []struct {
	resource, spec string
	object         string // NAME and SPEC are replaced
}{
	{"pods/v1", "spec", "{apiVersion: v1, kind: Pod, metadata: {name: NAME}, spec: SPEC}"},
	{"podtemplates/v1", "template.spec", "{apiVersion: v1, kind: PodTemplate, metadata: {name: NAME}, template: {metadata: {labels: {app: a}}, spec: SPEC}}"},
	{"replicationcontrollers/v1", "spec.template.spec", "{apiVersion: v1, kind: ReplicationController, metadata: {name: NAME}, spec: {selector: {app: a}, template: {metadata: {labels: {app: a}}, spec: SPEC}}}"},
	{"deployments.apps/v1", "spec.template.spec", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: NAME}, spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: SPEC}}}"},
	{"replicasets.apps/v1", "spec.template.spec", "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: NAME}, spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: SPEC}}}"},
	{"statefulsets.apps/v1", "spec.template.spec", "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: NAME}, spec: {serviceName: a, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: SPEC}}}"},
	{"daemonsets.apps/v1", "spec.template.spec", "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: NAME}, spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: SPEC}}}"},
	{"jobs.batch/v1", "spec.template.spec", "{apiVersion: batch/v1, kind: Job, metadata: {name: NAME}, spec: {template: {spec: SPEC}}}"},
	{"cronjobs.batch/v1", "spec.jobTemplate.spec.template.spec", "{apiVersion: batch/v1, kind: CronJob, metadata: {name: NAME}, spec: {schedule: '0 3 * * *', jobTemplate: {spec: {template: {spec: SPEC}}}}}"},
	{"rollouts.argoproj.io/v1alpha1", "spec.template.spec", "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: NAME}, spec: {template: {metadata: {labels: {app: a}}, spec: SPEC}}}"},
	{"crates.example.dev/v1", "spec.pod.spec", "{apiVersion: example.dev/v1, kind: Crate, metadata: {name: NAME}, spec: {pod: {spec: SPEC}}}"},
}

// places are the places of a Pod's spec; IMAGE is replaced there, and GOOD elsewhere.
var places = []struct{ id, name, place, spec string }{
	{"AD-19", "container", "containers[0].image", "{RESTART, containers: [{name: app, image: IMAGE}]}"},
	{"AD-15", "second container", "containers[1].image", "{RESTART, containers: [{name: app, image: GOOD}, {name: side, image: IMAGE}]}"},
	{"AD-01", "init container", "initContainers[0].image", "{RESTART, initContainers: [{name: first, image: IMAGE}], containers: [{name: app, image: GOOD}]}"},
	{"AD-01", "sidecar", "initContainers[0].image", "{RESTART, initContainers: [{name: first, image: IMAGE, restartPolicy: Always}], containers: [{name: app, image: GOOD}]}"},
	{"AD-03", "image volume", "volumes[0].image.reference", "{RESTART, volumes: [{name: data, image: {reference: IMAGE, pullPolicy: Always}}], containers: [{name: app, image: GOOD}]}"},
}

// customKinds are the kinds of this test's own: one that hallmark-verify knows, and one
// that it is told of.
var customKinds = []struct{ group, version, kind, plural string }{
	{"argoproj.io", "v1alpha1", "Rollout", "rollouts"},
	{"example.dev", "v1", "Crate", "crates"},
}

const crateConfig = `customResources:
  - {group: example.dev, kind: Crate, paths: [spec.pod]}
exemptions: []
`

// TestPlaces creates an object for each kind and each place where an image can stand,
// with a signed image and with an unsigned one.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, custom := range customKinds {
		define(t, custom.group, custom.version, custom.kind, custom.plural)
	}
	i := newImages(t)
	good, bad := i.signed("team/app", "1").TagRef(), i.unsigned("team/app", "unsigned").TagRef()
	v := serve(t, i.policy(), settings{config: crateConfig})
	namespace := namespace(t, "places")
	register(t, v.address, v.authority, customRules, namespace)
	effective(t, namespace)

	for _, kind := range kinds {
		t.Run(strings.ReplaceAll(kind.resource, "/", "."), func(t *testing.T) {
			t.Parallel()
			here := in(t, namespace, kind.resource)
			for number, place := range places {
				write := func(name, image string) string {
					spec := strings.NewReplacer("IMAGE", image, "GOOD", good, "RESTART", restartPolicy(kind.resource)).Replace(place.spec)
					return strings.NewReplacer("SPEC", spec, "NAME", name).Replace(kind.object)
				}
				t.Run(place.id+" "+place.name, func(t *testing.T) {
					_, err := here.make(write(fmt.Sprintf("good-%d", number), good))
					allowed(t, err)
					_, err = here.make(write(fmt.Sprintf("bad-%d", number), bad))
					refused(t, err, kind.spec+"."+place.place, bad)
				})
			}
		})
	}
}

func restartPolicy(resource string) string {
	if strings.Contains(resource, "jobs.batch") {
		return "restartPolicy: Never"
	}
	return "restartPolicy: Always"
}

// TestEphemeralContainers: what kubectl debug adds comes through a subresource (AD-02).
func TestEphemeralContainers(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1").TagRef(), i.unsigned("team/debug", "1").TagRef()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "ephemeral")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)

	pods := in(t, namespace, "pods/v1")
	if _, err := pods.make(pod("app", good)); err != nil {
		t.Fatal(err)
	}
	add := func(name, image string) error {
		patch := fmt.Sprintf(`{"spec":{"ephemeralContainers":[{"name":%q,"image":%q}]}}`, name, image)
		_, err := started.client.CoreV1().Pods(namespace).Patch(t.Context(), "app", types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{}, "ephemeralcontainers")
		return err
	}
	t.Run("AD-02 unsigned", func(t *testing.T) { refused(t, add("debug", bad), "spec.ephemeralContainers[0].image", bad) })
	t.Run("AD-02 signed", func(t *testing.T) { allowed(t, add("good", good)) })
	t.Run("AD-02 unsigned beside a signed one", func(t *testing.T) {
		refused(t, add("second", bad), "spec.ephemeralContainers[", bad)
	})
	stored, err := started.client.CoreV1().Pods(namespace).Get(t.Context(), "app", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(stored.Spec.EphemeralContainers); n != 1 {
		t.Errorf("the Pod has %d ephemeral containers, want the signed one alone", n)
	}
}

// customRules adds what the chart adds for customResources.
func customRules(hook *admission.ValidatingWebhook) {
	scope := admission.AllScopes
	for _, custom := range customKinds {
		hook.Rules = append(hook.Rules, admission.RuleWithOperations{
			Operations: []admission.OperationType{admission.Create, admission.Update},
			Rule:       admission.Rule{APIGroups: []string{custom.group}, APIVersions: []string{custom.version}, Resources: []string{custom.plural}, Scope: &scope},
		})
	}
}
