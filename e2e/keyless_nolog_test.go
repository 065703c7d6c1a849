package e2e

import (
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestKeylessWithoutLog: an instance with authorities and no log, as GitHub runs one for
// private repositories. Who does not ask for a log is served; by default it is missing.
func TestKeylessWithoutLog(t *testing.T) {
	t.Parallel()
	services := instance(t).Services().V1().V2() // neither
	for name, services := range map[string]stack.Services{"CT": services, "no CT": services.NoCT()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, services, stack.RealGitHub())
			reg := registrytest.New(t, registrytest.WithReferrers(true))
			image := reg.PushImage("app", "1", map[string]string{"a": "b"}).TagRef()
			hallmark(t, k.dir, k.sign("sign", image)...).want(t, 0, "hallmark sign")
			hallmark(t, k.dir, k.sign("sign-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark sign-blob")
			for _, args := range [][]string{{"verify", image}, {"verify-blob", "blob", "--bundle", "b.json"}} {
				hallmark(t, k.dir, k.verify(append(args, "--insecure-ignore-tlog")...)...).want(t, 0, "hallmark "+args[0]+" without a log")
				hallmark(t, k.dir, k.as("mallory@example.com", k.profile.Issuer, append(args, "--insecure-ignore-tlog")...)...).want(t, 1, "hallmark "+args[0]+" as another")
				refused := hallmark(t, k.dir, k.verify(args...)...).want(t, 1, "hallmark "+args[0]+" that asks for a log")
				contains(t, refused.stdout+refused.stderr, "TLOG_MISSING")
			}
			k.cosign(t, k.cosignVerify(k.profile.Identity, "verify", image, "--insecure-ignore-tlog")...).want(t, 0, "cosign verify without a log")
			k.cosign(t, k.cosignVerify(k.profile.Identity, "verify", image)...).fails(t, "cosign verify that asks for a log")
		})
	}
}
