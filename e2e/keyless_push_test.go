package e2e

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// TestKeylessPolicyPush: a policy that was signed keyless is used by its tag for its own
// identity alone, by verify and by pull, and decides as the file did.
func TestKeylessPolicyPush(t *testing.T) {
	t.Parallel()
	for name, services := range map[string]stack.Services{"Rekor v1": instance(t).Services().V1(), "Rekor v2": instance(t).Services().V2()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, services, stack.GitHub())
			reg := inMemory(t, true)
			signed, bare := reg.push("team/signed"), reg.push("team/bare")
			hallmark(t, k.dir, "key", "generate", "--format", "pkcs8", "--no-password", "--out", "release").want(t, 0, "key generate")
			hallmark(t, k.dir, "sign", "--key", "release.key", signed).want(t, 0, "sign")
			put(t, k.dir, "mine.yaml", []byte("apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: mine}\nsigners: {release: {keys: [{file: release.pub}]}}\n"+
				"rules: [{name: all, images: [\"**\"], require: {signatures: {from: [release]}}}]\n"))
			where := "oci://" + reg.host + "/policies/mine:v1"
			hallmark(t, k.dir, k.sign("policy", "push", "mine.yaml", where)...).want(t, 0, "policy push")

			issuer := k.stack.Issuer.URLOf(k.profile)
			as := func(identity, issuer string, args ...string) []string {
				return append(args, "--policy-identity", identity, "--policy-issuer", issuer, "--policy-trusted-root", "trusted_root.json")
			}
			verify := func(image string) []string { return []string{"verify", image, "--policy", where} }
			hallmark(t, k.dir, as(k.profile.Identity, issuer, verify(signed)...)...).want(t, 0, "verify")
			hallmark(t, k.dir, as(k.profile.Identity, issuer, verify(bare)...)...).want(t, 1, "verify of an unsigned image")
			hallmark(t, k.dir, as(k.profile.Identity, issuer, "policy", "pull", where, "--out", "pulled.yaml")...).want(t, 0, "policy pull")
			for _, twin := range [][2]string{
				{"https://github.com/octo-org/octo-repo/.github/workflows/other.yml@refs/heads/main", issuer},
				{strings.ToUpper(k.profile.Identity), issuer},
				{k.profile.Identity, "https://issuer.example"},
			} {
				// What a policy cannot be had for is "could not check", never allowed.
				hallmark(t, k.dir, as(twin[0], twin[1], verify(signed)...)...).want(t, 2, "verify for "+twin[0]+" of "+twin[1])
				hallmark(t, k.dir, as(twin[0], twin[1], "policy", "pull", where, "--out", "other.yaml")...).want(t, 1, "pull for "+twin[0]+" of "+twin[1])
			}
			hallmark(t, k.dir, verify(signed)...).want(t, 64, "verify without an identity")
		})
	}
}
