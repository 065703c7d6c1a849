package admission_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
)

// TestMessage shows what a developer reads.
func TestMessage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		images []string
		want   string
	}{
		{[]string{bad}, `1 of 1 image denied by the trust policy:
  spec.containers[0].image: registry.example/bad:1: denied, NO_SIGNATURE: signatures: wanted a signature from ops; found nothing that is signed; to do: hallmark sign registry.example/bad:1`},
		{[]string{"registry.example/down:1", good, bad}, `1 of 3 images denied by the trust policy, 1 could not be checked:
  spec.containers[2].image: registry.example/bad:1: denied, NO_SIGNATURE: signatures: wanted a signature from ops; found nothing that is signed; to do: hallmark sign registry.example/bad:1
  spec.containers[0].image: registry.example/down:1: could not check, REGISTRY_UNREACHABLE: resolving registry.example/down:1: connection refused; to do: look again when the registry is up`},
		{[]string{"registry.example/down:1", good}, `1 of 2 images could not be checked, which is no finding against it; nothing unchecked is admitted:
  spec.containers[0].image: registry.example/down:1: could not check, REGISTRY_UNREACHABLE: resolving registry.example/down:1: connection refused; to do: look again when the registry is up`},
	} {
		got := validate(t, newReviewer(t, &judge{}, admission.Options{}), ask{Object: pod("", test.images...)})
		if diff := cmp.Diff(test.want, got.Response.Status.Message); diff != "" {
			t.Error(diff)
		}
		if s := got.Response.Status; s.Code != 403 || s.Reason != "Forbidden" || s.Status != "Failure" {
			t.Errorf("%+v", s)
		}
	}
}

func TestWarningsAndAudit(t *testing.T) {
	t.Parallel()
	r := newReviewer(t, &judge{}, admission.Options{Policy: func(namespace string) string { return "sha256:abc of " + namespace }})
	a := r.Validate(t.Context(), ask{Object: pod("", "registry.example/warn:1", "registry.example/except:1", good)}.body(t))
	got := read(t, a)
	want := []string{
		"spec.containers[0].image: would be refused (NO_SIGNATURE); the policy only warns",
		"spec.containers[1].image: exception until 2026-11-25: supplier is late",
	}
	if diff := cmp.Diff(want, got.Response.Warnings); diff != "" || !got.Response.Allowed {
		t.Error(diff)
	}
	audit := got.Response.AuditAnnotations
	if audit["verdict"] != "allow" || audit["policy"] != "sha256:abc of shop" || !strings.Contains(audit["digests"], "spec.containers[2].image="+digestFor(good).String()) {
		t.Error(audit)
	}
	var many []string
	for range 9 {
		many = append(many, "registry.example/warn:1")
	}
	got = validate(t, r, ask{Object: pod("", many...)})
	if w := got.Response.Warnings; len(w) != 6 || w[5] != "and 4 warnings more" {
		t.Errorf("%q", w)
	}
}

func TestEntry(t *testing.T) {
	t.Parallel()
	r := newReviewer(t, &judge{}, admission.Options{})
	a := r.Validate(t.Context(), ask{
		Operation: "UPDATE", SubResource: "ephemeralcontainers", Object: pod(`"ephemeralContainers":[{"name":"e","image":"`+bad+`"}]`, good), Old: pod("", good),
	}.body(t))
	raw, err := json.Marshal(a.Entry)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	images := got["images"].([]any)
	delete(got, "images")
	delete(got, "message")
	want := map[string]any{
		"uid": "u-1", "operation": "UPDATE", "kind": "Pod", "namespace": "shop", "name": "x", "user": "jane", "subResource": "ephemeralcontainers",
		"allowed": false, "verdict": "deny", "reason": "NO_SIGNATURE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	first, second := images[0].(map[string]any), images[1].(map[string]any)
	if first["unchanged"] != true || first["verdict"] != "allow" || second["place"] != "spec.ephemeralContainers[0].image" || second["kind"] != "ephemeralContainer" || second["result"] == nil {
		t.Errorf("%v\n%v", first, second)
	}
	if a.Entry.Images[1].Result.Verdict != policy.Deny {
		t.Errorf("%+v", a.Entry.Images[1])
	}
}

// TestEntryName: an object whose name the API server makes is logged by its start.
func TestEntryName(t *testing.T) {
	t.Parallel()
	r := newReviewer(t, &judge{}, admission.Options{})
	for metadata, want := range map[string]string{`{"generateName":"shop-"}`: "shop-*", `{"name":"shop-x2","generateName":"shop-"}`: "shop-x2", `{}`: "", `[]`: "", `{"name":7}`: ""} {
		body := ask{Object: strings.Replace(pod("", good), `{"name":"x"}`, metadata, 1)}.body(t)
		body = []byte(strings.Replace(string(body), `"name":"x","namespace"`, `"namespace"`, 1))
		if got := r.Validate(t.Context(), body).Entry.Name; got != want {
			t.Errorf("%s: %q, want %q", metadata, got, want)
		}
	}
}

// TestAttackAD21Asker: AD-21: the judge hears for whom it asks; equal images once.
func TestAttackAD21Asker(t *testing.T) {
	t.Parallel()
	j := &judge{}
	spec := `"serviceAccountName":"robot","imagePullSecrets":[{"name":"a"},{"name":"b"}],"initContainers":[{"name":"i","image":"` + good + `"}]`
	if got := validate(t, newReviewer(t, j, admission.Options{}), ask{Namespace: "shop", Object: pod(spec, good, good, "good:2")}); !got.Response.Allowed {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(admission.Asker{Namespace: "shop", ServiceAccount: "robot", PullSecrets: []string{"a", "b"}}, j.asker); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{good, "good:2"}, j.images); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, make := range map[string]func() (*admission.Reviewer, error){
		"no judge": func() (*admission.Reviewer, error) { return admission.New(nil, admission.Options{}) },
		"unavailable": func() (*admission.Reviewer, error) {
			return admission.New(&judge{}, admission.Options{Unavailable: "ignore"})
		},
		"below zero": func() (*admission.Reviewer, error) { return admission.New(&judge{}, admission.Options{Deadline: -1}) },
	} {
		if _, err := make(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestProvide(t *testing.T) {
	t.Parallel()
	request := func(keys string) string {
		return `{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":` + keys + `}}`
	}
	r := newReviewer(t, &judge{}, admission.Options{Exemptions: []admission.Exemption{{Name: "e", Namespaces: []string{"a"}, Reason: "r", Until: now.AddDate(0, 0, 1)}}})
	type item struct{ Key, Value, Error string }
	var got struct {
		APIVersion, Kind string
		Response         struct {
			Idempotent  bool
			Items       []item
			SystemError string
		}
	}
	pinned := good + "@" + digestFor(good).String()
	a := r.Provide(t.Context(), []byte(request(`["`+good+`","`+bad+`","`+pinned+`","BAD","registry.example/down:1","`+good+`"]`)))
	if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != 200 || a.Entry.Allowed || a.Entry.Verdict != policy.Deny {
		t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	for i, item := range got.Response.Items {
		if i == 1 || i == 3 || i == 4 {
			if item.Value != "" || !strings.Contains(item.Error, map[int]string{1: "denied, NO_SIGNATURE", 3: "denied, REF_INVALID", 4: "could not check, REGISTRY_UNREACHABLE"}[i]) {
				t.Errorf("%d: %+v", i, item)
			}
		} else if item.Error != "" || item.Value != pinned {
			t.Errorf("%d: %+v", i, item)
		}
	}
	if !got.Response.Idempotent || got.Kind != "ProviderResponse" || got.APIVersion != "externaldata.gatekeeper.sh/v1beta1" || len(got.Response.Items) != 6 {
		t.Errorf("%+v", got)
	}
	for body, status := range map[string]int{
		"": 400, "{}": 400, "[]": 400, request("[]"): 400, request("null"): 400, request(`{}`): 400, request(`[1]`): 400, request(`"x"`): 400,
		strings.Replace(request(`["a"]`), "v1beta1", "v1", 1): 400, request(`["a"],"keys":["b"]`): 400, request("[" + strings.Repeat(`"a",`, 500) + `"a"]`): 400,
		request(`["` + strings.Repeat("a", 3<<20) + `"]`): 413, request(`["registry.example/panic"]`): 200,
	} {
		a := r.Provide(t.Context(), []byte(body))
		got.Response.Items, got.Response.SystemError = nil, ""
		if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != status || a.Entry.Allowed || (got.Response.SystemError == "") != (status == 200) {
			t.Errorf("%.80s: %v %d %s", body, err, a.Status, a.Body)
		}
	}
}
