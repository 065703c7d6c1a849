package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
)

type policyExplainFlags struct {
	replayFlags
	cli.RegistryFlags
	cli.PolicySignerFlags
	record  string
	timeout time.Duration
}

func newPolicyExplainCommand(a *app) *cobra.Command {
	f := &policyExplainFlags{}
	cmd := &cobra.Command{
		Use:   "explain IMAGE…",
		Short: "Explain a decision as a tree: rule, demands, evidence, what to do",
		Long: `Judges images by a policy, or a record of a verification, and shows why: the rule that
governs each and the patterns that lost, every demand with what it wants and what was
found, every piece of evidence with its signer and why it counted or did not, and what
to do. Colours are for terminals only (and for nobody with NO_COLOR).

Exit codes are those of verify: 0 all allowed, 1 one denied, 2 one could not be
checked, 64 wrong usage.`,
		Example: `  hallmark policy explain registry.example/app:1.2 --policy policy.yaml
  hallmark policy explain --record app.record
  hallmark policy explain --record app.record --policy stricter.yaml --at 2027-01-01T00:00:00Z`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.policyExplain(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "the trust policy; of a record, in place of the recorded one")
	flags.StringVar(&f.record, "record", "", "explain this record of a verification, without a network")
	flags.StringVar(&f.at, "at", "", "with --record: judge at this time, such as 2027-01-01T00:00:00Z")
	flags.StringVar(&f.image, "image", "", "with --record: explain only this image")
	flags.StringVar(&f.platform, "platform", "", "judge this platform's manifest below an index, such as linux/arm64")
	flags.StringVar(&f.output, "output", "text", "text or json")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long the judging of one image may take")
	f.PolicySignerFlags.Add(flags)
	f.RegistryFlags.Add(flags)
	cli.CompleteFlag(cmd, "output", "text", "json")
	return cmd
}

func (a *app) policyExplain(ctx context.Context, f *policyExplainFlags, images []string) error {
	var r *report.Report
	var p *policy.Policy
	var err error
	switch {
	case f.record != "" && len(images) > 0:
		return cli.Hint(cli.UsageError("--record and %s contradict each other", images[0]), "--image picks one image of a record")
	case f.record != "" && f.PolicySignerFlags.Given():
		return cli.Hint(cli.UsageError("--policy-key and --policy-identity are not for --record"), "hallmark policy pull writes the policy to a file")
	case f.record != "":
		r, p, err = a.replayed(ctx, &f.replayFlags, f.record)
	default:
		r, p, err = a.explained(ctx, f, images)
	}
	if err != nil {
		return err
	}
	if f.output == "json" {
		return a.Conclude(ctx, r, f.output, "")
	}
	for i, image := range r.Images {
		if i > 0 {
			fmt.Fprintln(a.Stdout)
		}
		if err := a.writeExplanation(r, image, p); err != nil {
			return cli.Undetermined(err)
		}
	}
	return cli.VerdictError(ctx, r)
}

// explained judges images of registries.
func (a *app) explained(ctx context.Context, f *policyExplainFlags, images []string) (*report.Report, *policy.Policy, error) {
	switch {
	case f.output != "text" && f.output != "json":
		return nil, nil, cli.UsageError("--output is text or json, not %q", f.output)
	case len(images) == 0:
		return nil, nil, cli.Hint(cli.UsageError("no image was named"), "hallmark policy explain IMAGE… --policy FILE, or --record FILE")
	case f.policy == "":
		return nil, nil, cli.Hint(cli.UsageError("nothing says what is wanted of the images"), "give --policy FILE")
	case f.at != "" || f.image != "":
		return nil, nil, cli.UsageError("--at and --image are for --record")
	case f.platform != "" && !cli.PlatformText.MatchString(f.platform):
		return nil, nil, cli.Hint(cli.UsageError("%q is no platform", f.platform), "a platform is OS/ARCHITECTURE, such as linux/arm64, or linux/arm/v7")
	}
	p, err := a.PolicyFrom(ctx, f.policy, &f.PolicySignerFlags, &f.RegistryFlags)
	if err != nil {
		return nil, nil, err
	}
	client, err := f.RegistryFlags.Client(&a.App, false)
	if err != nil {
		return nil, nil, cli.Undetermined(err)
	}
	at := time.Now()
	g := gate.New(p, client, gate.Options{
		Platform: f.platform, Timeout: f.timeout, Now: func() time.Time { return at }, Content: contentFunc(contentOptions(false)),
	})
	r := report.New(p, at, g.JudgeAll(ctx, images...)...)
	if f.AllowHTTP {
		r.Insecure = append(r.Insecure, "--insecure-allow-http")
	}
	a.SetAge(r)
	return r, p, nil
}
