package deploy_test

import (
	"testing"

	"cel.dev/cel-go/cel"
)

// TestAD23OwnNamespace: AD-23: the one condition under which nobody is asked. Replicas of
// the chart's own image can start while none runs; anything else in the same namespace,
// and the same image anywhere else, is asked about.
func TestAD23OwnNamespace(t *testing.T) {
	t.Parallel()
	condition := at(manifest(t, "ValidatingWebhookConfiguration"), "webhooks", 0, "matchConditions", 0, "expression").(string)
	// The API server declares these two, and gives the request without its empty entries.
	environment, err := cel.NewEnv(cel.Variable("object", cel.DynType), cel.Variable("request", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := environment.Compile(condition)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := environment.Program(ast)
	if err != nil {
		t.Fatal(err)
	}

	list := func(items ...any) []any { return items }
	own := object{"name": "a", "image": ownImage}
	other := object{"name": "b", "image": "docker.io/library/evil:1"}
	pod := func(spec object) object { return object{"spec": spec} }
	template := func(spec object) object { return object{"spec": object{"template": object{"spec": spec}}} }
	ownSpec := object{"containers": list(own), "volumes": list(object{"name": "c", "configMap": object{}})}

	for name, test := range map[string]struct {
		group, resource, sub, namespace string
		object                          object
		asked                           bool
	}{
		"own Pod":         {"", "pods", "", "hallmark-system", pod(ownSpec), false},
		"own ReplicaSet":  {"apps", "replicasets", "", "hallmark-system", template(ownSpec), false},
		"own Deployment":  {"apps", "deployments", "", "hallmark-system", template(ownSpec), false},
		"two of its own":  {"", "pods", "", "hallmark-system", pod(object{"containers": list(own, own)}), false},
		"elsewhere":       {"", "pods", "", "default", pod(ownSpec), true},
		"a longer name":   {"", "pods", "", "hallmark-system-2", pod(ownSpec), true},
		"another image":   {"", "pods", "", "hallmark-system", pod(object{"containers": list(other)}), true},
		"one of two":      {"", "pods", "", "hallmark-system", pod(object{"containers": list(own, other)}), true},
		"no image":        {"", "pods", "", "hallmark-system", pod(object{"containers": list(object{"name": "a"})}), true},
		"no containers":   {"", "pods", "", "hallmark-system", pod(object{}), true},
		"init container":  {"", "pods", "", "hallmark-system", pod(object{"containers": list(own), "initContainers": list(own)}), true},
		"ephemeral":       {"", "pods", "", "hallmark-system", pod(object{"containers": list(own), "ephemeralContainers": list(other)}), true},
		"the subresource": {"", "pods", "ephemeralcontainers", "hallmark-system", pod(ownSpec), true},
		"image volume":    {"", "pods", "", "hallmark-system", pod(object{"containers": list(own), "volumes": list(object{"name": "v", "image": object{"reference": ownImage}})}), true},
		"a digest of it":  {"", "pods", "", "hallmark-system", pod(object{"containers": list(object{"image": ownImage + "@sha256:00"})}), true},
		"a DaemonSet":     {"apps", "daemonsets", "", "hallmark-system", template(ownSpec), true},
		"a Job":           {"batch", "jobs", "", "hallmark-system", template(ownSpec), true},
		"a wrong group":   {"x.example", "pods", "", "hallmark-system", pod(ownSpec), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := object{
				"namespace": test.namespace, "operation": "CREATE",
				"resource": object{"group": test.group, "version": "v1", "resource": test.resource},
			}
			if test.sub != "" {
				request["subResource"] = test.sub
			}
			got, _, err := program.Eval(map[string]any{"object": test.object, "request": request})
			if err != nil {
				t.Fatalf("the API server would refuse: %v", err)
			}
			if got.Value() != test.asked {
				t.Errorf("asked: %v, not %v", got.Value(), test.asked)
			}
		})
	}
}
