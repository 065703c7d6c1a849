package admission_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// realJudge is the gate that judges in earnest.
type realJudge struct{ *gate.Gate }

func (j realJudge) Judge(ctx context.Context, _ admission.Asker, images []string) []*report.Image {
	return j.JudgeAll(ctx, images...)
}

// shop is a registry, a key, and a reviewer whose policy wants its signature.
type shop struct {
	*registrytest.Registry
	t        *testing.T
	key      *verifytest.Key
	reviewer *admission.Reviewer
}

func newShop(t *testing.T, platforms string, o admission.Options) shop {
	t.Helper()
	s := shop{registrytest.New(t), t, verifytest.NewKey(t, "ecdsa-p256"), nil}
	pem := strings.ReplaceAll(strings.TrimSpace(string(s.key.Trusted.PEM())), "\n", "\n          ")
	p, err := policy.Parse("test.yaml", fmt.Appendf(nil, `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
signers:
  ops:
    keys:
      - pem: |
          %s
rules:
  - name: all
    images: ["**"]
    platforms: %s
    require:
      signatures: {from: [ops]}
`, pem, platforms), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := gate.New(p, oci.NewClient(oci.Options{Timeout: 10 * time.Second}), gate.Options{})
	s.reviewer = newReviewer(t, realJudge{g}, o)
	return s
}

func (s shop) sign(on registrytest.Pushed) {
	s.Attach(on.Repository, on.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: s.key.Signature(s.t, on.Digest).Raw,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
	})
}

func (s shop) validate(a ask, allowed bool, want string) reply {
	s.t.Helper()
	got := validate(s.t, s.reviewer, a)
	if got.Response.Allowed != allowed || !strings.Contains(got.Response.Status.Message, want) {
		s.t.Errorf("allowed %t, want %t and %q:\n%s", got.Response.Allowed, allowed, want, got.Response.Status.Message)
	}
	return got
}

// TestAttackAD07MovedTag: AD-07, AD-14, AD-19: a tag that was signed is moved to an image
// that is not.
func TestAttackAD07MovedTag(t *testing.T) {
	t.Parallel()
	s := newShop(t, "index", admission.Options{})
	first := s.PushImage("team/app", "1.0", map[string]string{"app": "good"})
	s.sign(first)
	other := s.PushImage("team/other", "1.0", map[string]string{"app": "other"})
	s.validate(ask{Object: pod("", first.TagRef())}, true, "")
	pinned := read(t, s.reviewer.Mutate(t.Context(), ask{Object: pod("", first.TagRef())}.body(t)))
	if want := "/spec/containers/0/image=" + first.TagRef() + "@" + first.Digest.String(); strings.Join(patchOf(t, pinned), " ") != want {
		t.Errorf("pinned %v, want %s", patchOf(t, pinned), want)
	}

	moved := s.PushImage("team/app", "1.0", map[string]string{"app": "evil"})
	s.validate(ask{Object: pod("", moved.TagRef())}, false, "spec.containers[0].image: "+moved.TagRef()+": denied, NO_SIGNATURE")
	s.validate(ask{Object: pod("", first.TagRef()+"@"+first.Digest.String())}, true, "")
	s.validate(ask{Operation: "UPDATE", Old: pod("", first.TagRef()+"@"+first.Digest.String()), Object: pod("", moved.TagRef())}, false, "NO_SIGNATURE")
	s.validate(ask{Operation: "UPDATE", Old: pod("", first.TagRef()), Object: pod("", other.TagRef())}, false, "NO_SIGNATURE")
	restart := strings.Replace(deployment(moved.TagRef(), ""), `"a":"b"`, `"a":"c"`, 1)
	s.validate(ask{Operation: "UPDATE", Old: deployment(moved.TagRef(), ""), Object: restart}, true, "")
}

// TestAttackAD26Platforms: AD-26: where all platforms are wanted, one that is not signed
// refuses the index, whatever node the Pod comes to.
func TestAttackAD26Platforms(t *testing.T) {
	t.Parallel()
	s := newShop(t, "all", admission.Options{})
	index := s.PushIndex("team/multi", "1", "linux/amd64", "linux/arm64")
	s.sign(index)
	s.sign(index.Children[0])
	s.validate(ask{Object: pod("", index.TagRef())}, false, "NO_SIGNATURE")
	s.sign(index.Children[1])
	s.validate(ask{Object: pod("", index.TagRef())}, true, "")
	// Where the index alone is wanted, its own signature is.
	lax := newShop(t, "index", admission.Options{})
	index = lax.PushIndex("team/multi", "1", "linux/amd64", "linux/arm64")
	lax.sign(index.Children[0])
	lax.validate(ask{Object: pod("", index.TagRef())}, false, "NO_SIGNATURE")
	lax.sign(index)
	lax.validate(ask{Object: pod("", index.TagRef())}, true, "")
}

// TestAttackAD11RegistryDown: AD-11: a registry that fails is "could not check", and
// never "denied".
func TestAttackAD11RegistryDown(t *testing.T) {
	t.Parallel()
	s := newShop(t, "index", admission.Options{})
	image := s.PushImage("team/app", "1.0", map[string]string{"app": "good"})
	s.sign(image)
	s.Inject(registrytest.Match{}, registrytest.Status(503))
	got := s.validate(ask{Object: pod("", image.TagRef())}, false, "could not check, REGISTRY_UNREACHABLE")
	if strings.Contains(got.Response.Status.Message, "denied") {
		t.Errorf("%s", got.Response.Status.Message)
	}
	s.ClearFaults()
	s.validate(ask{Object: pod("", image.TagRef())}, true, "")
	// One that is not there is no finding against it either, and never allowed.
	s.validate(ask{Object: pod("", s.Host()+"/team/none:1")}, false, "IMAGE_NOT_FOUND")
}

// TestAttackAD11IndexOfNothing: AD-11: who may push an index names one in it that is not
// there. That is an answer of the registry, and nothing that is let pass when it does not
// answer.
func TestAttackAD11IndexOfNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, "all", admission.Options{Unavailable: admission.UnavailableAllow})
	inner := s.PushIndex("team/evil", "inner", "linux/arm64")
	outer := s.PutJSON("team/evil", "1", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{inner.Descriptor}})
	s.Inject(registrytest.Match{Path: inner.Digest.String()}, registrytest.Status(404))
	got := s.validate(ask{Object: pod("", outer.TagRef())}, false, "IMAGE_NOT_FOUND")
	if len(got.Response.Warnings) > 0 {
		t.Errorf("AD-11 %v", got.Response.Warnings)
	}
}

// TestUnavailableAllow: AD-11: what was meant is what passes: an image whose registry, or
// whose evidence, could not be reached.
func TestUnavailableAllow(t *testing.T) {
	t.Parallel()
	for _, class := range []registrytest.Class{"", registrytest.Referrers} {
		s := newShop(t, "index", admission.Options{Unavailable: admission.UnavailableAllow})
		image := s.PushImage("team/app", "1.0", map[string]string{"app": "good"})
		s.Inject(registrytest.Match{Class: class}, registrytest.Status(503))
		for _, ref := range []string{image.TagRef(), image.Ref()} {
			s.validate(ask{Object: pod("", ref)}, true, "")
		}
	}
}
