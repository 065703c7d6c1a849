package verify_test

import (
	"crypto/elliptic"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// signatureShapes are all forms of an image's signature.
func signatureShapes(t *testing.T) map[string]verifytest.Options {
	t.Helper()
	all := map[string]verifytest.Options{"legacy": {Form: verifytest.LegacySignature}}
	statement := verifytest.Statement(t, verifytest.Image, verify.SignaturePredicateType, `{}`)
	for _, form := range []verifytest.Form{verifytest.BundleV01, verifytest.BundleV02, verifytest.BundleV03} {
		all[string(form)+" message"] = verifytest.Options{Form: form, Message: true}
		all[string(form)+" dsse"] = verifytest.Options{Form: form, Statement: statement}
		if form != verifytest.BundleV01 {
			all[string(form)+" message, rekor v2"] = verifytest.Options{Form: form, Message: true, V2: true}
			all[string(form)+" dsse, rekor v2"] = verifytest.Options{Form: form, Statement: statement, V2: true}
		}
	}
	return all
}

// TestWrongIdentityInEveryForm: a genuine signature by somebody else does not count,
// whichever form it comes in (SB-03, CI-06, CI-09), and another type of name is
// somebody else.
func TestWrongIdentityInEveryForm(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	raw := in.TrustedRoot(t)
	v := in.Verifier(t, trust.Keyless())
	mail := policy.Pattern{Exact: "someone@example.com"}
	issuer, uri := policy.Pattern{Exact: verifytest.DefaultIssuer}, policy.Pattern{Exact: verifytest.DefaultURI}
	for name, options := range signatureShapes(t) {
		for _, row := range []struct {
			name            string
			leaf            verifytest.Leaf
			issuer, subject policy.Pattern
			want            verify.Reason // "" is allowed
		}{
			{"the right one", verifytest.Leaf{}, issuer, uri, ""},
			{"the right address", verifytest.Leaf{Emails: []string{mail.Exact}}, issuer, mail, ""},
			{"SB-03 another workflow", verifytest.Leaf{URIs: []string{verifytest.DefaultURI + "x"}}, issuer, uri, verify.ReasonIdentityMismatch},
			{"SB-03 another issuer", verifytest.Leaf{Issuer: "https://issuer.evil.test"}, issuer, uri, verify.ReasonIssuerMismatch},
			{"CI-09 an issuer with a slash", verifytest.Leaf{Issuer: verifytest.DefaultIssuer + "/"}, issuer, uri, verify.ReasonIssuerMismatch},
			{"CI-06 an otherName that reads like the URI", verifytest.Leaf{Other: verifytest.DefaultURI}, issuer, uri, verify.ReasonIdentityMismatch},
			{"CI-06 an otherName that reads like the address", verifytest.Leaf{Other: mail.Exact}, issuer, mail, verify.ReasonIdentityMismatch},
		} {
			t.Run(row.name+", "+name, func(t *testing.T) {
				t.Parallel()
				o := options
				o.Leaf = row.leaf
				signed := in.Sign(t, o)
				p, err := policy.ForIdentity(raw, trust.Keyless(), row.issuer, row.subject)
				if err != nil {
					t.Fatal(err)
				}
				plan, err := p.Plan("registry.test/app")
				if err != nil {
					t.Fatal(err)
				}
				v := v
				if len(plan.Roots) == 1 {
					if v, err = verify.New(plan.Roots[0].Root, plan.Roots[0].Need, func() time.Time { return in.ClockAtVerification }); err != nil {
						t.Fatal(err)
					}
				}
				fact := wantFact(t, v, signed)
				decision := p.Decide(policy.Image{Name: "registry.test/app", Target: policy.Part{
					Subject: signed.Subject(), Findings: policy.Findings{Facts: []verify.Fact{fact}},
				}}, in.ClockAtVerification)
				if allowed := decision.Verdict == policy.Allow; allowed != (row.want == "") || decision.Reason != row.want {
					t.Errorf("decided %+v, want %q", decision, row.want)
				}
			})
		}
	}
}

// TestOrderDecidesNothing: of several authorities, logs and timestamp authorities the
// right one is found wherever it stands (SB-26).
func TestOrderDecidesNothing(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	reversed := func(wire *prototrustroot.TrustedRoot) {
		wire.CertificateAuthorities[0], wire.CertificateAuthorities[1] = wire.GetCertificateAuthorities()[1], wire.GetCertificateAuthorities()[0]
		wire.TimestampAuthorities[0], wire.TimestampAuthorities[1] = wire.GetTimestampAuthorities()[1], wire.GetTimestampAuthorities()[0]
		wire.Tlogs[0], wire.Tlogs[1] = wire.GetTlogs()[1], wire.GetTlogs()[0]
		wire.Ctlogs[0], wire.Ctlogs[1] = wire.GetCtlogs()[1], wire.GetCtlogs()[0]
	}
	for _, ca := range []*verifytest.Authority{in.CA, in.SecondCA} {
		for _, log := range []*verifytest.Log{in.Rekor2, in.SecondV2} {
			for _, tsa := range []*verifytest.TSA{in.TSA, in.SecondTSA} {
				t.Run("SB-26 "+ca.URI+" "+log.URL+" "+tsa.URI, func(t *testing.T) {
					t.Parallel()
					signed := in.Sign(t, verifytest.Options{
						CA: ca, V2: true, Entries: []verifytest.Entry{{Kind: verifytest.HashedRekordV2, Log: log}},
						Stamps: []verifytest.Stamp{{TSA: tsa}}, Leaf: verifytest.Leaf{CT: []verifytest.SCT{{Log: in.SecondCT}}},
					})
					for _, v := range []*verify.Verifier{in.Verifier(t, trust.Keyless()), in.Verifier(t, trust.Keyless(), reversed)} {
						fact := wantFact(t, v, signed)
						if fact.Times[0].URI != tsa.URI || fact.Log[0].URI != log.URL {
							t.Errorf("times %v, log %v", fact.Times, fact.Log)
						}
					}
				})
			}
		}
	}
	t.Run("SB-26 entries of both generations of logs", func(t *testing.T) {
		t.Parallel()
		need := trust.Requirement{LogEntries: 2, Timestamps: 1, SCTs: 1}
		for _, entries := range [][]verifytest.Entry{{{}, {Kind: verifytest.HashedRekordV2}}, {{Kind: verifytest.HashedRekordV2}, {}}} {
			for _, message := range []bool{true, false} {
				fact := wantFact(t, in.Verifier(t, need), in.Sign(t, verifytest.Options{Message: message, Entries: entries}))
				if len(fact.Log) != 2 {
					t.Errorf("log %v", fact.Log)
				}
			}
		}
	})
}

// TestLimits: what is counted is bounded, and a bound says so.
func TestLimits(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	many := func(o *verifytest.Options) {
		for range 40 {
			o.Entries = append(o.Entries, verifytest.Entry{Kind: o.Entries[0].Kind})
		}
	}
	older := verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}}
	runAttacks(t, in, []attack{
		{name: "many log entries, older rekor v2", good: older, bad: many, want: verify.ReasonLimitExceeded},
		{name: "many timestamps", good: verifytest.Options{V2: true}, want: verify.ReasonLimitExceeded, bad: func(o *verifytest.Options) { o.Stamps = make([]verifytest.Stamp, 40) }},
		{name: "many certificate extensions", good: verifytest.Options{}, want: verify.ReasonLimitExceeded, bad: func(o *verifytest.Options) {
			for i := range 200 {
				o.Leaf.Extensions = append(o.Leaf.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, i}, Value: []byte{5, 0}})
			}
		}},
		{name: "a large certificate extension", good: verifytest.Options{}, want: verify.ReasonLimitExceeded, bad: func(o *verifytest.Options) {
			o.Leaf.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: append([]byte{4, 0x82, 0x50, 0x00}, make([]byte, 0x5000)...)}}
		}},
		{name: "CI-16 a certificate that was only to be logged", good: verifytest.Options{}, want: verify.ReasonCertificateUsage, bad: func(o *verifytest.Options) {
			// RFC 6962, section 3.1: the poison of a precertificate.
			o.Leaf.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: []byte{5, 0}}}
		}},
		{name: "SB-22 an envelope alone is no bundle", good: verifytest.Options{}, want: verify.ReasonSignatureFormat, bad: func(o *verifytest.Options) {
			o.Change = func(wire *protobundle.Bundle) { wire.VerificationMaterial, wire.MediaType = nil, "" }
		}},
		{name: "SB-27 no key ID of the log", good: verifytest.Options{V2: true}, want: verify.ReasonSignatureFormat, bad: one(verifytest.Entry{
			Kind: verifytest.HashedRekordV2, Change: func(e *protorekor.TransparencyLogEntry) { e.LogId.KeyId = nil },
		})},
	})
}

// TestTwinSignatureIsTheSameSigner: the other spelling of an ECDSA signature, (r, n-s),
// makes neither another signature of the log entry nor another signer (SB-30).
func TestTwinSignatureIsTheSameSigner(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	v := in.Verifier(t, trust.Keyless())
	twin := func(sig []byte) []byte {
		var pair struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &pair); err != nil {
			t.Fatal(err)
		}
		pair.S = new(big.Int).Sub(elliptic.P256().Params().N, pair.S)
		raw, err := asn1.Marshal(pair)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, options := range signatureShapes(t) {
		t.Run("SB-30 "+name, func(t *testing.T) {
			t.Parallel()
			good := in.Sign(t, options)
			fact := wantFact(t, v, good)
			good.Sig = twin(good.Sig)
			wantReason(t, v, good.Subject().Digest, good.Evidence(t), verify.ReasonLogMismatch)
			logged := options
			logged.Sig = twin
			if again, err := v.Check(good.Subject(), in.Sign(t, logged).Evidence(t)); err == nil && !again.Signer.Same(fact.Signer) {
				t.Errorf("the twin's signer is another one: %s", again.Signer)
			}
		})
	}
}
