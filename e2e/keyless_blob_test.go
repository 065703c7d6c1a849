package e2e

import "testing"

// TestKeylessBlob: files, each with a twin that is refused.
func TestKeylessBlob(t *testing.T) {
	t.Parallel()
	keylessVariants(t, func(t *testing.T, k keyless) {
		hallmark(t, k.dir, k.sign("sign-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark sign-blob")
		check := []string{"--bundle", "b.json"}
		hallmark(t, k.dir, k.verify(append([]string{"verify-blob", "blob"}, check...)...)...).want(t, 0, "hallmark verify-blob")
		for _, twin := range []struct{ file, identity, issuer, reason string }{
			{"other", k.profile.Identity, k.stack.Issuer.URLOf(k.profile), "DIGEST_MISMATCH"},
			{"blob", "mallory@example.com", k.stack.Issuer.URLOf(k.profile), "IDENTITY_MISMATCH"},
			{"blob", k.profile.Identity, "https://issuer.example", "ISSUER_MISMATCH"},
		} {
			refused := hallmark(t, k.dir, k.as(twin.identity, twin.issuer, append([]string{"verify-blob", twin.file}, check...)...)...).want(t, 1, "hallmark verify-blob, "+twin.reason)
			contains(t, refused.stdout+refused.stderr, twin.reason)
		}
		if !k.sct {
			k.sct = true // without --insecure-ignore-sct
			refused := hallmark(t, k.dir, k.verify(append([]string{"verify-blob", "blob"}, check...)...)...).want(t, 1, "hallmark verify-blob without SCT")
			contains(t, refused.stdout+refused.stderr, "SCT_MISSING")
		}
	})
}
