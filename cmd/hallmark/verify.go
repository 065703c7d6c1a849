package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/record"
)

type verifyFlags struct {
	cli.VerifyFlags
	sealedFlags
	summaryFlags
	record  string
	noCache bool
}

func newVerifyCommand(a *app) *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify IMAGE…",
		Short: "Decide whether images may run, under a policy or by a key",
		Long: `Resolves each image once, finds its evidence, checks it, and lets the policy decide.
Reads Sigstore bundles and cosign's older tags, wherever they lie. An image is a
reference, oci-dir:PATH or oci-archive:PATH; behind a path, :TAG or @DIGEST picks
one of several images.

--key is a policy of one rule: one signature by any of the keys. So is
--certificate-identity with --certificate-oidc-issuer: one keyless signature by that
identity. An attestation is not a signature. --print-policy shows the policy that flags
stand for. Keyless evidence is checked with --trusted-root, or with what hallmark trust
has fetched; no verification asks a network for what it trusts.

--attest-summary signs what the policy decided as a SLSA verification summary, and attaches
it to each image that is allowed; a rule with "summary" accepts it in place of its other
demands. The policy's own "summary" entries are left away for that: no summary rests on
another. --key is then the private key of the verifier.

Credentials come from docker's configuration and proxies from HTTPS_PROXY and its
kin. Nothing else in the environment has a say.

Exit codes: 0 all allowed; 1 at least one denied; 2 none denied, but at least one
could not be checked; 64 wrong usage.`,
		Example: `  hallmark verify registry.example/app:1.2 --policy policy.yaml
  hallmark verify registry.example/app@sha256:… --key release.pub
  hallmark verify --policy policy.yaml --output json app:1 app:2 oci-dir:build/image
  hallmark verify registry.example/app:1.2 \
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com
  hallmark verify registry.example/app:1.2 --policy oci://registry.example/policies/prod:v3 --policy-key policy.pub
  hallmark verify --bundle-file release.tar --policy policy.yaml
  hallmark verify --policy policy.yaml --attest-summary --key verifier.key registry.example/app:1.2
  hallmark verify --key release.pub --print-policy        # the policy that --key stands for`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	f.Add(cmd)
	flags.StringVar(&f.record, "record", "", "write everything that was seen to this file, for hallmark replay and hallmark policy test")
	flags.BoolVar(&f.noCache, "no-cache", false, "where a rule compares SBOMs with images, read the layers anew and keep nothing")
	f.summaryFlags.add(flags)
	f.sealedFlags.add(flags)
	return cmd
}

// check refuses what only the full program can be asked for in vain.
func (f *verifyFlags) check() error {
	switch {
	case f.bundleFile != "" && f.record != "":
		return cli.Hint(cli.UsageError("--record is not for --bundle-file"), "the sealed file holds all that is seen: verify it again")
	case f.bundleFile == "" && f.policyDigest != "":
		return cli.Hint(cli.UsageError("--policy-digest is for the policy in a sealed file"), "name the file with --bundle-file")
	}
	f.HaveImages, f.HavePolicy = f.bundleFile != "", f.bundleFile != ""
	return nil
}

func (a *app) verify(ctx context.Context, f *verifyFlags, images []string) error {
	if err := f.takeSummary(images); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.bundleFile != "" {
		return a.verifySealed(ctx, f, images)
	}
	return a.Verify(ctx, &f.VerifyFlags, images, a.extras(f))
}

// extras are what the full program does around the judging: it looks into layers, and
// where asked it records what was seen and attests to the outcome.
func (a *app) extras(f *verifyFlags) cli.Extras {
	judged := &judgedImages{}
	var recorder *record.Recorder
	extras := cli.Extras{
		Prepare: func(v *cli.Verification) {
			v.Options.Content = contentFunc(contentOptions(f.noCache))
			if f.record != "" {
				recorder = record.NewRecorder()
				v.Options.Content = recorder.Content(v.Options.Content)
				watchWith(recorder, v.Targets)
			}
			if f.attestSummary {
				v.Options.Judged = judged.add
			}
		},
		Judged: func(ctx context.Context, v *cli.Verification) error {
			if recorder != nil {
				seen := record.Verification{Policy: v.Policy, Platform: f.Platform, Targets: v.Targets}
				if err := writeRecord(ctx, f.record, recorder, seen, v.Report); err != nil {
					return cli.Undetermined(err)
				}
			}
			if !f.attestSummary {
				return nil
			}
			if err := a.attestSummaries(ctx, f, v, judged); err != nil {
				return errors.Join(a.PrintReport(v.Report, f.Output, f.OutputFile), err)
			}
			return nil
		},
	}
	if f.attestSummary {
		// No summary rests on another.
		extras.Policy = (*policy.Policy).Core
	}
	return extras
}
