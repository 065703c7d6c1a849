package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/suite"
)

type policyTestFlags struct {
	cli.RegistryFlags
	policy, output, record, name, run string
	platform                          string
	verbose                           bool
	timeout                           time.Duration
}

func newPolicyTestCommand(a *app) *cobra.Command {
	f := &policyTestFlags{}
	cmd := &cobra.Command{
		Use:   "test DIR…",
		Short: "Run a policy's test cases: recorded evidence and expected verdicts",
		Long: `Runs the cases in folders or files (YAML of kind PolicyTest) without a network. Each
names recorded evidence, and the verdict, reason and demands that are expected;
docs/policy-tools.md shows the form. --record IMAGE adds a case: it judges a live image
by --policy, and writes its record and the outcome as what is expected from now on.

Exit codes: 0 all passed, 1 a case failed, 2 cases could not be read, or there is
none, 64 wrong usage.`,
		Example: `  hallmark policy test policy/tests --policy policy.yaml
  hallmark policy test policy/tests -v --run 'key.*ended'
  hallmark policy test policy/tests --policy policy.yaml --record registry.example/app:1.2
  hallmark policy test policy/tests --output junit > junit.xml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.record != "" {
				return a.policyTestRecord(cmd.Context(), f, args)
			}
			return a.policyTest(cmd.Context(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "judge by this policy the cases that name none")
	flags.StringVar(&f.output, "output", "text", "text, json or junit")
	flags.StringVar(&f.run, "run", "", "only cases whose name this regular expression matches")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print the cases that pass, too")
	flags.StringVar(&f.record, "record", "", "add a case from this live image to the folder")
	flags.StringVar(&f.name, "name", "", "the name of the case that --record adds")
	flags.StringVar(&f.platform, "platform", "", "with --record: the platform below an index, such as linux/arm64")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "with --record: how long it may take")
	f.RegistryFlags.Add(flags)
	cli.CompleteFlag(cmd, "output", "text", "json", "junit")
	return cmd
}

func (a *app) policyTest(ctx context.Context, f *policyTestFlags, paths []string) error {
	if f.output != "text" && f.output != "json" && f.output != "junit" {
		return cli.UsageError("--output is text, json or junit, not %q", f.output)
	}
	only, err := regexp.Compile(f.run)
	if err != nil {
		return cli.UsageError("--run: %s", err)
	}
	runner := &suite.Runner{Policy: a.LoadPolicy, Clock: time.Now}
	if f.policy != "" {
		if runner.Default, err = a.LoadPolicy(f.policy); err != nil {
			return err
		}
	}
	cases, err := suite.Load(paths...)
	if err != nil {
		return cli.Undetermined(cli.Hint(err, "docs/policy-tools.md shows a file of cases; --record IMAGE makes one"))
	}
	var chosen []suite.Case
	for _, c := range cases {
		if only.MatchString(c.Name) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return cli.Undetermined(fmt.Errorf("no case of %d has a name that --run %q matches", len(cases), f.run))
	}
	a.withoutNetwork()
	results := runner.Run(ctx, chosen)
	if err := ctx.Err(); err != nil {
		return err
	}
	switch f.output {
	case "json":
		err = suite.WriteJSON(a.Stdout, results)
	case "junit":
		err = suite.WriteJUnit(a.Stdout, results)
	default:
		err = suite.WriteText(a.Stdout, results, f.verbose)
	}
	if err != nil {
		return cli.Undetermined(err)
	}
	if suite.Failed(results) > 0 {
		return cli.ExitError{Code: cli.ExitDeny}
	}
	return nil
}

// fileNameText is what a case's file may be called by: nothing that leaves the folder.
var fileNameText = regexp.MustCompile(`[^a-z0-9]+`)

// policyTestRecord adds a case from a live image.
func (a *app) policyTestRecord(ctx context.Context, f *policyTestFlags, paths []string) error {
	switch {
	case len(paths) != 1:
		return cli.UsageError("--record adds to one folder, got %d", len(paths))
	case f.policy == "":
		return cli.Hint(cli.UsageError("--record needs --policy"), "the case expects what this policy says now")
	case f.platform != "" && !cli.PlatformText.MatchString(f.platform):
		return cli.Hint(cli.UsageError("%q is no platform", f.platform), "a platform is OS/ARCHITECTURE, such as linux/arm64, or linux/arm/v7")
	}
	p, err := a.LoadPolicy(f.policy)
	if err != nil {
		return err
	}
	client, err := f.RegistryFlags.Client(&a.App, false)
	if err != nil {
		return cli.Undetermined(err)
	}
	// A whole second, so that the case's time is the record's.
	at := time.Now().UTC().Truncate(time.Second)
	recorder := record.NewRecorder()
	g := gate.New(p, client, gate.Options{
		Platform: f.platform, Timeout: f.timeout, Now: func() time.Time { return at }, Content: recorder.Content(contentFunc(contentOptions(false))),
	})
	targets := []gate.Target{g.Target(f.record)}
	watchWith(recorder, targets)
	r := report.New(p, at, g.JudgeTargets(ctx, targets)...)
	if f.AllowHTTP {
		r.Insecure = append(r.Insecure, "--insecure-allow-http")
	}
	image := r.Images[0]
	if image.Error != "" {
		return cli.Undetermined(cli.Hint(fmt.Errorf("recording %s: %s", f.record, image.Error), "%s", image.Hint))
	}
	if f.name == "" {
		f.name = fmt.Sprintf("%s is %s", f.record, image.Verdict)
	}
	base := filepath.Join(paths[0], strings.Trim(fileNameText.ReplaceAllString(strings.ToLower(f.name), "-"), "-"))
	for _, extension := range []string{".yaml", ".record"} {
		if _, err := os.Lstat(base + extension); !errors.Is(err, fs.ErrNotExist) {
			return cli.Hint(fmt.Errorf("%s is there already", base+extension), "give the case another --name, or remove the file")
		}
	}
	if err := os.MkdirAll(paths[0], 0o755); err != nil {
		return cli.Undetermined(fmt.Errorf("making the folder of the case: %w", err))
	}
	if err := writeRecord(ctx, base+".record", recorder, record.Verification{Policy: p, Platform: f.platform, Targets: targets}, r); err != nil {
		return cli.Undetermined(err)
	}
	return a.writeCase(base, f, image)
}

// writeCase writes the file of one case beside its record.
func (a *app) writeCase(base string, f *policyTestFlags, image *report.Image) error {
	policyPath, err := filepath.Rel(filepath.Dir(base), f.policy)
	if err != nil || filepath.IsAbs(f.policy) {
		policyPath = f.policy
	}
	raw, err := suite.Format(filepath.ToSlash(policyPath), suite.Case{
		Name: f.name, Record: filepath.Base(base) + ".record", Image: f.record, Platform: f.platform, Expect: suite.Expected(image),
	})
	if err != nil {
		return err
	}
	if _, err := wholefile.Write(base+".yaml", 0o644, func(out io.Writer) error { _, err := out.Write(raw); return err }); err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "hallmark: wrote %s.yaml, which expects %s, and its record\n", report.Plain(base), image.Verdict)
	if image.Verdict == policy.Undetermined {
		fmt.Fprintln(a.Stderr, "hallmark: warning: something could not be looked at; look at the case before you keep it")
	}
	return nil
}
