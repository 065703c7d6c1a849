package gate_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

const (
	repository = "team/app"
	spdx       = "https://spdx.dev/Document"
	custom     = "https://example.com/t/v1"
)

// world is a registry with one image, a trusted key and a stranger's.
type world struct {
	*registrytest.Registry
	t        *testing.T
	image    registrytest.Pushed
	key      *verifytest.Key
	stranger *verifytest.Key
}

func newWorld(t *testing.T, options ...registrytest.Option) world {
	t.Helper()
	reg := registrytest.New(t, options...)
	return world{
		reg, t, reg.PushImage(repository, "1.0", map[string]string{"app": "x"}),
		verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256"),
	}
}

// hang hangs a bundle on an image with what its annotations claim.
func (w world) hang(on registrytest.Pushed, claim string, raw []byte) registrytest.Pushed {
	return w.Attach(on.Repository, on.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: raw, Embed: len(raw) < 16<<10,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": claim},
	})
}

// sign hangs a signature on an image, attest a statement.
func (w world) sign(on registrytest.Pushed, by *verifytest.Key) registrytest.Pushed {
	return w.hang(on, verify.SignaturePredicateType, by.Signature(w.t, on.Digest).Raw)
}

func (w world) attest(on registrytest.Pushed, by *verifytest.Key, predicateType, predicate string) registrytest.Pushed {
	return w.hang(on, predicateType, by.Attestation(w.t, on.Digest, predicateType, predicate).Raw)
}

// signLegacy signs in cosign's tag format.
func (w world) signLegacy(on registrytest.Pushed, by *verifytest.Key) {
	e := by.LegacySignature(w.t, on.Digest)
	w.AttachLegacy(on.Repository, on.Digest, "sig", registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: e.Raw, Annotations: e.Annotations})
}

func (w world) attestLegacy(on registrytest.Pushed, by *verifytest.Key, predicateType, predicate string) {
	e := by.LegacyAttestation(w.t, on.Digest, predicateType, predicate)
	w.AttachLegacy(on.Repository, on.Digest, "att", registrytest.LegacyLayer{MediaType: oci.TypeDSSE, Content: e.Raw, Annotations: e.Annotations})
}

// signedFor makes a legacy signature that names an image reference.
func (w world) signedFor(on registrytest.Pushed, reference string) {
	payload := []byte(strings.Replace(string(verifytest.SimpleSigning(w.t, on.Digest)), `"docker-reference":""`, fmt.Sprintf(`"docker-reference":%q`, reference), 1))
	w.AttachLegacy(on.Repository, on.Digest, "sig", registrytest.LegacyLayer{
		MediaType: oci.TypeLegacyLayer, Content: payload,
		Annotations: map[string]string{verify.LegacySignatureAnnotation: base64.StdEncoding.EncodeToString(w.key.Sign(w.t, payload))},
	})
}

// rule wraps the demands of one rule for every image in a policy with the signer
// "ops", who has the world's key.
func (w world) rule(platforms, require string) *policy.Policy {
	w.t.Helper()
	pem := strings.ReplaceAll(strings.TrimSpace(string(w.key.Trusted.PEM())), "\n", "\n          ")
	text := fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
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
%s
`, pem, platforms, require)
	p, err := policy.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	return p
}

const wantSignature = "      signatures: {from: [ops]}"

func (w world) wantStatement() string {
	return fmt.Sprintf("      statements: [{type: %q, from: [ops]}]", custom)
}

// byKey is the policy of --key.
func byKey(t *testing.T, keys ...*verifytest.Key) *policy.Policy {
	t.Helper()
	p, err := policy.ForKey(keys[0].Trusted)
	if len(keys) == 2 {
		p, err = policy.ForKey(keys[0].Trusted, keys[1].Trusted)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func client() *oci.Client { return oci.NewClient(oci.Options{Timeout: 10 * time.Second}) }

func newGate(p *policy.Policy, o gate.Options) *gate.Gate { return gate.New(p, client(), o) }

// want checks verdict and reason and shows the report when they are wrong.
func want(t *testing.T, image *report.Image, verdict policy.Verdict, reason verify.Reason) {
	t.Helper()
	if image.Verdict == verdict && image.Reason == reason {
		return
	}
	var text strings.Builder
	if err := report.New(nil, time.Time{}, image).WriteText(&text, report.Style{}); err != nil {
		t.Fatal(err)
	}
	t.Errorf("%s %s, want %s %s\n%s", image.Verdict, image.Reason, verdict, reason, text.String())
}

// tried lists the attempts of all demands as "+signature" or "-REASON".
func tried(image *report.Image) string {
	var all []string
	for _, d := range image.Demands {
		for _, a := range d.Tried {
			if a.Accepted {
				all = append(all, "+"+a.Type)
			} else {
				all = append(all, "-"+string(a.Reason))
			}
		}
	}
	return strings.Join(all, " ")
}

func digestOf(raw []byte) string { return digest.FromBytes(raw).String() }
