package verify_test

import (
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

var (
	image = digest.FromBytes([]byte("the image"))
	other = digest.FromBytes([]byte("another image"))
)

func newVerifier(t testing.TB, keys ...*verifytest.Key) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verifytest.Root(t, keys...), trust.Requirement{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantReason checks that the evidence is refused with exactly this reason.
func wantReason(t *testing.T, v *verify.Verifier, subject digest.Digest, e verify.Evidence, want verify.Reason) {
	t.Helper()
	fact, err := v.Check(verify.Subject{Digest: subject}, e)
	if err == nil {
		t.Fatalf("the evidence passed as %s by %s, want %s", fact.Kind, fact.Signer, want)
	}
	var rejection *verify.Rejection
	if !errors.As(err, &rejection) {
		t.Fatalf("the error is a %T, not a *Rejection", err)
	}
	if rejection.Reason != want {
		t.Fatalf("refused with %v, want %s", err, want)
	}
}

func TestGenuineEvidencePasses(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key := verifytest.NewKey(t, algorithm)
			v := newVerifier(t, verifytest.NewKey(t, "ecdsa-p256"), key)
			for name, test := range map[string]struct {
				evidence verify.Evidence
				kind     verify.Kind
			}{
				"bundle signature":   {key.Signature(t, image), verify.KindSignature},
				"bundle statement":   {key.Attestation(t, image, "https://example.com/t", `{"a":1}`), verify.KindStatement},
				"legacy signature":   {key.LegacySignature(t, image), verify.KindSignature},
				"legacy attestation": {key.LegacyAttestation(t, image, "https://example.com/t", `{"a":1}`), verify.KindStatement},
			} {
				fact, err := v.Check(verify.Subject{Digest: image}, test.evidence)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if fact.Kind != test.kind || fact.Signer.KeyID != key.Trusted.ID() || fact.Subject.Digest != image {
					t.Errorf("%s: got %s by %s about %s", name, fact.Kind, fact.Signer.KeyID, fact.Subject.Digest)
				}
				if len(fact.Times) != 0 || len(fact.Log) != 0 {
					t.Errorf("%s: claims a time or a log entry that nobody checked", name)
				}
			}
		})
	}
}

func TestMessageSignature(t *testing.T) {
	t.Parallel()
	content := []byte("a release archive")
	key := verifytest.NewKey(t, "ecdsa-p256")
	v := newVerifier(t, key)
	e := verify.Evidence{Format: verify.FormatBundle, Raw: key.MessageBundle(t, content)}
	if _, err := v.Check(verify.Subject{Digest: digest.FromBytes(content)}, e); err != nil {
		t.Errorf("by digest: %v", err)
	}
	if _, err := v.CheckContent(verify.Subject{Digest: digest.FromBytes(content)}, content, e); err != nil {
		t.Errorf("by content: %v", err)
	}
	t.Run("SB-08 the message digest is another artifact's", func(t *testing.T) {
		t.Parallel()
		wantReason(t, v, other, e, verify.ReasonDigestMismatch)
	})
	t.Run("KE-07 pure Ed25519 needs the content", func(t *testing.T) {
		t.Parallel()
		ed := verifytest.NewKey(t, "ed25519")
		v := newVerifier(t, ed)
		e := verify.Evidence{Format: verify.FormatBundle, Raw: ed.MessageBundle(t, content)}
		wantReason(t, v, digest.FromBytes(content), e, verify.ReasonSignatureFormat)
		if _, err := v.CheckContent(verify.Subject{Digest: digest.FromBytes(content)}, content, e); err != nil {
			t.Errorf("by content: %v", err)
		}
	})
}

func TestEachBindingIsChecked(t *testing.T) {
	t.Parallel()
	key, stranger := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")
	v := newVerifier(t, key)
	signPayload := func(payload string) verify.Evidence {
		return verify.Evidence{Format: verify.FormatBundle, Raw: key.Bundle(t, []byte(payload))}
	}
	swap := func(e verify.Evidence, from, to string) verify.Evidence {
		changed := strings.ReplaceAll(string(e.Raw), from, to)
		if changed == string(e.Raw) {
			t.Fatalf("nothing to change: %q", from)
		}
		e.Raw = []byte(changed)
		return e
	}
	good := key.Signature(t, image)
	legacy := key.LegacySignature(t, image)
	foreignLegacy := stranger.LegacySignature(t, image)
	statement := string(verifytest.Statement(t, image, "https://example.com/t", `{}`))
	for name, test := range map[string]struct {
		subject  digest.Digest
		evidence verify.Evidence
		want     verify.Reason
	}{
		"DS-04 a statement about another image":       {other, good, verify.ReasonSubjectMismatch},
		"DS-04 SB-17 a legacy signature of another":   {other, legacy, verify.ReasonSubjectMismatch},
		"a legacy attestation of another":             {other, key.LegacyAttestation(t, image, "t", `{}`), verify.ReasonSubjectMismatch},
		"signed by a stranger":                        {image, stranger.Signature(t, image), verify.ReasonKeyMismatch},
		"legacy, signed by a stranger":                {image, foreignLegacy, verify.ReasonKeyMismatch},
		"DS-17 the stranger names our key as hint":    {image, swap(stranger.Signature(t, image), jsonText(stranger.Trusted.Hint()), jsonText(key.Trusted.Hint())), verify.ReasonSignatureInvalid},
		"SB-16 random bytes as signature":             {image, verify.Evidence{Format: verify.FormatLegacySignature, Raw: legacy.Raw, Annotations: map[string]string{verify.LegacySignatureAnnotation: base64.StdEncoding.EncodeToString(make([]byte, 70))}}, verify.ReasonKeyMismatch},
		"DS-09 another payload type":                  {image, swap(good, "application/vnd.in-toto+json", "text/plain"), verify.ReasonPayloadType},
		"DS-02 signed garbage":                        {image, signPayload("garbage"), verify.ReasonStatementMalformed},
		"DS-06 a null subject":                        {image, signPayload(`{"_type":"https://in-toto.io/Statement/v1","subject":[null],"predicateType":"t","predicate":"x"}`), verify.ReasonStatementMalformed},
		"DS-07 no subject":                            {image, signPayload(`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"t","predicate":{}}`), verify.ReasonSubjectEmpty},
		"DS-11 two predicate types":                   {image, signPayload(strings.Replace(statement, `"predicateType"`, `"predicateType":"evil","predicateType"`, 1)), verify.ReasonStatementMalformed},
		"SB-27 malformed JSON":                        {image, verify.Evidence{Format: verify.FormatBundle, Raw: []byte(`{"mediaType":`)}, verify.ReasonSignatureFormat},
		"SB-27 unknown version":                       {image, swap(good, "bundle.v0.3+json", "bundle.v9.9+json"), verify.ReasonSignatureFormat},
		"SB-22 a raw envelope where a bundle belongs": {image, verify.Evidence{Format: verify.FormatBundle, Raw: key.LegacyAttestation(t, image, "t", `{}`).Raw}, verify.ReasonSignatureFormat},
		"SB-18 an unsigned attestation":               {image, verify.Evidence{Format: verify.FormatUnsignedAttestation, Raw: []byte(statement)}, verify.ReasonUnsigned},
		"another scheme":                              {image, verify.Evidence{Format: verify.FormatForeign, Raw: []byte("x")}, verify.ReasonForeignFormat},
		"SB-15 no digest":                             {digest.Digest{}, good, verify.ReasonSubjectEmpty},
		"SB-15 no evidence":                           {image, verify.Evidence{Format: verify.FormatBundle}, verify.ReasonSignatureFormat},
		"no format":                                   {image, verify.Evidence{Raw: good.Raw}, verify.ReasonSignatureFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantReason(t, v, test.subject, test.evidence, test.want)
		})
	}
}

// TestMutantsAreRefused changes a good bundle in one place at a time: SB-27,
// SB-28, DS-10. Only a change to the key hint may pass, for it is only a hint.
func TestMutantsAreRefused(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	v := newVerifier(t, key)
	good := key.Signature(t, image)
	refused := 0
	for name, raw := range verifytest.Mutants(t, good.Raw) {
		_, err := v.Check(verify.Subject{Digest: image}, verify.Evidence{Format: verify.FormatBundle, Raw: raw})
		harmless := strings.HasPrefix(name, "/verificationMaterial/publicKey") ||
			strings.HasPrefix(name, "/dsseEnvelope/signatures/0/keyid") ||
			name == "/verificationMaterial/timestampVerificationData null" || name == "/verificationMaterial/tlogEntries null"
		if err == nil && !harmless {
			t.Errorf("%s passed", name)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("only %d mutants were refused: the mutator has lost its grip", refused)
	}
}

// TestSB20ReencodedStatement: the signature is over bytes, not over meaning.
func TestSB20ReencodedStatement(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	v := newVerifier(t, key)
	payload := verifytest.Statement(t, image, "https://example.com/t", `{"a":1}`)
	sig := key.Sign(t, attest.PAE(attest.PayloadType, payload))
	var value any
	if err := json.Unmarshal(payload, &value); err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	envelope := &attest.Envelope{PayloadType: attest.PayloadType, Payload: indented, Signatures: []attest.EnvelopeSignature{{Sig: sig}}}
	raw, err := envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, v, image, verify.Evidence{Format: verify.FormatLegacyAttestation, Raw: raw}, verify.ReasonKeyMismatch)
}

// TestSB26KeyOrder: the verdict does not depend on the order of the keys.
func TestSB26KeyOrder(t *testing.T) {
	t.Parallel()
	a, b, c := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ed25519"), verifytest.NewKey(t, "rsa-2048")
	for _, keys := range [][]*verifytest.Key{{a, b, c}, {c, b, a}, {b, a, c}} {
		v := newVerifier(t, keys...)
		for _, signer := range keys {
			for _, e := range []verify.Evidence{signer.Signature(t, image), signer.LegacySignature(t, image)} {
				fact, err := v.Check(verify.Subject{Digest: image}, e)
				if err != nil || fact.Signer.KeyID != signer.Trusted.ID() {
					t.Errorf("signer %s: %v", fact.Signer, err)
				}
			}
		}
	}
}

// TestSB04BrokenProofIsNotIgnored: what is supplied and does not parse is refused,
// also where nothing asks for it.
func TestSB04BrokenProofIsNotIgnored(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	v := newVerifier(t, key)
	good := key.Signature(t, image)
	for name, entries := range map[string]string{
		"SB-04 no such shape": `[{"logIndex":"x"}]`, "SB-05 garbage as body": `[{"logIndex":"1","canonicalizedBody":"Z2FyYmFnZQ==","kindVersion":{"kind":"hashedrekord","version":"0.0.1"}}]`, "SB-27 negative index": `[{"logIndex":"-1"}]`,
	} {
		changed := strings.Replace(string(good.Raw), `"verificationMaterial":{`, `"verificationMaterial":{"tlogEntries":`+entries+`,`, 1)
		if changed == string(good.Raw) {
			t.Fatal("nothing to change")
		}
		_, err := v.Check(verify.Subject{Digest: image}, verify.Evidence{Format: verify.FormatBundle, Raw: []byte(changed)})
		if err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestCheckedStepsAreTheOnesClaimed(t *testing.T) {
	t.Parallel()
	t.Run("SB-31", func(t *testing.T) {
		t.Parallel()
		key := verifytest.NewKey(t, "ecdsa-p256")
		fact, err := newVerifier(t, key).Check(verify.Subject{Digest: image}, key.Signature(t, image))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range fact.Checks {
			switch step {
			case verify.StepParse, verify.StepSignature, verify.StepStatement, verify.StepSubject:
			default:
				t.Errorf("claims step %q, which a bare key signature does not have", step)
			}
		}
	})
}

// TestSignatureEncodings: KE-09. Only strict ASN.1 with values in range verifies.
func TestSignatureEncodings(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	v := newVerifier(t, key)
	good := key.LegacySignature(t, image)
	der := key.Sign(t, good.Raw)
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N
	with := func(sig []byte) verify.Evidence {
		return verify.Evidence{Format: good.Format, Raw: good.Raw, Annotations: map[string]string{verify.LegacySignatureAnnotation: base64.StdEncoding.EncodeToString(sig)}}
	}
	if _, err := v.Check(verify.Subject{Digest: image}, with(der)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, sig := range map[string][]byte{
		"KE-09 raw r and s":     append(pair.R.FillBytes(make([]byte, 32)), pair.S.FillBytes(make([]byte, 32))...),
		"KE-09 trailing byte":   append(append([]byte(nil), der...), 0),
		"KE-09 zeros":           {0x30, 6, 2, 1, 0, 2, 1, 0},
		"KE-09 negative r":      {0x30, 6, 2, 1, 0xff, 2, 1, 1},
		"KE-09 r = n":           append(append([]byte{0x30, 38, 2, 33, 0}, order.Bytes()...), 2, 1, 1),
		"KE-09 indefinite form": {0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0},
	} {
		wantReason(t, v, image, with(sig), verify.ReasonKeyMismatch)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// SB-30: the other spelling of one signature, (r, n-s), is the same signer.
	twin, err := asn1.Marshal(struct{ R, S *big.Int }{pair.R, new(big.Int).Sub(order, pair.S)})
	if err != nil {
		t.Fatal(err)
	}
	fact, err := v.Check(verify.Subject{Digest: image}, with(twin))
	if err == nil && !fact.Signer.Same(verify.Signer{KeyID: key.Trusted.ID()}) {
		t.Error("SB-30 the twin of a signature is another signer")
	}
}

func jsonText(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return strings.Trim(string(raw), `"`)
}
