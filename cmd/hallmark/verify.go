package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/oci"
)

type verifyFlags struct {
	registryFlags
	sealedFlags
	certificateFlags
	policySignerFlags
	summaryFlags
	policy      string
	keys        []string
	printPolicy bool
	platform    string
	as          string
	output      string
	outputFile  string
	record      string
	concurrency int
	timeout     time.Duration
	noCache     bool
}

var platformText = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$`)

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
	flags.StringVar(&f.policy, "policy", "", "the trust policy: a file, a folder of files, or oci://REGISTRY/REPOSITORY@sha256:…")
	flags.StringArrayVar(&f.keys, "key", nil, "a public key; given several times, any of them will do")
	flags.BoolVar(&f.printPolicy, "print-policy", false, "print the policy in full: to standard output without an image, else to standard error")
	flags.StringVar(&f.platform, "platform", "", "judge this platform's manifest below an index, such as linux/arm64")
	flags.StringVar(&f.as, "as", "", "the image name that the policy's rules see, for oci-dir: and oci-archive:")
	flags.StringVar(&f.output, "output", "text", strings.Join(reportFormats, ", "))
	flags.StringVar(&f.outputFile, "output-file", "", "write the report to this file instead of standard output")
	flags.StringVar(&f.record, "record", "", "write everything that was seen to this file, for hallmark replay and hallmark policy test")
	flags.BoolVar(&f.noCache, "no-cache", false, "where a rule compares SBOMs with images, read the layers anew and keep nothing")
	flags.IntVar(&f.concurrency, "concurrency", 16, "how many images are judged at a time")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long the judging of one image may take")
	f.policySignerFlags.add(flags)
	f.certificateFlags.add(flags)
	f.summaryFlags.add(flags)
	f.sealedFlags.add(flags)
	f.registryFlags.add(flags)
	return cmd
}

func (f *verifyFlags) check(images []string) error {
	switch {
	case checkReportFormat(f.output) != nil:
		return checkReportFormat(f.output)
	case f.policy != "" && len(f.keys) > 0:
		return hint(usageError("--policy and --key contradict each other"), "name the key in the policy, or give --key alone")
	case f.named() && (f.policy != "" || len(f.keys) > 0):
		// CI-23: an identity beside a key or a policy would be passed over.
		return hint(usageError("a certificate's identity contradicts --policy and --key"), "write the identity into the policy, or give --certificate-identity with --certificate-oidc-issuer alone")
	case f.bundleFile != "" && f.record != "":
		return hint(usageError("--record is not for --bundle-file"), "the sealed file holds all that is seen: verify it again")
	case f.bundleFile == "" && f.policyDigest != "":
		return hint(usageError("--policy-digest is for the policy in a sealed file"), "name the file with --bundle-file")
	case f.bundleFile == "" && !f.wants():
		return hint(usageError("nothing says what is wanted of the images"), "give --policy FILE, --key FILE, or --certificate-identity with --certificate-oidc-issuer")
	case len(images) == 0 && !f.printPolicy && f.bundleFile == "":
		return hint(usageError("no image was named"), "hallmark verify IMAGE… --policy FILE")
	case f.concurrency < 1:
		return usageError("--concurrency is at least 1, not %d", f.concurrency)
	case f.timeout <= 0:
		return usageError("--timeout is a time such as 30s, not %s", f.timeout)
	case f.platform != "" && !platformText.MatchString(f.platform):
		return hint(usageError("%q is no platform", f.platform), "a platform is OS/ARCHITECTURE, such as linux/arm64, or linux/arm/v7")
	}
	if f.named() {
		if err := f.certificateFlags.check(); err != nil {
			return err
		}
	} else if weakened := f.insecure(); len(weakened) > 0 {
		return hint(usageError("%s is for --certificate-identity", weakened[0]), "a policy says log: 0 or sct: 0 of its trust root")
	}
	if err := f.policySignerFlags.check(f.policy); err != nil {
		return err
	}
	if f.as != "" {
		if _, err := policy.CanonicalName(f.as); err != nil {
			return hint(usageError("--as: %s", err), "give a name without tag and digest, such as registry.example/app")
		}
		for _, image := range images {
			if _, _, local := cutLocal(image); !local {
				return hint(usageError("--as is for oci-dir: and oci-archive: only; %s has a name", image), "leave --as away")
			}
		}
	}
	return nil
}

// wants reports whether the command line itself says what is wanted.
func (f *verifyFlags) wants() bool { return f.policy != "" || len(f.keys) > 0 || f.named() }

func (a *app) verifyPolicy(ctx context.Context, f *verifyFlags) (*policy.Policy, error) {
	if f.policy != "" {
		registry := f.registryFlags
		if f.bundleFile != "" {
			registry.offline = oci.ReachNothing
		}
		return a.policyFrom(ctx, f.policy, &f.policySignerFlags, &registry)
	}
	if !f.named() {
		return keyPolicy(f.keys)
	}
	root, err := a.trustedRoot(f.trustedRoot)
	if err != nil {
		return nil, err
	}
	p, err := policy.ForIdentity(root, f.need(), policy.Pattern{Exact: f.issuer, Regexp: f.issuerRegexp}, policy.Pattern{Exact: f.identity, Regexp: f.identityRegexp})
	return p, undetermined(hint(err, "a policy file can say more: docs/policy.md"))
}

func (a *app) verify(ctx context.Context, f *verifyFlags, images []string) error {
	if err := f.takeSummary(images); err != nil {
		return err
	}
	if err := f.check(images); err != nil {
		return err
	}
	if f.bundleFile != "" {
		return a.verifySealed(ctx, f, images)
	}
	p, err := a.verifyPolicy(ctx, f)
	if err != nil {
		return err
	}
	if f.attestSummary {
		// No summary rests on another.
		if p, err = p.Core(); err != nil {
			return err
		}
	}
	if f.printPolicy {
		out := a.stderr
		if len(images) == 0 {
			out = a.stdout
		}
		if _, err := out.Write(p.YAML()); err != nil || len(images) == 0 {
			return err
		}
	}
	client, err := f.registryFlags.client(false)
	if err != nil {
		return undetermined(err)
	}
	at := time.Now()
	look := contentFunc(contentOptions(f.noCache))
	var recorder *record.Recorder
	if f.record != "" {
		recorder = record.NewRecorder()
		look = recorder.Content(look)
	}
	options := gate.Options{
		Platform: f.platform, Concurrency: f.concurrency, Timeout: f.timeout, Now: func() time.Time { return at }, Content: look,
	}
	judged := &judgedImages{}
	if f.attestSummary {
		options.Judged = judged.add
	}
	g := gate.New(p, client, options)
	targets, done := f.targets(g, images)
	defer done()
	if recorder != nil {
		watchWith(recorder, targets)
	}
	r := report.New(p, at, g.JudgeTargets(ctx, targets)...)
	a.setAge(r)
	r.Insecure = append(r.Insecure, f.insecure()...)
	if f.allowHTTP {
		r.Insecure = append(r.Insecure, "--insecure-allow-http")
	}
	if recorder != nil {
		if err := writeRecord(ctx, f.record, recorder, record.Verification{Policy: p, Platform: f.platform, Targets: targets}, r); err != nil {
			return undetermined(err)
		}
	}
	if f.attestSummary {
		if err := a.attestSummaries(ctx, f, p, at, judged, r.Images, targets); err != nil {
			return errors.Join(a.printReport(r, f.output, f.outputFile), err)
		}
	}
	return a.conclude(ctx, r, f.output, f.outputFile)
}

// conclude prints the report and ends with its verdict.
func (a *app) conclude(ctx context.Context, r *report.Report, output, file string) error {
	if err := a.printReport(r, output, file); err != nil {
		return undetermined(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch r.Verdict {
	case policy.Allow:
		return nil
	case policy.Deny:
		return exitError{exitDeny}
	}
	return exitError{exitUndetermined}
}

// colour reports whether a person sees standard output and wants colours
// (no-color.org).
func (a *app) colour() bool {
	return terminal(a.stdout) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// targets reads what the images are. Layouts stay open until done is called.
func (f *verifyFlags) targets(g *gate.Gate, images []string) (targets []gate.Target, done func()) {
	var open []*oci.Layout
	for _, image := range images {
		kind, rest, local := cutLocal(image)
		if !local {
			targets = append(targets, g.Target(image))
			continue
		}
		layout, pick, err := openLocal(kind, rest)
		if err != nil {
			targets = append(targets, gate.Target{Text: image, Err: err})
			continue
		}
		open = append(open, layout)
		targets = append(targets, gate.LayoutTarget(image, layout, f.as, pick))
	}
	return targets, func() {
		for _, layout := range open {
			layout.Close()
		}
	}
}

// cutLocal recognises "oci-dir:PATH" and "oci-archive:PATH".
func cutLocal(image string) (kind, rest string, local bool) {
	kind, rest, found := strings.Cut(image, ":")
	return kind, rest, found && (kind == "oci-dir" || kind == "oci-archive")
}

// openLocal opens a layout: PATH, PATH:TAG or PATH@DIGEST. pick is the tag or
// digest. A path that exists as it stands has neither.
func openLocal(kind, text string) (layout *oci.Layout, pick string, err error) {
	path := text
	if _, missing := os.Stat(text); missing != nil {
		if before, digest, found := strings.Cut(text, "@"); found {
			path, pick = before, digest
		} else if colon := strings.LastIndex(text, ":"); colon > strings.LastIndex(text, "/") {
			path, pick = text[:colon], text[colon+1:]
		}
	}
	if kind == "oci-dir" {
		layout, err = oci.OpenLayout(path)
	} else {
		layout, err = oci.OpenArchive(path)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", kind, err)
	}
	return layout, pick, nil
}
