package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// newRootCommand assembles the command tree. The root itself judges images.
func newRootCommand(a *cli.App) *cobra.Command {
	f, files := &cli.VerifyFlags{}, &fileFlags{}
	cmd := &cobra.Command{
		Use:   "hallmark-verify [IMAGE…] [-f FILE]…",
		Short: "Decide whether images may run, under a policy or by a key",
		Long: `Resolves each image once, finds its evidence, checks it, and lets the policy decide:
the same verdicts, reports and exit codes as hallmark verify, from a program that can
sign nothing. An image is a reference, oci-dir:PATH or oci-archive:PATH; behind a path,
:TAG or @DIGEST picks one of several images.

--key is a policy of one rule: one signature by any of the keys. So is
--certificate-identity with --certificate-oidc-issuer: one keyless signature by that
identity. An attestation is not a signature. Keyless evidence is checked with
--trusted-root, or with what hallmark trust has fetched; no verification asks a network
for what it trusts. A rule that compares SBOMs with the content of images is not decided
here, since no layers are read: hallmark verify does.

-f FILE judges every image that Kubernetes manifests, rendered charts, Compose files or
Dockerfiles ask for, each once, and the report says file and line. A file that cannot be
read, or that asks for no image, ends with exit code 2 before anything is judged: render
charts first. --pin then writes the digests that were judged behind the tags, and changes
nothing else in the files; unless all images are allowed, nothing is written.

Credentials come from docker's configuration and proxies from HTTPS_PROXY and its
kin. Nothing else in the environment has a say. Put -- before names that come from
somebody else: a name cannot be taken for a flag or a command then.

Exit codes: 0 all allowed; 1 at least one denied; 2 none denied, but at least one
could not be checked; 64 wrong usage; 130 interrupted.`,
		Example: `  hallmark-verify registry.example/app:1.2 --policy policy.yaml
  hallmark-verify registry.example/app@sha256:… --key release.pub
  hallmark-verify --policy policy.yaml --output sarif --output-file report.sarif -- "$IMAGE"
  hallmark-verify --policy policy.yaml -f deploy/ -f Dockerfile --pin
  helm template shop ./chart | hallmark-verify --policy policy.yaml -f -
  hallmark-verify registry.example/app:1.2 \
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com
  hallmark-verify registry.example/app:1.2 --policy oci://registry.example/policies/prod:v3 --policy-key policy.pub`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			// The full program's verb out of habit. It stays an image: no name is passed over.
			if len(args) > 0 && args[0] == "verify" && cmd.ArgsLenAtDash() != 0 {
				fmt.Fprintf(a.Stderr, "%s: warning: verify is no command here and is taken for an image; write %s IMAGE…\n", a.Name(), a.Name())
			}
			return files.verifyFiles(cmd.Context(), a, f, args)
		},
	}
	f.Add(cmd)
	files.add(cmd)
	cli.CompleteFlag(cmd, "output", cli.ReportFormats...)
	return a.Root(cmd, commands(a)...)
}

// commands lists what the program does beside judging images that are named.
func commands(a *cli.App) []*cobra.Command {
	return []*cobra.Command{
		newServeCommand(a),
		cli.NewVersionCommand(a),
	}
}
