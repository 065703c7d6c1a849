package e2e

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// TestKeylessCopy: an image that was copied with its evidence, directly or in a sealed
// file, is what it was, to hallmark and to cosign, in every kind of registry.
func TestKeylessCopy(t *testing.T) {
	t.Parallel()
	services := instance(t).Services().V1()
	for fromName, from := range registries {
		for toName, to := range registries {
			t.Run(fromName+" to "+toName, func(t *testing.T) {
				t.Parallel()
				k := newKeyless(t, services, stack.GitHub())
				source, target := from(t), to(t)
				for _, format := range []string{"bundle", "legacy"} {
					image := source.push("copied/" + format)
					hallmark(t, k.dir, k.sign("sign", image, "--format", format)...).want(t, 0, "hallmark sign")
					copied := target.host + strings.TrimPrefix(image, source.host)
					hallmark(t, k.dir, "copy", image, copied).want(t, 0, "hallmark copy")
					signedBy(t, k, copied, format)

					sealed := format + ".tar"
					policy := k.policy(t, k.profile.Identity, k.stack.Issuer.URLOf(k.profile), wantSignature)
					hallmark(t, k.dir, "bundle", "save", image, "--policy", policy, "--out", sealed).want(t, 0, "hallmark bundle save")
					loaded := hallmark(t, k.dir, "bundle", "load", sealed, target.host+"/loaded").want(t, 0, "hallmark bundle load")
					signedBy(t, k, imageIn(t, loaded.stdout, target.host+"/loaded/"), format)
				}
			})
		}
	}
}

// signedBy verifies an image's signature with both tools, and as another.
func signedBy(t *testing.T, k keyless, image, format string) {
	t.Helper()
	hallmark(t, k.dir, k.verify("verify", image)...).want(t, 0, "hallmark verify of a copy")
	hallmark(t, k.dir, k.as("mallory@example.com", k.stack.Issuer.URLOf(k.profile), "verify", image)...).want(t, 1, "hallmark verify of a copy as another")
	if format == "bundle" {
		k.cosign(t, k.cosignVerify(k.profile.Identity, "verify", image)...).want(t, 0, "cosign verify of a copy")
		return
	}
	k.cosign(t, "verify", image, "--certificate-identity", k.profile.Identity, "--certificate-oidc-issuer", k.stack.Issuer.URLOf(k.profile), "--allow-http-registry").
		want(t, 0, "cosign verify of a copy")
}

// imageIn finds the first image name in a text that begins with prefix.
func imageIn(t *testing.T, text, prefix string) string {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, prefix) {
			return word
		}
	}
	t.Fatalf("no image of %s in:\n%s", prefix, text)
	return ""
}
