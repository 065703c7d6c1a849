package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// publicGood returns a genuine keyless bundle of the public-good instance, the
// digest that it is about, and a verifier that trusts that instance.
func publicGood(t testing.TB, now time.Time) ([]byte, digest.Digest, *verify.Verifier) {
	t.Helper()
	genuine := data.Bundle(&testing.T{}, "sigstore.js@2.0.0-provenance.sigstore.json")
	raw, err := genuine.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := data.TrustedRoot(&testing.T{}, "public-good.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.NewRoot(trust.WithTrustedRoot(trusted))
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(root, trust.Keyless(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := genuine.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		t.Fatal(err)
	}
	statement, err := attest.ParseStatement(payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw, statement.Digests()[0], v
}

func TestKeylessBundle(t *testing.T) {
	t.Parallel()
	raw, subject, v := publicGood(t, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	e := verify.Evidence{Format: verify.FormatBundle, Raw: raw}
	fact, err := v.Check(verify.Subject{Digest: subject}, e)
	if err != nil {
		t.Fatal(err)
	}
	if fact.Kind != verify.KindStatement || fact.Signer.Certificate == nil {
		t.Fatalf("got %s by %s", fact.Kind, fact.Signer)
	}
	if got := fact.Signer.Certificate; got.Issuer != "https://token.actions.githubusercontent.com" || got.SANType != "URI" {
		t.Errorf("identity: %+v", got)
	}
	if len(fact.Times) == 0 || len(fact.Log) != 1 {
		t.Errorf("times %v, log %v", fact.Times, fact.Log)
	}
	t.Run("about something else", func(t *testing.T) {
		t.Parallel()
		wantReason(t, v, other, e, verify.ReasonSubjectMismatch)
	})
	t.Run("TI-03 signed in the future", func(t *testing.T) {
		t.Parallel()
		_, _, early := publicGood(t, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
		wantReason(t, early, subject, e, verify.ReasonTimeOutside)
	})
	t.Run("only keys are trusted", func(t *testing.T) {
		t.Parallel()
		wantReason(t, newVerifier(t, verifytest.NewKey(t, "ecdsa-p256")), subject, e, verify.ReasonKeyMismatch)
	})
}

// TestKeylessMutantsAreRefused changes the genuine keyless bundle in one place at a
// time (SB-12, SB-14, SB-27, SB-28). What may pass is what no signature covers and
// no check relies on.
func TestKeylessMutantsAreRefused(t *testing.T) {
	t.Parallel()
	raw, subject, v := publicGood(t, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	refused := 0
	for name, mutant := range verifytest.Mutants(t, raw) {
		_, err := v.Check(verify.Subject{Digest: subject}, verify.Evidence{Format: verify.FormatBundle, Raw: mutant})
		harmless := strings.HasPrefix(name, "/dsseEnvelope/signatures/0/keyid") ||
			strings.HasSuffix(name, "imestampVerificationData null") || strings.HasSuffix(name, "imestampVerificationData dropped") ||
			strings.Contains(name, "rfc3161Timestamps") || name == "/verificationMaterial/x509CertificateChain/certificates twice" ||
			// This bundle's entry has a signed promise beside the proof (v0.1).
			name == "/verificationMaterial/tlogEntries/0/inclusionProof null" || name == "/verificationMaterial/tlogEntries/0/inclusionProof dropped" || strings.HasSuffix(name, "imestampVerificationData empty")
		if err == nil && !harmless {
			t.Errorf("%s passed", name)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 60 {
		t.Errorf("only %d mutants were refused: the mutator has lost its grip", refused)
	}
}

func TestKeylessRootAsksForATime(t *testing.T) {
	t.Parallel()
	trusted, err := data.TrustedRoot(t, "public-good.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.NewRoot(trust.WithTrustedRoot(trusted))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify.New(root, trust.Requirement{}, time.Now); err == nil {
		t.Error("CI-13: a verifier of certificates without any trusted time was made")
	}
}
