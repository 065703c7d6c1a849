package evidence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

func newVerifier(t *testing.T, keys ...*verifytest.Key) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verifytest.Root(t, keys...), trust.Requirement{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReadClaim(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	image := digest.FromBytes([]byte("image"))
	for name, test := range map[string]struct {
		e      verify.Evidence
		typ    string
		signer string
	}{
		"bundle":             {key.Attestation(t, image, spdx, `{}`), spdx, "key " + key.Trusted.Hint()},
		"message signature":  {verify.Evidence{Format: verify.FormatBundle, Raw: key.MessageBundle(t, []byte("image"))}, "", "key " + key.Trusted.Hint()},
		"legacy signature":   {key.LegacySignature(t, image), "", ""},
		"legacy attestation": {key.LegacyAttestation(t, image, spdx, `{}`), spdx, ""},
	} {
		claim := evidence.ReadClaim(test.e)
		if claim.Type != test.typ || claim.Signer != test.signer || claim.Fault != "" || strings.Join(claim.Subjects, " ") != image.String() {
			t.Errorf("%s: %+v", name, claim)
		}
	}
	for name, raw := range map[string]string{"no JSON": "x", "twice a key": `{"mediaType":"a","mediaType":"b"}`, "no payload": `{}`} {
		if claim := evidence.ReadClaim(verify.Evidence{Format: verify.FormatBundle, Raw: []byte(raw)}); claim.Fault == "" {
			t.Errorf("%s: no fault: %+v", name, claim)
		}
	}
}

func TestFromFile(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	image := digest.FromBytes([]byte("image"))
	for name, test := range map[string]struct {
		raw  []byte
		want verify.Format
	}{
		"bundle":   {key.Signature(t, image).Raw, verify.FormatBundle},
		"envelope": {key.LegacyAttestation(t, image, spdx, `{}`).Raw, verify.FormatLegacyAttestation},
		"neither":  {[]byte(`{"mediaType":"text/plain"}`), verify.FormatUnknown},
		"no JSON":  {[]byte("-----BEGIN"), verify.FormatUnknown},
	} {
		if e := evidence.FromFile("f", test.raw); e.Format != test.want || e.Origin.String() != "f" {
			t.Errorf("%s: %s from %s", name, e.Format, e.Origin)
		}
	}
}

// FuzzReadClaim: whatever is read, nothing panics and what comes out is bounded.
func FuzzReadClaim(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`))
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"sha256:x"}}}`))
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for format := verify.FormatUnknown; format <= verify.FormatForeign; format++ {
			claim := evidence.ReadClaim(verify.Evidence{Format: format, Raw: raw})
			if len(claim.Subjects) > 20 {
				t.Fatalf("%d subjects", len(claim.Subjects))
			}
		}
		if e := evidence.FromFile("f", raw); string(e.Raw) != string(raw) {
			t.Fatal("the bytes were changed")
		}
	})
}
