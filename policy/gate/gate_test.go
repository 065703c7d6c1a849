package gate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

func TestEvidenceIsFoundWhereverItLies(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		for name, put := range map[string]func(w world){
			"bundles": func(w world) { w.sign(w.image, w.key); w.attest(w.image, w.key, custom, `{}`) },
			"legacy":  func(w world) { w.signLegacy(w.image, w.key); w.attestLegacy(w.image, w.key, custom, `{}`) },
			"mixed":   func(w world) { w.signLegacy(w.image, w.key); w.attest(w.image, w.key, custom, `{}`) },
			"mixed the other way": func(w world) {
				w.sign(w.image, w.key)
				w.attestLegacy(w.image, w.key, custom, `{}`)
			},
		} {
			t.Run(fmt.Sprintf("%s, referrers API %v", name, api), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, registrytest.WithReferrers(api))
				put(w)
				g := newGate(w.rule("index", wantSignature+"\n"+w.wantStatement()), gate.Options{})
				want(t, g.Judge(t.Context(), w.image.Ref()), policy.Allow, "")
				image := g.Judge(t.Context(), w.image.TagRef())
				want(t, image, policy.Allow, "")
				if image.Digest != w.image.Digest || image.Tag != "1.0" {
					t.Errorf("judged %s under tag %q", image.Digest, image.Tag)
				}
			})
		}
	}
}

func TestSB18NothingThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("SB-18 no signature", func(t *testing.T) {
		t.Parallel()
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Deny, policy.ReasonNoSignature)
	})
	t.Run("SB-18 no attestation", func(t *testing.T) {
		t.Parallel()
		want(t, newGate(w.rule("index", w.wantStatement()), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Deny, policy.ReasonNoAttestation)
	})
	t.Run("OC-22 an index without platforms", func(t *testing.T) {
		t.Parallel()
		empty := w.PutJSON(repository, "empty", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{}})
		w.sign(empty, w.key)
		want(t, newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), empty.Ref()), policy.Deny, policy.ReasonNoPlatform)
	})
	t.Run("OC-22 an index of attestations only", func(t *testing.T) {
		t.Parallel()
		entry := w.image.Descriptor
		entry.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		entry.Platform = &registrytest.Platform{OS: "unknown", Architecture: "unknown"}
		hollow := w.PutJSON(repository, "hollow", oci.TypeIndex, map[string]any{
			"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{entry},
		})
		w.sign(hollow, w.key)
		want(t, newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), hollow.Ref()), policy.Deny, policy.ReasonNoPlatform)
	})
}

// TestPlatformThatCallsItselfAnAttestation: OC-22, what a runtime would run is a
// platform, whatever its annotation says.
func TestPlatformThatCallsItselfAnAttestation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	evil := w.PushImage(repository, "", map[string]string{"app": "evil"})
	for name, platform := range map[string]*registrytest.Platform{"": nil, "linux/arm64": {OS: "linux", Architecture: "arm64"}} {
		w := newWorld(t)
		good, hidden := w.image.Descriptor, w.PushImage(repository, "", map[string]string{"app": "evil"}).Descriptor
		good.Platform = &registrytest.Platform{OS: "linux", Architecture: "amd64"}
		hidden.Platform, hidden.Annotations = platform, map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": good.Digest.String()}
		index := w.PutJSON(repository, "multi", oci.TypeIndex, map[string]any{
			"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{good, hidden},
		})
		w.sign(index, w.key)
		w.sign(w.image, w.key)
		image := newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), index.Ref())
		want(t, image, policy.Deny, policy.ReasonNoSignature)
		if last := image.Demands[len(image.Demands)-1]; last.Digest != evil.Digest {
			t.Errorf("OC-22 %q: the demand is about %s", name, last.Digest)
		}
	}
}

func TestOC02TagIsResolvedOnce(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 5; n++ {
		t.Run(fmt.Sprintf("OC-02 the tag moves after request %d", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			evil := w.PushImage(repository, "", map[string]string{"app": "evil"})
			w.sign(w.image, w.key)
			w.FlipTag(repository, "1.0", n, evil)
			image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.TagRef())
			want(t, image, policy.Allow, "")
			if image.Digest != w.image.Digest {
				t.Errorf("the verdict is about %s, and what was verified is %s", image.Digest, w.image.Digest)
			}
			if got := w.Count("", registrytest.Tag); got != 1 {
				t.Errorf("%d requests for the tag:\n%s", got, w.Log())
			}
		})
	}
	t.Run("OC-02 denied, too", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.TagRef())
		if got := w.Count("", registrytest.Tag); got != 1 {
			t.Errorf("%d requests for the tag:\n%s", got, w.Log())
		}
	})
	t.Run("OC-02 the header lies", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		evil := w.PushImage(repository, "evil", map[string]string{"app": "evil"})
		w.sign(w.image, w.key)
		w.Inject(registrytest.Match{Class: registrytest.Tag}, registrytest.SetHeader("Docker-Content-Digest", w.image.Digest.String()))
		image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), evil.TagRef())
		if image.Verdict == policy.Allow && image.Digest != w.image.Digest {
			t.Errorf("allowed %s, which nobody signed", image.Digest)
		}
	})
}

func TestNothingIsKeptBetweenCalls(t *testing.T) {
	t.Parallel()
	t.Run("OC-03 the tag moves to an unsigned image", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sign(w.image, w.key)
		g := newGate(byKey(t, w.key), gate.Options{})
		want(t, g.Judge(t.Context(), w.image.TagRef()), policy.Allow, "")
		evil := w.PushImage(repository, "1.0", map[string]string{"app": "evil"})
		image := g.Judge(t.Context(), w.image.TagRef())
		want(t, image, policy.Deny, policy.ReasonNoSignature)
		if image.Digest != evil.Digest {
			t.Errorf("judged %s", image.Digest)
		}
	})
	t.Run("OC-04 two policies on one image, and one call with two names", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sign(w.image, w.key)
		c := client()
		want(t, gate.New(byKey(t, w.key), c, gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Allow, "")
		want(t, gate.New(byKey(t, w.stranger), c, gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Deny, verify.ReasonKeyMismatch)
		copied := w.PushImage("other/app", "1.0", map[string]string{"app": "x"})
		if copied.Digest != w.image.Digest {
			t.Fatal("the copy differs")
		}
		both := newGate(byKey(t, w.key), gate.Options{}).JudgeAll(t.Context(), w.image.Ref(), copied.Ref())
		want(t, both[0], policy.Allow, "")
		want(t, both[1], policy.Deny, policy.ReasonNoSignature)
	})
	t.Run("OC-05 a failure is not remembered", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sign(w.image, w.key)
		g := newGate(byKey(t, w.key), gate.Options{})
		w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500))
		want(t, g.Judge(t.Context(), w.image.Ref()), policy.Undetermined, policy.ReasonUnreachable)
		w.ClearFaults()
		want(t, g.Judge(t.Context(), w.image.Ref()), policy.Allow, "")
	})
}

func TestFloods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 150 {
		w.hang(w.image, verify.SignaturePredicateType, fmt.Appendf(nil, `{"junk":%d}`, i))
	}
	t.Run("OC-13 OC-14 junk alone", func(t *testing.T) {
		t.Parallel()
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Undetermined, verify.ReasonLimitExceeded)
	})
	t.Run("OC-14 junk that claims nothing, and a good one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for i := range 150 {
			w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: fmt.Appendf(nil, `{"junk":%d}`, i), Embed: true})
		}
		w.sign(w.image, w.key)
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Allow, "")
	})
}

func TestOC15ForgedReferrer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registrytest.WithReferrers(false))
	other := w.PushImage(repository, "other", map[string]string{"app": "y"})
	w.Attach(repository, w.image.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: w.key.Signature(t, other.Digest).Raw, Subject: &other.Descriptor,
		Annotations: map[string]string{"dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
	})
	want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Deny, verify.ReasonSubjectMismatch)
}

func TestCouldNotLook(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		match  registrytest.Match
		fault  registrytest.Fault
		reason verify.Reason
	}{
		"OC-16 referrers 500":      {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500), policy.ReasonUnreachable},
		"OC-16 referrers 406":      {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(406), policy.ReasonUnreachable},
		"OC-16 referrers web page": {registrytest.Match{Class: registrytest.Referrers}, registrytest.HTML(), policy.ReasonUnreachable},
		"OC-41 referrers 401":      {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(401), policy.ReasonUnauthorized},
		"OC-41 referrers 403":      {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(403), policy.ReasonUnauthorized},
		"OC-41 referrers 429":      {registrytest.Match{Class: registrytest.Referrers}, registrytest.TooManyRequests(3600), policy.ReasonUnreachable},
		"OC-41 signature tag 403":  {registrytest.Match{Class: registrytest.LegacyTag}, registrytest.Status(403), policy.ReasonUnauthorized},
		"OC-41 signature tag 500":  {registrytest.Match{Class: registrytest.LegacyTag}, registrytest.Status(500), policy.ReasonUnreachable},
		"ping 500":                 {registrytest.Match{Class: registrytest.Ping}, registrytest.Status(500), policy.ReasonUnreachable},
		"no such image":            {registrytest.Match{Class: registrytest.Manifest}, registrytest.Status(404), policy.ReasonNoImage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Inject(test.match, test.fault)
			image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref())
			want(t, image, policy.Undetermined, test.reason)
			if image.Hint == "" {
				t.Error("no hint")
			}
		})
	}
	t.Run("OC-16 the error stays beside a good signature elsewhere", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.signLegacy(w.image, w.key)
		w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500))
		image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref())
		want(t, image, policy.Allow, "")
		if len(image.Unseen) != 1 {
			t.Errorf("the place that could not be looked at is not reported: %v", image.Unseen)
		}
	})
	t.Run("no such image, all platforms wanted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Inject(registrytest.Match{Class: registrytest.Manifest}, registrytest.Status(404))
		want(t, newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Undetermined, policy.ReasonNoImage)
	})
	t.Run("tags that do not exist", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.Host()+"/"+repository+":nope"), policy.Undetermined, policy.ReasonNoImage)
	})
	t.Run("the registry is down", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Close()
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Undetermined, policy.ReasonUnreachable)
	})
	t.Run("the registry hangs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Hang())
		want(t, newGate(byKey(t, w.key), gate.Options{Timeout: 300 * time.Millisecond}).Judge(t.Context(), w.image.Ref()), policy.Undetermined, policy.ReasonUnreachable)
	})
	t.Run("a reference that cannot be read", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), "Registry.example/App"), policy.Undetermined, policy.ReasonReference)
	})
	t.Run("platforms that cannot be listed are not zero platforms", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		index := w.PushIndex(repository, "multi", "linux/amd64")
		w.sign(index, w.key)
		w.Inject(registrytest.Match{Class: registrytest.Manifest, Path: index.Digest.Hex()}, registrytest.Status(500))
		want(t, newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), index.Ref()), policy.Undetermined, policy.ReasonUnreachable)
	})
}

func TestOC19IndexAndPlatform(t *testing.T) {
	t.Parallel()
	warned := func(image *report.Image, words ...string) bool {
		all := strings.Join(image.Warnings, "\n")
		for _, word := range words {
			if !strings.Contains(all, word) {
				return false
			}
		}
		return true
	}
	t.Run("OC-19 only the index is signed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		index := w.PushIndex(repository, "multi", "linux/amd64", "linux/arm64")
		w.sign(index, w.key)
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), index.TagRef()), policy.Allow, "")
		arm := index.Children[1]
		image := newGate(byKey(t, w.key), gate.Options{Platform: "linux/arm64"}).Judge(t.Context(), index.TagRef())
		want(t, image, policy.Deny, policy.ReasonNoSignature)
		if image.Digest != arm.Digest || !warned(image, "signed is the index "+index.Digest.String(), "linux/arm64") {
			t.Errorf("digest %s, warnings %q", image.Digest, image.Warnings)
		}
		byDigest := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), index.TagRef()+"@"+arm.Digest.String())
		want(t, byDigest, policy.Deny, policy.ReasonNoSignature)
		if !warned(byDigest, "signed is the index "+index.Digest.String()) {
			t.Errorf("warnings %q", byDigest.Warnings)
		}
		want(t, newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), index.TagRef()), policy.Deny, policy.ReasonNoSignature)
	})
	t.Run("OC-19 only a platform is signed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		index := w.PushIndex(repository, "multi", "linux/amd64", "linux/arm64")
		w.signLegacy(index.Children[0], w.key)
		image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), index.TagRef())
		want(t, image, policy.Deny, policy.ReasonNoSignature)
		if !warned(image, "linux/amd64 "+index.Children[0].Digest.String()) || warned(image, "linux/arm64") {
			t.Errorf("warnings %q", image.Warnings)
		}
		want(t, newGate(byKey(t, w.key), gate.Options{Platform: "linux/amd64"}).Judge(t.Context(), index.TagRef()), policy.Allow, "")
		want(t, newGate(byKey(t, w.key), gate.Options{Platform: "linux/riscv64"}).Judge(t.Context(), index.TagRef()), policy.Deny, policy.ReasonNoPlatform)
	})
	t.Run("OC-19 what is met on both levels is no hint", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		index := w.PushIndex(repository, "multi", "linux/amd64")
		w.sign(index, w.key)
		w.sign(index.Children[0], w.key)
		image := newGate(w.rule("index", wantSignature+"\n"+w.wantStatement()), gate.Options{}).Judge(t.Context(), index.Ref())
		want(t, image, policy.Deny, policy.ReasonNoAttestation)
		if len(image.Warnings) != 0 {
			t.Errorf("warnings %q", image.Warnings)
		}
	})
	t.Run("OC-19 all must be signed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		index := w.PushIndex(repository, "multi", "linux/amd64", "linux/arm64")
		g := newGate(w.rule("all", wantSignature), gate.Options{})
		w.sign(index, w.key)
		w.sign(index.Children[0], w.key)
		image := g.Judge(t.Context(), index.Ref())
		want(t, image, policy.Deny, policy.ReasonNoSignature)
		for _, d := range image.Demands {
			if (d.Verdict == policy.Allow) == (d.Platform == "linux/arm64") {
				t.Errorf("%s on %q: %s", d.Name, d.Platform, d.Verdict)
			}
		}
		w.signLegacy(index.Children[1], w.key)
		want(t, g.Judge(t.Context(), index.Ref()), policy.Allow, "")
	})
	t.Run("OC-22 an empty index within an index", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		empty := w.PutJSON(repository, "", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{}})
		outer := w.PutJSON(repository, "outer", oci.TypeIndex, map[string]any{
			"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{w.image.Descriptor, empty.Descriptor},
		})
		w.sign(outer, w.key)
		w.sign(w.image, w.key)
		image := newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), outer.Ref())
		if image.Verdict == policy.Allow {
			t.Error("allowed")
		}
		full := w.PutJSON(repository, "full", oci.TypeIndex, map[string]any{
			"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{outerOf(w, w.image).Descriptor},
		})
		w.sign(full, w.key)
		want(t, newGate(w.rule("all", wantSignature), gate.Options{}).Judge(t.Context(), full.Ref()), policy.Allow, "")
	})
	t.Run("OC-19 two manifests of one platform", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		evil := w.PushImage(repository, "", map[string]string{"app": "evil"})
		entries := []registrytest.Descriptor{w.image.Descriptor, evil.Descriptor}
		for i := range entries {
			entries[i].Platform = &registrytest.Platform{OS: "linux", Architecture: "amd64"}
		}
		index := w.PutJSON(repository, "twice", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": entries})
		w.sign(w.image, w.key)
		want(t, newGate(byKey(t, w.key), gate.Options{Platform: "linux/amd64"}).Judge(t.Context(), index.Ref()), policy.Deny, policy.ReasonNoPlatform)
	})
	t.Run("a platform of an image that is no index", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sign(w.image, w.key)
		want(t, newGate(byKey(t, w.key), gate.Options{Platform: "linux/amd64"}).Judge(t.Context(), w.image.Ref()), policy.Allow, "")
		want(t, newGate(byKey(t, w.key), gate.Options{Platform: "linux/arm64"}).Judge(t.Context(), w.image.Ref()), policy.Deny, policy.ReasonNoPlatform)
	})
}

func TestBuildKitAttestationsAreReportedUnsigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	statement := w.PutJSON(repository, "", oci.TypeImage, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeImage, "config": w.PutBlob(repository, oci.TypeConfig, []byte("{}")), "layers": []any{},
	})
	entry := statement.Descriptor
	entry.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": w.image.Digest.String()}
	entry.Platform = &registrytest.Platform{OS: "unknown", Architecture: "unknown"}
	index := w.PutJSON(repository, "built", oci.TypeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{w.image.Descriptor, entry},
	})
	image := newGate(w.rule("index", w.wantStatement()), gate.Options{}).Judge(t.Context(), index.Ref())
	want(t, image, policy.Deny, policy.ReasonNoAttestation)
	if !strings.Contains(tried(image), "-UNSIGNED") {
		t.Errorf("tried %s", tried(image))
	}
}

func TestDS21PayloadDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hang(w.image, custom, w.key.Attestation(t, w.image.Digest, spdx, `{}`).Raw)
	g := newGate(w.rule("index", w.wantStatement()), gate.Options{})
	image := g.Judge(t.Context(), w.image.Ref())
	if image.Verdict != policy.Deny || !strings.Contains(tried(image), "-PREDICATE_TYPE") {
		t.Errorf("DS-21: %s, tried %s", image.Verdict, tried(image))
	}
	t.Run("DS-21 an attestation that cosign 2.6 labels as a signature is an attestation", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sign(w.image, w.key)
		w.hang(w.image, verify.SignaturePredicateType, w.key.Attestation(t, w.image.Digest, custom, `{}`).Raw)
		image := newGate(w.rule("index", wantSignature+"\n"+w.wantStatement()), gate.Options{}).Judge(t.Context(), w.image.Ref())
		want(t, image, policy.Allow, "")
	})
	t.Run("DS-21 a statement dressed as a signature", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.hang(w.image, verify.SignaturePredicateType, w.key.Attestation(t, w.image.Digest, custom, `{}`).Raw)
		image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref())
		if image.Verdict != policy.Deny || !strings.Contains(tried(image), "-PREDICATE_TYPE") {
			t.Errorf("%s, tried %s", image.Verdict, tried(image))
		}
	})
}

func TestDS03OnlyWhatCountedIsReportedAsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.attest(w.image, w.key, custom, `{"ok":true}`)
	w.attest(w.image, w.key, custom, `{"ok":false}`)
	w.attest(w.image, w.stranger, custom, `{"ok":true}`)
	p := w.rule("index", fmt.Sprintf("      statements: [{type: %q, from: [ops], cel: ['statement.predicate.ok == true']}]", custom))
	image := newGate(p, gate.Options{}).Judge(t.Context(), w.image.Ref())
	want(t, image, policy.Allow, "")
	if got := tried(image); strings.Count(got, "+") != 1 || !strings.Contains(got, "-KEY_MISMATCH") || !strings.Contains(got, "-POLICY_DENY") {
		t.Errorf("DS-03: tried %s", got)
	}
}

func TestSB24CopiedToAnotherRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	copied := w.PushImage("evil/app", "1.0", map[string]string{"app": "x"})
	w.signedFor(copied, w.Host()+"/"+repository)
	image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), copied.Ref())
	want(t, image, policy.Allow, "")
	if got := strings.Join(image.Warnings, "\n"); !strings.Contains(got, w.Host()+"/"+repository) {
		t.Errorf("SB-24: the report does not say for which name it was signed: %q", got)
	}
	t.Run("SB-24 its own name is no news", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.signedFor(w.image, w.image.TagRef())
		image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref())
		want(t, image, policy.Allow, "")
		if len(image.Warnings) != 0 {
			t.Errorf("warnings %q", image.Warnings)
		}
	})
}

func TestSB26OrderOfKeysAndSignatures(t *testing.T) {
	t.Parallel()
	for _, legacy := range []bool{false, true} {
		for name, by := range map[string]func(w world) []*verifytest.Key{
			"good first": func(w world) []*verifytest.Key { return []*verifytest.Key{w.key, w.stranger} },
			"good last":  func(w world) []*verifytest.Key { return []*verifytest.Key{w.stranger, w.key} },
		} {
			t.Run(fmt.Sprintf("SB-26 %s, legacy %v", name, legacy), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				var layers []registrytest.LegacyLayer
				for _, key := range by(w) {
					if e := key.LegacySignature(t, w.image.Digest); legacy {
						layers = append(layers, registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: e.Raw, Annotations: e.Annotations})
					} else {
						w.sign(w.image, key)
					}
				}
				if legacy {
					w.AttachLegacy(repository, w.image.Digest, "sig", layers...)
				}
				nobody := verifytest.NewKey(t, "ecdsa-p256")
				for _, keys := range [][]*verifytest.Key{{w.key, nobody}, {nobody, w.key}} {
					want(t, newGate(byKey(t, keys...), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Allow, "")
				}
				want(t, newGate(byKey(t, nobody), gate.Options{}).Judge(t.Context(), w.image.Ref()), policy.Deny, verify.ReasonKeyMismatch)
			})
		}
	}
}

func TestOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(w.image, w.key)
	unsigned := w.PushImage(repository, "2.0", map[string]string{"app": "y"})
	t.Run("answers are in the order asked, whatever becomes of each", func(t *testing.T) {
		t.Parallel()
		refs := []string{w.image.TagRef(), "Bad/Name", unsigned.Ref(), w.Host() + "/team/missing:1", w.image.Ref(), w.image.TagRef()}
		images := newGate(byKey(t, w.key), gate.Options{}).JudgeAll(t.Context(), refs...)
		verdicts := []policy.Verdict{policy.Allow, policy.Undetermined, policy.Deny, policy.Undetermined, policy.Allow, policy.Allow}
		for i, image := range images {
			if image.Image != refs[i] || image.Verdict != verdicts[i] {
				t.Errorf("%d: %s is %s, want %s %s", i, image.Image, image.Verdict, refs[i], verdicts[i])
			}
		}
	})
	t.Run("an unknown repository says nothing about the registry's other images", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sign(w.image, w.key)
		// A registry may answer NAME_UNKNOWN to everything below a name that it does not know.
		w.Inject(registrytest.Match{Repository: "team/unknown"}, registrytest.Answer(404, "application/json", []byte(`{"errors":[{"code":"NAME_UNKNOWN"}]}`)))
		g := newGate(byKey(t, w.key), gate.Options{})
		want(t, g.Judge(t.Context(), w.Host()+"/team/unknown@"+w.image.Digest.String()), policy.Undetermined, policy.ReasonNoImage)
		want(t, g.Judge(t.Context(), w.image.Ref()), policy.Allow, "")
	})
	t.Run("answers share no memory", func(t *testing.T) {
		t.Parallel()
		images := newGate(byKey(t, w.key), gate.Options{}).JudgeAll(t.Context(), w.image.Ref(), w.image.TagRef(), w.image.Ref())
		for i, image := range images {
			if len(image.Demands) != 1 || image.Demands[0].Name != "signatures" || len(image.Demands[0].Tried) != 1 || image.Demands[0].Tried[0].Signer == "" {
				t.Errorf("%d: somebody wrote to it: %+v", i, image.Demands)
			}
			image.Demands[0].Tried[0] = policy.Attempt{}
			image.Demands[0].Name = ""
		}
	})
	t.Run("no image", func(t *testing.T) {
		t.Parallel()
		if images := newGate(byKey(t, w.key), gate.Options{}).JudgeAll(t.Context()); len(images) != 0 {
			t.Errorf("%d answers", len(images))
		}
	})
	t.Run("a fault in one image stays there", func(t *testing.T) {
		t.Parallel()
		g := gate.New(byKey(t, w.key), faulty{client(), unsigned.Digest.String()}, gate.Options{})
		images := g.JudgeAll(t.Context(), unsigned.Ref(), w.image.Ref(), unsigned.Ref())
		want(t, images[0], policy.Undetermined, verify.ReasonInternal)
		want(t, images[1], policy.Allow, "")
		want(t, images[2], policy.Undetermined, verify.ReasonInternal)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("stop"))
		want(t, newGate(byKey(t, w.key), gate.Options{}).Judge(ctx, w.image.Ref()), policy.Undetermined, policy.ReasonUnreachable)
	})
	t.Run("a policy that governs nothing asks nobody", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		want(t, newGate(&policy.Policy{}, gate.Options{}).Judge(t.Context(), w.image.TagRef()), policy.Deny, policy.ReasonNoMatch)
		if len(w.Requests()) != 0 {
			t.Errorf("requests:\n%s", w.Log())
		}
	})
}

// faulty panics when one image's evidence is looked for.
type faulty struct {
	*oci.Client
	digest string
}

func (f faulty) Manifest(ctx context.Context, r oci.Reference, d oci.Descriptor) (*oci.Manifest, error) {
	if r.Digest.String() == f.digest {
		panic("a fault of the test")
	}
	return f.Client.Manifest(ctx, r, d)
}

// outerOf puts an image into an index of its own.
func outerOf(w world, image registrytest.Pushed) registrytest.Pushed {
	return w.PutJSON(repository, "", oci.TypeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{image.Descriptor},
	})
}
