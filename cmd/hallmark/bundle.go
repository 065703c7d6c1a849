package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/airgap"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// judgeTimeout bounds the judging of one image before it is sealed or loaded.
const judgeTimeout = 2 * time.Minute

func newBundleCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Carry images and all that is needed to judge them in one file",
		Long: `A sealed file holds images, all evidence about them, the policy with its trust roots,
and the date until which they can be judged. hallmark verify --bundle-file reads it
without any network. It is an OCI image layout in a tar.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleSaveCommand(a), newBundleLoadCommand(a))
	return cmd
}

type saveFlags struct {
	cli.RegistryFlags
	cli.PolicySignerFlags
	policy       string
	out          string
	evidenceOnly bool
	allowDenied  bool
	output       string
}

func newBundleSaveCommand(a *app) *cobra.Command {
	f := &saveFlags{}
	cmd := &cobra.Command{
		Use:   "save IMAGE… --policy FILE --out FILE",
		Short: "Judge images, and seal them with evidence and policy into a file",
		Long: `Judges each image under the policy and writes the allowed ones, all evidence about
them, and the policy with its keys and trust roots inline into one file. A denied image
is refused unless --allow-denied is given; one that could not be judged always is.

The file says until when it can be judged: until the first key, certificate authority or
log that the policy uses comes to its end, or the trust state, where the policy's root is
from it, is too old.

Exit codes: 0 sealed, 1 an image was denied or could not be copied, 2 an image could not
be judged, 64 wrong usage.`,
		Example: `  hallmark bundle save registry.example/app:1.2 registry.example/db:7 --policy policy.yaml --out release.tar
  hallmark bundle save registry.example/app:1.2 --policy policy.yaml --evidence-only -o evidence.tar`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.bundleSave(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "the trust policy to judge by and to seal: a file, a folder of files, or oci://REGISTRY/REPOSITORY@sha256:…")
	flags.StringVarP(&f.out, "out", "o", "", "the file to write")
	flags.BoolVar(&f.evidenceOnly, "evidence-only", false, "leave out the layers of the images: they can be judged and not loaded")
	flags.BoolVar(&f.allowDenied, "allow-denied", false, "seal images that the policy denies too; the file says so")
	flags.StringVar(&f.output, "output", "text", "text or json")
	f.PolicySignerFlags.Add(flags)
	f.RegistryFlags.Add(flags)
	return cmd
}

func (a *app) bundleSave(ctx context.Context, f *saveFlags, images []string) error {
	switch {
	case f.output != "text" && f.output != "json":
		return cli.UsageError("--output is text or json, not %q", f.output)
	case f.policy == "":
		return cli.Hint(cli.UsageError("no policy was named"), "hallmark bundle save IMAGE… --policy FILE --out FILE")
	case f.out == "":
		return cli.Hint(cli.UsageError("nothing says where the file goes"), "hallmark bundle save IMAGE… --policy FILE --out FILE")
	}
	p, err := a.PolicyFrom(ctx, f.policy, &f.PolicySignerFlags, &f.RegistryFlags)
	if err != nil {
		return err
	}
	client, err := f.Client(&a.App, false)
	if err != nil {
		return err
	}
	at := time.Now()
	items := make([]airgap.Item, 0, len(images))
	for _, image := range images {
		if _, _, local := cli.CutLocal(image); local {
			return cli.Hint(cli.UsageError("%s is in no registry, and has no name that the policy could go by", image), "hallmark copy puts it into a registry")
		}
		ref, err := oci.ParseReference(image)
		if err != nil {
			return cli.RegistryError(image, err)
		}
		items = append(items, airgap.Item{Reference: ref, Source: client})
	}
	g := gate.New(p, client, gate.Options{Timeout: judgeTimeout, Now: func() time.Time { return at }, Content: contentFunc(contentOptions(true))})
	answers := g.JudgeAll(ctx, images...)
	if err := a.refuse(report.New(p, at, answers...), f.allowDenied, "seal"); err != nil {
		return err
	}
	for i := range items {
		// By the digest that was judged: the tag may have moved since.
		ref := items[i].Reference.At(answers[i].Digest)
		if items[i].Whole, err = oci.Collect(ctx, client, ref, oci.CollectOptions{Suffixes: publish.EvidenceSuffixes()}); err != nil {
			return cli.RegistryError(images[i], err)
		}
		items[i].Judged = answers[i]
	}
	progress, finish := a.progress("sealing")
	options := airgap.Options{Policy: p, Created: at, Version: version, Ends: a.stateEnds(), Progress: progress}
	if f.evidenceOnly {
		options.Contents = airgap.EvidenceOnly
	}
	var index airgap.Index
	size, err := wholefile.Write(f.out, 0o644, func(out io.Writer) (err error) {
		index, err = airgap.Save(ctx, out, items, options)
		return err
	})
	finish()
	if err != nil {
		return cli.RegistryError(f.out, err)
	}
	for _, item := range items {
		for _, text := range item.Whole.Skipped {
			fmt.Fprintf(a.Stderr, "hallmark: warning: %s\n", report.Plain(text))
		}
	}
	return a.printSealed(f.output, f.out, size, index)
}

// stateEnds says how long a root that came from the trust state may be used: as
// long as a verification would take the state.
func (a *app) stateEnds() func(*trust.Root) (time.Time, string) {
	state, err := a.TrustState()
	if err != nil {
		return nil // the roots are from files
	}
	root, err := trust.NewRoot(trust.WithTrustedRoot(state.TrustedRoot()))
	if err != nil {
		return nil
	}
	return func(used *trust.Root) (time.Time, string) {
		if used.Digest() != root.Digest() {
			return time.Time{}, ""
		}
		return state.Fetched().Add(cli.MaxTrustAge), fmt.Sprintf("the trust state is %d days old then", cli.MaxTrustAge/(24*time.Hour))
	}
}

// refuse prints the report and returns an error unless every image may be sealed or
// loaded.
func (a *app) refuse(r *report.Report, allowDenied bool, what string) error {
	bad, code := "", cli.ExitDeny
	for _, image := range r.Images {
		switch image.Verdict {
		case policy.Allow:
		case policy.Deny:
			if !allowDenied && bad == "" {
				bad = fmt.Sprintf("%s is denied (%s)", image.Image, image.Reason)
			}
		default:
			bad, code = fmt.Sprintf("%s could not be judged (%s)", image.Image, image.Reason), cli.ExitUndetermined
		}
	}
	if bad == "" {
		return nil
	}
	if err := r.WriteText(a.Stderr, report.Style{}); err != nil {
		return err
	}
	err := &cli.CodeError{Err: fmt.Errorf("nothing was %sed: %s", what, bad), Code: code}
	if code == cli.ExitDeny {
		return cli.Hint(err, "correct what the report above says, or give --allow-denied to %s it all the same", what)
	}
	return cli.Hint(err, "the report above says what could not be looked at")
}

// printSealed prints what a file holds.
func (a *app) printSealed(output, path string, size int64, index airgap.Index) error {
	if output == "json" {
		return report.WriteJSON(a.Stdout, index)
	}
	fmt.Fprintf(a.Stdout, "sealed %s (%s)\n", path, bytesText(size))
	for _, image := range index.Images {
		fmt.Fprintf(a.Stdout, "  %-5s  %s\n", image.Verdict, image)
	}
	fmt.Fprintf(a.Stdout, "  policy %s  %s\n  %s\n", index.Policy.Name, index.Policy.Digest, judgeable(index))
	return nil
}

// judgeable says until when a file can be judged.
func judgeable(index airgap.Index) string {
	if index.JudgeUntil.IsZero() {
		return "can be judged without an end"
	}
	return fmt.Sprintf("can be judged until %s: %s", index.JudgeUntil.UTC().Format(time.RFC3339), index.Because)
}
