package admission_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/report"
)

// no denies everything.
type no struct{}

func (no) Judge(_ context.Context, _ admission.Asker, images []string) []*report.Image {
	all := make([]*report.Image, len(images))
	for i, image := range images {
		all[i] = &report.Image{Image: image, Decision: policy.Decision{Verdict: policy.Deny, Reason: policy.ReasonNoSignature}}
	}
	return all
}

// FuzzValidate: no body makes it panic, and none is allowed in whose Pod or Deployment
// an image stands that the judge denies.
func FuzzValidate(f *testing.F) {
	for _, a := range []ask{
		{Object: pod("", good)},
		{Object: pod(`"volumes":[{"name":"v","image":{"reference":"a"}}],"initContainers":[{"name":"i","image":"b"}]`)},
		{Object: pod("")},
		{Object: realPod("a", "b")},
		{Object: deployment(good, "")},
		{Operation: "UPDATE", Object: deployment(bad, ""), Old: deployment(good, "")},
		{Operation: "UPDATE", SubResource: "ephemeralcontainers", Object: pod(`"ephemeralContainers":[{"name":"e","image":"x"}]`, good), Old: pod("", good)},
		{Operation: "DELETE", Old: pod("", good), Kind: map[string]string{"version": "v1", "kind": "Pod"}},
		{Operation: "UPDATE", SubResource: "scale", Object: `{"apiVersion":"autoscaling/v1","kind":"Scale","spec":{"replicas":1}}`},
	} {
		f.Add(a.body(f))
	}
	r := newReviewer(f, no{}, admission.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, a := range []admission.Answer{r.Validate(t.Context(), body), r.Mutate(t.Context(), body)} {
			if !json.Valid(a.Body) {
				t.Fatalf("no JSON: %q", a.Body)
			}
			if len(a.Entry.Message) > 2000 {
				t.Errorf("a message of %d bytes", len(a.Entry.Message))
			}
			if !a.Entry.Allowed {
				continue
			}
			var got struct {
				Request struct {
					Operation string
					Kind      struct{ Group, Kind string }
					Object    map[string]any
				}
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("allowed, but no JSON: %v", err)
			}
			if kind := got.Request.Kind; got.Request.Operation == "CREATE" && ((kind.Group == "" && kind.Kind == "Pod") || (kind.Group == "apps" && kind.Kind == "Deployment")) {
				object := got.Request.Object
				if kind.Kind == "Deployment" {
					spec, _ := object["spec"].(map[string]any)
					template, _ := spec["template"].(map[string]any)
					object = template
				}
				if holdsImage(object["spec"]) {
					t.Errorf("allowed: %s", body)
				}
			}
		}
	})
}

// holdsImage reports whether a Pod spec holds an image, in another way than the product
// finds it.
func holdsImage(value any) bool {
	spec, _ := value.(map[string]any)
	for _, key := range []string{"containers", "initContainers", "ephemeralContainers"} {
		items, _ := spec[key].([]any)
		for _, item := range items {
			container, _ := item.(map[string]any)
			if _, isText := container["image"].(string); isText {
				return true
			}
		}
	}
	volumes, _ := spec["volumes"].([]any)
	for _, item := range volumes {
		volume, _ := item.(map[string]any)
		image, _ := volume["image"].(map[string]any)
		if _, isText := image["reference"].(string); isText {
			return true
		}
	}
	return false
}
