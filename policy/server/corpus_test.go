package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestBrokenEvidence, RE-05: evidence that is broken in each of its places, behind the
// webhook: no panic, and no allowance.
func TestBrokenEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	image := w.push("team/app", "mutant")
	// A stranger's, since a change of what no signature covers may leave evidence good.
	genuine := verifytest.NewKey(t, "ecdsa-p256").Signature(t, image.Digest).Raw
	mutants := verifytest.Mutants(t, genuine)
	for name, raw := range verifytest.Duplicates(t, genuine) {
		mutants["twice "+name] = raw
	}
	for name, text := range map[string]string{
		"nothing": "", "null": "null", "number": "1e999", "open": "{", "list": "[[[[", "deep": strings.Repeat(`{"a":`, 10_000), "text": `"\ud800"`,
		"payload of null": `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":""}},"dsseEnvelope":{"payload":null,"signatures":[null]}}`,
		"no signatures":   `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":null,"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}}`,
	} {
		mutants[name] = []byte(text)
	}
	// All hang on one image, which none of them may get allowed; it is looked at again
	// after each few.
	n := 0
	look := func() {
		a := w.post("/validate?timeout=30s", review("a", image.ref()))
		if w.outcome(a).Response.Allowed || strings.Contains(a.body, "INTERNAL") || strings.Contains(a.body, "internal fault") {
			t.Errorf("RE-05: after %d of them: %.500s", n, a.body)
		}
	}
	for _, raw := range mutants {
		w.registry.Attach(image.Repository, image.Descriptor, registrytest.Artifact{
			Type: verifytest.BundleMediaType, Content: raw,
			Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
		})
		if n++; n%10 == 0 {
			look()
		}
	}
	look()
	if len(mutants) < 20 {
		t.Errorf("only %d mutants", len(mutants))
	}
}

// TestBrokenRegistry, RE-05, RE-03: answers that no registry should give.
func TestBrokenRegistry(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]registrytest.Fault{
		"RE-05 null":         registrytest.Answer(200, "application/vnd.oci.image.index.v1+json", []byte("null")),
		"RE-05 list":         registrytest.Answer(200, "application/vnd.oci.image.index.v1+json", []byte("[]")),
		"RE-05 null inside":  registrytest.Answer(200, "application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[null]}`)),
		"RE-05 no digest":    registrytest.Answer(200, "application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[{}]}`)),
		"RE-05 long size":    registrytest.Answer(200, "application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[{"size":-1,"digest":"sha256:`+strings.Repeat("0", 64)+`"}]}`)),
		"RE-05 page":         registrytest.HTML(),
		"RE-05 cut":          registrytest.CutBody(10),
		"RE-05 flipped":      registrytest.FlipByte(20),
		"RE-05 dropped":      registrytest.Drop(),
		"RE-05 no content":   registrytest.Status(204),
		"RE-03 dots":         registrytest.Challenge("http://127.0.0.1:1/"+strings.Repeat(".", 1<<20), ""),
		"RE-03 long service": registrytest.Challenge("http://127.0.0.1:1/token", `service="`+strings.Repeat(`.`, 1<<20)+`"`),
		"RE-08 long error":   registrytest.Answer(400, "application/json", []byte(`{"errors":[{"message":"`+strings.Repeat("x", 1<<20)+`"}]}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.registry.Inject(registrytest.Match{}, fault)
			a := w.post("/validate?timeout=10s", review("a", w.signed))
			if o := w.outcome(a); o.Response.Allowed {
				t.Errorf("allowed: %s", a.body)
			}
			if strings.Contains(a.body, "INTERNAL") || strings.Contains(a.body, "internal fault") {
				t.Errorf("a fault of our own: %s", a.body)
			}
			if len(a.body) > 16<<10 {
				t.Errorf("RE-08: an answer of %d bytes", len(a.body))
			}
		})
	}
}

// TestBrokenReviews, RE-05, AD-18: a review of an unsigned image that is broken in each
// of its places: no fault of our own, and no allowance.
func TestBrokenReviews(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) { s.cache = &gate.CacheOptions{} })
	mutants := verifytest.Mutants(t, []byte(review("a", w.unsigned)))
	for name, raw := range verifytest.Duplicates(t, []byte(review("a", w.unsigned))) {
		mutants["twice "+name] = raw
	}
	for name, raw := range mutants {
		a := w.post("/validate", string(raw))
		// A mutant may have lost the image; without one there is nothing to refuse.
		if strings.Contains(a.body, `"allowed":true`) && strings.Contains(string(raw), w.unsigned) {
			t.Errorf("RE-05 %s: allowed: %s\n%s", name, a.body, raw)
		}
		if a.code >= 500 || strings.Contains(a.body, "internal fault") {
			t.Errorf("RE-05 %s: %d %s", name, a.code, a.body)
		}
	}
	if len(mutants) < 20 {
		t.Errorf("only %d mutants", len(mutants))
	}
}

// TestParallel, AD-25: two hundred reviews at a time, with three verdicts, while the
// policy is swapped: each is answered right.
func TestParallel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) { s.cache = &gate.CacheOptions{} })
	unreachable := "127.0.0.1:1/team/app@" + strings.Split(w.signed, "@")[1]
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			// The same demands under another name: a new policy, and the same verdicts.
			w.write("policy.yaml", w.policy(fmt.Sprintf("p%d", i), `"**"`))
		}
	})
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			images, allowed := []string{w.signed}, true
			switch i % 4 {
			case 1:
				images, allowed = []string{w.signed, w.unsigned}, false
			case 2:
				images, allowed = []string{unreachable, w.signed}, false
			case 3:
				images = []string{w.signed, w.signed, w.signed}
			}
			var a answered
			var err error
			for range 10 { // so many handshakes at a time can take long on a busy machine
				if a, err = w.try("/validate?timeout=30s", review("a", images...)); err == nil {
					break
				}
			}
			if err != nil || a.code != http.StatusOK {
				t.Errorf("AD-25: %d %v", a.code, err)
				return
			}
			if got := strings.Contains(a.body, `"allowed":true`); got != allowed {
				t.Errorf("AD-25: allowed %t, want %t: %s", got, allowed, a.body)
			}
		})
	}
	wait.Wait()
	close(stop)
	swapping.Wait()
}
