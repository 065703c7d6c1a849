package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPolicyConvert(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	pem := strings.ReplaceAll(strings.TrimSpace(string(w.key.Trusted.PEM())), "\n", "\n          ")
	cip := "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\nspec:\n  images: [{glob: '**'}]\n  authorities:\n    - ctlog: {}\n      key:\n        data: |\n          " + pem + "\n"
	good := w.file("cip.yaml", cip)
	lossy := w.file("lossy.yaml", cip+"    - key: {kms: 'awskms://x'}\n")
	containers := w.file("policy.json", `{"default": [{"type": "sigstoreSigned", "keyPath": "`+w.keyFile+`"}]}`)
	notation := w.file("trustpolicy.json", `{"version": "1.0", "trustPolicies": [{"name": "a", "registryScopes": ["*"], "signatureVerification": {"level": "permissive"}, "trustStores": ["ca:../../x", "tsa:y"], "trustedIdentities": ["*"]}]}`)
	w.runAll(t, []string{"policy", "convert"}, map[string]verbCase{
		"a file":                              {[]string{good}, 0, "kind: TrustPolicy"},
		"its kind is given":                   {[]string{"--from", "policy-controller", good, "--name", "mine"}, 0, "metadata: {name: mine}"},
		"another kind is given":               {[]string{"--from", "kyverno", good}, 1, "its kind is not known"},
		"losses":                              {[]string{lossy}, 1, "lossy.yaml:14: spec.authorities[1].key.kms: a key that is kept elsewhere"},
		"losses that are accepted":            {[]string{lossy, "--accept-loss"}, 0, "kind: TrustPolicy"},
		"losses as JSON":                      {[]string{lossy, "--output", "json"}, 1, `"accepted": false`},
		"any name":                            {[]string{containers, "--insecure-any-name", "--accept-loss"}, 0, "as was asked"},
		"no name":                             {[]string{containers}, 1, "--insecure-any-name"},
		"PO-21 a trust store that climbs out": {[]string{notation}, 1, "is no name of a trust store"},
		"a command line":                      {[]string{"--", "cosign", "verify", "--key", w.keyFile, "registry.example/app:1"}, 0, "images: [registry.example/app]"},
		"a command line of something else":    {[]string{"--", "crane", "digest", "x"}, 1, "neither"},
		"files and a command line":            {[]string{good, "--", "cosign", "verify", "x"}, 64, "files and a command line"},
		"no file":                             {nil, 64, "no file was named"},
		"a file that is not there":            {[]string{good + "x"}, 2, "no such file"},
		"an unknown kind":                     {[]string{"--from", "opa", good}, 64, "opa"},
		"an unknown output":                   {[]string{"--output", "xml", good}, 64, "xml"},
		"no policy":                           {[]string{w.keyFile}, 1, "its kind is not known"},
	})
}

// TestPolicyConvertDecides verifies with a converted policy, which nothing is written of
// while losses are not accepted.
func TestPolicyConvertDecides(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	pem := strings.ReplaceAll(strings.TrimSpace(string(w.key.Trusted.PEM())), "\n", "\n          ")
	host, _, _ := strings.Cut(w.signed.Ref(), "/")
	cip := w.file("cip.yaml", "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\nspec:\n  images: [{glob: '"+host+"/**'}]\n  authorities:\n    - ctlog: {}\n      key:\n        data: |\n          "+pem+"\n    - key: {kms: x}\n")
	out := filepath.Join(w.dir, "converted.yaml")
	if code, stdout, _ := w.hallmark("policy", "convert", cip, "-o", out); code != 1 || stdout != "" {
		t.Errorf("exit %d: %s", code, stdout)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a policy with losses was written")
	}
	code, stdout, stderr := w.hallmark("policy", "convert", cip, "-o", out, "--accept-loss", "--output", "json")
	var got conversion
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || !got.Accepted || len(got.Losses) != 1 || got.Policy != "" || got.Schema != "hallmark.dev/convert/v1" {
		t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	for image, want := range map[string]int{w.signed.Ref(): 0, w.bare.Ref(): 1, w.attested.Ref(): 1} {
		if code, stdout, stderr := w.hallmark("verify", "--policy", out, image); code != want {
			t.Errorf("%s: exit %d, want %d\n%s%s", image, code, want, stdout, stderr)
		}
	}
}
