package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// summaryPolicies are what a verifier judges by, and what then accepts his word alone:
// the same policy, in a world where nobody keeps the signatures.
func (w *verifyWorld) summaryPolicies(public string) (ci, cluster string) {
	w.file("verifier.pub", readFile(w.t, public))
	ci = w.file("ci.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
signers: {release: {keys: [{file: release.pub}]}}
rules: [{name: all, images: ["**"], platforms: all, require: {signatures: {from: [release]}}}]
`)
	text := strings.Replace(readFile(w.t, ci), "signers: {", "signers: {verifier: {keys: [{file: verifier.pub}]}, ", 1)
	return ci, w.file("cluster.yaml", strings.Replace(text, "{from: [release]}}", "{from: [release]}, summary: {from: [verifier], maxAge: 7d}}", 1))
}

// TestVerifyAttestSummary: DS-27, what is attested stands for the demands of the same
// policy, of the same image, and of nothing else.
func TestVerifyAttestSummary(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	private, public := newKeyPair(t, keys.ECDSAP256)
	ci, cluster := w.summaryPolicies(public)
	code, stdout, stderr := w.hallmark("verify", w.signed.Ref(), w.bare.Ref(), "--policy", ci, "--attest-summary", "--key", private)
	if code != cli.ExitDeny || !strings.Contains(stdout, "ALLOW") || strings.Count(stderr, "attested the verification of") != 1 || !strings.Contains(stderr, w.signed.Digest.String()) {
		t.Fatalf("%d\n%s%s", code, stdout, stderr)
	}
	// The verifier's word is accepted where the signature's key is not known any more.
	stranger := verifytest.NewKey(t, "ecdsa-p256")
	decide := func(image, policy string) string {
		_, stdout, stderr := w.hallmark("verify", image, "--policy", policy, "--output", "json")
		if !json.Valid([]byte(stdout)) {
			t.Fatalf("%s%s", stdout, stderr)
		}
		return stdout
	}
	if got := decide(w.signed.Ref(), cluster); !strings.Contains(got, `"verdict": "allow"`) || !strings.Contains(got, `"name": "summary"`) || strings.Contains(got, `"name": "signatures"`) {
		t.Errorf("the summary does not stand for the signature: %s", got)
	}
	if got := decide(w.bare.Ref(), cluster); !strings.Contains(got, `"verdict": "deny"`) {
		t.Errorf("an image that was denied: %s", got)
	}
	w.file("release.pub", string(stranger.Trusted.PEM()))
	if got := decide(w.signed.Ref(), cluster); !strings.Contains(got, `"verdict": "deny"`) || !strings.Contains(got, "the policy is") {
		t.Errorf("DS-27 the summary of another policy counts: %s", got)
	}
	// A summary is no reason for another one.
	if code, stdout, stderr := w.hallmark("verify", w.signed.Ref(), "--policy", cluster, "--attest-summary", "--key", private); code != cli.ExitDeny || strings.Contains(stderr, "attested") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}

// TestVerifyAttestDenied: a denial is attested on wish, and allows nothing.
func TestVerifyAttestDenied(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	private, public := newKeyPair(t, keys.Ed25519)
	ci, cluster := w.summaryPolicies(public)
	code, stdout, stderr := w.hallmark("verify", w.bare.Ref(), "--policy", ci, "--attest-summary", "--attest-denied", "--key", private)
	if code != cli.ExitDeny || !strings.Contains(stderr, "FAILED") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ = w.hallmark("verify", w.bare.Ref(), "--policy", cluster); code != cli.ExitDeny || !strings.Contains(stdout, "FAILED") {
		t.Errorf("%d\n%s", code, stdout)
	}
	index := w.PushIndex("team/multi", "1.0", "linux/amd64", "linux/arm64")
	for _, one := range append(index.Children, index) {
		w.attach(one, "https://sigstore.dev/cosign/sign/v1", w.key.Signature(t, one.Digest).Raw)
	}
	if code, stdout, stderr = w.hallmark("verify", index.Ref(), "--policy", ci, "--attest-summary", "--key", private); code != 0 || strings.Count(stderr, "PASSED") != 3 {
		t.Errorf("each digest has a summary of its own: %d\n%s%s", code, stdout, stderr)
	}
}

// TestVerifySummaryUsage: what would be passed over is refused.
func TestVerifySummaryUsage(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	private, _ := newKeyPair(t, keys.ECDSAP256)
	for _, args := range [][]string{
		{w.signed.Ref(), "--attest-summary", "--key", private},
		{w.signed.Ref(), "--policy", w.policyFile, "--attest-summary", "--key", private, "--key", private},
		{"--policy", w.policyFile, "--attest-summary", "--key", private},
		{"oci-dir:" + w.dir, "--policy", w.policyFile, "--attest-summary", "--key", private},
		{w.signed.Ref(), "--policy", w.policyFile, "--attest-summary", "--key", private, "--identity-token", "x"},
		{w.signed.Ref(), "--policy", w.policyFile, "--attest-denied"},
		{w.signed.Ref(), "--policy", w.policyFile, "--summary-verifier", "https://x.example"},
		{w.signed.Ref(), "--policy", w.policyFile, "--attest-summary", "--certificate-identity", "a@b.example", "--key", private},
	} {
		if code, stdout, stderr := w.hallmark(append([]string{"verify"}, args...)...); code != cli.ExitUsage {
			t.Errorf("%q: %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if got := policyURI("/home/me/policies/prod 1.yaml"); got != "urn:hallmark:policy:prod%201.yaml" {
		t.Error(got)
	}
	if got := policyURI("oci://r.example/p@sha256:00"); got != "oci://r.example/p@sha256:00" {
		t.Error(got)
	}
}

// summaryEffects shows an effect of every flag about summaries: CL-07.
func summaryEffects(t *testing.T, w *verifyWorld) map[string][2]effect {
	t.Helper()
	private, _ := newKeyPair(t, keys.ECDSAP256)
	of := func(image registrytest.Pushed, more ...string) []string {
		return append([]string{image.Ref(), "--policy", w.policyFile, "--attest-summary", "--key", private}, more...)
	}
	return map[string][2]effect{
		"attest-summary":   {{[]string{w.signed.Ref(), "--policy", w.policyFile}, 0, "ALLOW"}, {of(w.signed), 0, "attested the verification"}},
		"attest-denied":    {{of(w.bare), 1, "DENY"}, {of(w.bare, "--attest-denied"), 1, "FAILED"}},
		"summary-verifier": {{of(w.signed), 0, "PASSED"}, {of(w.signed, "--summary-verifier", "no URI"), 1, "verifier.id"}},
		"password-file":    {{of(w.signed), 0, "PASSED"}, {[]string{w.signed.Ref(), "--policy", w.policyFile, "--attest-summary", "--password-file", "x"}, 64, "--key"}},
		"identity-token":   {{of(w.signed), 0, "PASSED"}, {of(w.signed, "--identity-token", "x"), 64, "contradict"}},
		"signing-config":   {{of(w.signed), 0, "PASSED"}, {[]string{w.signed.Ref(), "--policy", w.policyFile, "--attest-summary", "--signing-config", w.keyFile + "x"}, 1, "signing config"}},
	}
}

// TestVerifyAttestSummaryKeyless: the verifier signs with its identity, and its word has
// a trusted time.
func TestVerifyAttestSummaryKeyless(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	services := verifytest.NewServices(t)
	_, claims, _ := strings.Cut(services.Token, ".")
	services.Token = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + claims
	root := w.file("lab.json", string(services.Instance.TrustedRoot(t)))
	at := func(url string, version int) string {
		return fmt.Sprintf(`[{"url":%q,"majorApiVersion":%d,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"lab"}]`, url, version)
	}
	config := w.file("signing_config.json", fmt.Sprintf(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":%s,"rekorTlogUrls":%s,"rekorTlogConfig":{"selector":"ANY"},"tsaUrls":%s,"tsaConfig":{"selector":"ANY"}}`,
		at(services.Fulcio.URL, 1), at(services.Rekor2.URL, 2), at(services.TSA.URL, 1)))
	ci, _ := w.summaryPolicies(w.keyFile)
	code, stdout, stderr := w.hallmark("verify", w.signed.Ref(), "--policy", ci, "--attest-summary", "--identity-token", services.Token, "--signing-config", config, "--trusted-root", root)
	if code != 0 || !strings.Contains(stderr, "PASSED") {
		t.Fatalf("%d\n%s%s", code, stdout, stderr)
	}
	text := strings.Replace(readFile(t, ci), "signers: {", fmt.Sprintf("trustRoots: {lab: {sigstore: lab.json}}\nsigners: {verifier: {keyless: {trustRoot: lab, issuer: %q, subject: {uri: %q}}}, ", verifytest.DefaultIssuer, verifytest.DefaultURI), 1)
	text = strings.Replace(text, "{from: [release]}}", "{from: [release]}, summary: {from: [verifier], maxAge: 7d}}", 1)
	cluster := w.file("cluster.yaml", text)
	code, stdout, stderr = w.hallmark("verify", w.signed.Ref(), "--policy", cluster, "--output", "json")
	if code != 0 || !strings.Contains(stdout, `"name": "summary"`) {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	other := w.file("other.yaml", strings.Replace(text, verifytest.DefaultURI, verifytest.DefaultURI+"x", 1))
	if _, stdout, _ = w.hallmark("verify", w.signed.Ref(), "--policy", other, "--output", "json"); strings.Contains(stdout, `"name": "summary"`) {
		t.Errorf("another identity's summary counts: %s", stdout)
	}
}
