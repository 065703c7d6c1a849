package admission_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/workload"
)

// patchOf returns the patch as "path=value" lines.
func patchOf(t *testing.T, r reply) []string {
	t.Helper()
	if len(r.Response.Patch) == 0 {
		if r.Response.PatchType != "" {
			t.Errorf("a patch type and no patch")
		}
		return nil
	}
	if r.Response.PatchType != "JSONPatch" {
		t.Errorf("patch type %q", r.Response.PatchType)
	}
	var operations []struct{ Op, Path, Value string }
	if err := json.Unmarshal(r.Response.Patch, &operations); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, o := range operations {
		if o.Op != "replace" {
			t.Errorf("operation %q", o.Op)
		}
		all = append(all, o.Path+"="+o.Value)
	}
	return all
}

// TestAttackAD14Pinning: AD-14: a tag is pinned to the digest that was judged, in every
// place, and nothing else is touched.
func TestAttackAD14Pinning(t *testing.T) {
	t.Parallel()
	pin := func(image string) string { return image + "@" + digestFor(image).String() }
	farm := workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{"spec.*.image"}}
	for _, test := range []struct {
		name string
		ask  ask
		want []string
	}{
		{"AD-14 each place of a Pod", ask{Object: pod(`"initContainers":[{"name":"i","image":"good/i:2"}],"ephemeralContainers":[{"name":"e","image":"good/e"}],"volumes":[{"name":"n"},{"name":"v","image":{"reference":"good/v:3"}}]`, good, "localhost:5000/good")}, []string{
			"/spec/initContainers/0/image=" + pin("good/i:2"), "/spec/containers/0/image=" + pin(good), "/spec/containers/1/image=" + pin("localhost:5000/good"),
			"/spec/ephemeralContainers/0/image=" + pin("good/e"), "/spec/volumes/1/image/reference=" + pin("good/v:3"),
		}},
		{"AD-14 a digest stays", ask{Object: pod("", pin(good), "good@"+digestFor("x").String())}, nil},
		{"AD-14 a workload", ask{Object: deployment(good, "")}, []string{"/spec/template/spec/containers/0/image=" + pin(good)}},
		{"AD-14 keys are escaped", ask{Object: `{"apiVersion":"example.com/v1","kind":"Farm","spec":{"a/b~c":{"image":"good"}}}`}, []string{"/spec/a~1b~0c/image=" + pin("good")}},
		{"AD-14 an unchanged tag stays", ask{Operation: "UPDATE", Old: pod("", good), Object: pod(`"priority":1`, good)}, nil},
		{"AD-14 a changed one does not", ask{Operation: "UPDATE", Old: pod("", pin(good)), Object: pod("", good)}, []string{"/spec/containers/0/image=" + pin(good)}},
		{"AD-02 the ephemeral container that is new", ask{
			Operation: "UPDATE", SubResource: "ephemeralcontainers", Old: pod("", good), Object: pod(`"ephemeralContainers":[{"name":"e","image":"good:9"}]`, good),
		}, []string{"/spec/ephemeralContainers/0/image=" + pin("good:9")}},
		{"AD-14 what was warned about", ask{Object: pod("", "registry.example/warn:1")}, []string{"/spec/containers/0/image=" + pin("registry.example/warn:1")}},
		{"AD-18 a delete", ask{Operation: "DELETE", Old: pod("", bad), Kind: map[string]string{"version": "v1", "kind": "Pod"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newReviewer(t, &judge{}, admission.Options{Finder: finder(t, farm)})
			a := r.Mutate(t.Context(), test.ask.body(t))
			got := read(t, a)
			if !got.Response.Allowed || a.Entry.Patches != len(test.want) {
				t.Errorf("%d patches, %+v", a.Entry.Patches, got)
			}
			if diff := cmp.Diff(test.want, patchOf(t, got)); diff != "" {
				t.Error(diff)
			}
			if patched := validate(t, r, test.ask); len(patched.Response.Patch) > 0 || patched.Response.PatchType != "" {
				t.Error("a validating webhook patches")
			}
		})
	}
	// What is refused is not patched, and refused here too.
	got := read(t, newReviewer(t, &judge{}, admission.Options{}).Mutate(t.Context(), ask{Object: pod("", good, bad)}.body(t)))
	if got.Response.Allowed || len(got.Response.Patch) > 0 {
		t.Errorf("%+v", got)
	}
	// What could not be checked is not pinned, and its neighbour is.
	got = read(t, newReviewer(t, &judge{}, admission.Options{Unavailable: admission.UnavailableAllow}).Mutate(t.Context(), ask{Object: pod("", "registry.example/down", good)}.body(t)))
	if want := []string{"/spec/containers/1/image=" + pin(good)}; !got.Response.Allowed || cmp.Diff(want, patchOf(t, got)) != "" {
		t.Errorf("%+v", got)
	}
}

// TestAttackAD14RequireDigest: AD-14: where a digest is required, a tag is refused, with
// the reference that would be admitted.
func TestAttackAD14RequireDigest(t *testing.T) {
	t.Parallel()
	r := newReviewer(t, &judge{}, admission.Options{RequireDigest: true, Unavailable: admission.UnavailableAllow})
	pinned := good + "@" + digestFor(good).String()
	if got := validate(t, r, ask{Object: pod("", good)}); got.Response.Allowed || !strings.Contains(got.Response.Status.Message, "REF_INVALID: a tag alone is not allowed here, since it can be moved; to do: write "+pinned) {
		t.Errorf("%+v", got)
	}
	if got := validate(t, r, ask{Object: pod("", pinned)}); !got.Response.Allowed {
		t.Errorf("%+v", got)
	}
	if got := validate(t, r, ask{Object: pod("", "registry.example/down:1")}); got.Response.Allowed {
		t.Errorf("%+v", got)
	}
	if got := read(t, r.Mutate(t.Context(), ask{Object: pod("", good)}.body(t))); !got.Response.Allowed || len(patchOf(t, got)) != 1 {
		t.Errorf("what pins refuses a tag: %+v", got)
	}
}

// TestAttackAD13DryRun: AD-13: a dry run is answered as any other, and marked.
func TestAttackAD13DryRun(t *testing.T) {
	t.Parallel()
	for _, image := range []string{good, bad} {
		r := newReviewer(t, &judge{}, admission.Options{})
		wet, dry := r.Validate(t.Context(), ask{Object: pod("", image)}.body(t)), r.Validate(t.Context(), ask{Object: pod("", image), DryRun: true}.body(t))
		if string(wet.Body) != string(dry.Body) || wet.Entry.DryRun || !dry.Entry.DryRun {
			t.Errorf("%s\n%s", wet.Body, dry.Body)
		}
	}
}

// TestMutateLeavesWhatIsKept: an update keeps the tag of a Job, whose template cannot be
// changed: the tag is judged again, if that is asked for, and is not rewritten.
func TestMutateLeavesWhatIsKept(t *testing.T) {
	t.Parallel()
	job := func(label string, images ...string) string {
		spec := pod("", images...)
		return `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"x","labels":{"l":"` + label + `"}},"spec":{"template":` + spec[:len(spec)-1] + `}}}`
	}
	r := newReviewer(t, &judge{}, admission.Options{VerifyUnchangedTags: true})
	got := read(t, r.Mutate(t.Context(), ask{Operation: "UPDATE", Old: job("a", good), Object: job("b", good)}.body(t)))
	if !got.Response.Allowed || len(got.Response.Patch) > 0 {
		t.Errorf("%+v %s", got, got.Response.Patch)
	}
	got = read(t, r.Mutate(t.Context(), ask{Operation: "UPDATE", Old: job("a", bad), Object: job("b", bad)}.body(t)))
	if got.Response.Allowed {
		t.Errorf("it was not judged: %+v", got)
	}
}

// TestAttackAD06Deleted: AD-06: what is being deleted may lose its finalizers, whatever its
// images are worth by now; nothing else of it may change, and who only says that it is
// being deleted says nothing.
func TestAttackAD06Deleted(t *testing.T) {
	t.Parallel()
	const gone = `,"deletionTimestamp":"2026-11-24T12:00:00Z"`
	r := newReviewer(t, &judge{}, admission.Options{VerifyUnchangedTags: true})
	for name, test := range map[string]struct {
		old, object string
		allowed     bool
	}{
		"AD-06 a finalizer goes":       {deployment(bad, gone+`,"finalizers":["a"]`), deployment(bad, gone), true},
		"AD-06 an image comes":         {deployment(good, gone), deployment(bad, gone), false},
		"AD-06 only the new one is so": {deployment(bad, ""), deployment(bad, gone), false},
		"AD-06 the old one has null":   {deployment(bad, `,"deletionTimestamp":null`), deployment(bad, gone), false},
		"AD-06 none is":                {deployment(bad, ""), deployment(bad, `,"annotations":{"a":"b"}`), false},
	} {
		if got := validate(t, r, ask{Operation: "UPDATE", Old: test.old, Object: test.object}); got.Response.Allowed != test.allowed {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
