package e2e

import "testing"

// TestKeylessImage: signatures of hallmark's, verified by the flags that cosign's users
// know; each with twins that are refused.
func TestKeylessImage(t *testing.T) {
	t.Parallel()
	reg := inMemory(t, true)
	keylessVariants(t, func(t *testing.T, k keyless) {
		image := reg.push(repositoryName(t))
		denied := hallmark(t, k.dir, k.verify("verify", image)...).want(t, 1, "hallmark verify before anything was signed")
		contains(t, denied.stdout, "DENY")
		hallmark(t, k.dir, k.sign("sign", image)...).want(t, 0, "hallmark sign")
		issuer := k.stack.Issuer.URLOf(k.profile)
		allowed := hallmark(t, k.dir, k.verify("verify", image)...).want(t, 0, "hallmark verify")
		contains(t, allowed.stdout, k.profile.Identity)
		for _, twin := range []struct{ identity, issuer, reason string }{
			{"mallory@example.com", issuer, "IDENTITY_MISMATCH"},
			{k.profile.Identity + "x", issuer, "IDENTITY_MISMATCH"},
			{k.profile.Identity, "https://issuer.example", "ISSUER_MISMATCH"},
		} {
			refused := hallmark(t, k.dir, k.as(twin.identity, twin.issuer, "verify", image, "--output", "json")...).want(t, 1, "hallmark verify, "+twin.reason)
			if found := reasons(t, refused.stdout); !found[twin.reason] {
				t.Errorf("no %s in %v\n%s", twin.reason, found, refused.stdout)
			}
		}
		if !k.sct {
			k.sct = true // without --insecure-ignore-sct
			refused := hallmark(t, k.dir, k.verify("verify", image)...).want(t, 1, "hallmark verify without SCT")
			contains(t, refused.stdout, "SCT_MISSING")
		}
	})
}
