package e2e

import (
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// cosign runs cosign with the instance's trust.
func (k keyless) cosign(t testing.TB, args ...string) result {
	t.Helper()
	return runWith(t, k.stack.CosignEnvironment(), k.dir, filepath.Join(cache, "cosign"), args...)
}

// cosignVerify are cosign's flags for verifying a bundle beside an image.
func (k keyless) cosignVerify(identity string, args ...string) []string {
	return k.as(identity, k.stack.Issuer.URLOf(k.profile), append(args, "--new-bundle-format", "--use-signed-timestamps", "--allow-http-registry")...)
}

// TestKeylessHallmarkToCosign: what hallmark signs, cosign v2.6.5 verifies, and refuses
// for another identity.
func TestKeylessHallmarkToCosign(t *testing.T) {
	t.Parallel()
	reg := inMemory(t, true)
	keylessVariants(t, func(t *testing.T, k keyless) {
		image, attested := reg.push(repositoryName(t)+"/signed"), reg.push(repositoryName(t)+"/attested")
		hallmark(t, k.dir, k.sign("sign", image)...).want(t, 0, "hallmark sign")
		k.cosign(t, k.cosignVerify(k.profile.Identity, "verify", image)...).want(t, 0, "cosign verify")
		k.cosign(t, k.cosignVerify("mallory@example.com", "verify", image)...).fails(t, "cosign verify as another")

		hallmark(t, k.dir, k.sign("attest", attested, "--type", predicateType, "--predicate", "p.json")...).want(t, 0, "hallmark attest")
		k.cosign(t, k.cosignVerify(k.profile.Identity, "verify-attestation", attested, "--type", predicateType)...).want(t, 0, "cosign verify-attestation")
		k.cosign(t, k.cosignVerify("mallory@example.com", "verify-attestation", attested, "--type", predicateType)...).fails(t, "cosign verify-attestation as another")

		hallmark(t, k.dir, k.sign("sign-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark sign-blob")
		k.cosign(t, k.verify("verify-blob", "blob", "--bundle", "b.json", "--new-bundle-format", "--use-signed-timestamps")...).want(t, 0, "cosign verify-blob")
		k.cosign(t, k.verify("verify-blob", "other", "--bundle", "b.json", "--new-bundle-format", "--use-signed-timestamps")...).fails(t, "cosign verify-blob of another file")
	})
}

// TestKeylessLegacyHallmarkToCosign: the same in cosign's tag format, which Rekor v1 alone serves.
func TestKeylessLegacyHallmarkToCosign(t *testing.T) {
	t.Parallel()
	reg := inMemory(t, false)
	k := newKeyless(t, instance(t).Services().V1(), stack.GitHub())
	image, attested := reg.push("legacy/signed"), reg.push("legacy/attested")
	flags := []string{"--certificate-identity", k.profile.Identity, "--certificate-oidc-issuer", k.stack.Issuer.URLOf(k.profile), "--allow-http-registry"}
	wrong := []string{"--certificate-identity", "mallory@example.com", "--certificate-oidc-issuer", k.stack.Issuer.URLOf(k.profile), "--allow-http-registry"}
	hallmark(t, k.dir, k.sign("sign", image, "--format", "legacy")...).want(t, 0, "hallmark sign")
	k.cosign(t, append([]string{"verify", image}, flags...)...).want(t, 0, "cosign verify")
	k.cosign(t, append([]string{"verify", image}, wrong...)...).fails(t, "cosign verify as another")
	hallmark(t, k.dir, k.sign("attest", attested, "--format", "legacy", "--type", predicateType, "--predicate", "p.json")...).want(t, 0, "hallmark attest")
	judged(t, k, attested, wantStatement)
	k.cosign(t, append([]string{"verify-attestation", attested, "--type", predicateType}, flags...)...).want(t, 0, "cosign verify-attestation")
	k.cosign(t, append([]string{"verify-attestation", attested, "--type", predicateType}, wrong...)...).fails(t, "cosign verify-attestation as another")
}

// TestKeylessCosignBlobs: the same for files, whose identities have no registry.
func TestKeylessCosignBlobs(t *testing.T) {
	t.Parallel()
	all := instance(t).Services()
	for name, services := range map[string]stack.Services{"Rekor v1": all.V1(), "Rekor v2": all.V2()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, services, stack.RealGitHub())
			k.cosign(t, "sign-blob", "blob", "--bundle", "theirs.json", "--new-bundle-format", "--identity-token", "token", "--yes", "--signing-config", "signing.json", "--trusted-root", "trusted_root.json").
				want(t, 0, "cosign sign-blob")
			hallmark(t, k.dir, k.verify("verify-blob", "blob", "--bundle", "theirs.json")...).want(t, 0, "hallmark verify-blob")
			hallmark(t, k.dir, k.verify("verify-blob", "other", "--bundle", "theirs.json")...).want(t, 1, "hallmark verify-blob of another file")
			k.cosign(t, "attest-blob", "blob", "--bundle", "statement.json", "--new-bundle-format", "--type", predicateType, "--predicate", "p.json", "--identity-token", "token", "--yes", "--signing-config", "signing.json", "--trusted-root", "trusted_root.json").
				want(t, 0, "cosign attest-blob")
			hallmark(t, k.dir, k.verify("verify-blob", "blob", "--bundle", "statement.json")...).want(t, 0, "hallmark verify-blob of a statement")
			refused := hallmark(t, k.dir, k.as("mallory@example.com", k.stack.Issuer.URLOf(k.profile), "verify-blob", "blob", "--bundle", "statement.json")...).want(t, 1, "hallmark verify-blob as another")
			contains(t, refused.stdout+refused.stderr, "IDENTITY_MISMATCH")
		})
	}
}
