package keyless_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestLies: what a service answers is verified before it is returned. Each row's twin is
// the same signature after the service has come to its senses.
func TestLies(t *testing.T) {
	t.Parallel()
	log := []verifytest.Wrong{verifytest.EntryOfAnotherSignature, verifytest.EntryOfAnotherLog, verifytest.EntryOutsideOfTheTree}
	lies := map[string][]verifytest.Wrong{
		"Fulcio":   {verifytest.CertificateOfAnotherKey, verifytest.CertificateOfAnotherCA, verifytest.CertificateExpired},
		"Rekor v1": log, "Rekor v2": log,
		"TSA": {verifytest.StampOfAnotherSignature, verifytest.StampOfAnotherAuthority, verifytest.StampAfterCertificateEnd},
	}
	for _, target := range targets() {
		for _, lie := range lies[target.name] {
			for _, way := range ways() {
				if way.legacy && target.name != "Rekor v1" {
					continue // the other choices of services make no legacy forms
				}
				if way.legacy && lie == verifytest.EntryOutsideOfTheTree {
					continue // they keep the log's promise and leave the proof away
				}
				t.Run(target.name+"/"+string(lie)+"/"+way.name, func(t *testing.T) {
					t.Parallel()
					k := newKit(t)
					service := target.service(k)
					service.Fail(verifytest.Fault{Wrong: lie})
					source := k.source(t, target.services(k))
					signer, err := source.Signer(soon(t))
					if err == nil {
						evidence, err := way.sign(soon(t), signer)
						k.refused(t, evidence, err)
					} else if target.name != "Fulcio" || !errors.Is(err, keyless.ErrCertificate) {
						t.Fatal(err)
					}
					// What can be seen in the certificate is seen before a signature is made.
					if lie == verifytest.CertificateOfAnotherKey || lie == verifytest.CertificateExpired {
						if err == nil || k.Requests() != 1 {
							t.Errorf("taken for a certificate, after %d requests: %v", k.Requests(), err)
						}
					}
					service.Heal()
					source = k.source(t, target.services(k))
					if signer, err = source.Signer(soon(t)); err != nil {
						t.Fatal(err)
					}
					if _, err := way.sign(soon(t), signer); err != nil {
						t.Errorf("without the lie: %v", err)
					}
				})
			}
		}
	}
}

// TestOneOfTwoLies: every witness that is asked must be one, though a reader may be
// content with fewer.
func TestOneOfTwoLies(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		liar func(*kit) *verifytest.Service
		lie  verifytest.Wrong
	}{
		"second TSA, signature": {func(k *kit) *verifytest.Service { return k.SecondTSA }, verifytest.StampOfAnotherSignature},
		"second TSA, authority": {func(k *kit) *verifytest.Service { return k.SecondTSA }, verifytest.StampOfAnotherAuthority},
		"first TSA, signature":  {func(k *kit) *verifytest.Service { return k.TSA }, verifytest.StampOfAnotherSignature},
		"second log, signature": {func(k *kit) *verifytest.Service { return k.SecondV2 }, verifytest.EntryOfAnotherSignature},
		"second log, log":       {func(k *kit) *verifytest.Service { return k.SecondV2 }, verifytest.EntryOfAnotherLog},
		"first log, proof":      {func(k *kit) *verifytest.Service { return k.Rekor1 }, verifytest.EntryOutsideOfTheTree},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			signer := k.signer(t, keyless.Services{
				CertificateAuthority: k.Fulcio.URL,
				Logs:                 []keyless.Log{{URL: k.Rekor1.URL, Version: 1}, {URL: k.SecondV2.URL, Version: 2}},
				TimestampAuthorities: []string{k.TSA.URL, k.SecondTSA.URL},
			})
			row.liar(k).Fail(verifytest.Fault{Wrong: row.lie})
			evidence, err := image(soon(t), signer)
			k.refused(t, evidence, err)
			row.liar(k).Heal()
			if _, err := image(soon(t), signer); err != nil {
				t.Errorf("without the lie: %v", err)
			}
		})
	}
}

// TestRedirects: no service can send a request elsewhere, least of all the one that is
// shown the token.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			service := target.service(k)
			service.Fail(verifytest.Fault{Redirect: verifytest.NewVictim(t) + "/api/v2/signingCert"})
			evidence, err := k.signImage(soon(t), k.source(t, target.services(k)))
			k.refused(t, evidence, err)
			if !strings.Contains(err.Error(), "redirects are not followed") {
				t.Errorf("the error does not say so: %v", err)
			}
			if n := service.Requests(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// TestHugeAnswers: no answer is read beyond a bound.
func TestHugeAnswers(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			service := target.service(k)
			service.Fail(verifytest.Fault{Huge: 64 << 20})
			evidence, err := k.signImage(soon(t), k.source(t, target.services(k)))
			k.refused(t, evidence, err)
			if !strings.Contains(err.Error(), "an answer of more than") {
				t.Errorf("the error does not say so: %v", err)
			}
			if sent := service.Sent(); sent > 40<<20 {
				t.Errorf("%d bytes were taken", sent)
			}
			if n := service.Requests(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// TestTokenIsNotQuoted: KE-15, the token stands in no error, also where the service that
// it is shown to repeats it. That no other service is sent it, every test here checks.
func TestTokenIsNotQuoted(t *testing.T) {
	t.Parallel()
	for status, is := range map[int]error{http.StatusUnauthorized: keyless.ErrRefused, http.StatusInternalServerError: keyless.ErrService} {
		t.Run("KE-15 "+http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			for text, quoted := range map[string]string{
				"whole": "cannot read " + k.Token, "claims": "cannot read " + strings.Split(k.Token, ".")[1], "none": "cannot read it",
			} {
				k.Fulcio.Heal()
				k.Fulcio.Fail(verifytest.Fault{Status: status, Text: quoted})
				_, err := k.source(t, k.v2()).Signer(soon(t))
				if !errors.Is(err, keyless.ErrCertificate) || !errors.Is(err, is) {
					t.Fatalf("error %v", err)
				}
				k.tokenless(t, err)
				if text == "none" && !strings.Contains(err.Error(), quoted) {
					t.Errorf("the service's own words are lost: %v", err)
				}
			}
		})
	}
}

// TestTooLarge: a statement that a Rekor v1 is not sent fails before anything is asked of
// the log; a Rekor v2 is sent its hash.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	notarize := func(services keyless.Services, size int) error {
		signer := k.signer(t, services)
		payload := make([]byte, size)
		sig, err := signer.Sign(soon(t), attest.PAE(attest.PayloadType, payload))
		if err != nil {
			t.Fatal(err)
		}
		return signer.Notarize(soon(t), &protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: attest.PayloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}}})
	}
	err := notarize(k.v1(), 25<<20)
	if !errors.Is(err, keyless.ErrTooLarge) {
		t.Errorf("no ErrTooLarge: %v", err)
	}
	if n := k.Rekor1.Requests(); n != 0 {
		t.Errorf("%d requests to the log", n)
	}
	if err := notarize(k.v1(), 1<<20); err != nil {
		t.Errorf("a smaller one: %v", err)
	}
	if err := notarize(k.v2(), 25<<20); err != nil {
		t.Errorf("with a Rekor v2: %v", err)
	}
}
