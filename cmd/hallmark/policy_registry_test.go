package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// policyWorld is a registry with signed images, and a policy in it.
type policyWorld struct {
	*verifyWorld
	private, public string // who signs policies
	reference       string // by digest
}

func newPolicyWorld(t *testing.T, options ...registrytest.Option) *policyWorld {
	t.Helper()
	w := &policyWorld{verifyWorld: newVerifyWorld(t, options...)}
	w.private, w.public = newKeyPair(t, keys.ECDSAP256)
	w.reference = w.push(w.policyFile, "v1").Reference
	return w
}

func (w *policyWorld) tag(tag string) string { return "oci://" + w.Host() + "/policies/prod:" + tag }

// push pushes a policy with the world's key.
func (w *policyWorld) push(path, tag string) (pushed pushedPolicy) {
	w.t.Helper()
	got := runVerb(w.t.Context(), nil, "policy", "push", path, w.tag(tag), "--key", w.private, "--output", "json")
	if got.code != cli.ExitAllow {
		w.t.Fatalf("pushing %s: %d %s", path, got.code, got.stderr)
	}
	if err := json.Unmarshal([]byte(got.stdout), &pushed); err != nil {
		w.t.Fatal(err)
	}
	return pushed
}

// TestPolicyPushPull: what was pushed is pulled, by tag and digest, and is the same
// policy; pushing it again adds nothing.
func TestPolicyPushPull(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	before := len(w.Tags("policies/prod"))
	w.Reset()
	again := w.push(w.policyFile, "v1")
	if !again.Existing || again.Reference != w.reference || len(w.Tags("policies/prod")) != before || w.Count(http.MethodPut, registrytest.Any) != 0 {
		t.Errorf("pushed again: %+v\n%s", again, w.Log())
	}
	for _, from := range []string{w.reference, w.tag("v1")} {
		out := filepath.Join(t.TempDir(), "pulled.yaml")
		got := runVerb(t.Context(), nil, "policy", "pull", from, "--policy-key", w.public, "-o", out)
		if got.code != cli.ExitAllow || !strings.Contains(got.stdout, "pulled "+w.reference) {
			t.Fatalf("%s: %+v", from, got)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Parse(out, raw, nil)
		if err != nil || p.Digest().String() != again.PolicyDigest {
			t.Errorf("%s: another policy: %v", from, err)
		}
	}
	if got := runVerb(t.Context(), nil, "policy", "pull", w.reference, "-o", "-"); got.code != cli.ExitAllow || !strings.Contains(got.stdout, "kind: TrustPolicy") {
		t.Errorf("to standard output: %+v", got)
	}
}

// TestPolicyInRegistryOffline: verbs that use no network say what to do.
func TestPolicyInRegistryOffline(t *testing.T) {
	t.Parallel()
	const ref = "oci://registry.example/policies/prod@sha256:06264063f7b0a4987c389f6d2fdcd749a35ae57232e5dc4975dae316c0dccd65"
	for _, args := range [][]string{
		{"policy", "lint", ref},
		{"policy", "fmt", ref},
		{"policy", "diff", ref, ref, "--against", "x.record"},
		{"policy", "test", "tests", "--policy", ref},
	} {
		if got := runVerb(t.Context(), nil, args...); got.code != cli.ExitUsage || !strings.Contains(got.stderr, "hallmark policy pull") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

// TestPolicyPushOrder: readers by tag never see a policy without its signature: where
// the signature is refused, the tag is not moved.
func TestPolicyPushOrder(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	other := w.file("other.yaml", strings.Replace(string(mustRead(t, w.policyFile)), "name: test", "name: other", 1))
	before, _, _ := w.Manifest("policies/prod", "v1")
	w.Inject(registrytest.Match{Method: http.MethodPut, Class: registrytest.Manifest, After: 1}, registrytest.Status(http.StatusForbidden))
	got := runVerb(t.Context(), nil, "policy", "push", other, w.tag("v1"), "--key", w.private)
	wantFailure(t, got, cli.ExitDeny, "signature not stored")
	if after, _, _ := w.Manifest("policies/prod", "v1"); string(after) != string(before) {
		t.Error("the tag was moved")
	}
}

// TestPolicyPushForged: a registry that changes the manifest under the tag does not get
// its own manifest signed.
func TestPolicyPushForged(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	raw, mediaType, _ := w.Manifest("policies/prod", "v1")
	forged := w.PutManifest("policies/prod", "v1", mediaType, []byte(strings.Replace(string(raw), `"annotations":{`, `"annotations":{"a":"b",`, 1)))
	again := w.push(w.policyFile, "v1")
	if again.Existing || strings.HasSuffix(again.Reference, forged.Digest.String()) {
		t.Errorf("%+v", again)
	}
	if len(w.Registry.Referrers("policies/prod", forged.Digest)) > 0 {
		t.Error("the forged manifest was signed")
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestPolicyPullRefuses: 1 where it was looked at and is bad, 2 where it could not be
// looked at, 64 for what makes no sense; the file is not written.
func TestPolicyPullRefuses(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	_, stranger := newKeyPair(t, keys.ECDSAP256)
	locked := registrytest.New(t, registrytest.WithBasicAuth("user", "secret"))
	down := registrytest.New(t)
	down.Close()
	zeros := "@sha256:" + strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		args  []string
		code  int
		words string
	}{
		"wrong signer":          {[]string{w.tag("v1"), "--policy-key", stranger}, 1, "not signed by the wanted signer"},
		"wrong signer, digest":  {[]string{w.reference, "--policy-key", stranger}, 1, "not signed by the wanted signer"},
		"an image":              {[]string{"oci://" + w.signed.Ref()}, 1, "not a policy artifact"},
		"a tag alone":           {[]string{w.tag("v1")}, 64, "--policy-key"},
		"no such tag":           {[]string{w.tag("v9"), "--policy-key", w.public}, 2, "check the name"},
		"no such digest":        {[]string{"oci://" + w.Host() + "/policies/prod" + zeros}, 2, "check the name"},
		"locked":                {[]string{"oci://" + locked.Host() + "/p" + zeros}, 2, "docker login"},
		"down":                  {[]string{"oci://" + down.Host() + "/p" + zeros}, 2, "up and reachable"},
		"offline":               {[]string{w.reference, "--offline=all"}, 2, "from the cache"},
		"no scheme":             {[]string{w.reference[len("oci://"):]}, 64, "oci://"},
		"half an identity":      {[]string{w.reference, "--policy-identity", "a@b.example"}, 64, "--policy-issuer"},
		"a key and an identity": {[]string{w.reference, "--policy-identity", "a@b.example", "--policy-key", w.public}, 64, "contradict"},
		"no such key":           {[]string{w.reference, "--policy-key", "nowhere.pub"}, 2, "nowhere.pub"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "pulled.yaml")
			wantFailure(t, runVerb(t.Context(), nil, append([]string{"policy", "pull", "-o", out}, c.args...)...), c.code, c.words)
			if _, err := os.Stat(out); err == nil {
				t.Error("the file was written")
			}
		})
	}
	wantFailure(t, runVerb(t.Context(), nil, "policy", "pull", w.reference), 64, "--out")
}

// policySignerEffects shows an effect of every flag about who signed the policy, CL-07,
// for TestVerifyFlagsHaveEffect.
func policySignerEffects(t *testing.T, v *verifyWorld) map[string][2]effect {
	t.Helper()
	w := &policyWorld{verifyWorld: v}
	w.private, w.public = newKeyPair(t, keys.ECDSAP256)
	pushed := w.push(w.policyFile, "effects")
	_, stranger := newKeyPair(t, keys.ECDSAP256)
	d := digest.MustParse(pushed.Reference[strings.Index(pushed.Reference, "@")+1:])
	raw, mediaType, _ := w.Manifest("policies/prod", d.String())
	in := verifytest.NewInstance(t)
	root := w.file("policy_root.json", string(in.TrustedRoot(t)))
	other := w.file("other_policy_root.json", string(verifytest.NewInstance(t).TrustedRoot(t)))
	on := w.PutManifest("policies/prod", "", mediaType, raw)
	w.attach(on, verify.SignaturePredicateType, in.Sign(t, verifytest.Options{Image: d, Statement: verifytest.Statement(t, d, verify.SignaturePredicateType, `{}`)}).Evidence(t).Raw)
	by := func(flags ...string) []string {
		return append([]string{w.signed.Ref(), "--policy", pushed.Reference}, flags...)
	}
	keyless := func(identity, issuer, root string) []string {
		return by("--policy-identity", identity, "--policy-issuer", issuer, "--policy-trusted-root", root)
	}
	allow := effect{keyless(verifytest.DefaultURI, verifytest.DefaultIssuer, root), 0, "ALLOW"}
	return map[string][2]effect{
		"policy-key":          {{by("--policy-key", w.public), 0, "ALLOW"}, {by("--policy-key", stranger), 2, "not signed by the wanted signer"}},
		"policy-identity":     {allow, {keyless("https://evil.example/x", verifytest.DefaultIssuer, root), 2, "not signed by the wanted signer"}},
		"policy-issuer":       {allow, {keyless(verifytest.DefaultURI, "https://evil.example", root), 2, "not signed by the wanted signer"}},
		"policy-trusted-root": {allow, {keyless(verifytest.DefaultURI, verifytest.DefaultIssuer, other), 2, "not signed by the wanted signer"}},
	}
}

// TestPolicyFromRegistry: the policy decides, wherever a policy is taken; a policy that
// is not what was wanted decides nothing, and that is never an image's fault.
func TestPolicyFromRegistry(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld(t)
	_, stranger := newKeyPair(t, keys.ECDSAP256)
	sealed := filepath.Join(t.TempDir(), "sealed.tar")
	for name, c := range map[string]struct {
		args  []string
		code  int
		words string
	}{
		"verify allows":                {[]string{"verify", w.signed.Ref(), "--policy", w.reference}, 0, "ALLOW"},
		"verify denies":                {[]string{"verify", w.bare.Ref(), "--policy", w.reference}, 1, "NO_SIGNATURE"},
		"verify by tag":                {[]string{"verify", w.signed.Ref(), "--policy", w.tag("v1"), "--policy-key", w.public}, 0, "ALLOW"},
		"verify by a tag alone":        {[]string{"verify", w.signed.Ref(), "--policy", w.tag("v1")}, 64, "--policy-key"},
		"verify by a stranger":         {[]string{"verify", w.signed.Ref(), "--policy", w.tag("v1"), "--policy-key", stranger}, 2, "not signed by the wanted signer"},
		"verify by an image":           {[]string{"verify", w.signed.Ref(), "--policy", "oci://" + w.signed.Ref()}, 2, "not a policy artifact"},
		"verify a file, with a signer": {[]string{"verify", w.signed.Ref(), "--policy", w.policyFile, "--policy-key", w.public}, 64, "in a registry"},
		"verify by a key, and signer":  {[]string{"verify", w.signed.Ref(), "--key", w.keyFile, "--policy-key", w.public}, 64, "in a registry"},
		"explain":                      {[]string{"policy", "explain", w.signed.Ref(), "--policy", w.reference}, 0, "ALLOW"},
		"explain a record":             {[]string{"policy", "explain", "--record", "x", "--policy-key", w.public}, 64, "--record"},
		"push a reference":             {[]string{"policy", "push", w.reference, w.tag("v2"), "--key", w.private}, 64, "hallmark policy pull"},
		"save":                         {[]string{"bundle", "save", w.signed.Ref(), "--policy", w.tag("v1"), "--policy-key", w.public, "-o", sealed}, 0, ""},
		"save by a stranger":           {[]string{"bundle", "save", w.signed.Ref(), "--policy", w.tag("v1"), "--policy-key", stranger, "-o", sealed + ".no"}, 2, "not signed by the wanted signer"},
	} {
		t.Run(name, func(t *testing.T) {
			got := runVerb(t.Context(), nil, c.args...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.words) {
				t.Errorf("%d, want %d and %q\n%s%s", got.code, c.code, c.words, got.stdout, got.stderr)
			}
		})
	}
	for name, c := range map[string]struct {
		args  []string
		code  int
		words string
	}{
		"load":                 {[]string{"bundle", "load", "--policy", w.reference, sealed, w.Host() + "/copy"}, 0, ""},
		"load, with a signer":  {[]string{"bundle", "load", "--policy-key", w.public, sealed, w.Host() + "/copy"}, 64, "in a registry"},
		"load by a stranger":   {[]string{"bundle", "load", "--policy", w.reference, "--policy-key", stranger, sealed, w.Host() + "/copy"}, 2, "not signed by the wanted signer"},
		"a sealed file, alone": {[]string{"verify", "--bundle-file", sealed, "--policy", w.reference}, 2, "from the cache"},
	} {
		t.Run(name, func(t *testing.T) {
			got := runVerb(t.Context(), nil, c.args...)
			if _, err := os.Stat(sealed); err != nil || got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.words) {
				t.Errorf("%v; %d, want %d and %q\n%s%s", err, got.code, c.code, c.words, got.stdout, got.stderr)
			}
		})
	}
}
