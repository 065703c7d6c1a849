package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// What was found in layers is found again, and nobody looks into an image twice.
func TestContentIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const spdx = "https://spdx.dev/Document"
	w.hang(w.bare, spdx, w.key.Attestation(t, w.bare.Digest, spdx, `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[{"SPDXID":"SPDXRef-1","name":"a","versionInfo":"1","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]}]}`).Raw)
	pem := strings.ReplaceAll(strings.TrimSpace(string(w.key.Trusted.PEM())), "\n", "\\n")
	p, err := policy.Parse("content.yaml", fmt.Appendf(nil, `{apiVersion: hallmark.dev/v1alpha1, kind: TrustPolicy, metadata: {name: x}, signers: {ops: {keys: [{pem: "%s\n"}]}},
 rules: [{name: all, images: ["**"], require: {sbom: {from: [ops], matchesContent: true}}}]}`, pem), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		packages []predicate.Package
		err      error
		want     policy.Verdict
	}{
		"the same":       {[]predicate.Package{{PURL: "pkg:npm/a@1", Name: "a", Version: "1", Type: "npm"}}, nil, policy.Allow},
		"another":        {[]predicate.Package{{PURL: "pkg:npm/evil@1", Name: "evil", Version: "1", Type: "npm"}}, nil, policy.Deny},
		"cannot be read": {nil, errors.New("broken layer"), policy.Undetermined},
	} {
		recorder := record.NewRecorder()
		calls := 0
		g := gate.New(p, recorder.Watch(oci.NewClient(oci.Options{})), gate.Options{
			Now: func() time.Time { return w.at },
			Content: recorder.Content(func(context.Context, gate.Target, verify.Subject) ([]predicate.Package, error) {
				calls++
				return test.packages, test.err
			}),
		})
		targets := []gate.Target{g.Target(w.bare.Ref())}
		was := report.New(p, w.at, g.JudgeTargets(t.Context(), targets)...)
		g.JudgeTargets(t.Context(), targets)
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
		if diff := cmp.Diff(text(t, was), text(t, again)); diff != "" || was.Verdict != test.want || calls != 1 {
			t.Errorf("%s: %s after %d looks:\n%s", name, was.Verdict, calls, diff)
		}
	}
}
