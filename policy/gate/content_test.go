package gate_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify"
)

const (
	wantContent = "      sbom: {from: [ops], matchesContent: true}"
	goodSBOM    = `{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-1","name":"a","versionInfo":"1","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]}]}`
)

// found is a content function that counts its calls.
func found(calls *atomic.Int32, purls ...string) gate.ContentFunc {
	return func(_ context.Context, _ gate.Target, subject verify.Subject) ([]predicate.Package, error) {
		calls.Add(1)
		if subject.Digest.IsZero() {
			return nil, errors.New("no digest")
		}
		var all []predicate.Package
		for _, purl := range purls {
			all = append(all, predicate.Package{Name: purl, Version: "1", PURL: purl})
		}
		return all, nil
	}
}

// TestMatchesContent: BM-04, the layers are read only where all else is met, and
// who cannot read them neither allows nor denies.
func TestMatchesContent(t *testing.T) {
	t.Parallel()
	broken := gate.ContentFunc(func(context.Context, gate.Target, verify.Subject) ([]predicate.Package, error) {
		return nil, errors.New("a layer is gone")
	})
	panics := gate.ContentFunc(func(context.Context, gate.Target, verify.Subject) ([]predicate.Package, error) { panic("no") })
	var calls, none atomic.Int32
	for name, row := range map[string]struct {
		body    string
		content gate.ContentFunc
		verdict policy.Verdict
		reason  verify.Reason
	}{
		"the same":          {goodSBOM, found(&calls, "pkg:npm/a@1"), policy.Allow, ""},
		"BM-04 one less":    {goodSBOM, found(&calls, "pkg:npm/a@1", "pkg:npm/b@1"), policy.Deny, policy.ReasonSBOMMismatch},
		"nobody looks":      {goodSBOM, nil, policy.Undetermined, policy.ReasonContentUnchecked},
		"it cannot be read": {goodSBOM, broken, policy.Undetermined, policy.ReasonContentUnchecked},
		"it panics":         {goodSBOM, panics, policy.Undetermined, verify.ReasonInternal},
		"BM-01 hollow":      {`{"spdxVersion":"SPDX-2.3","packages":[]}`, found(&none), policy.Deny, policy.ReasonSBOMHollow},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.attest(w.image, w.key, spdx, row.body)
			image := newGate(w.rule("index", wantContent), gate.Options{Content: row.content}).Judge(t.Context(), w.image.Ref())
			want(t, image, row.verdict, row.reason)
		})
	}
	if calls.Load() != 2 || none.Load() != 0 {
		t.Errorf("the content was looked at %d and %d times", calls.Load(), none.Load())
	}
}

// TestContentOfPlatforms: each platform's content is compared with its own SBOM, and
// that of a rule which does not ask for it is not read.
func TestContentOfPlatforms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index := w.PushIndex(repository, "index", "linux/amd64", "linux/arm64")
	for _, p := range index.Children {
		w.attest(p, w.key, spdx, goodSBOM)
	}
	var calls atomic.Int32
	want(t, newGate(w.rule("all", wantContent), gate.Options{Content: found(&calls, "pkg:npm/a@1")}).Judge(t.Context(), index.Ref()), policy.Allow, "")
	if calls.Load() != 2 {
		t.Errorf("the content was looked at %d times", calls.Load())
	}
	want(t, newGate(w.rule("all", strings.Replace(wantContent, ", matchesContent: true", "", 1)), gate.Options{Content: found(&calls)}).Judge(t.Context(), index.Ref()), policy.Allow, "")
	if calls.Load() != 2 {
		t.Error("the content is looked at where no rule asks")
	}
}

// TestContentIsNotReadInVain: where another demand refuses the image, no layer is
// read; where the rule only warns, it is.
func TestContentIsNotReadInVain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.attest(w.image, w.key, spdx, goodSBOM)
	var calls atomic.Int32
	look := gate.Options{Content: found(&calls, "pkg:npm/other@1")}
	want(t, newGate(w.rule("index", wantSignature+"\n"+wantContent), look).Judge(t.Context(), w.image.Ref()), policy.Deny, policy.ReasonNoSignature)
	if calls.Load() != 0 {
		t.Error("the content of a refused image was looked at")
	}
	warning := newGate(w.rule("index\n    mode: warn", wantContent), look).Judge(t.Context(), w.image.Ref())
	want(t, warning, policy.Allow, "")
	if calls.Load() != 1 || warning.Warned == nil || warning.Warned.Reason != policy.ReasonSBOMMismatch {
		t.Errorf("warned of %+v after %d looks", warning.Warned, calls.Load())
	}
}

// TestScanAndVEX: a scan in cosign's predicate and a VEX document are fetched, proved
// and heard together.
func TestScanAndVEX(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	scan := `{"invocation":{},"scanner":{"uri":"x","result":{"matches":[{"vulnerability":{"id":"CVE-2026-1","severity":"Critical"},"artifact":{"name":"a","version":"1","purl":"pkg:npm/a@1"}}]}},"metadata":{}}`
	vex := `{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{"vulnerability":{"name":"CVE-2026-1"},"status":"fixed","products":[{"@id":"pkg:npm/a@1"}]}]}`
	w.attest(w.image, w.key, predicate.TypeVuln, scan)
	g := newGate(w.rule("index", "      vulnerabilities: {from: [ops], maxSeverity: high, which: any, vex: [ops]}"), gate.Options{})
	want(t, g.Judge(t.Context(), w.image.Ref()), policy.Deny, policy.ReasonVulnerable)
	w.attest(w.image, w.stranger, predicate.TypeOpenVEX, vex)
	want(t, g.Judge(t.Context(), w.image.Ref()), policy.Deny, policy.ReasonVulnerable)
	w.attest(w.image, w.key, predicate.TypeOpenVEX+"/v0.2.0", vex)
	want(t, g.Judge(t.Context(), w.image.Ref()), policy.Allow, "")
}

// TestSBOMNamesItsIndex: BM-02, a platform's SBOM may call the image by the index that
// it was pulled by, however the platform was asked for.
func TestSBOMNamesItsIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index := w.PushIndex(repository, "index", "linux/amd64")
	body := `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"type":"container","name":"app","version":"` + index.Digest.String() + `"}},"components":[{"type":"library","name":"a","version":"1"}]}`
	w.attest(index.Children[0], w.key, predicate.TypeCycloneDX, body)
	const sbom = "      sbom: {from: [ops]}"
	want(t, newGate(w.rule("all", sbom), gate.Options{}).Judge(t.Context(), index.Ref()), policy.Allow, "")
	want(t, newGate(w.rule("index", sbom), gate.Options{Platform: "linux/amd64"}).Judge(t.Context(), index.Ref()), policy.Allow, "")
	want(t, newGate(w.rule("index", sbom), gate.Options{}).Judge(t.Context(), index.Children[0].Ref()), policy.Deny, policy.ReasonSBOMOtherSubject)
}
