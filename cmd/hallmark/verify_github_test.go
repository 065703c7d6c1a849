package main

import (
	"strings"
	"testing"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/verify/verifytest"
)

const githubPolicy = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: github}
trustRoots:
  github: {sigstore: github_root.json, log: 0, sct: 0}
signers:
  ci:
    keyless:
      trustRoot: github
      issuer: https://token.actions.githubusercontent.com
      github: {repository: example/app, workflow: .github/workflows/release.yml, ref: refs/heads/main, runner: github-hosted}
rules:
  - name: all
    images: ["**"]
    require:
      provenance: {from: [ci], source: https://github.com/example/app}
`

// TestVerifyGitHubAttestation: an artifact attestation as GitHub makes it for a private
// repository: SLSA provenance in a bundle in the registry, by a certificate that is in no
// CT log, with a timestamp and without a log entry, under a root that has no log.
func TestVerifyGitHubAttestation(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	provenance := `{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"workflow":{"ref":"refs/heads/main","repository":"https://github.com/example/app","path":".github/workflows/release.yml"}},` +
		`"resolvedDependencies":[{"uri":"git+https://github.com/example/app@refs/heads/main","digest":{"gitCommit":"0123456789abcdef0123456789abcdef01234567"}}]},"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"}}}`
	claims := map[string]string{"11": "github-hosted", "12": "https://github.com/example/app", "14": "refs/heads/main", "16": "https://github.com/example", "20": "push"}
	for name, test := range map[string]struct {
		change func(map[string]string)
		stamps []verifytest.Stamp
		code   int
		says   string
	}{
		"as GitHub makes it":          {nil, []verifytest.Stamp{{}}, 0, "ALLOW"},
		"CI-04 of another ref":        {func(c map[string]string) { c["14"] = "refs/heads/attacker" }, []verifytest.Stamp{{}}, 1, "IDENTITY_MISMATCH"},
		"CI-05 of another repository": {func(c map[string]string) { c["12"] = "https://github.com/evil/app" }, []verifytest.Stamp{{}}, 1, "IDENTITY_MISMATCH"},
		"CI-13 without a time":        {nil, []verifytest.Stamp{}, 1, "TIME_MISSING"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newVerifyWorld(t)
			image := w.PushImage("team/github", "1", map[string]string{"name": name})
			mine := make(map[string]string)
			for id, claim := range claims {
				mine[id] = claim
			}
			if test.change != nil {
				test.change(mine)
			}
			signed := in.Sign(t, verifytest.Options{
				Image: image.Digest, Statement: verifytest.Statement(t, image.Digest, "https://slsa.dev/provenance/v1", provenance),
				Leaf: verifytest.Leaf{Claims: mine, CT: []verifytest.SCT{}}, Entries: []verifytest.Entry{}, Stamps: test.stamps,
			})
			w.attach(image, "https://slsa.dev/provenance/v1", signed.Evidence(t).Raw)
			w.file("github_root.json", string(in.TrustedRoot(t, func(root *prototrustroot.TrustedRoot) { root.Tlogs, root.Ctlogs = nil, nil })))
			code, stdout, stderr := w.hallmark("verify", image.Ref(), "--policy", w.file("github.yaml", githubPolicy))
			if code != test.code || !strings.Contains(stdout, test.says) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, test.code, test.says, stdout, stderr)
			}
		})
	}
}
