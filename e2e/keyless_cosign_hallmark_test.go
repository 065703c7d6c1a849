package e2e

import (
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// cosignSign are cosign's flags for signing: with a signing configuration in the new
// format, with single URLs in the older one, which it knows for Rekor v1 alone.
func (k keyless) cosignSign(format string, args ...string) []string {
	args = append(args, "--identity-token", "token", "--yes", "--allow-http-registry")
	if format == "bundle" {
		return append(args, "--new-bundle-format", "--signing-config", "signing.json", "--trusted-root", "trusted_root.json")
	}
	services := k.stack.Services()
	args = append(args, "--fulcio-url", services.Fulcio, "--rekor-url", services.RekorV1)
	if args[0] == "sign" {
		args = append(args, "--timestamp-server-url", services.TimestampURLs()[0])
	}
	return args
}

// TestKeylessCosignToHallmark: what cosign v2.6.5 signs, hallmark verifies, and refuses
// for another identity or issuer.
func TestKeylessCosignToHallmark(t *testing.T) {
	t.Parallel()
	all := instance(t).Services()
	for name, test := range map[string]struct {
		format   string
		services stack.Services
	}{"bundle, Rekor v1": {"bundle", all.V1()}, "bundle, Rekor v2": {"bundle", all.V2()}, "legacy, Rekor v1": {"legacy", all.V1()}} {
		for registryName, start := range registries {
			t.Run(name+"/"+registryName, func(t *testing.T) {
				t.Parallel()
				reg := start(t)
				k := newKeyless(t, test.services, stack.GitHub())
				image, attested := reg.push("theirs/signed"), reg.push("theirs/attested")
				k.cosign(t, k.cosignSign(test.format, "sign", image)...).want(t, 0, "cosign sign")
				judged(t, k, image, wantSignature)
				attest := k.cosignSign(test.format, "attest", attested, "--type", predicateType, "--predicate", "p.json")
				k.cosign(t, attest...).want(t, 0, "cosign attest")
				judged(t, k, attested, wantStatement)
			})
		}
	}
}
