package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// smallVerifier builds hallmark-verify and returns a function that runs it.
func smallVerifier(t *testing.T) func(args ...string) (code int, stdout, stderr string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "hallmark-verify")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=grpcnotrace,nethttpomithttp2", "-o", program, "../hallmark-verify")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the small verifier: %v\n%s", err, out)
	}
	return func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		command := exec.CommandContext(t.Context(), program, args...)
		command.Stdout, command.Stderr, command.Env = &out, &errs, []string{"HOME=/nonexistent"}
		code := 0
		var ended *exec.ExitError
		if err := command.Run(); errors.As(err, &ended) {
			code = ended.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return code, out.String(), errs.String()
	}
}

// program and the clocks are what the two programs may say differently.
var (
	program   = regexp.MustCompile(`hallmark verify|hallmark-verify|\bhallmark\b`)
	clock     = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z`)
	jsonClock = regexp.MustCompile(`"time": "[^"]+"`)
)

// comparable takes out of a text what may differ: of JSON no more than when it was judged.
func comparable(text, output string) string {
	text = program.ReplaceAllString(text, "PROGRAM")
	if output == "json" {
		return jsonClock.ReplaceAllString(text, `"time": …`)
	}
	return clock.ReplaceAllString(text, "TIME")
}

// TestParity: `hallmark-verify` gives the verdict, the report and the exit code of
// `hallmark verify`, over images that are allowed, denied and cannot be checked, and over
// command lines that are wrong.
func TestParity(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	small := smallVerifier(t)
	in := verifytest.NewInstance(t)
	root := w.file("trusted_root.json", string(in.TrustedRoot(t)))
	keyless := w.keylessImage(in, "good", verifytest.Options{}).Ref()
	identity := []string{"--trusted-root", root, "--certificate-identity", verifytest.DefaultURI, "--certificate-oidc-issuer", verifytest.DefaultIssuer}
	down := registrytest.New(t)
	gone := down.PushImage("team/gone", "1", nil).Ref()
	down.Close()
	index := w.PushIndex("team/multi", "1.0", "linux/amd64", "linux/arm64")
	signed, attested, bare := w.signed.Ref(), w.attested.Ref(), w.bare.Ref()
	typo := w.file("typo.yaml", "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: x}\nrulez: []\n")
	for name, test := range map[string]struct {
		args []string
		code int
	}{
		"allowed":              {[]string{signed, "--policy", w.policyFile}, cli.ExitAllow},
		"allowed by key":       {[]string{w.signed.TagRef(), "--key", w.keyFile}, cli.ExitAllow},
		"allowed keyless":      {append([]string{keyless}, identity...), cli.ExitAllow},
		"weakened":             {append([]string{keyless, "--insecure-ignore-sct", "--insecure-allow-http"}, identity...), cli.ExitAllow},
		"another identity":     {[]string{keyless, "--trusted-root", root, "--certificate-identity", "a@b.example", "--certificate-oidc-issuer", "https://i.example"}, cli.ExitDeny},
		"an attestation":       {[]string{attested, "--key", w.keyFile}, cli.ExitDeny},
		"several":              {[]string{bare, gone, signed, signed, "--policy", w.policyFile}, cli.ExitDeny},
		"registry down":        {[]string{signed, gone, "--policy", w.policyFile}, cli.ExitUndetermined},
		"no such image":        {[]string{w.Host() + "/team/none:1", "--policy", w.policyFile}, cli.ExitUndetermined},
		"an empty name":        {[]string{"", "--policy", w.policyFile}, cli.ExitUndetermined},
		"an index":             {[]string{index.Ref(), "--policy", w.policyFile}, cli.ExitDeny},
		"a platform":           {[]string{index.Ref(), "--policy", w.policyFile, "--platform", "linux/arm64"}, cli.ExitDeny},
		"a layout":             {[]string{w.layout(w.signed), "--policy", w.policyFile, "--as", "acme.example/app"}, cli.ExitAllow},
		"a policy with a typo": {[]string{signed, "--policy", typo}, cli.ExitUndetermined},
		"no policy":            {[]string{signed}, cli.ExitUsage},
		"no image":             {[]string{"--policy", w.policyFile}, cli.ExitUsage},
		"policy and key":       {[]string{signed, "--policy", w.policyFile, "--key", w.keyFile}, cli.ExitUsage},
		"no such flag":         {[]string{signed, "--nope"}, cli.ExitUsage},
		"offline":              {[]string{signed, "--policy", w.policyFile, "--offline=all"}, cli.ExitUndetermined},
		"the policy itself":    {[]string{"--key", w.keyFile, "--print-policy"}, cli.ExitAllow},
	} {
		for _, output := range []string{"json", "text", "markdown", "html"} {
			t.Run(name+" as "+output, func(t *testing.T) {
				t.Parallel()
				args := append([]string{"--output", output}, test.args...)
				code, stdout, stderr := w.hallmark(append([]string{"verify"}, args...)...)
				smallCode, smallOut, smallErr := small(args...)
				if code != test.code || smallCode != test.code {
					t.Errorf("exit codes %d and %d, want %d\n%s%s", code, smallCode, test.code, smallOut, smallErr)
				}
				if diff := cmp.Diff(comparable(stdout, output), comparable(smallOut, output)); diff != "" {
					t.Errorf("the reports differ:\n%s", diff)
				}
				if diff := cmp.Diff(comparable(stderr, output), comparable(smallErr, output)); diff != "" {
					t.Errorf("what is said beside them differs:\n%s", diff)
				}
				if output == "json" && stdout != "" && !json.Valid([]byte(smallOut)) && test.args[len(test.args)-1] != "--print-policy" {
					t.Errorf("no JSON: %s", smallOut)
				}
			})
		}
	}
}

// TestParityContent: what only the full program can decide is not decided by the small
// one, and it says who can.
func TestParityContent(t *testing.T) {
	t.Parallel()
	small := smallVerifier(t)
	reg := registrytest.New(t)
	private, public := newKeyPair(t, keys.ECDSAP256)
	policy := contentPolicy(t, public, "index")
	image := reg.PushImage("team/app", "1.0", twoPackages)
	if got := runVerb(t.Context(), nil, "sbom", "--no-cache", "--attest", "--format", "spdx", "--key", private, image.TagRef()); got.code != cli.ExitAllow {
		t.Fatalf("%+v", got)
	}
	if got := runVerb(t.Context(), nil, "verify", "--no-cache", "--policy", policy, image.TagRef()); got.code != cli.ExitAllow {
		t.Fatalf("%+v", got)
	}
	code, stdout, _ := small("--policy", policy, image.TagRef())
	if code != cli.ExitUndetermined || !strings.Contains(stdout, "UNDETERMINED CONTENT_UNCHECKED") || !strings.Contains(stdout, "judge the image with `hallmark verify`") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}
