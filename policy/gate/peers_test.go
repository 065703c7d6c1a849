package gate_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// TestAnAttestationIsNoSignature: whoever attests to an image has not released it.
func TestAnAttestationIsNoSignature(t *testing.T) {
	t.Parallel()
	for _, legacy := range []bool{false, true} {
		w := newWorld(t)
		if legacy {
			w.attestLegacy(w.image, w.key, custom, `{}`)
		} else {
			w.attest(w.image, w.key, custom, `{}`)
		}
		// The same statement without a word of what it is, so that it is fetched.
		w.Attach(repository, w.image.Descriptor, registrytest.Artifact{
			Type: verifytest.BundleMediaType, Content: w.key.Attestation(t, w.image.Digest, "https://slsa.dev/provenance/v1", `{}`).Raw,
		})
		image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref())
		want(t, image, policy.Deny, policy.ReasonNoSignature)
		if !strings.Contains(image.Demands[0].Found, "not a signature") {
			t.Errorf("the report does not say why: %q", image.Demands[0].Found)
		}
	}
}

// TestNoCheckIsClaimedThatWasNotMade: a key's signature without a log entry has
// no log, no time and no certificate.
func TestNoCheckIsClaimedThatWasNotMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(w.image, w.key)
	image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref())
	want(t, image, policy.Allow, "")
	for _, a := range image.Demands[0].Tried {
		for _, never := range []verify.Step{verify.StepLog, verify.StepTimestamp, verify.StepCertificate, verify.StepSCT} {
			if slices.Contains(a.Checks, never) {
				t.Errorf("claims the check %q", never)
			}
		}
	}
	var text strings.Builder
	if err := report.New(nil, time.Time{}, image).WriteText(&text, report.Style{}); err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"log", "timestamp", "certificate", "transparency"} {
		if strings.Contains(text.String(), never) {
			t.Errorf("the report speaks of a %s:\n%s", never, text.String())
		}
	}
}

// junk is what lies beside good evidence.
func junk(t *testing.T) map[string]func(w world) {
	return map[string]func(w world){
		"a bundle by another key":              func(w world) { w.sign(w.image, w.stranger) },
		"an attestation bundle by another key": func(w world) { w.attest(w.image, w.stranger, custom, `{}`) },
		"a broken bundle":                      func(w world) { w.hang(w.image, verify.SignaturePredicateType, []byte(`{"broken`)) },
		"an empty bundle":                      func(w world) { w.hang(w.image, "", []byte(`{}`)) },
		"a bundle about another image": func(w world) {
			w.hang(w.image, verify.SignaturePredicateType, w.key.Signature(t, w.PushImage(repository, "o", nil).Digest).Raw)
		},
		"another scheme's signature": func(w world) {
			w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: "application/vnd.cncf.notary.signature", MediaType: "application/jose+json", Content: []byte("{}")})
		},
		"a type that nobody knows": func(w world) {
			w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: "application/x-unknown", Content: []byte("?")})
		},
		"no type at all": func(w world) {
			w.Attach(repository, w.image.Descriptor, registrytest.Artifact{MediaType: "text/plain", Content: []byte("?")})
		},
		"a broken signature tag": func(w world) {
			if _, _, taken := w.Manifest(repository, oci.FallbackTag(w.image.Digest)+".sig"); !taken {
				w.AttachLegacy(repository, w.image.Digest, "sig", registrytest.LegacyLayer{MediaType: "text/html", Content: []byte("<p>")})
			}
		},
		"an attestation tag that is an image": func(w world) { w.Tag(repository, oci.FallbackTag(w.image.Digest)+".att", w.image.Digest) },
	}
}

// TestJunkNeverHidesGoodEvidence: foreign, broken or other-format evidence beside
// a good signature takes nothing away, and never stops the look at other images.
func TestJunkNeverHidesGoodEvidence(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		for name, put := range junk(t) {
			t.Run(fmt.Sprintf("%s, referrers API %v", name, api), func(t *testing.T) {
				t.Parallel()
				for format, sign := range map[string]func(w world){
					"bundle": func(w world) { w.sign(w.image, w.key) }, "legacy": func(w world) { w.signLegacy(w.image, w.key) },
				} {
					for _, first := range []bool{true, false} {
						w := newWorld(t, registrytest.WithReferrers(api))
						if first {
							put(w)
						}
						sign(w)
						if !first {
							put(w)
						}
						bare := w.PushImage("team/bare", "1", map[string]string{"app": "bare"})
						images := newGate(byKey(t, w.key), gate.Options{}).JudgeAll(t.Context(), bare.Ref(), w.image.Ref())
						if images[1].Verdict != policy.Allow {
							t.Errorf("%s, junk first %v:", format, first)
						}
						want(t, images[1], policy.Allow, "")
						want(t, images[0], policy.Deny, policy.ReasonNoSignature)
					}
				}
			})
		}
		for name, put := range junk(t) {
			t.Run(fmt.Sprintf("%s alone allows nothing, referrers API %v", name, api), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, registrytest.WithReferrers(api))
				put(w)
				if image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref()); image.Verdict != policy.Deny {
					t.Errorf("%s %s: %v", image.Verdict, image.Reason, image.Unseen)
				}
			})
		}
	}
}

// TestTwoFormatsInOneCall: each image is read in whatever format its own evidence has.
func TestTwoFormatsInOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(w.image, w.key)
	other := w.PushImage("team/other", "1", map[string]string{"app": "other"})
	w.signLegacy(other, w.key)
	g := newGate(byKey(t, w.key), gate.Options{})
	for _, refs := range [][]string{{w.image.Ref(), other.Ref()}, {other.Ref(), w.image.Ref()}} {
		for _, image := range g.JudgeAll(t.Context(), refs...) {
			want(t, image, policy.Allow, "")
		}
	}
}

// recorder notes the hosts that are asked.
type recorder struct {
	mu    sync.Mutex
	hosts map[string]bool
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.hosts[request.URL.Host] = true
	r.mu.Unlock()
	return http.DefaultTransport.RoundTrip(request)
}

// TestKeysNeedNoNetworkButTheRegistry: no TUF, no log, no authority is asked.
func TestKeysNeedNoNetworkButTheRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(w.image, w.key)
	seen := &recorder{hosts: make(map[string]bool)}
	c := oci.NewClient(oci.Options{Transport: seen})
	want(t, gate.New(byKey(t, w.key), c, gate.Options{}).Judge(t.Context(), w.image.TagRef()), policy.Allow, "")
	want(t, gate.New(byKey(t, w.stranger), c, gate.Options{}).Judge(t.Context(), w.image.TagRef()), policy.Deny, verify.ReasonKeyMismatch)
	if len(seen.hosts) != 1 || !seen.hosts[w.Host()] {
		t.Errorf("asked %v", seen.hosts)
	}
}

// TestLegacySignatureOfManyLayers: the good one may be any of them.
func TestLegacySignatureOfManyLayers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	layer := func(by *verifytest.Key, change func(string) string) registrytest.LegacyLayer {
		payload := []byte(change(string(verifytest.SimpleSigning(t, w.image.Digest))))
		return registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: payload, Annotations: map[string]string{
			verify.LegacySignatureAnnotation: base64.StdEncoding.EncodeToString(by.Sign(t, payload)),
		}}
	}
	same := func(s string) string { return s }
	w.AttachLegacy(repository, w.image.Digest, "sig",
		layer(w.stranger, same),
		layer(w.key, func(s string) string { return strings.ReplaceAll(s, "container image", "something") }),
		registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: []byte("junk")},
		layer(w.key, same))
	image := newGate(byKey(t, w.key), gate.Options{}).Judge(t.Context(), w.image.Ref())
	want(t, image, policy.Allow, "")
	if got := tried(image); strings.Count(got, "+") != 1 || strings.Count(got, "-") != 3 {
		t.Errorf("tried %s", got)
	}
}
