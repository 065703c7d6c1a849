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
