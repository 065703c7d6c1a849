package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
)

type replayFlags struct {
	policy, at, image, platform, output, outputFile string
}

func newReplayCommand(a *app) *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay RECORD",
		Short: "Judge a recorded verification again, without a network",
		Long: `Judges what hallmark verify --record wrote: the same images by the same policy at the
same time give the same report, anywhere and years later. --policy and --at ask what
another policy would have said, or what this one says at another time. What was not
asked when it was recorded could not be checked, and is never taken for absent.

A record is as trustworthy as its file. Signatures and digests are checked again; the
policy, the time, which digest a tag named, and which evidence there was are by the
word of whoever wrote the file. Do not let a record decide what may run.

Exit codes are those of verify: 0 all allowed, 1 one denied, 2 one could not be
checked, 64 wrong usage.`,
		Example: `  hallmark verify registry.example/app:1.2 --policy policy.yaml --record app.record
  hallmark replay app.record
  hallmark replay app.record --policy stricter.yaml --output json
  hallmark replay app.record --at 2027-01-01T00:00:00Z`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.replay(cmd.Context(), f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "judge by this policy in place of the recorded one")
	flags.StringVar(&f.at, "at", "", "judge at this time, such as 2027-01-01T00:00:00Z, in place of the recorded one")
	flags.StringVar(&f.image, "image", "", "judge only this image of the record")
	flags.StringVar(&f.platform, "platform", "", "judge this platform's manifest below an index, such as linux/arm64")
	flags.StringVar(&f.output, "output", "text", strings.Join(cli.ReportFormats, ", "))
	flags.StringVar(&f.outputFile, "output-file", "", "write the report to this file instead of standard output")
	cli.CompleteFlag(cmd, "output", cli.ReportFormats...)
	return cmd
}

func (a *app) replay(ctx context.Context, f *replayFlags, path string) error {
	r, _, err := a.replayed(ctx, f, path)
	if err != nil {
		return err
	}
	return a.Conclude(ctx, r, f.output, f.outputFile)
}

// replayed judges a record as the flags say, and returns the policy that it did so by.
func (a *app) replayed(ctx context.Context, f *replayFlags, path string) (*report.Report, *policy.Policy, error) {
	o := record.Options{Platform: f.platform, Image: f.image}
	if err := cli.CheckReportFormat(f.output); err != nil {
		return nil, nil, err
	}
	if f.platform != "" && !cli.PlatformText.MatchString(f.platform) {
		return nil, nil, cli.Hint(cli.UsageError("%q is no platform", f.platform), "a platform is OS/ARCHITECTURE, such as linux/arm64, or linux/arm/v7")
	}
	if f.at != "" {
		var err error
		if o.Time, err = time.Parse(time.RFC3339, f.at); err != nil {
			return nil, nil, cli.UsageError("--at is a time such as 2027-01-01T00:00:00Z, not %q", f.at)
		}
	}
	file, err := a.readRecord(path)
	if err != nil {
		return nil, nil, err
	}
	if f.policy != "" {
		if o.Policy, err = a.LoadPolicy(f.policy); err != nil {
			return nil, nil, err
		}
	}
	a.withoutNetwork() // a policy may have been fetched; nothing else is
	if o.Policy == nil {
		if o.Policy, err = file.Compile(); err != nil {
			return nil, nil, cli.Undetermined(fmt.Errorf("%s: %w", path, err))
		}
	}
	r, err := file.Judge(ctx, o)
	if err != nil {
		return nil, nil, cli.Undetermined(fmt.Errorf("%s: %w", path, err))
	}
	fmt.Fprintf(a.Stderr, "hallmark: judged from %s, which is as trustworthy as that file; it was recorded on %s\n", report.Plain(path), file.Time.UTC().Format(time.RFC3339))
	return r, o.Policy, nil
}
