package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

const custom = "https://example.com/t/v1"

// world is a registry with an image that is signed, one that has a statement, and
// one that has nothing.
type world struct {
	*registrytest.Registry
	t                      *testing.T
	key                    *verifytest.Key
	signed, attested, bare registrytest.Pushed
	at                     time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Registry: registrytest.New(t), t: t, key: verifytest.NewKey(t, "ecdsa-p256"), at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	w.signed = w.PushImage("team/signed", "1", map[string]string{"app": "signed"})
	w.attested = w.PushImage("team/attested", "1", map[string]string{"app": "attested"})
	w.bare = w.PushImage("team/bare", "1", map[string]string{"app": "bare"})
	w.hang(w.signed, verify.SignaturePredicateType, w.key.Signature(t, w.signed.Digest).Raw)
	w.hang(w.attested, custom, w.key.Attestation(t, w.attested.Digest, custom, `{"ok":true}`).Raw)
	return w
}

func (w *world) hang(on registrytest.Pushed, claim string, raw []byte) {
	w.Attach(on.Repository, on.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: raw,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": claim},
	})
}

// statements is a policy that wants a statement from the world's key.
func (w *world) statements() *policy.Policy {
	w.t.Helper()
	pem, err := json.Marshal(string(w.key.Trusted.PEM()))
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := policy.Parse("statements.yaml", fmt.Appendf(nil, `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: statements}
signers: {ops: {keys: [{pem: %s}]}}
rules: [{name: all, images: ["**"], require: {statements: [{type: %q, from: [ops]}]}}]
`, pem, custom), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// record judges images by a policy and returns the report and the record's file.
func (w *world) record(p *policy.Policy, widen bool, refs ...string) (*report.Report, []byte) {
	w.t.Helper()
	recorder := record.NewRecorder()
	source := recorder.Watch(oci.NewClient(oci.Options{Timeout: 10 * time.Second}))
	g := gate.New(p, source, gate.Options{Now: func() time.Time { return w.at }})
	var targets []gate.Target
	for _, ref := range refs {
		targets = append(targets, g.Target(ref))
	}
	r := report.New(p, w.at, g.JudgeTargets(w.t.Context(), targets)...)
	if widen {
		for _, t := range targets {
			record.Widen(w.t.Context(), t)
		}
	}
	file, err := recorder.Record(record.Verification{Policy: p, Time: w.at, Hallmark: "test", Targets: targets})
	if err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := file.Write(&out); err != nil {
		w.t.Fatal(err)
	}
	return r, out.Bytes()
}

func read(t *testing.T, raw []byte) *record.Record {
	t.Helper()
	r, err := record.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r *report.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The same report comes out, without the registry; also where something could not
// be looked at, where there is no image, and where the reference cannot be read.
func TestReplayIsTheSameReport(t *testing.T) {
	t.Parallel()
	for _, widen := range []bool{false, true} {
		w := newWorld(t)
		p, err := policy.ForKey(w.key.Trusted)
		if err != nil {
			t.Fatal(err)
		}
		w.Inject(registrytest.Match{Class: registrytest.Referrers, Repository: "team/attested"}, registrytest.Status(http.StatusForbidden))
		was, raw := w.record(p, widen, w.signed.TagRef(), w.bare.Ref(), w.attested.Ref(), w.Host()+"/team/none:1", "UPPER/case")
		w.Close()
		again, err := read(t, raw).Judge(t.Context(), record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text(t, was), text(t, again)); diff != "" {
			t.Errorf("widen %t: the replayed report differs:\n%s", widen, diff)
		}
		var verdicts []string
		for _, image := range again.Images {
			verdicts = append(verdicts, image.Verdict.String()+" "+string(image.Reason))
		}
		want := []string{"allow ", "deny NO_SIGNATURE", "undetermined REGISTRY_AUTH", "undetermined IMAGE_NOT_FOUND", "undetermined REF_INVALID"}
		if diff := cmp.Diff(want, verdicts); diff != "" {
			t.Error(diff)
		}
	}
}

// What was not asked is never taken for absent.
func TestAnotherPolicyNeedsAWideRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	byKey, err := policy.ForKey(w.key.Trusted)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		widen bool
		image string
		want  policy.Verdict
	}{
		{true, w.attested.Ref(), policy.Allow},
		{true, w.bare.Ref(), policy.Deny},
		{false, w.attested.Ref(), policy.Undetermined},
	} {
		_, raw := w.record(byKey, test.widen, test.image)
		r, err := read(t, raw).Judge(t.Context(), record.Options{Policy: w.statements()})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Images[0]; got.Verdict != test.want || !r.Time.Equal(w.at) {
			t.Errorf("%s, widened %t: %s %s, want %s", test.image, test.widen, got.Verdict, got.Reason, test.want)
		}
	}
}

// Each change of a record makes it none, or leaves no evidence that was not there.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := policy.ForKey(w.key.Trusted)
	if err != nil {
		t.Fatal(err)
	}
	_, raw := w.record(p, true, w.signed.Ref())
	for name, change := range map[string]func(*record.Record){
		"content that is not its digest": func(r *record.Record) { r.Blobs[0].Content = append([]byte("x"), r.Blobs[0].Content...) },
		"content twice":                  func(r *record.Record) { r.Blobs = append(r.Blobs, r.Blobs[0]) },
		"content missing":                func(r *record.Record) { r.Blobs = nil },
		"another form":                   func(r *record.Record) { r.Schema = "hallmark.dev/record/v2" },
		"no time":                        func(r *record.Record) { r.Time = time.Time{} },
		"no policy":                      func(r *record.Record) { r.Policy = "" },
		"no image":                       func(r *record.Record) { r.Images = nil },
		"a name beside the reference":    func(r *record.Record) { r.Images[0].Name = "docker.io/library/nginx" },
		"a source that is none":          func(r *record.Record) { r.Images[0].Source = 7 },
		"two answers": func(r *record.Record) {
			r.Sources[0].Answers = append(r.Sources[0].Answers, r.Sources[0].Answers[0])
		},
		"a digest that is resolved to another": func(r *record.Record) {
			for i := range r.Sources[0].Answers {
				if a := &r.Sources[0].Answers[i]; a.Asked.Call == "resolve" {
					a.Asked.Reference.Tag, a.Asked.Reference.Digest = "", digest.FromBytes([]byte("another"))
				}
			}
		},
		"an unknown call": func(r *record.Record) { r.Sources[0].Answers[0].Asked.Call = "push" },
		"an unknown kind of failure": func(r *record.Record) {
			a := &r.Sources[0].Answers[0]
			*a = record.Answer{Asked: a.Asked, Failure: &record.Failure{Kinds: []string{"fine"}}}
		},
		"another content": func(r *record.Record) {
			for i := range r.Sources[0].Answers {
				if a := &r.Sources[0].Answers[i]; a.Asked.Call == "blob" || a.Asked.Call == "manifest" {
					for _, b := range r.Blobs {
						if b.Digest != a.Blob {
							a.Blob = b.Digest
							return
						}
					}
				}
			}
		},
	} {
		r := read(t, raw)
		change(r)
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		if _, err := record.Read(&out); !errors.Is(err, record.ErrNoRecord) {
			t.Errorf("%s: %v, want ErrNoRecord", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty":       "",
		"a list":      "[]",
		"a typo":      strings.Replace(string(raw), `"policy"`, `"polisy"`, 1),
		"other case":  strings.Replace(string(raw), `"policy"`, `"Policy"`, 1),
		"two of them": string(raw) + string(raw),
	} {
		if _, err := record.Read(strings.NewReader(text)); !errors.Is(err, record.ErrNoRecord) {
			t.Errorf("%s: %v, want ErrNoRecord", name, err)
		}
	}
}

// A record whose answers lie cannot make evidence: only what a digest or a
// signature does not cover is by its word.
func TestAForgedRecordProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := verifytest.NewKey(t, "ecdsa-p256")
	w.hang(w.bare, verify.SignaturePredicateType, stranger.Signature(t, w.bare.Digest).Raw)
	p, err := policy.ForKey(w.key.Trusted)
	if err != nil {
		t.Fatal(err)
	}
	_, raw := w.record(p, true, w.bare.Ref())
	r, err := read(t, raw).Judge(t.Context(), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != policy.Deny || r.Images[0].Reason != verify.ReasonKeyMismatch {
		t.Errorf("%s %s", r.Verdict, r.Images[0].Reason)
	}
}

// Every failure that decides about a verdict is the same failure afterwards.
func TestJudgeOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := policy.ForKey(w.key.Trusted)
	if err != nil {
		t.Fatal(err)
	}
	_, raw := w.record(p, false, w.signed.Ref(), w.bare.Ref())
	later := w.at.AddDate(1, 0, 0)
	r, err := read(t, raw).Judge(t.Context(), record.Options{Image: w.signed.Ref(), Time: later})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Images) != 1 || r.Verdict != policy.Allow || !r.Time.Equal(later) {
		t.Errorf("%d images, %s, %s", len(r.Images), r.Verdict, r.Time)
	}
	if _, err := read(t, raw).Judge(t.Context(), record.Options{Image: "nobody"}); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"schema":"hallmark.dev/record/v1","hallmark":"x","time":"2026-05-01T12:00:00Z","policy":"x","images":[{"image":"a","source":0,"failure":{"kinds":["notFound"],"text":"x"}}],"sources":[],"blobs":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := record.Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		out, err := r.Judge(t.Context(), record.Options{})
		if err == nil && out.Verdict == policy.Allow {
			t.Errorf("a record without evidence allows:\n%s", raw)
		}
	})
}

// A changed byte of a record is refused or changes no denial into an Allow.
func TestChangedBytesAllowNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hang(w.bare, verify.SignaturePredicateType, verifytest.NewKey(t, "ecdsa-p256").Signature(t, w.bare.Digest).Raw)
	p, err := policy.ForKey(w.key.Trusted)
	if err != nil {
		t.Fatal(err)
	}
	_, raw := w.record(p, true, w.bare.TagRef())
	random := rand.New(rand.NewPCG(1, 2))
	judged := 0
	for range 400 {
		changed := bytes.Clone(raw)
		changed[random.IntN(len(changed))] ^= byte(1 << random.IntN(7))
		r, err := record.Read(bytes.NewReader(changed))
		if err != nil {
			continue
		}
		out, err := r.Judge(t.Context(), record.Options{})
		if err != nil {
			continue
		}
		judged++
		if out.Verdict == policy.Allow {
			t.Fatalf("allowed:\n%s", changed)
		}
	}
	if judged == 0 {
		t.Error("no changed record was judged")
	}
}

// An error of no known kind keeps its text, and is still "could not look".
func TestUnknownFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := policy.ForKey(w.key.Trusted)
	if err != nil {
		t.Fatal(err)
	}
	recorder := record.NewRecorder()
	g := gate.New(p, recorder.Watch(broken{oci.NewClient(oci.Options{})}), gate.Options{Now: func() time.Time { return w.at }})
	targets := []gate.Target{g.Target(w.signed.Ref())}
	was := report.New(p, w.at, g.JudgeTargets(t.Context(), targets)...)
	file, err := recorder.Record(record.Verification{Policy: p, Time: w.at, Targets: targets})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := file.Write(&out); err != nil {
		t.Fatal(err)
	}
	again, err := read(t, out.Bytes()).Judge(t.Context(), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text(t, was), text(t, again)); diff != "" || again.Verdict != policy.Undetermined || !strings.Contains(text(t, again), "the disk is on fire") {
		t.Errorf("%s\n%s", again.Verdict, diff)
	}
	if _, err := record.NewRecorder().Record(record.Verification{Policy: p, Time: w.at, Targets: targets}); err == nil {
		t.Error("targets that another recorder watched are recorded")
	}
}

// broken fails in a way that nothing knows.
type broken struct{ *oci.Client }

func (broken) Resolve(context.Context, oci.Reference) (oci.Descriptor, error) {
	return oci.Descriptor{}, errors.New("the disk is on fire")
}
