// Package deploy_test holds the manifests that ship to what the server can do: which
// kinds are asked about, that it fails closed, and who is never asked. That they are
// what the chart renders is tested in e2e/helm.
package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/policy/workload"
)

type object = map[string]any

const ownImage = "registry.example/hallmark/hallmark-verify:0.1.0"

// manifest is the object of a kind in the plain manifests.
func manifest(t *testing.T, kind string) object {
	t.Helper()
	raw, err := os.ReadFile("manifests/hallmark-verify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			t.Fatalf("no %s in the manifests", kind)
		} else if err != nil {
			t.Fatal(err)
		}
		if o["kind"] == kind {
			return o
		}
	}
}

// at walks: a text is a key, a number an item.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = value.(object)[step]
		case int:
			value = value.([]any)[step]
		}
	}
	return value
}

func texts(value any) []string {
	var all []string
	for _, item := range value.([]any) {
		all = append(all, item.(string))
	}
	return all
}

// plural is the resource of a kind of Kubernetes' own.
func plural(kind string) string { return strings.ToLower(kind) + "s" }

// TestAD24EveryKindIsAskedAbout: AD-24, AD-02: for each kind of Kubernetes whose images
// the server knows there is a rule, for creation and change, in the version that the
// server reads, and other versions are converted to it; ephemeral containers have a
// subresource of their own.
func TestAD24EveryKindIsAskedAbout(t *testing.T) {
	t.Parallel()
	webhook := at(manifest(t, "ValidatingWebhookConfiguration"), "webhooks", 0)
	if got := at(webhook, "matchPolicy"); got != "Equivalent" {
		t.Errorf("matchPolicy is %v: other versions of a kind would pass unseen", got)
	}
	asked := func(group, resource, operation string) bool {
		return slices.ContainsFunc(at(webhook, "rules").([]any), func(rule any) bool {
			return slices.Contains(texts(at(rule, "apiGroups")), group) &&
				slices.Contains(texts(at(rule, "apiVersions")), "v1") &&
				slices.Contains(texts(at(rule, "resources")), resource) &&
				slices.Contains(texts(at(rule, "operations")), operation)
		})
	}
	want := []struct{ group, resource string }{{"", "pods/ephemeralcontainers"}}
	for _, known := range workload.BuiltIn() {
		if slices.Contains([]string{"", "apps", "batch"}, known.Group) {
			want = append(want, struct{ group, resource string }{known.Group, plural(known.Kind)})
		}
	}
	if len(want) != 10 {
		t.Errorf("%d kinds, not 10: is the list still complete?", len(want))
	}
	for _, w := range want {
		for _, operation := range []string{"CREATE", "UPDATE"} {
			if !asked(w.group, w.resource, operation) {
				t.Errorf("nobody is asked about %s of %q %s", operation, w.group, w.resource)
			}
		}
	}
	// What needs no answer costs none: exec, deletion, the scale and the status.
	for _, rule := range at(webhook, "rules").([]any) {
		for _, operation := range texts(at(rule, "operations")) {
			if operation != "CREATE" && operation != "UPDATE" {
				t.Errorf("asked about %s", operation)
			}
		}
	}
}

// TestAD11FailsClosed: AD-11: an API server without an answer refuses, and the server
// answers before that: it keeps a part of the timeout that the API server tells it, or of
// its own.
func TestAD11FailsClosed(t *testing.T) {
	t.Parallel()
	webhook := at(manifest(t, "ValidatingWebhookConfiguration"), "webhooks", 0)
	if got := at(webhook, "failurePolicy"); got != "Fail" {
		t.Errorf("failurePolicy is %v", got)
	}
	if got := at(webhook, "timeoutSeconds"); got != 10 {
		t.Errorf("timeoutSeconds is %v", got)
	}
	args := texts(at(manifest(t, "Deployment"), "spec", "template", "spec", "containers", 0, "args"))
	for _, want := range []string{"--timeout=10s", "--on-unavailable=deny"} {
		if !slices.Contains(args, want) {
			t.Errorf("the server runs without %s: %q", want, args)
		}
	}
}

// TestAD10NobodyIsLeftOut: AD-10, AD-23: neither a label of a namespace nor one of an
// object exempts, and the own namespace is not left out as a whole.
func TestAD10NobodyIsLeftOut(t *testing.T) {
	t.Parallel()
	webhook := at(manifest(t, "ValidatingWebhookConfiguration"), "webhooks", 0)
	for _, selector := range []string{"namespaceSelector", "objectSelector"} {
		if got := at(webhook, selector).(object); len(got) != 0 {
			t.Errorf("%s is %v", selector, got)
		}
	}
	if got := len(at(webhook, "matchConditions").([]any)); got != 1 {
		t.Errorf("%d conditions, not the one about the own image", got)
	}
}

// TestLeastPrivilege: the Pod can do nothing on its node and nothing in the API.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	spec := at(manifest(t, "Deployment"), "spec", "template", "spec")
	container := at(spec, "containers", 0)
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"token", at(spec, "automountServiceAccountToken"), false},
		{"root", at(spec, "securityContext", "runAsNonRoot"), true},
		{"user", at(spec, "securityContext", "runAsUser"), 65532},
		{"seccomp", at(spec, "securityContext", "seccompProfile", "type"), "RuntimeDefault"},
		{"file system", at(container, "securityContext", "readOnlyRootFilesystem"), true},
		{"escalation", at(container, "securityContext", "allowPrivilegeEscalation"), false},
		{"capabilities", at(container, "securityContext", "capabilities", "drop", 0), "ALL"},
		{"image", at(container, "image"), ownImage},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v, not %v", test.what, test.got, test.want)
		}
	}
}
