package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// sigstores are two instances that know nothing of each other, and a world.
type sigstores struct {
	world
	acme, other *verifytest.Instance
}

func newSigstores(t *testing.T) sigstores {
	return sigstores{newWorld(t), verifytest.NewInstance(t), verifytest.NewInstance(t)}
}

// keyless hangs a keyless signature on the image.
func (s sigstores) keyless(by *verifytest.Instance, o verifytest.Options) {
	s.t.Helper()
	o.Image = s.image.Digest
	if o.Form == verifytest.LegacySignature {
		e := by.Sign(s.t, o).Evidence(s.t)
		s.AttachLegacy(s.image.Repository, s.image.Digest, "sig", registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: e.Raw, Annotations: e.Annotations})
		return
	}
	o.Statement = verifytest.Statement(s.t, o.Image, verify.SignaturePredicateType, `{}`)
	s.hang(s.image, verify.SignaturePredicateType, by.Sign(s.t, o).Evidence(s.t).Raw)
}

// policy has the roots acme and other, the signers release (an identity of acme's
// root) and ops (the world's key), and one rule.
func (s sigstores) policy(thresholds, demand string) *policy.Policy {
	s.t.Helper()
	text := fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
trustRoots:
  acme: {sigstore: acme.json%s}
  other: {sigstore: other.json}
signers:
  release: {keyless: {trustRoot: acme, issuer: %q, subject: {uri: %q}}}
  visitor: {keyless: {trustRoot: other, issuer: %[2]q, subject: {uri: %[3]q}}}
  ops: {keys: [{file: ops.pub}]}
rules:
  - name: all
    images: ["**"]
    require: {signatures: %s}
`, thresholds, verifytest.DefaultIssuer, verifytest.DefaultURI, demand)
	p, err := policy.Parse("test.yaml", []byte(text), func(name string) ([]byte, error) {
		switch name {
		case "acme.json":
			return s.acme.TrustedRoot(s.t), nil
		case "other.json":
			return s.other.TrustedRoot(s.t), nil
		}
		return s.key.Trusted.PEM(), nil
	})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// gate judges one day after everything was signed.
func (s sigstores) judge(p *policy.Policy) *report.Image {
	return newGate(p, gate.Options{Now: func() time.Time { return s.acme.ClockAtVerification }}).Judge(s.t.Context(), s.image.Ref())
}

func TestKeylessSignatures(t *testing.T) {
	t.Parallel()
	legacy := verifytest.Options{Form: verifytest.LegacySignature}
	for name, row := range map[string]struct {
		thresholds, demand string
		put                func(s sigstores)
		verdict            policy.Verdict
		reason             verify.Reason
	}{
		"bundle, log v1": {"", "{from: [release]}", func(s sigstores) { s.keyless(s.acme, verifytest.Options{}) }, policy.Allow, ""},
		"bundle, log v2": {"", "{from: [release]}", func(s sigstores) { s.keyless(s.acme, verifytest.Options{V2: true}) }, policy.Allow, ""},
		"legacy":         {"", "{from: [release]}", func(s sigstores) { s.keyless(s.acme, legacy) }, policy.Allow, ""},
		"TR-13 the right name of the wrong root": {
			"", "{from: [release]}",
			func(s sigstores) { s.keyless(s.other, verifytest.Options{}) },
			policy.Deny, "",
		},
		"TR-13 a name of a root that another signer has": {
			"", "{from: [release, visitor], atLeast: 2}",
			func(s sigstores) {
				s.keyless(s.other, verifytest.Options{})
				s.keyless(s.other, verifytest.Options{V2: true})
			},
			policy.Deny, verify.ReasonThreshold,
		},
		"one identity of each root": {
			"", "{from: [release, visitor], atLeast: 2}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{})
				s.keyless(s.other, verifytest.Options{})
			},
			policy.Allow, "",
		},
		"a key and an identity": {
			"", "{from: [release, ops], atLeast: 2}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{})
				s.sign(s.image, s.key)
			},
			policy.Allow, "",
		},
		"a key for an identity": {"", "{from: [release]}", func(s sigstores) { s.sign(s.image, s.key) }, policy.Deny, verify.ReasonKeyMismatch},
		"an identity for a key": {"", "{from: [ops]}", func(s sigstores) { s.keyless(s.acme, verifytest.Options{}) }, policy.Deny, verify.ReasonKeyMismatch},
		"CI-04 another workflow": {
			"", "{from: [release, ops]}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{Leaf: verifytest.Leaf{URIs: []string{strings.Replace(verifytest.DefaultURI, "release", "other", 1)}}})
			},
			policy.Deny, verify.ReasonIdentityMismatch,
		},
		"CI-07 two names": {
			"", "{from: [release]}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{Leaf: verifytest.Leaf{URIs: []string{"https://evil.example/x", verifytest.DefaultURI}}})
			},
			policy.Deny, verify.ReasonCertificateUsage,
		},
		"CI-08 two issuers": {
			"", "{from: [release]}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{Leaf: verifytest.Leaf{IssuerV1: "https://evil.example"}})
			},
			policy.Deny, verify.ReasonIssuerMismatch,
		},
		"SB-10 one log where two are wanted": {", log: 2", "{from: [release]}", func(s sigstores) { s.keyless(s.acme, verifytest.Options{}) }, policy.Deny, verify.ReasonThreshold},
		"CI-26 no log entry, root A, and another root": {
			"", "{from: [release, visitor]}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{}}})
			},
			policy.Deny, verify.ReasonLogMissing,
		},
		"no log entry where none is wanted": {
			", log: 0", "{from: [release, visitor]}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{}}})
			},
			policy.Allow, "",
		},
		"CI-12 no SCT": {
			"", "{from: [release, visitor, ops]}",
			func(s sigstores) {
				s.keyless(s.acme, verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}})
			},
			policy.Deny, verify.ReasonSCTMissing,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSigstores(t)
			row.put(s)
			image := s.judge(s.policy(row.thresholds, row.demand))
			if row.verdict == policy.Deny && row.reason == "" {
				if image.Verdict != policy.Deny {
					t.Errorf("decided %s", image.Verdict)
				}
				return
			}
			want(t, image, row.verdict, row.reason)
		})
	}
}

// TestKeylessReport: the report says who signed, when according to whom, and where
// it is logged; and how old the roots are.
func TestKeylessReport(t *testing.T) {
	t.Parallel()
	s := newSigstores(t)
	s.keyless(s.acme, verifytest.Options{V2: true})
	p := s.policy("", "{from: [release]}")
	r := report.New(p, s.acme.ClockAtVerification, s.judge(p))
	r.SetFetched(s.acme.Root(t).Digest(), s.acme.Now)
	var text, raw bytes.Buffer
	if err := r.WriteText(&text, report.Style{}); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&raw); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"identity: " + verifytest.DefaultURI + " (URI)", "issuer:   " + verifytest.DefaultIssuer, "root:     acme (sha256:",
		"signed:   2026-06-01T12:00:00Z, says the timestamp authority", "log:      entry ", "trust root  acme (", "fetched 2026-06-01T12:00:00Z, 24 hours ago",
	} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the text does not say %q:\n%s", part, text.String())
		}
	}
	var document struct {
		TrustRoots []struct {
			Name       string
			AgeSeconds int64
		}
		Images []struct {
			Demands []struct {
				Tried []struct {
					Identity struct{ Subject, Issuer, TrustRoot string }
					Times    []struct{ Source string }
					Log      []struct{ LogID string }
				}
			}
		}
	}
	if err := json.Unmarshal(raw.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	tried := document.Images[0].Demands[0].Tried[0]
	if tried.Identity.TrustRoot != "acme" || tried.Identity.Subject != verifytest.DefaultURI || len(tried.Times) != 1 || tried.Times[0].Source != "tsa" || len(tried.Log) != 1 || tried.Log[0].LogID == "" {
		t.Errorf("the JSON says %+v", tried)
	}
	if len(document.TrustRoots) != 2 || document.TrustRoots[0].AgeSeconds != 24*60*60 {
		t.Errorf("the JSON says %+v", document.TrustRoots)
	}
}

// TestRootsWithOneAuthority: a policy whose roots share an authority proves with
// either, and counts for the signer's own root alone.
func TestRootsWithOneAuthority(t *testing.T) {
	t.Parallel()
	s := newSigstores(t)
	s.keyless(s.acme, verifytest.Options{})
	// The second root has everything of the first but one log.
	less := s.acme.TrustedRoot(t, func(r *prototrustroot.TrustedRoot) { r.Tlogs = r.Tlogs[:3] })
	text := fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
trustRoots: {whole: {sigstore: whole}, less: {sigstore: less}}
signers:
  release: {keyless: {trustRoot: whole, issuer: %q, subject: {uri: %q}}}
  other: {keyless: {trustRoot: less, issuer: %[1]q, subject: {uri: %[2]q}}}
rules: [{name: all, images: ["**"], require: {signatures: {from: [release, other], atLeast: 1}}}]
`, verifytest.DefaultIssuer, verifytest.DefaultURI)
	for _, from := range []string{"[release, other]", "[release]", "[other]"} {
		p, err := policy.Parse("p", []byte(strings.Replace(text, "[release, other]", from, 1)), func(name string) ([]byte, error) {
			if name == "less" {
				return less, nil
			}
			return s.acme.TrustedRoot(t), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want(t, s.judge(p), policy.Allow, "")
	}
}
