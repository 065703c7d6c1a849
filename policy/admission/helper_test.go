package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify"
)

// now is when all reviews of these tests are made.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// judge is a judge that looks at the words in an image's name: "good" is allowed,
// "down" could not be reached, "slow" hangs until the context ends, "stuck" for ever,
// "panic" panics, and all else is denied.
type judge struct {
	asked atomic.Int64 // images
	stuck chan struct{}

	mu     sync.Mutex
	images []string
	asker  admission.Asker
}

func digestFor(image string) digest.Digest { return digest.FromBytes([]byte(image)) }

func (j *judge) Judge(ctx context.Context, asker admission.Asker, images []string) []*report.Image {
	j.asked.Add(int64(len(images)))
	j.mu.Lock()
	j.images, j.asker = append(j.images, images...), asker
	j.mu.Unlock()
	all := make([]*report.Image, len(images))
	for i, image := range images {
		all[i] = j.one(ctx, image)
	}
	return all
}

func (j *judge) one(ctx context.Context, image string) *report.Image {
	result := &report.Image{Image: image, Name: "registry.example/x", Digest: digestFor(image)}
	has := func(word string) bool { return strings.Contains(image, word) }
	switch {
	case has("panic"):
		panic("the judge has a fault")
	case has("stuck"):
		<-j.stuck
	case has("slow"):
		<-ctx.Done()
		result.Reason, result.Error = policy.ReasonUnreachable, "resolving "+image+": context deadline exceeded"
		result.Digest = digest.Digest{}
	case has("down"):
		result.Reason, result.Error, result.Hint = policy.ReasonUnreachable, "resolving "+image+": connection refused", "look again when the registry is up"
		result.Digest = digest.Digest{}
	case has("half"):
		result.Reason, result.Error = policy.ReasonUnreachable, "fetching "+image+": connection refused"
		result.Demands = []policy.Demand{
			{Name: "signatures", Reason: policy.ReasonUnreachable}, {Name: "sbom", Reason: policy.ReasonContentUnchecked},
		}
	case has("login"):
		result.Reason, result.Error = policy.ReasonUnauthorized, "resolving "+image+": 401 Unauthorized"
	case has("fault"):
		result.Reason, result.Error = verify.ReasonInternal, "judging: internal fault"
	case has("nil"):
		return nil
	case has("other"):
		result.Image, result.Verdict = "registry.example/good:1", policy.Allow
	case has("warn"):
		result.Verdict, result.Warned = policy.Allow, &policy.Warned{Verdict: policy.Deny, Reason: policy.ReasonNoSignature}
	case has("except"):
		result.Verdict = policy.Allow
		result.Demands = []policy.Demand{{Name: "signatures", Verdict: policy.Deny, Skipped: &policy.Skipped{Reason: "supplier is late", Owner: "ops", Ticket: "T-1", Expires: now.Add(24 * time.Hour)}}}
	case has("good"):
		result.Verdict = policy.Allow
	default:
		result.Verdict, result.Reason = policy.Deny, policy.ReasonNoSignature
		result.Demands = []policy.Demand{{
			Name: "signatures", Verdict: policy.Deny, Reason: policy.ReasonNoSignature,
			Wanted: "a signature from ops", Found: "nothing that is signed", Hint: "hallmark sign " + image,
		}}
	}
	return result
}

func newReviewer(t testing.TB, j admission.Judge, o admission.Options) *admission.Reviewer {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return now }
	}
	r, err := admission.New(j, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ask is a request in the making.
type ask struct {
	Operation, SubResource, Namespace, User string
	Kind                                    map[string]string // nil: the object's own
	Object, Old                             string
	DryRun                                  bool
}

// body writes an AdmissionReview as the API server does.
func (a ask) body(t testing.TB) []byte {
	t.Helper()
	if a.Operation == "" {
		a.Operation = "CREATE"
	}
	if a.Namespace == "" {
		a.Namespace = "shop"
	}
	if a.User == "" {
		a.User = "jane"
	}
	kind := a.Kind
	if kind == nil {
		var head struct{ APIVersion, Kind string }
		if err := json.Unmarshal([]byte(a.Object), &head); err != nil {
			t.Fatalf("%v\n%s", err, a.Object)
		}
		group, version, found := strings.Cut(head.APIVersion, "/")
		if !found {
			group, version = "", group
		}
		kind = map[string]string{"group": group, "version": version, "kind": head.Kind}
	}
	raw := func(text string) json.RawMessage {
		if text == "" {
			text = "null"
		}
		return json.RawMessage(text)
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "u-1", "kind": kind, "resource": map[string]string{"group": "", "version": "v1", "resource": "things"},
			"requestKind": kind, "operation": a.Operation, "subResource": a.SubResource, "namespace": a.Namespace, "name": "x",
			"userInfo": map[string]any{"username": a.User, "groups": []string{"system:authenticated"}, "extra": map[string]any{}},
			"object":   raw(a.Object), "oldObject": raw(a.Old), "dryRun": a.DryRun, "options": map[string]string{"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// reply is what the API server reads.
type reply struct {
	APIVersion, Kind string
	Response         struct {
		UID     string
		Allowed bool
		Status  struct {
			Status, Message, Reason string
			Code                    int
			Details                 struct {
				Causes []struct{ Reason, Message, Field string }
			}
		}
		Patch            []byte
		PatchType        string
		AuditAnnotations map[string]string
		Warnings         []string
	}
}

func read(t testing.TB, a admission.Answer) reply {
	t.Helper()
	var r reply
	if err := json.Unmarshal(a.Body, &r); err != nil {
		t.Fatalf("%v\n%s", err, a.Body)
	}
	if a.Status == 200 && (r.APIVersion != "admission.k8s.io/v1" || r.Kind != "AdmissionReview" || r.Response.UID == "") {
		t.Fatalf("no AdmissionReview: %s", a.Body)
	}
	if r.Response.Allowed != a.Entry.Allowed {
		t.Fatalf("answered %t, wrote down %t", r.Response.Allowed, a.Entry.Allowed)
	}
	return r
}

func validate(t testing.TB, r *admission.Reviewer, a ask) reply {
	t.Helper()
	return read(t, r.Validate(t.Context(), a.body(t)))
}

// pod is a Pod with one container of each image, and whatever else its spec has.
func pod(spec string, images ...string) string {
	var all []string
	for i, image := range images {
		all = append(all, fmt.Sprintf(`{"name":"c%d","image":%q}`, i, image))
	}
	if spec != "" {
		spec = "," + spec
	}
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[%s]%s}}`, strings.Join(all, ","), spec)
}

func deployment(image, rest string) string {
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"%s},"spec":{"replicas":3,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":%q}]}}}}`, rest, image)
}

const (
	good = "registry.example/good:1"
	bad  = "registry.example/bad:1"
)

func finder(t testing.TB, custom ...workload.Custom) *workload.Finder {
	t.Helper()
	f, err := workload.NewFinder(custom...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
