package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/lint"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/verify/oci"
)

type policyLintFlags struct {
	output string
	images []string
	strict bool
	list   bool
}

func newPolicyLintCommand(a *app) *cobra.Command {
	f := &policyLintFlags{}
	cmd := &cobra.Command{
		Use:   "lint FILE|DIR…",
		Short: "Find the faults and the weak spots of policies",
		Long: `Reads policies as verify does (the files of a folder are one policy) and prints every fault with its line, and, of valid ones,
weak spots: what may allow more than is meant, or stops working soon. Each has a name
that stays; --list prints them all. --image names images that are in use: rules that
govern none of them are dead, and images without a rule are denied.

Exit codes: 0 no errors (with --strict: no warnings either), 1 errors, 2 a file could
not be read, 64 wrong usage.`,
		Example: `  hallmark policy lint policy.yaml
  hallmark policy lint policy.yaml --image registry.example/app --strict
  hallmark policy lint policies/*.yaml --output sarif > policy.sarif
  hallmark policy lint --list`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error { return a.policyLint(f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.output, "output", "text", "text, json or sarif")
	flags.StringArrayVar(&f.images, "image", nil, "an image that is in use; may be given several times")
	flags.BoolVar(&f.strict, "strict", false, "warnings fail too")
	flags.BoolVar(&f.list, "list", false, "list what is looked for")
	cli.CompleteFlag(cmd, "output", "text", "json", "sarif")
	return cmd
}

func (a *app) policyLint(f *policyLintFlags, files []string) error {
	switch {
	case f.output != "text" && f.output != "json" && f.output != "sarif":
		return cli.UsageError("--output is text, json or sarif, not %q", f.output)
	case f.list:
		for _, about := range lint.All() {
			fmt.Fprintf(a.Stdout, "%-26s %-8s %s\n", about.ID, about.Severity, about.Text)
		}
		return nil
	case len(files) == 0:
		return cli.Hint(cli.UsageError("no policy was named"), "hallmark policy lint FILE|DIR…")
	}
	o := lint.Options{Now: time.Now()}
	for _, image := range f.images {
		ref, err := oci.ParseReference(image)
		if err != nil {
			return cli.UsageError("--image: %s", err)
		}
		o.Images = append(o.Images, ref.Name())
	}
	var found []lint.Finding
	for _, path := range files {
		if err := cli.NotInRegistry(path); err != nil {
			return err
		}
		one, err := a.lintPath(path, o)
		if err != nil {
			return cli.Undetermined(fmt.Errorf("reading policy %s: %w", path, err))
		}
		found = append(found, one...)
	}
	if err := a.printFindings(found, f.output); err != nil {
		return cli.Undetermined(err)
	}
	if slices.ContainsFunc(found, func(one lint.Finding) bool {
		return one.Severity == lint.Error || f.strict && one.Severity == lint.Warning
	}) {
		return cli.ExitError{Code: cli.ExitDeny}
	}
	return nil
}

// lintPath looks at a file, or at the one policy that the files of a folder are.
func (a *app) lintPath(path string, o lint.Options) ([]lint.Finding, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		folder, err := source.OpenFolder(path)
		if err != nil {
			return nil, err
		}
		defer folder.Close()
		return lint.CheckFiles(folder.Files, func(name string) ([]byte, error) { return a.PolicyFile(name, folder.Read) }, o), nil
	}
	raw, err := wholefile.ReadFile(path, policy.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("no such file")
	}
	if err != nil {
		return nil, err
	}
	return lint.Check(path, raw, a.policyReader(path), o), nil
}

// policyReader reads the files that a policy names, relative to the policy's folder.
func (a *app) policyReader(path string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		return a.PolicyFile(name, func(name string) ([]byte, error) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(path), filepath.FromSlash(name))
			}
			return wholefile.ReadFile(name, cli.MaxPolicyFileBytes)
		})
	}
}

func (a *app) printFindings(found []lint.Finding, output string) error {
	switch output {
	case "json":
		return lint.WriteJSON(a.Stdout, found)
	case "sarif":
		return lint.WriteSARIF(a.Stdout, found, version)
	}
	for _, one := range found {
		if _, err := fmt.Fprintln(a.Stdout, report.Plain(one.String())); err != nil {
			return err
		}
	}
	return nil
}
