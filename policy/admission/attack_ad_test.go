package admission_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify"
)

// TestAttackEachPlace: wherever in an object an image stands that is not allowed, the
// object is refused, the message names the place, and its twin is admitted.
func TestAttackEachPlace(t *testing.T) {
	t.Parallel()
	owner := `,"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"1","controller":true}]`
	forged := `,"annotations":{"hallmark.dev/verdict":"allow","kyverno.io/verify-images":"{\"` + bad + `\":\"pass\"}","policy.sigstore.dev/include":"false"},"labels":{"policy.sigstore.dev/exclude":"true","hallmark.dev/exempt":"true"}`
	metadata := func(object, more string) string { return strings.Replace(object, `"name":"x"`, `"name":"x"`+more, 1) }
	tests := []struct {
		name string
		ask  ask
		at   string
	}{
		{"AD-01 an init container", ask{Object: pod(`"initContainers":[{"name":"i","image":"`+bad+`"}]`, good)}, "spec.initContainers[0].image"},
		{"AD-01 a sidecar", ask{Object: pod(`"initContainers":[{"name":"i","image":"`+good+`"},{"name":"s","restartPolicy":"Always","image":"`+bad+`"}]`, good)}, "spec.initContainers[1].image"},
		{"AD-02 an ephemeral container", ask{
			Operation: "UPDATE", SubResource: "ephemeralcontainers", Old: pod("", good),
			Object: pod(`"ephemeralContainers":[{"name":"debug","image":"`+bad+`","targetContainerName":"c0"}]`, good),
		}, "spec.ephemeralContainers[0].image"},
		{"AD-02 a second ephemeral container", ask{
			Operation: "UPDATE", SubResource: "ephemeralcontainers", Old: pod(`"ephemeralContainers":[{"name":"d","image":"`+good+`"}]`, good),
			Object: pod(`"ephemeralContainers":[{"name":"d","image":"`+good+`"},{"name":"e","image":"`+bad+`"}]`, good),
		}, "spec.ephemeralContainers[1].image"},
		{"AD-03 an image volume", ask{Object: pod(`"volumes":[{"name":"e","emptyDir":{}},{"name":"v","image":{"reference":"`+bad+`"}}]`, good)}, "spec.volumes[1].image.reference"},
		{"AD-05 a scale down with another image", ask{
			Operation: "UPDATE", Old: deployment(good, ""),
			Object: strings.Replace(deployment(bad, ""), `"replicas":3`, `"replicas":2`, 1),
		}, "spec.template.spec.containers[0].image"},
		{"AD-05 a scale to zero with another image", ask{
			Operation: "UPDATE", Old: deployment(good, ""),
			Object: strings.Replace(deployment(bad, ""), `"replicas":3`, `"replicas":0`, 1),
		}, "spec.template.spec.containers[0].image"},
		{"AD-06 another image under deletionTimestamp", ask{
			Operation: "UPDATE", Old: deployment(good, `,"deletionTimestamp":"2026-11-24T11:00:00Z","finalizers":["a/b"]`),
			Object: deployment(bad, `,"deletionTimestamp":"2026-11-24T11:00:00Z","finalizers":["a/b"]`),
		}, "spec.template.spec.containers[0].image"},
		{"AD-06 another image through the status subresource", ask{Operation: "UPDATE", SubResource: "status", Old: deployment(good, ""), Object: deployment(bad, "")}, "spec.template.spec.containers[0].image"},
		{"AD-08 an owner", ask{Object: metadata(pod("", bad), owner)}, "spec.containers[0].image"},
		{"AD-08 an owner, on update", ask{Operation: "UPDATE", Object: metadata(pod("", bad), owner), Old: metadata(pod("", good), owner)}, "spec.containers[0].image"},
		{"AD-09 annotations that say it passed", ask{Object: metadata(pod("", bad), forged)}, "spec.containers[0].image"},
		{"AD-10 a namespace that says it is exempt", ask{Namespace: "kube-system", Object: metadata(pod("", bad), forged)}, "spec.containers[0].image"},
		{"AD-15 a container that another webhook added", ask{Object: pod("", good+"@"+digestFor(good).String(), bad)}, "spec.containers[1].image"},
		{"AD-19 another image of a Pod", ask{Operation: "UPDATE", Object: pod("", bad), Old: pod("", good)}, "spec.containers[0].image"},
		{"AD-19 two containers change places", ask{Operation: "UPDATE", Object: pod("", good, bad), Old: pod("", bad, good)}, "spec.containers[1].image"},
		{"AD-19 an init container becomes a container", ask{
			Operation: "UPDATE", Object: pod("", bad),
			Old: `{"apiVersion":"v1","kind":"Pod","spec":{"initContainers":[{"name":"c0","image":"` + bad + `"}]}}`,
		}, "spec.containers[0].image"},
		{"AD-19 another of the same name", ask{
			Operation: "UPDATE", Object: `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":"` + bad + `"},{"name":"c","image":"` + bad + `"}]}}`,
			Old: `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":"` + bad + `"}]}}`,
		}, "spec.containers[1].image"},
		{"AD-19 an update without the old object", ask{Operation: "UPDATE", Object: pod("", bad)}, "spec.containers[0].image"},
		{"AD-19 an old object of another kind", ask{Operation: "UPDATE", Object: pod("", bad), Old: strings.Replace(pod("", bad), `"Pod"`, `"Pawn"`, 1)}, "spec.containers[0].image"},
		{"AD-19 an old object that cannot be read", ask{Operation: "UPDATE", Object: pod("", bad), Old: `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c0","image":"` + bad + `"},7]}}`}, "spec.containers[0].image"},
		{"AD-19 an old object on create", ask{Operation: "CREATE", Object: pod("", bad), Old: pod("", bad)}, "spec.containers[0].image"},
		{"AD-23 our own namespace", ask{Namespace: "hallmark-system", User: "system:serviceaccount:hallmark-system:hallmark-verify", Object: pod("", bad)}, "spec.containers[0].image"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newReviewer(t, &judge{}, admission.Options{})
			got := validate(t, r, test.ask)
			if got.Response.Allowed || got.Response.Status.Code != http.StatusForbidden || got.Response.Status.Reason != "Forbidden" {
				t.Fatalf("admitted: %+v", got)
			}
			if want := test.at + ": " + bad + ": denied, NO_SIGNATURE"; !strings.Contains(got.Response.Status.Message, want) {
				t.Errorf("the message does not say %q:\n%s", want, got.Response.Status.Message)
			}
			if c := got.Response.Status.Details.Causes; len(c) == 0 || c[0].Field != test.at || c[0].Reason != "NO_SIGNATURE" {
				t.Errorf("causes %v", c)
			}
			test.ask.Object = strings.ReplaceAll(test.ask.Object, bad, good)
			if twin := validate(t, r, test.ask); !twin.Response.Allowed {
				t.Errorf("its twin with an allowed image is refused: %+v", twin)
			}
		})
	}
}

// TestAttackAD04: AD-04: a kind whose images are not known, or that is built otherwise,
// is refused; a configured one is read.
func TestAttackAD04UnknownKinds(t *testing.T) {
	t.Parallel()
	farm := workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{"spec.workers[*].image", "spec.template"}}
	object := func(spec string) string { return `{"apiVersion":"example.com/v1","kind":"Farm","spec":` + spec + `}` }
	for _, test := range []struct {
		name, spec string
		configured bool
		want       string // "" is admitted
	}{
		{"AD-04 not configured", `{"workers":[{"image":"` + good + `"}]}`, false, "KIND_UNKNOWN"},
		{"AD-04 configured, allowed", `{"workers":[{"image":"` + good + `"}],"template":{"spec":{"containers":[{"image":"` + good + `"}]}}}`, true, ""},
		{"AD-04 configured, denied", `{"workers":[{"image":"` + bad + `"}]}`, true, "spec.workers[0].image"},
		{"AD-04 configured, denied in the template", `{"template":{"spec":{"volumes":[{"name":"v","image":{"reference":"` + bad + `"}}]}}}`, true, "spec.template.spec.volumes[0].image.reference"},
		{"AD-04 configured, of another shape", `{"workers":{"a":{"image":"` + bad + `"}}}`, true, "OBJECT_MALFORMED"},
		{"AD-04 configured, a number", `{"workers":[{"image":5}]}`, true, "OBJECT_MALFORMED"},
		{"AD-04 configured, a truth value", `{"template":true}`, true, "OBJECT_MALFORMED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := admission.Options{}
			if test.configured {
				o.Finder = finder(t, farm)
			}
			got := validate(t, newReviewer(t, &judge{}, o), ask{Object: object(test.spec)})
			if got.Response.Allowed != (test.want == "") || !strings.Contains(got.Response.Status.Message, test.want) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestAttackAD07UnchangedTags: AD-07: an update that changes no image is not verified
// again, unless it is asked for; the Pod that is made of it is, always.
func TestAttackAD07UnchangedTags(t *testing.T) {
	t.Parallel()
	// The tag was moved: what was good is bad now, under the same name.
	restart := strings.Replace(deployment(bad, ""), `"a":"b"`, `"a":"b","restarted":"now"`, 1)
	update := ask{Operation: "UPDATE", Old: deployment(bad, ""), Object: restart}
	j := &judge{}
	if got := validate(t, newReviewer(t, j, admission.Options{}), update); !got.Response.Allowed || j.asked.Load() != 0 {
		t.Errorf("an unchanged image was judged: %+v", got)
	}
	if got := validate(t, newReviewer(t, &judge{}, admission.Options{}), ask{Object: pod("", bad)}); got.Response.Allowed {
		t.Error("the Pod was admitted")
	}
	strict := newReviewer(t, &judge{}, admission.Options{VerifyUnchangedTags: true})
	if got := validate(t, strict, update); got.Response.Allowed {
		t.Error("an unchanged tag was not verified although asked for")
	}
	if got := validate(t, strict, ask{Operation: "UPDATE", Old: pod("", bad), Object: pod("", bad)}); got.Response.Allowed {
		t.Error("an unchanged object's tag was not verified although asked for")
	}
	pinned := bad + "@" + digestFor(bad).String()
	if got := validate(t, strict, ask{Operation: "UPDATE", Old: deployment(pinned, ""), Object: strings.Replace(deployment(pinned, ""), `"replicas":3`, `"replicas":4`, 1)}); !got.Response.Allowed {
		t.Error("an unchanged digest was verified again")
	}
}

// TestAttackAD10Exemptions: AD-10, AD-23: only the configuration exempts, exactly what it
// names, until its end; and each use is told.
func TestAttackAD10Exemptions(t *testing.T) {
	t.Parallel()
	exemption := admission.Exemption{Name: "cni", Namespaces: []string{"kube-system"}, Reason: "the network comes first", Until: now.Add(time.Hour)}
	with := func(change func(*admission.Exemption)) admission.Exemption {
		e := exemption
		change(&e)
		return e
	}
	user := "system:serviceaccount:kube-system:daemon-set-controller"
	for _, test := range []struct {
		name      string
		exemption admission.Exemption
		ask       ask
		allowed   bool
		want      string
	}{
		{"AD-10 the namespace", exemption, ask{Namespace: "kube-system"}, true, `exemption "cni" until 2026-11-24: the network comes first`},
		{"AD-10 another namespace", exemption, ask{Namespace: "kube-system2"}, false, "denied"},
		{"AD-10 no namespace", exemption, ask{Namespace: "KUBE-SYSTEM"}, false, "denied"},
		{"AD-23 its end", with(func(e *admission.Exemption) { e.Until = now }), ask{Namespace: "kube-system"}, false, `exemption "cni" for this namespace ended on 2026-11-24`},
		{"AD-10 the image", with(func(e *admission.Exemption) { e.Images = []string{"registry.example/b*"} }), ask{Namespace: "kube-system"}, true, "cni"},
		{"AD-10 another image", with(func(e *admission.Exemption) { e.Images = []string{"registry.example/c*"} }), ask{Namespace: "kube-system"}, false, "denied"},
		{"AD-10 the kind", with(func(e *admission.Exemption) { e.Kinds = []string{"Pod"} }), ask{Namespace: "kube-system"}, true, "cni"},
		{"AD-10 another kind", with(func(e *admission.Exemption) { e.Kinds = []string{"apps/DaemonSet", "apps/Pod"} }), ask{Namespace: "kube-system"}, false, "denied"},
		{"AD-10 the user", with(func(e *admission.Exemption) { e.Users = []string{user} }), ask{Namespace: "kube-system", User: user}, true, "cni"},
		{"AD-10 another user", with(func(e *admission.Exemption) { e.Users = []string{user} }), ask{Namespace: "kube-system", User: user + "x"}, false, "denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.ask.Object = pod("", bad)
			j := &judge{}
			r := newReviewer(t, j, admission.Options{Exemptions: []admission.Exemption{test.exemption}})
			a := r.Validate(t.Context(), test.ask.body(t))
			got := read(t, a)
			if got.Response.Allowed != test.allowed {
				t.Fatalf("%+v", got)
			}
			if text := got.Response.Status.Message + strings.Join(got.Response.Warnings, "\n"); !strings.Contains(text, test.want) {
				t.Errorf("%q does not say %q", text, test.want)
			}
			if (a.Entry.Exemption == "cni" && a.Entry.Images[0].Exemption == "cni") != test.allowed {
				t.Errorf("written down: %+v", a.Entry)
			}
			if test.allowed && (j.asked.Load() != 0 || !strings.Contains(got.Response.AuditAnnotations["exempt"], "spec.containers[0].image=cni")) {
				t.Errorf("asked for %d images, audit %v", j.asked.Load(), got.Response.AuditAnnotations)
			}
			if ended := r.Ended(); (len(ended) == 1) != (test.exemption.Until == now) {
				t.Errorf("ended: %v", ended)
			}
		})
	}
	// One image's exemption is not its neighbour's; an object that cannot be read is
	// refused in spite of one.
	r := newReviewer(t, &judge{}, admission.Options{Exemptions: []admission.Exemption{with(func(e *admission.Exemption) { e.Images = []string{"registry.example/bad"} })}})
	if got := validate(t, r, ask{Namespace: "kube-system", Object: pod("", bad, "registry.example/evil:1")}); got.Response.Allowed || !strings.Contains(got.Response.Status.Message, "1 of 2 images denied") {
		t.Errorf("%+v", got)
	}
	r = newReviewer(t, &judge{}, admission.Options{Exemptions: []admission.Exemption{exemption}})
	if got := validate(t, r, ask{Namespace: "kube-system", Object: `{"apiVersion":"v1","kind":"Pod","spec":[]}`}); got.Response.Allowed {
		t.Errorf("%+v", got)
	}
	for why, e := range map[string]admission.Exemption{
		"name": with(func(e *admission.Exemption) { e.Name = "" }), "reason": with(func(e *admission.Exemption) { e.Reason = " " }),
		"until": with(func(e *admission.Exemption) { e.Until = time.Time{} }), "namespaces": with(func(e *admission.Exemption) { e.Namespaces = nil }),
		"no namespace": with(func(e *admission.Exemption) { e.Namespaces = []string{"kube-*"} }), "is empty": with(func(e *admission.Exemption) { e.Users = []string{""} }),
		"pattern": with(func(e *admission.Exemption) { e.Images = []string{"UPPER"} }),
	} {
		if _, err := admission.New(&judge{}, admission.Options{Exemptions: []admission.Exemption{e}}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := admission.New(&judge{}, admission.Options{Exemptions: []admission.Exemption{exemption, exemption}}); err == nil {
		t.Error("two exemptions of one name")
	}
}

// TestAttackAD12: AD-12, AD-16, AD-18: what is no review of an object is refused, and its
// uid said back.
func TestAttackAD18Requests(t *testing.T) {
	t.Parallel()
	okay := string(ask{Object: pod("", good)}.body(t))
	change := func(old, new string) string {
		if !strings.Contains(okay, old) {
			t.Fatalf("%q is not in the body", old)
		}
		return strings.ReplaceAll(okay, old, new)
	}
	object := func(text string) string { return change(`"object":`+pod("", good), `"object":`+text) }
	for _, test := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"AD-18 a sound one", okay, 200, ""},
		{"AD-16 no bytes", "", 400, "malformed"},
		{"AD-16 half a body", okay[:len(okay)/2], 400, "malformed"},
		{"AD-16 more than 3 MiB", change(`"dryRun"`, `"x":"`+strings.Repeat("a", 3<<20)+`","dryRun"`), 413, "more than"},
		{"AD-16 64 MiB", strings.Repeat(" ", 64<<20), 413, "more than"},
		{"AD-16 500 containers", object(pod("", manyImages(500, "")...)), 200, ""},
		{"AD-16 501 containers", object(pod("", manyImages(501, "")...)), 200, "LIMIT_EXCEEDED"},
		{"AD-16 10,000 containers", object(pod("", manyImages(10_000, "same")...)), 200, "LIMIT_EXCEEDED"},
		{"AD-16 10,001 containers", object(pod("", manyImages(10_001, "")...)), 200, "LIMIT_EXCEEDED"},
		{"AD-16 many small values", object(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[` + strings.Repeat("{},", 200_000) + `{}]}}`), 200, "LIMIT_EXCEEDED"},
		{"AD-16 many small values that are not read", object(`{"apiVersion":"v1","kind":"Pod","spec":{"tolerations":[` + strings.Repeat("{},", 200_000) + `{}]}}`), 200, ""},
		{"AD-16 too deep", object(`{"apiVersion":"v1","kind":"Pod","spec":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`), 400, "deep"},
		{"AD-18 an array", "[" + okay + "]", 400, "no object"},
		{"AD-18 two bodies", okay + okay, 400, "malformed"},
		{"AD-18 null", "null", 400, "no object"},
		{"AD-18 v1beta1", change(`admission.k8s.io/v1"`, `admission.k8s.io/v1beta1"`), 400, "v1beta1"},
		{"AD-18 another kind of body", change(`"AdmissionReview"`, `"ConversionReview"`), 400, "ConversionReview"},
		{"AD-18 no request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400, "no request"},
		{"AD-18 a response", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null,"response":{"uid":"u-1","allowed":true}}`, 400, "no request"},
		{"AD-18 no uid", change(`"uid":"u-1",`, ""), 400, "no uid"},
		{"AD-18 an empty uid", change(`"uid":"u-1"`, `"uid":""`), 400, "no uid"},
		{"AD-18 a uid that is a number", change(`"uid":"u-1"`, `"uid":1`), 400, "uid"},
		{"AD-18 a long uid", change(`"uid":"u-1"`, `"uid":"`+strings.Repeat("a", 300)+`"`), 400, "no uid"},
		{"AD-18 two objects", change(`"dryRun"`, `"object":`+pod("", bad)+`,"dryRun"`), 400, "twice"},
		{"AD-18 two images of one container", object(strings.Replace(pod("", bad), `"name":"c0"`, `"name":"c0","image":"`+good+`"`, 1)), 400, "twice"},
		{"AD-18 broken UTF-8", change("jane", "j\xffne"), 400, "UTF-8"},
		{"AD-18 no operation", change(`"operation":"CREATE"`, `"operation":""`), 200, "OBJECT_MALFORMED"},
		{"AD-18 operation PATCH", change(`"operation":"CREATE"`, `"operation":"PATCH"`), 200, "OBJECT_MALFORMED"},
		{"AD-18 another case of operation", change(`"operation":"CREATE"`, `"operation":"delete"`), 200, "OBJECT_MALFORMED"},
		{"AD-18 dryRun is a text", change(`"dryRun":false`, `"dryRun":"yes"`), 200, "OBJECT_MALFORMED"},
		{"AD-18 namespace is a list", change(`"namespace":"shop"`, `"namespace":["shop"]`), 200, "OBJECT_MALFORMED"},
		{"AD-18 a long name", change(`"namespace":"shop"`, `"namespace":"`+strings.Repeat("a", 2000)+`"`), 200, "OBJECT_MALFORMED"},
		{"AD-18 no kind", change(`"kind":{"group":"","kind":"Pod","version":"v1"}`, `"kind":null`), 200, "OBJECT_MALFORMED"},
		{"AD-18 another kind than the object's", object(strings.Replace(pod("", bad), `"Pod"`, `"Service"`, 1)), 200, "OBJECT_MALFORMED"},
		{"AD-18 another kind than the request's", change(`"kind":{"group":"","kind":"Pod"`, `"kind":{"group":"","kind":"Scale"`), 200, "OBJECT_MALFORMED"},
		{"AD-18 another version than the request's", object(strings.Replace(pod("", good), `"v1"`, `"v2"`, 1)), 200, "OBJECT_MALFORMED"},
		{"AD-18 a list of Pods", string(ask{Object: `{"apiVersion":"v1","kind":"PodList","items":[` + pod("", good) + `]}`}.body(t)), 200, "KIND_UNKNOWN"},
		{"AD-18 a List", string(ask{Object: `{"apiVersion":"v1","kind":"List","items":[]}`}.body(t)), 200, "KIND_UNKNOWN"},
		{"AD-18 an object that is an array", object("[" + pod("", good) + "]"), 200, "OBJECT_MALFORMED"},
		{"AD-18 an object that is a text", object(`"Pod"`), 200, "OBJECT_MALFORMED"},
		{"AD-12 an object that is null", object("null"), 200, "OBJECT_MALFORMED"},
		{"AD-12 no object", change(`"object":`+pod("", good)+`,`, ""), 200, "OBJECT_MALFORMED"},
		{"AD-12 an empty object", object("{}"), 200, "OBJECT_MALFORMED"},
		{"AD-12 an object without kind", object(strings.Replace(pod("", good), `"kind":"Pod",`, "", 1)), 200, "OBJECT_MALFORMED"},
		{"AD-12 containers that are no list", object(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":{"0":{"image":"` + bad + `"}}}}`), 200, "OBJECT_MALFORMED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for phase, review := range map[string]func(*admission.Reviewer) admission.Answer{
				"validate": func(r *admission.Reviewer) admission.Answer { return r.Validate(t.Context(), []byte(test.body)) },
				"mutate":   func(r *admission.Reviewer) admission.Answer { return r.Mutate(t.Context(), []byte(test.body)) },
			} {
				a := review(newReviewer(t, &judge{}, admission.Options{}))
				var text string
				if a.Status == 200 {
					got := read(t, a)
					if got.Response.UID != "u-1" || got.Response.Allowed != (test.want == "") || (test.want != "" && len(got.Response.Patch) > 0) {
						t.Errorf("%s: %.300s", phase, a.Body)
					}
					text = got.Response.Status.Message
				} else {
					var status struct{ Kind, Status, Message string }
					if err := json.Unmarshal(a.Body, &status); err != nil || status.Kind != "Status" || status.Status != "Failure" || a.Entry.Allowed {
						t.Errorf("%s: %v %.300s", phase, err, a.Body)
					}
					text = status.Message
				}
				if a.Status != test.status || !strings.Contains(text, test.want) || len(text) > 2000 {
					t.Errorf("%s: %d %.300s, want %d and %q", phase, a.Status, text, test.status, test.want)
				}
			}
		})
	}
}

// manyImages is a Pod's images: all different, or all the same.
func manyImages(n int, same string) []string {
	all := make([]string, n)
	for i := range all {
		if all[i] = good; same == "" {
			all[i] = fmt.Sprintf("r.example/good/%d", i)
		}
	}
	return all
}

// TestAttackAD18Passing: AD-18: deletes, CONNECT and subresources without images pass, and
// nobody is asked.
func TestAttackAD18Passing(t *testing.T) {
	t.Parallel()
	scale := map[string]string{"group": "autoscaling", "version": "v1", "kind": "Scale"}
	for name, a := range map[string]ask{
		"AD-18 a delete":        {Operation: "DELETE", Kind: map[string]string{"group": "", "version": "v1", "kind": "Pod"}, Old: pod("", bad)},
		"AD-18 exec":            {Operation: "CONNECT", SubResource: "exec", Kind: map[string]string{"group": "", "version": "v1", "kind": "PodExecOptions"}, Object: `{"apiVersion":"v1","kind":"PodExecOptions"}`},
		"AD-18 scale":           {Operation: "UPDATE", SubResource: "scale", Kind: scale, Object: `{"apiVersion":"autoscaling/v1","kind":"Scale","spec":{"replicas":1}}`},
		"AD-18 binding":         {SubResource: "binding", Object: `{"apiVersion":"v1","kind":"Binding","target":{"name":"node"}}`},
		"AD-18 eviction":        {SubResource: "eviction", Object: `{"apiVersion":"policy/v1","kind":"Eviction"}`},
		"AD-18 status":          {Operation: "UPDATE", SubResource: "status", Old: pod("", bad), Object: strings.Replace(pod("", bad), `"metadata"`, `"status":{"phase":"Running"},"metadata"`, 1)},
		"AD-18 resize":          {Operation: "UPDATE", SubResource: "resize", Old: pod("", bad), Object: strings.Replace(pod("", bad), `"name":"c0"`, `"name":"c0","resources":{"limits":{"cpu":"2"}}`, 1)},
		"AD-05 a pure scale":    {Operation: "UPDATE", Old: deployment(bad, ""), Object: strings.Replace(deployment(bad, ""), `"replicas":3`, `"replicas":1`, 1)},
		"AD-06 a finalizer":     {Operation: "UPDATE", Old: deployment(bad, `,"finalizers":["a"]`), Object: deployment(bad, `,"deletionTimestamp":"2026-11-24T11:00:00Z"`)},
		"AD-19 a moved place":   {Operation: "UPDATE", Old: pod("", bad), Object: `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"new","image":"` + good + `"},{"name":"c0","image":"` + bad + `"}]}}`},
		"AD-19 a removed one":   {Operation: "UPDATE", Old: pod("", bad, good), Object: pod("", bad)},
		"AD-02 debug as before": {Operation: "UPDATE", SubResource: "ephemeralcontainers", Old: pod(`"ephemeralContainers":[{"name":"d","image":"`+bad+`"}]`, bad), Object: pod(`"ephemeralContainers":[{"name":"d","image":"`+bad+`"},{"name":"e","image":"`+good+`"}]`, bad)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &judge{}
			got := validate(t, newReviewer(t, j, admission.Options{}), a)
			if !got.Response.Allowed || got.Response.UID != "u-1" {
				t.Errorf("%+v", got)
			}
			for _, image := range j.images {
				if image != good {
					t.Errorf("asked for %s", image)
				}
			}
		})
	}
	// A subresource that nobody knows is refused, since it may hold images.
	got := validate(t, newReviewer(t, &judge{}, admission.Options{}), ask{Operation: "UPDATE", SubResource: "sidecars", Object: `{"apiVersion":"v1","kind":"Sidecars"}`})
	if got.Response.Allowed || !strings.Contains(got.Response.Status.Message, "KIND_UNKNOWN") {
		t.Errorf("%+v", got)
	}
}

// TestAttackAD17References: AD-17: texts that are no reference are denied, and nobody is
// asked about them; a tag beside a digest is passed on with it.
func TestAttackAD17References(t *testing.T) {
	t.Parallel()
	d := digestFor("x").String()
	for text, sound := range map[string]bool{
		"": false, " ": false, " good": false, "good ": false, "good\n": false, "good:1\u202e": false, "Good": false, "good:": false, "good@": false,
		"good@" + d + "@" + d: false, "good@sha256:abc": false, d: false, "good:1@" + d: true, "good@" + d: true, "[::1]:5000/good:1": true, "[::1/good": false,
		"gооd": false, "https://r.example/good": false, "good:a b": false, strings.Repeat("good/", 2048): false, "../good": false, "r.example//good": false,
		"good:$(params.tag)": false, "${IMAGE}good": false, "r.example:0/good": false, "good\x00": false, "-good": false, "good": true,
	} {
		j := &judge{}
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		object := `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":` + string(quoted) + `}]}}`
		for _, o := range []admission.Options{{}, {Unavailable: admission.UnavailableAllow}} {
			got := validate(t, newReviewer(t, j, o), ask{Object: object})
			if got.Response.Allowed != sound {
				t.Errorf("%.60q: %+v", text, got)
			}
			if message := got.Response.Status.Message; !sound && (!strings.Contains(message, "REF_INVALID") || len(message) > 2000) {
				t.Errorf("%.60q: %s", text, message)
			}
		}
		if !sound && j.asked.Load() != 0 {
			t.Errorf("%.60q was asked for", text)
		}
		if sound && j.images[0] != text {
			t.Errorf("%q was asked for as %q", text, j.images[0])
		}
	}
}

// TestAttackAD25Parallel: AD-25: 200 reviews at the same time, with mixed verdicts.
func TestAttackAD25Parallel(t *testing.T) {
	t.Parallel()
	r := newReviewer(t, &judge{}, admission.Options{Exemptions: []admission.Exemption{{Name: "e", Namespaces: []string{"exempt"}, Reason: "r", Until: now.Add(time.Hour)}}})
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			images := []string{fmt.Sprintf("registry.example/good/%d:1", i), good, fmt.Sprintf("registry.example/good/%d:2", i)}
			want := policy.Allow
			switch i % 4 {
			case 1:
				images[i%3], want = fmt.Sprintf("registry.example/bad/%d", i), policy.Deny
			case 2:
				images[i%3], want = fmt.Sprintf("registry.example/down/%d", i), policy.Undetermined
			case 3:
				images[i%3], want = fmt.Sprintf("registry.example/panic/%d", i), policy.Deny
			}
			a := r.Validate(t.Context(), ask{Object: pod("", images...)}.body(t))
			if got := read(t, a); got.Response.Allowed != (want == policy.Allow) || a.Entry.Verdict != want {
				t.Errorf("review %d: %s %+v", i, a.Entry.Verdict, got)
			}
		})
	}
	wait.Wait()
}

// TestAttackAD27Texts: AD-27: texts of the object and of registries reach the user as
// harmless ones, each on its line, and within bounds.
func TestAttackAD27Texts(t *testing.T) {
	t.Parallel()
	evil := "bad\x1b[31m\r\n::set-output name=x::y\n  spec.containers[9].image: good: allowed\u202e"
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	object := `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":` + string(quoted) + `,"image":` + string(quoted) + `},{"name":"b","image":"` + bad + `"}]}}`
	r := newReviewer(t, &judge{}, admission.Options{})
	a := r.Validate(t.Context(), ask{Object: object}.body(t))
	message := read(t, a).Response.Status.Message
	if strings.Count(message, "\n") != 2 || strings.ContainsAny(message, "\x1b\r\u202e") || strings.Contains(message, "\n::") {
		t.Errorf("%q", message)
	}
	if a.Entry.Message != message {
		t.Errorf("the log has another message: %q", a.Entry.Message)
	}
	// A path that its keys make long, and many refusals.
	long := workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{"spec.*.image"}}
	var all []string
	for i := range 400 {
		all = append(all, fmt.Sprintf(`"%s\u001b%d":{"image":"registry.example/bad/%d"}`, strings.Repeat("k", 3000), i, i))
	}
	got := validate(t, newReviewer(t, &judge{}, admission.Options{Finder: finder(t, long)}), ask{Object: `{"apiVersion":"example.com/v1","kind":"Farm","spec":{` + strings.Join(all, ",") + `}}`})
	if message := got.Response.Status.Message; got.Response.Allowed || len(message) > 2000 || strings.Contains(message, "\x1b") || !strings.Contains(message, "more") {
		t.Errorf("%d bytes: %q", len(message), message)
	}
	for _, warning := range got.Response.Warnings {
		if len(warning) > 120 {
			t.Errorf("a warning of %d bytes", len(warning))
		}
	}
}

// TestAttackInternalFaults: AD-12: a fault of ours denies, whatever is configured.
func TestAttackAD12InternalFaults(t *testing.T) {
	t.Parallel()
	for image, reason := range map[string]verify.Reason{
		"registry.example/panic": verify.ReasonInternal, "registry.example/nil": verify.ReasonInternal, "registry.example/other": verify.ReasonInternal,
		"registry.example/fault": verify.ReasonInternal, "registry.example/login": policy.ReasonUnauthorized,
		"registry.example/half": policy.ReasonUnreachable,
	} {
		r := newReviewer(t, &judge{}, admission.Options{Unavailable: admission.UnavailableAllow, Policy: func(string) string { return "p" }})
		a := r.Validate(t.Context(), ask{Object: pod("", image)}.body(t))
		if got := read(t, a); got.Response.Allowed || a.Entry.Reason != reason || !strings.Contains(got.Response.Status.Message, string(reason)) {
			t.Errorf("%s: %s %s", image, a.Entry.Reason, a.Body)
		}
	}
	faulty := newReviewer(t, &judge{}, admission.Options{Policy: func(string) string { panic("a fault") }})
	if got := validate(t, faulty, ask{Object: pod("", good)}); got.Response.Allowed || !strings.Contains(got.Response.Status.Message, "INTERNAL") {
		t.Errorf("%+v", got)
	}
}
