package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// What a policy of these tests may want of an image.
const (
	wantSignature = "signatures: {from: [who]}"
	wantStatement = "statements: [{type: " + predicateType + ", from: [who], cel: [\"statement.predicate.result == 'PASSED'\"]}]"
)

// policy writes a trust policy that wants something of one identity, proven by the
// trusted root beside it, and returns the file's name.
func (k keyless) policy(t testing.TB, identity, issuer, want string) string {
	t.Helper()
	kind := "uri"
	if strings.Contains(identity, "@example.com") {
		kind = "email"
	}
	return k.policyOf(t, fmt.Sprintf("issuer: %q, subject: {%s: %q}", issuer, kind, identity), want)
}

// policyOf is policy with an identity's fields as the policy has them.
func (k keyless) policyOf(t testing.TB, identity, want string) string {
	t.Helper()
	sct := 1
	if !k.sct {
		sct = 0
	}
	text := fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: e2e}
trustRoots:
  private: {sigstore: trusted_root.json, sct: %d}
signers:
  who:
    keyless: {trustRoot: private, %s}
rules:
  - {name: all, images: ["**"], require: {%s}}
`, sct, identity, want)
	return put(t, k.dir, "policy.yaml", []byte(text))
}

// judged verifies an image by a policy that wants something of the profile's identity,
// and refuses it under policies that want it of others, with the reason of each.
func judged(t *testing.T, k keyless, image, want string) {
	t.Helper()
	issuer := k.stack.Issuer.URLOf(k.profile)
	allowed := hallmark(t, k.dir, "verify", image, "--policy", k.policy(t, k.profile.Identity, issuer, want)).want(t, 0, "hallmark verify, "+want)
	contains(t, allowed.stdout, k.profile.Identity)
	for _, twin := range []struct{ identity, issuer, reason string }{
		{"mallory@example.com", issuer, "IDENTITY_MISMATCH"},
		{"https://github.com/octo-org/octo-repo/.github/workflows/other.yml@refs/heads/main", issuer, "IDENTITY_MISMATCH"},
		{k.profile.Identity, "https://issuer.example", "ISSUER_MISMATCH"},
		{k.profile.Identity, issuer + "/", "ISSUER_MISMATCH"},
	} {
		refused := hallmark(t, k.dir, "verify", image, "--output", "json", "--policy", k.policy(t, twin.identity, twin.issuer, want)).want(t, 1, "hallmark verify, "+twin.reason)
		if found := reasons(t, refused.stdout); !found[twin.reason] {
			t.Errorf("%s by %s: no %s in %v\n%s", twin.identity, twin.issuer, twin.reason, found, refused.stdout)
		}
	}
	if !k.sct {
		k.sct = true
		refused := hallmark(t, k.dir, "verify", image, "--policy", k.policy(t, k.profile.Identity, issuer, want)).want(t, 1, "hallmark verify without SCT")
		contains(t, refused.stdout, "SCT_MISSING")
	}
}

// TestKeylessPolicy: images and attestations that hallmark signed, by policy.
func TestKeylessPolicy(t *testing.T) {
	t.Parallel()
	reg := inMemory(t, true)
	keylessVariants(t, func(t *testing.T, k keyless) {
		image, attested := reg.push(repositoryName(t)+"/signed"), reg.push(repositoryName(t)+"/attested")
		hallmark(t, k.dir, k.sign("sign", image)...).want(t, 0, "hallmark sign")
		judged(t, k, image, wantSignature)
		hallmark(t, k.dir, k.sign("attest", attested, "--type", predicateType, "--predicate", "p.json")...).want(t, 0, "hallmark attest")
		judged(t, k, attested, wantStatement)
		// An attestation is not a signature.
		denied := hallmark(t, k.dir, "verify", attested, "--policy", k.policy(t, k.profile.Identity, k.stack.Issuer.URLOf(k.profile), wantSignature))
		denied.want(t, 1, "hallmark verify of an image that was only attested")
	})
}
