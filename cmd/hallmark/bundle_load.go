package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/airgap"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
)

type loadFlags struct {
	cli.RegistryFlags
	cli.PolicySignerFlags
	policy       string
	policyDigest string
	allowDenied  bool
	output       string
}

func newBundleLoadCommand(a *app) *cobra.Command {
	f := &loadFlags{}
	cmd := &cobra.Command{
		Use:   "load FILE REGISTRY[/PREFIX]",
		Short: "Judge the images of a sealed file, and copy them with their evidence to a registry",
		Long: `Judges every image of a sealed file, by the policy in it or by your own, and copies all
of them with their evidence to a registry. Nothing is copied when one is denied, or when
the file is out of date. Digests do not change; team/app of any registry becomes
PREFIX/team/app with the tag that it had.

The policy in the file is as trustworthy as the file: if it came from somebody else,
give --policy, or the digest of the policy that you expect.`,
		Example: `  hallmark bundle load release.tar registry.internal/mirror --policy policy.yaml
  hallmark bundle load release.tar registry.internal --policy-digest sha256:…`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.bundleLoad(cmd.Context(), f, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "judge by this policy instead of the one in the file: a file, a folder of files, or oci://REGISTRY/REPOSITORY@sha256:…")
	flags.StringVar(&f.policyDigest, "policy-digest", "", "the digest that the policy in the file must have")
	flags.BoolVar(&f.allowDenied, "allow-denied", false, "load images that the policy denies too")
	flags.StringVar(&f.output, "output", "text", "text or json")
	f.PolicySignerFlags.Add(flags)
	f.RegistryFlags.Add(flags)
	return cmd
}

func (a *app) bundleLoad(ctx context.Context, f *loadFlags, path, registry string) error {
	if f.output != "text" && f.output != "json" {
		return cli.UsageError("--output is text or json, not %q", f.output)
	}
	if err := f.PolicySignerFlags.Check(f.policy); err != nil {
		return err
	}
	client, err := f.Client(&a.App, true)
	if err != nil {
		return err
	}
	var given *policy.Policy
	if f.policy != "" {
		if given, err = a.PolicyFrom(ctx, f.policy, &f.PolicySignerFlags, &f.RegistryFlags); err != nil {
			return err
		}
	}
	s, err := a.openSealed(ctx, path, given, f.policyDigest)
	if err != nil {
		return err
	}
	defer s.file.Close()
	targets, err := destinations(s.file.Index, registry)
	if err != nil {
		return err
	}
	at := time.Now()
	answers := s.judge(ctx, nil, gate.Options{Timeout: judgeTimeout, Now: func() time.Time { return at }, Content: contentFunc(contentOptions(true))})
	if err := a.refuse(report.New(s.policy, at, answers...), f.allowDenied, "load"); err != nil {
		return err
	}
	publisher := publish.New(client)
	for i, image := range s.file.Index.Images {
		ref, err := s.file.Reference(image)
		if err != nil {
			return err
		}
		whole, err := oci.Collect(ctx, s.file.Layout(), ref, oci.CollectOptions{Suffixes: publish.EvidenceSuffixes()})
		if err != nil {
			return cli.Hint(fmt.Errorf("reading %s: %w", path, err), "the file is damaged; seal it anew")
		}
		progress, finish := a.progress("loading " + image.Name)
		result, err := publisher.Copy(ctx, s.file.Layout(), ref, whole, targets[i], publish.CopyOptions{Progress: progress})
		finish()
		if errors.Is(err, oci.ErrNotFound) && s.file.Index.Contents == airgap.EvidenceOnly {
			return cli.Hint(err, "the file holds evidence only; copy the images first, or seal them without --evidence-only")
		}
		if err != nil {
			return copyError(targets[i].String(), err)
		}
		if err := a.printCopied(f.output, image.String(), targets[i].String(), result); err != nil {
			return err
		}
	}
	return nil
}

// destinations are where the images of a file go.
func destinations(index airgap.Index, registry string) ([]oci.Reference, error) {
	all := make([]oci.Reference, 0, len(index.Images))
	seen := make(map[string]digest.Digest)
	for _, image := range index.Images {
		_, repository, _ := strings.Cut(image.Name, "/")
		text := strings.TrimSuffix(registry, "/") + "/" + repository
		if image.Tag != "" {
			text += ":" + image.Tag
		}
		ref, err := oci.ParseReference(text)
		if err != nil {
			return nil, cli.RegistryError(registry, err)
		}
		if host, _, _ := strings.Cut(registry, "/"); host != "localhost" && !strings.ContainsAny(host, ".:") {
			return nil, cli.Hint(cli.UsageError("%q is no registry", registry), "name a registry and a folder, such as registry.internal or registry.internal/mirror")
		}
		if image.Tag == "" {
			ref.Tag = ""
		}
		if other, taken := seen[ref.String()]; taken && image.Tag != "" && other != image.Digest {
			return nil, cli.Hint(fmt.Errorf("two images of the file would both become %s", ref), "seal them into two files and load them below two prefixes")
		}
		seen[ref.String()] = image.Digest
		all = append(all, ref)
	}
	return all, nil
}
