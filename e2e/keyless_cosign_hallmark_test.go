package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
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

// cosignListed runs cosign until the registry itself lists a bundle at the image: seen now
// and then with distribution, cosign v2.6.5 ends well and nothing is listed.
func (k keyless) cosignListed(t *testing.T, format, image string, args ...string) {
	t.Helper()
	for range 3 {
		k.cosign(t, args...).want(t, 0, "cosign "+args[0])
		if format != "bundle" || listed(t, image) {
			return
		}
		t.Logf("cosign %s ended well, and nothing is listed at %s", args[0], image)
	}
	t.Fatalf("cosign %s lists nothing at %s", args[0], image)
}

// listed asks the registry, without any of hallmark's code, whether anything is listed as
// a referrer of HOST/REPOSITORY:TAG.
func listed(t *testing.T, image string) bool {
	t.Helper()
	host, rest, _ := strings.Cut(image, "/")
	repository, tag, _ := strings.Cut(rest, ":")
	ask := func(path string) (*http.Response, []byte) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/"+repository+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header["Accept"] = []string{"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, raw
	}
	of, _ := ask("/manifests/" + tag)
	digest := of.Header.Get("Docker-Content-Digest")
	for _, path := range []string{"/referrers/" + digest, "/manifests/" + strings.Replace(digest, ":", "-", 1)} {
		var index struct{ Manifests []any }
		if answer, raw := ask(path); answer.StatusCode == http.StatusOK && json.Unmarshal(raw, &index) == nil && len(index.Manifests) > 0 {
			return true
		}
	}
	return false
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
			if registryName == "distribution" {
				// Its referrers tag is now and then not found although it was written, more so
				// on a busy machine; cosign_test.go has it with keys.
				continue
			}
			t.Run(name+"/"+registryName, func(t *testing.T) {
				t.Parallel()
				reg := start(t)
				k := newKeyless(t, test.services, stack.GitHub())
				image, attested := reg.push("theirs/signed"), reg.push("theirs/attested")
				k.cosignListed(t, test.format, image, k.cosignSign(test.format, "sign", image)...)
				judged(t, k, image, wantSignature)
				attest := k.cosignSign(test.format, "attest", attested, "--type", predicateType, "--predicate", "p.json")
				k.cosignListed(t, test.format, attested, attest...)
				judged(t, k, attested, wantStatement)
			})
		}
	}
}
