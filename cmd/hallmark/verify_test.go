package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// verifyWorld is a registry with a signed, an attested and a bare image, and the
// files that a user has.
type verifyWorld struct {
	*registrytest.Registry
	t                      *testing.T
	dir                    string
	key                    *verifytest.Key
	signed, attested, bare registrytest.Pushed
	keyFile, policyFile    string
}

func newVerifyWorld(t *testing.T, options ...registrytest.Option) *verifyWorld {
	t.Helper()
	w := &verifyWorld{Registry: registrytest.New(t, options...), t: t, dir: t.TempDir(), key: verifytest.NewKey(t, "ecdsa-p256")}
	w.signed = w.PushImage("team/signed", "1.0", map[string]string{"app": "signed"})
	w.attested = w.PushImage("team/attested", "1.0", map[string]string{"app": "attested"})
	w.bare = w.PushImage("team/bare", "1.0", map[string]string{"app": "bare"})
	w.attach(w.signed, verify.SignaturePredicateType, w.key.Signature(t, w.signed.Digest).Raw)
	w.attach(w.attested, "https://slsa.dev/provenance/v1", w.key.Attestation(t, w.attested.Digest, "https://slsa.dev/provenance/v1", `{}`).Raw)
	w.keyFile = w.file("release.pub", string(w.key.Trusted.PEM()))
	w.policyFile = w.file("policy.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
signers: {release: {keys: [{file: release.pub}]}}
rules: [{name: all, images: ["**"], require: {signatures: {from: [release]}}}]
`)
	return w
}

func (w *verifyWorld) attach(on registrytest.Pushed, claim string, raw []byte) {
	w.Attach(on.Repository, on.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: raw, Embed: true,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": claim},
	})
}

func (w *verifyWorld) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// hallmark runs one command line.
func (w *verifyWorld) hallmark(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	a := &app{App: cli.App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}}
	code = run(w.t.Context(), a, args)
	return code, out.String(), errs.String()
}

func TestVerifyExitCodes(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	down := registrytest.New(t)
	gone := down.PushImage("team/gone", "1", nil).Ref()
	down.Close()
	private := w.file("release.key", "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n")
	signed, attested, bare := w.signed.Ref(), w.attested.Ref(), w.bare.Ref()
	for name, test := range map[string]struct {
		args []string
		code int
		says string // in either stream
	}{
		"allowed by policy":                   {[]string{signed, "--policy", w.policyFile}, 0, "ALLOW"},
		"allowed by key":                      {[]string{signed, "--key", w.keyFile}, 0, "ALLOW"},
		"allowed by tag":                      {[]string{w.signed.TagRef(), "--key", w.keyFile}, 0, "tag 1.0"},
		"an attestation is no signature":      {[]string{attested, "--key", w.keyFile}, 1, "DENY NO_SIGNATURE"},
		"CL-01 SB-18 nothing there":           {[]string{bare, "--policy", w.policyFile}, 1, "DENY NO_SIGNATURE"},
		"CL-01 no image":                      {[]string{"--policy", w.policyFile}, 64, "no image was named"},
		"CL-01 no image and no policy":        {nil, 64, "hint"},
		"CL-01 an empty name":                 {[]string{"", "--key", w.keyFile}, 2, "REF_INVALID"},
		"no policy":                           {[]string{signed}, 64, "--policy FILE"},
		"policy and key":                      {[]string{signed, "--policy", w.policyFile, "--key", w.keyFile}, 64, "contradict"},
		"CL-02 denied first":                  {[]string{bare, signed, "--key", w.keyFile}, 1, "1 allowed, 1 denied"},
		"CL-02 denied last":                   {[]string{signed, bare, "--key", w.keyFile}, 1, "1 allowed, 1 denied"},
		"CL-02 denied between, one not found": {[]string{gone, bare, signed, "--key", w.keyFile}, 1, "1 could not be checked"},
		"registry down":                       {[]string{gone, "--key", w.keyFile}, 2, "REGISTRY_UNREACHABLE"},
		"registry down beside an allowed one": {[]string{signed, gone, "--key", w.keyFile}, 2, "1 could not be checked"},
		"no such image":                       {[]string{w.Host() + "/team/none:1", "--key", w.keyFile}, 2, "IMAGE_NOT_FOUND"},
		"upper case":                          {[]string{"Registry.example/App", "--key", w.keyFile}, 2, "REF_INVALID"},
		"no such policy":                      {[]string{signed, "--policy", w.policyFile + "x"}, 2, "no such file"},
		"no such key":                         {[]string{signed, "--key", w.keyFile + "x"}, 2, "no such file"},
		"a private key":                       {[]string{signed, "--key", private}, 2, "private key"},
		"a policy with a typo":                {[]string{signed, "--policy", w.file("typo.yaml", "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: x}\nrulez: []\n")}, 2, "typo.yaml:4:1"},
		"no such folder":                      {[]string{"oci-dir:" + w.dir + "/none", "--key", w.keyFile}, 2, w.dir + "/none"},
		"no such flag":                        {[]string{signed, "--nope"}, 64, "--help"},
		"no such output":                      {[]string{signed, "--key", w.keyFile, "--output", "xml"}, 64, "xml"},
		"no such platform":                    {[]string{signed, "--key", w.keyFile, "--platform", "arm64"}, 64, "linux/arm64"},
		"not of that platform":                {[]string{signed, "--key", w.keyFile, "--platform", "linux/arm64"}, 1, "NO_PLATFORM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := w.hallmark(append([]string{"verify"}, test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("exit code %d, want %d and %q\nstdout:\n%s\nstderr:\n%s", code, test.code, test.says, stdout, stderr)
			}
			if n := strings.Count(stderr, "hallmark: error:"); n > 1 || n == 1 && test.code == 0 {
				t.Errorf("%d error lines:\n%s", n, stderr)
			}
			if code != 0 && stderr == "" && !strings.Contains(stdout, "to do") {
				t.Errorf("a refusal without a word of what to do:\n%s", stdout)
			}
		})
	}
}

func TestVerifyJSON(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	code, stdout, _ := w.hallmark("verify", "--policy", w.policyFile, "--output", "json", w.bare.TagRef(), w.signed.Ref())
	var r report.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if code != 1 || r.Schema != report.Schema || r.Verdict != policy.Deny || len(r.Images) != 2 || r.Policy.Name != "test" {
		t.Fatalf("exit code %d:\n%s", code, stdout)
	}
	if r.Images[0].Image != w.bare.TagRef() || r.Images[0].Digest != w.bare.Digest || r.Images[1].Verdict != policy.Allow {
		t.Errorf("the order or the outcome is wrong:\n%s", stdout)
	}
	checks := r.Images[1].Demands[0].Tried[0].Checks
	if got := fmt.Sprint(checks); got != "[parse signature statement subject]" {
		t.Errorf("checks %s: a key's signature has no log, time or certificate to check", got)
	}
}

// effect is one command line and what must come of it.
type effect struct {
	args []string
	code int
	says string
}

// TestVerifyFlagsHaveEffect walks the flags: CL-07, an option that one code path
// forgets.
func TestVerifyFlagsHaveEffect(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	index := w.PushIndex("team/multi", "1.0", "linux/amd64", "linux/arm64")
	w.attach(index.Children[0], verify.SignaturePredicateType, w.key.Signature(t, index.Children[0].Digest).Raw)
	stranger := verifytest.NewKey(t, "ecdsa-p256")
	strangerFile := w.file("stranger.pub", string(stranger.Trusted.PEM()))
	layout := w.layout(w.signed)
	named := w.file("named.yaml", strings.Replace(readFile(t, w.policyFile), "**", "acme.example/app", 1))
	slow := newVerifyWorld(t)
	slow.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Hang())
	tls := registrytest.New(t, registrytest.WithTLS())
	secret := tls.PushImage("team/app", "1", nil)
	authority := tls.CAFile()

	effects := map[string][2]effect{
		"policy":              {{[]string{w.signed.Ref(), "--policy", w.policyFile}, 0, "ALLOW"}, {[]string{w.signed.Ref(), "--policy", named}, 1, "POLICY_NO_MATCH"}},
		"key":                 {{[]string{w.signed.Ref(), "--key", w.keyFile}, 0, "ALLOW"}, {[]string{w.signed.Ref(), "--key", strangerFile}, 1, "KEY_MISMATCH"}},
		"print-policy":        {{[]string{"--key", w.keyFile}, 64, "no image"}, {[]string{"--key", w.keyFile, "--print-policy"}, 0, "kind: TrustPolicy"}},
		"platform":            {{[]string{index.Ref(), "--key", w.keyFile}, 1, "stands on its platform"}, {[]string{index.Ref(), "--key", w.keyFile, "--platform", "linux/amd64"}, 0, "linux/amd64"}},
		"as":                  {{[]string{layout, "--policy", named}, 1, "POLICY_NO_MATCH"}, {[]string{layout, "--policy", named, "--as", "acme.example/app"}, 0, "ALLOW"}},
		"output":              {{[]string{w.signed.Ref(), "--key", w.keyFile}, 0, "ALLOW"}, {[]string{w.signed.Ref(), "--key", w.keyFile, "--output", "json"}, 0, `"verdict": "allow"`}},
		"output-file":         {{[]string{w.signed.Ref(), "--key", w.keyFile}, 0, "ALLOW"}, {[]string{w.signed.Ref(), "--key", w.keyFile, "--output-file", filepath.Join(w.dir, "report")}, 0, "report in"}},
		"concurrency":         {{[]string{w.signed.Ref(), "--key", w.keyFile, "--concurrency", "1"}, 0, "ALLOW"}, {[]string{w.signed.Ref(), "--key", w.keyFile, "--concurrency", "0"}, 64, "--concurrency"}},
		"timeout":             {{[]string{w.signed.Ref(), "--key", w.keyFile, "--timeout", "1m"}, 0, "ALLOW"}, {[]string{slow.signed.Ref(), "--key", slow.keyFile, "--timeout", "200ms"}, 2, "REGISTRY_UNREACHABLE"}},
		"record":              {{[]string{w.signed.Ref(), "--key", w.keyFile}, 0, "ALLOW"}, {[]string{w.signed.Ref(), "--key", w.keyFile, "--record", w.keyFile + "/no/folder"}, 2, "not a directory"}},
		"insecure-allow-http": {{[]string{w.signed.Ref(), "--key", w.keyFile}, 0, "ALLOW"}, {[]string{w.signed.Ref(), "--key", w.keyFile, "--insecure-allow-http"}, 0, "insecure"}},
		"registry-ca":         {{[]string{secret.Ref(), "--key", w.keyFile}, 2, "REGISTRY_UNREACHABLE"}, {[]string{secret.Ref(), "--key", w.keyFile, "--registry-ca", authority}, 1, "NO_SIGNATURE"}},
	}
	maps.Copy(effects, keylessEffects(t, w))
	maps.Copy(effects, summaryEffects(t, w))
	maps.Copy(effects, policySignerEffects(t, w))
	a := &app{App: cli.App{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }}}
	newVerifyCommand(a).Flags().VisitAll(func(flag *pflag.Flag) {
		pair, known := effects[flag.Name]
		if flag.Name == "bundle-file" || flag.Name == "policy-digest" {
			return // TestVerifySealed
		}
		if flag.Name == "no-cache" {
			return // TestContentCache
		}
		if !known {
			t.Errorf("CL-07: no test shows an effect of --%s", flag.Name)
			return
		}
		t.Run("CL-07 --"+flag.Name, func(t *testing.T) {
			t.Parallel()
			for _, o := range pair {
				code, stdout, stderr := w.hallmark(append([]string{"verify"}, o.args...)...)
				if code != o.code || !strings.Contains(stdout+stderr, o.says) {
					t.Errorf("%q: exit code %d, want %d and %q\n%s%s", o.args, code, o.code, o.says, stdout, stderr)
				}
			}
		})
	})
	t.Run("CL-07 --concurrency bounds what runs at a time", func(t *testing.T) {
		t.Parallel()
		w := newVerifyWorld(t)
		args := []string{"verify", "--key", w.keyFile, "--concurrency", "1"}
		for i := range 8 {
			args = append(args, w.PushImage(fmt.Sprintf("team/n%d", i), "", map[string]string{"n": fmt.Sprint(i)}).Ref())
		}
		w.hallmark(args...)
		if got := w.MaxConcurrent(); got > 3 {
			t.Errorf("%d requests at a time", got)
		}
	})
}

func TestVerifyInsecureIsReported(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	t.Run("CL-08 JSON", func(t *testing.T) {
		t.Parallel()
		_, stdout, _ := w.hallmark("verify", w.signed.Ref(), "--key", w.keyFile, "--insecure-allow-http", "--output", "json")
		var r report.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || len(r.Insecure) != 1 || r.Insecure[0] != "--insecure-allow-http" {
			t.Errorf("%v: %q", err, r.Insecure)
		}
	})
	t.Run("CL-08 a secure run claims nothing", func(t *testing.T) {
		t.Parallel()
		_, stdout, _ := w.hallmark("verify", w.signed.Ref(), "--key", w.keyFile)
		if strings.Contains(stdout, "insecure") {
			t.Error(stdout)
		}
	})
}

// TestVerifyIgnoresTheEnvironment: CL-06. Nothing in the environment may decide
// what is allowed; only credentials and proxies come from there.
func TestVerifyIgnoresTheEnvironment(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	for _, name := range []string{"HALLMARK_POLICY", "HALLMARK_KEY", "COSIGN_KEY", "COSIGN_EXPERIMENTAL", "SIGSTORE_ROOT_FILE", "HALLMARK_INSECURE"} {
		var out, errs bytes.Buffer
		a := &app{App: cli.App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(asked string) string {
			if asked == name {
				return w.keyFile
			}
			return ""
		}}}
		if code := run(t.Context(), a, []string{"verify", w.bare.Ref(), "--key", w.keyFile}); code != cli.ExitDeny {
			t.Errorf("CL-06: with %s set the exit code is %d", name, code)
		}
		if code := run(t.Context(), a, []string{"verify", w.signed.Ref()}); code != cli.ExitUsage {
			t.Errorf("CL-06: with %s set and no flag the exit code is %d", name, code)
		}
	}
}

func TestColourIsForPeople(t *testing.T) {
	t.Parallel()
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for name, test := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"a device": {nil, true}, "NO_COLOR": {map[string]string{"NO_COLOR": "1"}, false}, "a dumb terminal": {map[string]string{"TERM": "dumb"}, false},
	} {
		a := &app{App: cli.App{Stdout: device, Getenv: func(name string) string { return test.env[name] }}}
		if got := a.Colour(); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (&app{App: cli.App{Stdout: &bytes.Buffer{}, Getenv: func(string) string { return "" }}}).Colour() {
		t.Error("a pipe is coloured")
	}
}

func TestVerifyEscapesWhatItPrints(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	w.attach(w.bare, "x\x1b[2J\n::set-output name=v::allow\u202e", []byte("{\x1b}"))
	w.Attach("team/bare", w.bare.Descriptor, registrytest.Artifact{Type: "application/vnd.cncf.notary.signature\x1b[31m\n::error::", Content: []byte("x")})
	for _, args := range [][]string{
		{"verify", w.bare.Ref(), "--key", w.keyFile},
		{"verify", w.bare.Ref(), "--key", w.keyFile, "--output", "json"},
		{"verify", "bad\n::set-output name=v::allow\x1b[2J\u202e", "--key", w.keyFile},
		{"inspect", w.bare.Ref()},
		{"inspect", w.bare.Ref(), "--output", "json"},
	} {
		t.Run("CL-04 AD-27 "+strings.Join(append(args[:1:1], args[2:]...), " "), func(t *testing.T) {
			t.Parallel()
			_, stdout, _ := w.hallmark(args...)
			if stdout == "" || strings.ContainsAny(stdout, "\x1b\u202e") {
				t.Errorf("%q", stdout)
			}
			for _, line := range strings.Split(stdout, "\n") {
				if strings.HasPrefix(strings.TrimLeft(line, " │"), "::") {
					t.Errorf("a line begins with a workflow command: %q", line)
				}
			}
		})
	}
}

// layout copies an image and its referrers into an OCI layout.
func (w *verifyWorld) layout(image registrytest.Pushed) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, "layout")
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		w.t.Fatal(err)
	}
	var entries []registrytest.Descriptor
	put := func(d registrytest.Descriptor) {
		raw, _, _ := w.Manifest(image.Repository, d.Digest.String())
		if err := os.WriteFile(filepath.Join(blobs, d.Digest.Hex()), raw, 0o600); err != nil {
			w.t.Fatal(err)
		}
		entries = append(entries, d)
	}
	put(image.Descriptor)
	for _, d := range w.Referrers(image.Repository, image.Digest) {
		put(d)
	}
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": entries})
	if err != nil {
		w.t.Fatal(err)
	}
	for name, content := range map[string]string{"index.json": string(raw), "oci-layout": `{"imageLayoutVersion":"1.0.0"}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return "oci-dir:" + dir + "@" + image.Digest.String()
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
