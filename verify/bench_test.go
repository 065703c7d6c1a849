package verify_test

import (
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/data"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// BenchmarkKeyless checks one keyless bundle with warm trust material: by hallmark,
// from the bundle's bytes to a fact, and by sigstore-go's own Verify, once on a bundle
// that is parsed already and once from its bytes. "public-good" is a genuine bundle
// with the public instance's P-384 authority and a Rekor v1 entry; "rekor2" one of the
// virtual instance with a Rekor v2 entry and a timestamp.
func BenchmarkKeyless(b *testing.B) {
	raw, subject, public := publicGood(b, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	in := verifytest.NewInstance(b)
	signed := in.Sign(b, verifytest.Options{V2: true})
	trusted, err := root.NewTrustedRootFromJSON(in.TrustedRoot(b))
	if err != nil {
		b.Fatal(err)
	}
	for _, one := range []struct {
		name    string
		raw     []byte
		subject verify.Subject
		own     *verify.Verifier
		root    root.TrustedMaterial
	}{
		{"public-good", raw, verify.Subject{Digest: subject}, public, data.TrustedRoot(&testing.T{}, "public-good.json")},
		{"rekor2", signed.Evidence(b).Raw, signed.Subject(), in.Verifier(b, trust.Keyless()), trusted},
	} {
		b.Run(one.name+"/hallmark", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := one.own.Check(one.subject, verify.Evidence{Format: verify.FormatBundle, Raw: one.raw}); err != nil {
					b.Fatal(err)
				}
			}
		})
		engine, err := sigverify.NewVerifier(one.root, sigverify.WithTransparencyLog(1), sigverify.WithObserverTimestamps(1), sigverify.WithSignedCertificateTimestamps(1))
		if err != nil {
			b.Fatal(err)
		}
		check := func(b *testing.B, parsed *bundle.Bundle) {
			b.Helper()
			artifact := sigverify.WithArtifactDigest(one.subject.Digest.Algorithm(), one.subject.Digest.Bytes())
			if _, err := engine.Verify(parsed, sigverify.NewPolicy(artifact, sigverify.WithoutIdentitiesUnsafe())); err != nil {
				b.Fatal(err)
			}
		}
		parse := func(b *testing.B) *bundle.Bundle {
			b.Helper()
			parsed := &bundle.Bundle{}
			if err := parsed.UnmarshalJSON(one.raw); err != nil {
				b.Fatal(err)
			}
			return parsed
		}
		b.Run(one.name+"/sigstore-go", func(b *testing.B) {
			b.ReportAllocs()
			parsed := parse(b)
			for b.Loop() {
				check(b, parsed)
			}
		})
		b.Run(one.name+"/sigstore-go-parsing", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				check(b, parse(b))
			}
		})
	}
}
