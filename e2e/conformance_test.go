package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// TestConformanceProtocol speaks Sigstore's client conformance protocol to the adapter
// in .ci/conformance: signing with an identity token and a signing configuration,
// verifying by file and by digest, with an identity or a key, and the failures, which
// must be refusals with a reason.
func TestConformanceProtocol(t *testing.T) {
	t.Parallel()
	adapter, err := filepath.Abs("../.ci/conformance")
	if err != nil {
		t.Fatal(err)
	}
	program, err := filepath.Abs("../bin/hallmark")
	if err != nil {
		t.Fatal(err)
	}
	if named := os.Getenv("HALLMARK"); named != "" {
		program = named
	}
	for name, services := range logVariants(instance(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, services, stack.GitHub())
			put(t, k.dir, "statement.json", []byte(fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"blob","digest":{"sha256":"%x"}}],"predicateType":"https://example.com/p/v1","predicate":{}}`, sha256.Sum256([]byte("an artifact")))))
			call := func(args ...string) result {
				return runIn(t, k.dir, "/usr/bin/env", append([]string{"HALLMARK=" + program, "bash", adapter}, args...)...)
			}
			token, err := os.ReadFile(filepath.Join(k.dir, "token"))
			if err != nil {
				t.Fatal(err)
			}
			sign := []string{"sign-bundle", "--identity-token", string(token), "--trusted-root", "trusted_root.json", "--signing-config", "signing.json"}
			call(append(sign, "--bundle", "b.json", "blob")...).want(t, 0, "sign-bundle")
			call(append(sign, "--in-toto", "--bundle", "s.json", "statement.json")...).want(t, 0, "sign-bundle --in-toto")
			digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("an artifact")))
			verify := func(bundle, identity, issuer, what string) result {
				return call("verify-bundle", "--bundle", bundle, "--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "--trusted-root", "trusted_root.json", what)
			}
			who, by := k.profile.Identity, k.stack.Issuer.URLOf(k.profile)
			for _, bundle := range []string{"b.json", "s.json"} {
				verify(bundle, who, by, "blob").want(t, 0, "verify-bundle "+bundle+" by file")
				verify(bundle, who, by, digest).want(t, 0, "verify-bundle "+bundle+" by digest")
				for reason, refused := range map[string]result{
					"IDENTITY_MISMATCH": verify(bundle, "https://github.com/evil/app", by, "blob"),
					"ISSUER_MISMATCH":   verify(bundle, who, "https://issuer.example", "blob"),
					"MISMATCH":          verify(bundle, who, by, "other"),
				} {
					refused.want(t, 1, "verify-bundle "+bundle+" that must fail with "+reason)
					contains(t, refused.stderr, reason)
				}
			}
			good, err := os.ReadFile(filepath.Join(k.dir, "b.json"))
			if err != nil {
				t.Fatal(err)
			}
			for broken, text := range map[string]string{
				"not JSON": "<html>", "an unknown version": strings.Replace(string(good), "bundle.v0.3", "bundle.v0.9", 1),
				"no certificate": strings.Replace(string(good), `"certificate"`, `"certificateX"`, 1), "nothing": "{}",
			} {
				put(t, k.dir, "broken.json", []byte(text))
				refused := verify("broken.json", who, by, "blob").want(t, 1, "verify-bundle with "+broken)
				contains(t, refused.stderr, "SIG_FORMAT")
			}
			put(t, k.dir, "bad_root.json", []byte(`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [{}]}`))
			refused := call("verify-bundle", "--bundle", "b.json", "--certificate-identity", who, "--certificate-oidc-issuer", by, "--trusted-root", "bad_root.json", "blob")
			refused.want(t, 2, "verify-bundle with a broken trusted root")
			contains(t, refused.stderr, "TRUSTROOT_INVALID")
		})
	}
}
