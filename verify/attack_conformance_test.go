package verify_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestConformanceRefusals makes evidence of one's own that is broken as the cases of
// Sigstore's client conformance suite are whose names the rows have, and wants a
// refusal with the right reason for each.
func TestConformanceRefusals(t *testing.T) {
	t.Parallel()
	in, stranger := verifytest.NewInstance(t), verifytest.NewInstance(t)
	message, envelope := verifytest.Options{Message: true}, verifytest.Options{}
	v2, v2message := verifytest.Options{V2: true}, verifytest.Options{V2: true, Message: true}
	v1dsse := verifytest.Options{Form: verifytest.BundleV01}
	change := func(edit func(*protobundle.Bundle)) func(*verifytest.Options) {
		return func(o *verifytest.Options) { o.Change = edit }
	}
	checkpoint := func(kind verifytest.EntryKind, edit func(*verifytest.Checkpoint)) func(*verifytest.Options) {
		return one(verifytest.Entry{Kind: kind, Checkpoint: edit})
	}
	tokenAt := func(at time.Time) func(*verifytest.Options) { return stamped(verifytest.Stamp{At: at}) }
	runAttacks(t, in, []attack{
		{name: "bundle-unknown-version_fail", good: message, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) {
			b.MediaType = "application/vnd.dev.sigstore.bundle.v0.9+json"
		})},
		{name: "bundle-unknown-patch-version_fail SB-27", good: message, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) {
			b.MediaType = "application/vnd.dev.sigstore.bundle.v0.3.9+json"
		})},
		{name: "bundle-prerelease-version_fail SB-27", good: message, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) {
			b.MediaType = "application/vnd.dev.sigstore.bundle.v0.3-x+json"
		})},
		{name: "bundle-short-version_fail SB-27", good: message, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) {
			b.MediaType = "application/vnd.dev.sigstore.bundle.v0.1+json"
		})},
		{name: "bundle-no-version_fail", good: message, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) { b.MediaType = "" })},
		{name: "bundle-empty-certificate-chain_fail", good: v1dsse, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) {
			b.VerificationMaterial.GetX509CertificateChain().Certificates = nil
		})},
		{name: "bundle-chain-in-v0.3_fail", good: message, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) {
			leaf := b.GetVerificationMaterial().GetCertificate()
			b.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{
				X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{leaf, {RawBytes: stranger.CA.Root.Raw}}},
			}
		})},
		{name: "bundle-negative-log-index_fail", good: message, want: verify.ReasonSignatureFormat, bad: one(verifytest.Entry{
			Change: func(e *protorekor.TransparencyLogEntry) { e.LogIndex = -7 },
		})},
		{name: "bundle-with-root-cert_fail", good: v1dsse, want: verify.ReasonCertificateChain, bad: func(o *verifytest.Options) {
			o.CA, o.Chain = stranger.CA, []*x509.Certificate{stranger.CA.Intermediate, stranger.CA.Root}
		}},
		{name: "bundle-from-wrong-instance_fail", good: message, want: verify.ReasonCertificateChain, root: func(wire *prototrustroot.TrustedRoot) { replaceRoot(t, wire, stranger) }},
		{name: "wrong-material_fail", good: message, want: verify.ReasonKeyMismatch, bad: change(func(b *protobundle.Bundle) {
			b.VerificationMaterial.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: "a key"}}
		})},
		{name: "message-digest-mismatch_fail", good: message, want: verify.ReasonDigestMismatch, bad: change(func(b *protobundle.Bundle) {
			b.GetMessageSignature().MessageDigest.Digest = bytes.Repeat([]byte{1}, 32)
		})},
		{name: "signature-mismatch_fail", good: message, want: verify.ReasonLogMismatch, bad: change(func(b *protobundle.Bundle) {
			b.GetMessageSignature().Signature = in.Sign(t, message).Sig
		})},
		{name: "dsse-mismatch-sig_fail", good: envelope, want: verify.ReasonLogMismatch, bad: change(func(b *protobundle.Bundle) {
			b.GetDsseEnvelope().Signatures[0].Sig = in.Sign(t, envelope).Sig
		})},
		{name: "dsse-mismatch-envelope_fail", good: envelope, want: verify.ReasonLogMismatch, bad: change(func(b *protobundle.Bundle) {
			b.GetDsseEnvelope().Payload = verifytest.Statement(t, verifytest.Image, verifytest.PredicateType, `{"made":"elsewhere"}`)
		})},
		{name: "dsse-two-signatures_fail", good: envelope, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) {
			sigs := b.GetDsseEnvelope().GetSignatures()
			b.GetDsseEnvelope().Signatures = append(sigs, sigs[0])
		})},
		{name: "dsse-no-signature_fail", good: envelope, want: verify.ReasonSignatureFormat, bad: change(func(b *protobundle.Bundle) { b.GetDsseEnvelope().Signatures = nil })},
		{name: "dsse-payload-type_fail", good: envelope, want: verify.ReasonPayloadType, bad: change(func(b *protobundle.Bundle) { b.GetDsseEnvelope().PayloadType = "text/plain" })},
		{name: "intoto-log-entry-mismatch_fail", want: verify.ReasonLogMismatch, good: verifytest.Options{Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry}}}, bad: one(verifytest.Entry{
			Kind: verifytest.IntotoEntry, Of: in.Sign(t, envelope),
		})},
		{name: "intoto-missing-inclusion-proof_fail", good: envelope, bad: one(verifytest.Entry{WithoutProof: true}), want: verify.ReasonLogProof},
		{name: "intoto-set-outside-signing-cert-validity_fail", good: envelope, bad: one(verifytest.Entry{Time: in.Now.Add(time.Hour)}), want: verify.ReasonTimeOutside},
		{name: "intoto-tsa-timestamp-outside-cert-validity_fail", good: v2, bad: tokenAt(in.Now.Add(time.Hour)), want: verify.ReasonTimeOutside},
		{name: "wrong-hashedrekord-entry_fail", good: message, bad: one(verifytest.Entry{Of: in.Sign(t, message)}), want: verify.ReasonLogMismatch},
		{name: "invalid-ct-key_fail", good: message, bad: func(o *verifytest.Options) { o.Leaf.CT = []verifytest.SCT{{Log: stranger.CT}} }, want: verify.ReasonSCTInvalid},
		{name: "set-invalid-signature_fail", good: v1dsse, want: verify.ReasonLogProof, bad: one(verifytest.Entry{Change: func(e *protorekor.TransparencyLogEntry) {
			e.InclusionPromise.SignedEntryTimestamp = flip(e.GetInclusionPromise().GetSignedEntryTimestamp())
		}})},
		{name: "invalid-inclusion-proof_fail", good: message, want: verify.ReasonLogProof, bad: one(verifytest.Entry{Change: func(e *protorekor.TransparencyLogEntry) { e.InclusionProof.Hashes = nil }})},
		{name: "inclusion-proof-corrupted-hash_fail", good: message, want: verify.ReasonLogProof, bad: one(verifytest.Entry{Change: func(e *protorekor.TransparencyLogEntry) {
			e.InclusionProof.Hashes[0] = flip(e.GetInclusionProof().GetHashes()[0])
		}})},
		{name: "invalid-checkpoint-signature_fail", good: message, want: verify.ReasonLogProof, bad: checkpoint("", func(c *verifytest.Checkpoint) { c.Signers[0].Forge = flip })},
		{name: "checkpoint-bad-keyhint_fail", good: message, want: verify.ReasonLogProof, bad: checkpoint("", func(c *verifytest.Checkpoint) {
			c.Signers[0].Forge = func(raw []byte) []byte { return append([]byte("hint"), raw[4:]...) }
		})},
		{name: "checkpoint-wrong-roothash_fail", good: message, want: verify.ReasonLogProof, bad: checkpoint("", func(c *verifytest.Checkpoint) { c.Root = base64.StdEncoding.EncodeToString(make([]byte, 32)) })},
		{name: "rekor2-no-inclusion-proof_fail", good: v2message, bad: one(verifytest.Entry{Kind: verifytest.HashedRekordV2, WithoutProof: true}), want: verify.ReasonLogProof},
		{name: "rekor2-checkpoint-no-matching-signature_fail", good: v2message, want: verify.ReasonLogProof, bad: checkpoint(verifytest.HashedRekordV2, func(c *verifytest.Checkpoint) { c.Signers[0].By = stranger.Rekor2 })},
		{name: "rekor2-checkpoint-missing-log-signature_fail", good: v2message, want: verify.ReasonLogProof, bad: checkpoint(verifytest.HashedRekordV2, func(c *verifytest.Checkpoint) {
			c.Signers = []verifytest.Cosigner{{Name: "witness.test", By: stranger.Rekor2}}
		})},
		{name: "rekor2-checkpoint-missing-origin_fail", good: v2message, want: verify.ReasonLogProof, bad: checkpoint(verifytest.HashedRekordV2, func(c *verifytest.Checkpoint) { c.Origin = "" })},
		{name: "rekor2-checkpoint-missing-size_fail", good: v2message, want: verify.ReasonLogProof, bad: checkpoint(verifytest.HashedRekordV2, func(c *verifytest.Checkpoint) { c.Size = "" })},
		{name: "rekor2-checkpoint-missing-root-hash_fail", good: v2message, want: verify.ReasonLogProof, bad: checkpoint(verifytest.HashedRekordV2, func(c *verifytest.Checkpoint) { c.Root = "" })},
		{name: "rekor2-timestamp-with-incorrect-time_fail", good: v2message, bad: tokenAt(in.Now.Add(-time.Hour)), want: verify.ReasonTimeOutside},
		{name: "rekor2-timestamp-payload-mismatch_fail", good: v2message, bad: stamped(verifytest.Stamp{Over: []byte("x")}), want: verify.ReasonTimeOutside},
		{name: "rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail", good: v2message, bad: stamped(verifytest.Stamp{TSA: stranger.TSA}), want: verify.ReasonCertificateChain},
		{name: "rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", good: v2message, bad: stamped(verifytest.Stamp{TSA: stranger.TSA, Embed: true}), want: verify.ReasonCertificateChain},
		{name: "rekor2-timestamp-outside-trust-root-tsa-validity_fail", good: v2message, root: tsaWindow(time.Time{}, in.Now.Add(-time.Minute)), want: verify.ReasonTimeOutside},
		{name: "rekor2-no-timestamp_fail", good: v2message, bad: unstamped, want: verify.ReasonTimeMissing},
	})
	short := verifytest.NewInstance(t)
	short.ReplaceTSA(t, verifytest.Window{Start: in.Now.Add(-time.Hour), End: in.Now}, verifytest.AuthorityOptions{Name: "short"})
	runAttacks(t, short, []attack{
		{name: "rekor2-timestamp-outside-tsa-cert-validity_fail", good: v2message, bad: tokenAt(in.Now.Add(time.Minute)), want: verify.ReasonTimeOutside},
	})
	t.Run("bundle-malformed-json_fail", func(t *testing.T) {
		t.Parallel()
		good := in.Sign(t, message)
		e := good.Evidence(t)
		e.Raw = e.Raw[:len(e.Raw)-2]
		wantReason(t, in.Verifier(t, trust.Keyless()), good.Subject().Digest, e, verify.ReasonSignatureFormat)
	})
	t.Run("integrated-time-in-future_fail", func(t *testing.T) {
		t.Parallel()
		good := in.Sign(t, message)
		wantReason(t, verifierAt(t, in, in.Now.Add(-time.Hour)), good.Subject().Digest, good.Evidence(t), verify.ReasonTimeOutside)
	})
	t.Run("trust-root-tlog-missing-validity-start_fail", func(t *testing.T) {
		t.Parallel()
		raw := in.TrustedRoot(t, func(wire *prototrustroot.TrustedRoot) { wire.GetTlogs()[0].GetPublicKey().GetValidFor().Start = nil })
		if _, err := trust.NewRoot(trust.WithTrustedRoot(raw)); !errors.Is(err, trust.ErrRootInvalid) {
			t.Errorf("got %v, want %v", err, trust.ErrRootInvalid)
		}
	})
}

// TestConformancePasses: the cases of the suite that must pass.
func TestConformancePasses(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	ends := func(wire *prototrustroot.TrustedRoot) {
		setEnd(wire.GetTlogs()[0].GetPublicKey().GetValidFor(), in.Now)
	}
	cosigned := verifytest.Entry{Kind: verifytest.HashedRekordV2, Checkpoint: func(c *verifytest.Checkpoint) {
		c.Signers = append([]verifytest.Cosigner{{Name: "witness.test", By: verifytest.NewInstance(t).Rekor2}}, c.Signers...)
		c.Extra = "an extension line\n"
	}}
	for name, row := range map[string]struct {
		options verifytest.Options
		root    func(*prototrustroot.TrustedRoot)
	}{
		"happy-path-v0.1":                          {options: verifytest.Options{Form: verifytest.BundleV01, Message: true}},
		"happy-path-v0.2":                          {options: verifytest.Options{Form: verifytest.BundleV02, Message: true}},
		"happy-path-v0.3":                          {options: verifytest.Options{Message: true}},
		"happy-path-old-spelling-of-v0.3":          {options: verifytest.Options{Change: func(b *protobundle.Bundle) { b.MediaType = "application/vnd.dev.sigstore.bundle+json;version=0.3" }}},
		"happy-path-intoto":                        {options: verifytest.Options{Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry}}}},
		"happy-path-chain-in-v0.1":                 {options: verifytest.Options{Form: verifytest.BundleV01, Chain: []*x509.Certificate{in.CA.Intermediate, in.CA.Root}}},
		"happy-path-with-timestamp":                {options: verifytest.Options{Stamps: []verifytest.Stamp{{}}}},
		"intoto-with-custom-trust-root":            {options: verifytest.Options{}},
		"othername":                                {options: verifytest.Options{Leaf: verifytest.Leaf{Other: "someone!example.com"}}},
		"ecdsa-p384":                               {options: verifytest.Options{V2: true, Leaf: verifytest.Leaf{Algorithm: "ecdsa-p384"}}},
		"rsa-2048":                                 {options: verifytest.Options{V2: true, Leaf: verifytest.Leaf{Algorithm: "rsa-2048"}}},
		"ecdsa-p521":                               {options: verifytest.Options{Leaf: verifytest.Leaf{Algorithm: "ecdsa-p521"}}},
		"ecdsa-p521 in rekor v2":                   {options: verifytest.Options{V2: true, Leaf: verifytest.Leaf{Algorithm: "ecdsa-p521"}}},
		"ed25519":                                  {options: verifytest.Options{Leaf: verifytest.Leaf{Algorithm: "ed25519"}}},
		"ed25519 intoto":                           {options: verifytest.Options{Leaf: verifytest.Leaf{Algorithm: "ed25519"}, Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry}}}},
		"rekor2-happy-path":                        {options: verifytest.Options{V2: true, Message: true}},
		"rekor2-dsse-happy-path":                   {options: verifytest.Options{V2: true}},
		"rekor2-dsse-entry":                        {options: verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}}},
		"rekor2-checkpoint-cosigned":               {options: verifytest.Options{V2: true, Entries: []verifytest.Entry{cosigned}}},
		"rekor2-ecdsa-log":                         {options: verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.HashedRekordV2, Log: in.SecondV2}}}},
		"rekor2-timestamp-with-embedded-cert":      {options: verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{Embed: true}}}},
		"rekor2-timestamp-with-whole-chain":        {options: verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{Embed: true, Bag: []*x509.Certificate{in.TSA.Intermediate, in.TSA.Root}}}}},
		"rekor2-one-good-timestamp-beside-a-bad":   {options: verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{Over: []byte("x")}, {}}}},
		"trust-root-tlog-validity-end-inclusive":   {options: verifytest.Options{}, root: ends},
		"trust-root-tsa-validity-end-inclusive":    {options: verifytest.Options{V2: true}, root: tsaWindow(time.Time{}, in.Now)},
		"second-authority":                         {options: verifytest.Options{CA: in.SecondCA}},
		"an-unknown-logs-entry-beside-a-known-one": {options: verifytest.Options{Entries: []verifytest.Entry{{}, {Log: verifytest.NewInstance(t).Rekor1}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []func(*prototrustroot.TrustedRoot)
			if row.root != nil {
				changes = append(changes, row.root)
			}
			fact := wantFact(t, in.Verifier(t, trust.Keyless(), changes...), in.Sign(t, row.options))
			if len(fact.Log) != 1 {
				t.Errorf("log %v", fact.Log)
			}
		})
	}
	t.Run("rekor2-timestamp-with-expired-cert-chain", func(t *testing.T) {
		t.Parallel()
		wantFact(t, verifierAt(t, in, in.Now.AddDate(30, 0, 0)), in.Sign(t, verifytest.Options{V2: true}))
	})
}

// TestInstanceWithoutLogs: GitHub's own instance has certificates and timestamps, and
// neither kind of log. Its evidence passes where the trust root is of that kind and no
// log is asked for, and nowhere else.
func TestInstanceWithoutLogs(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	without := func(wire *prototrustroot.TrustedRoot) { wire.Tlogs, wire.Ctlogs = nil, nil }
	signed := in.Sign(t, verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{}}})
	fact := wantFact(t, in.Verifier(t, trust.Requirement{Timestamps: 1}, without), signed)
	if len(fact.Log) != 0 || len(fact.Times) != 1 || fact.Times[0].Source != "tsa" {
		t.Errorf("log %v, times %v", fact.Log, fact.Times)
	}
	e, subject := signed.Evidence(t), signed.Subject().Digest
	wantReason(t, in.Verifier(t, trust.Requirement{Timestamps: 1, LogEntries: 1}), subject, e, verify.ReasonLogMissing)
	wantReason(t, in.Verifier(t, trust.Requirement{Timestamps: 1, SCTs: 1}), subject, e, verify.ReasonSCTMissing)
	wantReason(t, in.Verifier(t, trust.Requirement{Timestamps: 2}, without), subject, e, verify.ReasonThreshold)
	logged := in.Sign(t, verifytest.Options{})
	wantReason(t, in.Verifier(t, trust.Requirement{Timestamps: 1}, without), logged.Subject().Digest, logged.Evidence(t), verify.ReasonTimeMissing)
}
