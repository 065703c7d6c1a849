package verify_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// dataVerifier trusts one of sigstore-go's test roots, and keys.
func dataVerifier(t *testing.T, root string, need trust.Requirement, keys ...trust.Key) *verify.Verifier {
	t.Helper()
	raw, err := data.TrustedRoot(t, root).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	options := []trust.Option{trust.WithTrustedRoot(raw)}
	if len(keys) > 0 {
		options = append(options, trust.WithKeys(keys...))
	}
	anchors, err := trust.NewRoot(options...)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(anchors, need, func() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func dataEvidence(t *testing.T, name string) verify.Evidence {
	t.Helper()
	raw, err := data.Bundle(t, name).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return verify.Evidence{Format: verify.FormatBundle, Raw: raw}
}

// TestOthersEvidence judges the bundles that sigstore-go ships for tests, made by real
// servers: what our own virtual instance makes is not all that there is.
func TestOthersEvidence(t *testing.T) {
	t.Parallel()
	npm, err := digest.Parse("sha512:bbfd372fc9beeb777fe35d05bb10c0c70a9733d366a75fed7dd18866c7391de3ee7e88ba74dd47abf3e15c845e547fcf0e5c3da80854c751554224d3a6d4e55f")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a v0.1 bundle of an intoto entry with a promise", func(t *testing.T) {
		t.Parallel()
		v := dataVerifier(t, "public-good.json", trust.Keyless())
		e := dataEvidence(t, "dsse.sigstore.json")
		fact, err := v.Check(verify.Subject{Digest: npm}, e)
		if err != nil {
			t.Fatal(err)
		}
		if len(fact.Log) != 1 || len(fact.Times) != 1 || fact.Times[0].Source != "log" || fact.Signer.Certificate.SANType != "Email" {
			t.Errorf("%s with log %v and times %v", fact.Signer, fact.Log, fact.Times)
		}
		// The certificate has the old issuer extension alone.
		if got := fact.Signer.Certificate; got.Issuer != "https://github.com/login/oauth" || got.SAN == "" {
			t.Errorf("signed by %+v", got)
		}
		wantReason(t, v, other, e, verify.ReasonSubjectMismatch)
		wantReason(t, dataVerifier(t, "scaffolding.json", trust.Keyless()), npm, e, verify.ReasonCertificateChain) // TR-13
	})
	t.Run("two signatures in one envelope", func(t *testing.T) {
		t.Parallel()
		wantReason(t, dataVerifier(t, "public-good.json", trust.Keyless()), npm, dataEvidence(t, "dsse-2sigs.sigstore.json"), verify.ReasonSignatureFormat)
	})
	t.Run("CI-06 a name of the kind otherName", func(t *testing.T) {
		t.Parallel()
		genuine := data.Bundle(t, "othername.sigstore.json").GetMessageSignature().GetMessageDigest().GetDigest()
		subject, err := digest.Parse(fmt.Sprintf("sha256:%x", genuine))
		if err != nil {
			t.Fatal(err)
		}
		v := dataVerifier(t, "scaffolding.json", trust.Keyless())
		fact, err := v.Check(verify.Subject{Digest: subject}, dataEvidence(t, "othername.sigstore.json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := fact.Signer.Certificate; got.SANType != "Other" || got.SAN != "foo!oidc.local" {
			t.Errorf("signed by %+v", got)
		}
	})
	t.Run("TR-11 a key with a window, and a timestamp", func(t *testing.T) {
		t.Parallel()
		key, err := trust.NewKey(data.PublicKey(t, "public-key-validity.pem"))
		if err != nil {
			t.Fatal(err)
		}
		genuine := data.Bundle(t, "public-key-validity.sigstore.json").GetMessageSignature().GetMessageDigest().GetDigest()
		subject, err := digest.Parse(fmt.Sprintf("sha256:%x", genuine))
		if err != nil {
			t.Fatal(err)
		}
		e := dataEvidence(t, "public-key-validity.sigstore.json")
		fact, err := dataVerifier(t, "public-key-validity.json", trust.Requirement{Timestamps: 1}, key).Check(verify.Subject{Digest: subject}, e)
		if err != nil {
			t.Fatal(err)
		}
		if len(fact.Times) != 1 {
			t.Fatalf("times %v", fact.Times)
		}
		ended, err := key.Within(trust.Window{Until: fact.Times[0].Time.Add(-time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		wantReason(t, dataVerifier(t, "public-key-validity.json", trust.Requirement{Timestamps: 1}, ended), subject, e, verify.ReasonKeyExpired)
	})
}
