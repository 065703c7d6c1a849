package gate_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
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

// maxReport bounds the report of one image on one piece of hostile evidence.
const maxReport = 16 << 10

// TestHostileSizes: RE-01, RE-06 and RE-08. Evidence that is endless, deep or wordy is
// refused, or could not be checked; the report stays small, and nothing is allowed.
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	statement := func(w world, change func(map[string]any)) []byte {
		var s map[string]any
		if err := json.Unmarshal(verifytest.Statement(w.t, w.image.Digest, custom, `{}`), &s); err != nil {
			w.t.Fatal(err)
		}
		change(s)
		raw, err := json.Marshal(s)
		if err != nil {
			w.t.Fatal(err)
		}
		return w.key.Bundle(w.t, raw)
	}
	bundle := func(payloadType string) []byte {
		return fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":%q,"payloadType":%q,"signatures":[{"sig":"AAAA"}]}}`,
			verifytest.BundleMediaType, base64.StdEncoding.EncodeToString([]byte("{}")), payloadType)
	}
	for name, put := range map[string]func(w world){
		"RE-01 a blob without end": func(w world) {
			w.hang(w.image, custom, []byte(`{"x":"`+strings.Repeat("y", 20<<10)+`"}`))
			w.Inject(registrytest.Match{Class: registrytest.Blob}, registrytest.Endless(200, "application/octet-stream", "{"))
		},
		"RE-01 a manifest without end": func(w world) {
			w.hang(w.image, custom, []byte(`{}`))
			w.Inject(registrytest.Match{Class: registrytest.Manifest}, registrytest.Endless(200, oci.TypeImage, "{"))
		},
		"RE-06 deep evidence":    func(w world) { w.hang(w.image, custom, []byte(deep)) },
		"RE-06 a deep statement": func(w world) { w.hang(w.image, custom, w.key.Bundle(w.t, []byte(deep))) },
		"RE-06 a deep list": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Answer(200, oci.TypeIndex, []byte(deep)))
		},
		"RE-06 deep arrays in evidence": func(w world) { w.hang(w.image, custom, []byte(strings.Repeat("[", 100_000))) },
		"RE-08 a long payload type":     func(w world) { w.hang(w.image, custom, bundle(long)) },
		"RE-08 a long media type of a bundle": func(w world) {
			w.hang(w.image, custom, []byte(strings.Replace(string(bundle("application/vnd.in-toto+json")), verifytest.BundleMediaType, long, 1)))
		},
		"RE-08 a long predicate type": func(w world) {
			w.hang(w.image, custom, statement(w, func(s map[string]any) { s["predicateType"] = "https://" + long }))
		},
		"RE-08 a long claim": func(w world) {
			w.hang(w.image, "", w.key.Attestation(w.t, w.image.Digest, "https://"+long, `{}`).Raw)
		},
		"RE-08 a long statement type": func(w world) {
			w.hang(w.image, custom, statement(w, func(s map[string]any) { s["_type"] = long }))
		},
		"RE-08 long subjects": func(w world) {
			w.hang(w.image, custom, statement(w, func(s map[string]any) {
				s["subject"] = []any{map[string]any{"name": long, "digest": map[string]string{"sha256": long}}}
			}))
		},
		"RE-08 a long field": func(w world) {
			w.hang(w.image, custom, []byte(`{"`+long+`":1}`))
		},
		"RE-08 a long media type of the list": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.SetHeader("Content-Type", "a/"+long[:60<<10]))
		},
		"RE-08 a header that is too long": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.SetHeader("Content-Type", "a/"+long))
		},
		"RE-08 a long redirect": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Redirect(http.StatusTemporaryRedirect, "http://registry.example/"+long[:50<<10]))
		},
		"RE-08 a long host of a redirect": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Redirect(http.StatusTemporaryRedirect, "http://"+long[:50<<10]+"/"))
		},
		"RE-08 a long realm": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Ping}, registrytest.Challenge("http://"+long[:50<<10]+"/token", ""))
		},
		"RE-08 a long link": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.SetHeader("Link", `<http://`+long[:50<<10]+`/>; rel="next"`))
		},
		"RE-08 a link that is no address": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.SetHeader("Link", `<http://%zz`+long[:50<<10]+`/>; rel="next"`))
		},
		"RE-08 a long artifact type": func(w world) {
			w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: "signature/" + long, Content: []byte(`{}`), Embed: true})
		},
		"RE-08 a long layer type": func(w world) {
			manifest := map[string]any{
				"schemaVersion": 2, "mediaType": oci.TypeImage, "artifactType": verifytest.BundleMediaType,
				"config":  map[string]any{"mediaType": oci.TypeEmpty, "digest": digestOf([]byte("{}")), "size": 2},
				"layers":  []any{map[string]any{"mediaType": "a/" + long, "digest": digestOf([]byte("{}")), "size": 2}},
				"subject": w.image.Descriptor,
			}
			w.PutJSON(repository, "", oci.TypeImage, manifest)
			raw, _ := json.Marshal(manifest)
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Answer(200, oci.TypeIndex, fmt.Appendf(nil,
				`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, oci.TypeIndex, oci.TypeImage, digestOf(raw), len(raw))))
		},
		"RE-08 a long digest": func(w world) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Answer(200, oci.TypeIndex, fmt.Appendf(nil,
				`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":"sha256:%s","size":1}]}`, oci.TypeIndex, oci.TypeImage, long)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			put(w)
			p := w.rule("index", wantSignature+"\n"+w.wantStatement())
			at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			image := newGate(p, gate.Options{Now: func() time.Time { return at }}).Judge(t.Context(), w.image.Ref())
			if image.Verdict == policy.Allow {
				t.Errorf("allowed: %+v", image)
			}
			text, err := json.Marshal(report.New(p, at, image))
			if err != nil || len(text) > maxReport {
				t.Errorf("a report of %d bytes, %v: %.2000s", len(text), err, text)
			}
			if out := w.BytesOut(); out > 64<<20 {
				t.Errorf("%d bytes were taken", out)
			}
		})
	}
	t.Run("RE-08 a long name in a certificate", func(t *testing.T) {
		t.Parallel()
		s := newSigstores(t)
		var names []string
		for i := range 200 {
			names = append(names, fmt.Sprintf("https://evil.example/%d/%s", i, long[:1<<10]))
		}
		s.keyless(s.acme, verifytest.Options{Leaf: verifytest.Leaf{URIs: names}})
		image := s.judge(s.policy("", "{from: [release, ops]}"))
		text, err := json.Marshal(image)
		if err != nil || image.Verdict != policy.Deny || len(text) > maxReport {
			t.Errorf("RE-08 %s, %d bytes, %v: %.1000s", image.Verdict, len(text), err, text)
		}
	})
}

// TestHeldBytes: RE-01. Evidence that is larger than what all looks may hold makes an image
// undetermined and not the process large; a summary beside it is enough, and many
// looks at what fits come one after the other.
func TestHeldBytes(t *testing.T) {
	t.Parallel()
	w, with, without := summarised(t, "index")
	w.everything(w.image)
	body := `{"x":"` + strings.Repeat("y", 200<<10) + `"}`
	w.attest(w.image, w.key, heavyType(0), body)
	w.summary(with, w.image, w.key, nil)
	judge := func(p *policy.Policy, held int64, refs ...string) []*report.Image {
		cache := gate.NewCache(gate.CacheOptions{HeldBytes: held})
		t.Cleanup(cache.Close)
		return gate.New(p, client(), gate.Options{Cache: cache, Now: newClock().now}).JudgeAll(t.Context(), refs...)
	}
	want(t, judge(without, 1<<20, w.image.Ref())[0], policy.Allow, "")
	want(t, judge(with, 100<<10, w.image.Ref())[0], policy.Allow, "")
	lone := w.PushImage("team/lone", "1", map[string]string{"l": "l"})
	w.attest(lone, w.key, custom, body)
	p := w.rule("index", w.wantStatement())
	want(t, judge(p, 100<<10, lone.Ref())[0], policy.Undetermined, verify.ReasonLimitExceeded)
	var refs []string
	for i := range 8 {
		image := w.PushImage(fmt.Sprintf("team/large%d", i), "1", map[string]string{"n": fmt.Sprint(i)})
		w.attest(image, w.key, custom, body)
		refs = append(refs, image.Ref())
	}
	for _, image := range judge(p, 400<<10, refs...) {
		want(t, image, policy.Allow, "")
	}
}
