package main

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// keylessImage pushes an image with one keyless signature of the virtual instance.
func (w *verifyWorld) keylessImage(in *verifytest.Instance, tag string, o verifytest.Options) registrytest.Pushed {
	w.t.Helper()
	image := w.PushImage("team/keyless", tag, map[string]string{"tag": tag})
	o.Statement = verifytest.Statement(w.t, image.Digest, verify.SignaturePredicateType, `{}`)
	o.Image = image.Digest
	w.attach(image, verify.SignaturePredicateType, in.Sign(w.t, o).Evidence(w.t).Raw)
	return image
}

// keylessEffects shows an effect of every flag about certificates: CL-07, CI-23, CI-26.
func keylessEffects(t *testing.T, w *verifyWorld) map[string][2]effect {
	t.Helper()
	in := verifytest.NewInstance(t)
	root := w.file("trusted_root.json", string(in.TrustedRoot(t)))
	other := w.file("other_root.json", string(verifytest.NewInstance(t).TrustedRoot(t)))
	good := w.keylessImage(in, "good", verifytest.Options{}).Ref()
	unseen := w.keylessImage(in, "unseen", verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}}).Ref()
	unlogged := w.keylessImage(in, "unlogged", verifytest.Options{Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{}}}).Ref()
	who := func(image string, more ...string) []string {
		return append([]string{
			image, "--trusted-root", root,
			"--certificate-identity", verifytest.DefaultURI, "--certificate-oidc-issuer", verifytest.DefaultIssuer,
		}, more...)
	}
	instead := func(flag, value string) []string {
		args := who(good)
		for i, arg := range args {
			if strings.HasPrefix(flag, arg) && strings.HasPrefix(arg, "--") {
				args[i], args[i+1] = flag, value
			}
		}
		return args
	}
	allow := effect{who(good), 0, "ALLOW"}
	return map[string][2]effect{
		"certificate-identity":           {allow, {instead("--certificate-identity", "https://github.com/evil/app"), 1, "IDENTITY_MISMATCH"}},
		"certificate-identity-regexp":    {{instead("--certificate-identity-regexp", `https://github\.com/example/app/.+`), 0, "ALLOW"}, {instead("--certificate-identity-regexp", `https://github\.com/example/ap`), 1, "IDENTITY_MISMATCH"}},
		"certificate-oidc-issuer":        {allow, {instead("--certificate-oidc-issuer", "https://issuer.example"), 1, "ISSUER_MISMATCH"}},
		"certificate-oidc-issuer-regexp": {{instead("--certificate-oidc-issuer-regexp", `https://token\.actions\.githubusercontent\.com`), 0, "ALLOW"}, {instead("--certificate-oidc-issuer-regexp", `https://token\.actions`), 1, "ISSUER_MISMATCH"}},
		"trusted-root":                   {allow, {instead("--trusted-root", other), 1, "DENY"}},
		"log-threshold":                  {allow, {who(good, "--log-threshold", "2"), 1, "THRESHOLD"}},
		"timestamp-threshold":            {allow, {who(good, "--timestamp-threshold", "2"), 1, "THRESHOLD"}},
		"sct-threshold":                  {allow, {who(good, "--sct-threshold", "2"), 1, "THRESHOLD"}},
		"insecure-ignore-sct":            {{who(unseen), 1, "SCT_MISSING"}, {who(unseen, "--insecure-ignore-sct"), 0, "insecure"}},
		"insecure-ignore-tlog":           {{who(unlogged), 1, "TLOG_MISSING"}, {who(unlogged, "--insecure-ignore-tlog"), 0, "insecure"}},
		"offline":                        {{who(good, "--offline"), 0, "ALLOW"}, {who(good, "--offline=all"), 2, "--offline"}},
	}
}

// TestVerifyIdentityUsage: CI-03, CI-23, CI-24 on the command line.
func TestVerifyIdentityUsage(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	root := w.file("trusted_root.json", string(verifytest.NewInstance(t).TrustedRoot(t)))
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"CI-03 an identity without its issuer": {[]string{"--certificate-identity", "a@b.example"}, 64, "both"},
		"CI-03 an issuer without an identity":  {[]string{"--certificate-oidc-issuer", "https://i.example"}, 64, "both"},
		"CI-23 an identity beside a key":       {[]string{"--key", w.keyFile, "--certificate-identity", "a@b.example", "--certificate-oidc-issuer", "https://i.example"}, 64, "contradict"},
		"CI-23 an identity beside a policy":    {[]string{"--policy", w.policyFile, "--certificate-identity", "a@b.example", "--certificate-oidc-issuer", "https://i.example"}, 64, "contradict"},
		"CI-24 an identity that is anyone's":   {[]string{"--certificate-identity-regexp", ".*", "--certificate-oidc-issuer", "https://i.example"}, 2, "somebody else"},
		"a pattern that is none":               {[]string{"--certificate-identity-regexp", "(", "--certificate-oidc-issuer", "https://i.example"}, 64, "regexp"},
		"a threshold of none":                  {[]string{"--certificate-identity", "a@b.example", "--certificate-oidc-issuer", "https://i.example", "--log-threshold", "0"}, 64, "threshold"},
		"weakened without an identity":         {[]string{"--key", w.keyFile, "--insecure-ignore-sct"}, 64, "--certificate-identity"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"verify", w.signed.Ref()}, test.args...)
			if test.args[0] != "--key" && test.args[0] != "--policy" {
				args = append(args, "--trusted-root", root)
			}
			code, stdout, stderr := w.hallmark(args...)
			if code != test.code || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, test.code, test.says, stdout, stderr)
			}
		})
	}
}
