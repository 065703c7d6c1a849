package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
)

func newPolicyFmtCommand(a *app) *cobra.Command {
	var write, check bool
	cmd := &cobra.Command{
		Use:   "fmt FILE…",
		Short: "Lay policies out in one way; comments and meaning stay",
		Long: `Prints each policy with two spaces of indentation and its entries in the language's
order. Comments, empty lines, quotes, brackets and the order of lists stay, and so does
the policy's digest: what would change it is refused. With --write the files are
changed, with --check only compared.

Exit codes: 0 done, 1 with --check a file is laid out otherwise, or it cannot be laid
out without losing something, 2 a file cannot be read or is no valid policy, 64 wrong
usage.`,
		Example: `  hallmark policy fmt policy.yaml
  hallmark policy fmt -w policies/*.yaml
  hallmark policy fmt --check policies/*.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if write && check {
				return cli.UsageError("--write and --check contradict each other")
			}
			return a.policyFmt(args, write, check)
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the result to the file")
	cmd.Flags().BoolVar(&check, "check", false, "only name the files that are laid out otherwise")
	return cmd
}

func (a *app) policyFmt(files []string, write, check bool) error {
	other := false
	for _, path := range files {
		if err := cli.NotInRegistry(path); err != nil {
			return err
		}
		raw, err := wholefile.ReadFile(path, policy.MaxBytes)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no such file")
		}
		if err != nil {
			return cli.Undetermined(fmt.Errorf("reading policy %s: %w", path, err))
		}
		out, err := policy.Format(path, raw, a.policyReader(path))
		if errors.Is(err, policy.ErrFormat) {
			return err
		}
		if err != nil {
			return cli.Undetermined(cli.Hint(err, "hallmark policy lint shows every fault"))
		}
		switch same := bytes.Equal(raw, out); {
		case check && !same:
			other = true
			fmt.Fprintln(a.Stdout, report.Plain(path))
		case check:
		case !write:
			if _, err := a.Stdout.Write(out); err != nil {
				return err
			}
		case !same:
			if _, err := wholefile.Write(path, 0o644, func(w io.Writer) error { _, err := w.Write(out); return err }); err != nil {
				return err
			}
			fmt.Fprintln(a.Stderr, "hallmark: laid out", report.Plain(path))
		}
	}
	if other {
		return cli.ExitError{Code: cli.ExitDeny}
	}
	return nil
}
