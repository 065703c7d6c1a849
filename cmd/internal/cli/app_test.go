package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// TestRun: every way in which a command line ends has its code, its one line of an error
// and at most one hint, under the program's own name.
func TestRun(t *testing.T) {
	t.Parallel()
	plain := errors.New("reading x: gone\n::error::forged\x1b[2J")
	for name, test := range map[string]struct {
		do   func() error
		code int
		says string
	}{
		"done":                {func() error { return nil }, cli.ExitAllow, ""},
		"ended with a code":   {func() error { return cli.ExitError{Code: cli.ExitDeny} }, cli.ExitDeny, ""},
		"an error":            {func() error { return plain }, cli.ExitDeny, "small: error: reading x: gone\nsmall:        \\u{3a}:error::forged\\u{1b}[2J\n"},
		"a hint":              {func() error { return cli.Hint(plain, "say %s", "so") }, cli.ExitDeny, "small: hint: say so\n"},
		"could not check":     {func() error { return fmt.Errorf("x: %w", cli.Undetermined(cli.Hint(plain, "wait"))) }, cli.ExitUndetermined, "small: hint: wait\n"},
		"wrong usage":         {func() error { return cli.UsageError("no %q", "x") }, cli.ExitUsage, "small: error: no \"x\"\n"},
		"interrupted alone":   {func() error { return context.Canceled }, 130, "small: error: interrupted"},
		"interrupted":         {func() error { return fmt.Errorf("asking: %w", context.Canceled) }, 130, "small: error: asking"},
		"a panic":             {func() error { panic("oh") }, cli.ExitUndetermined, "small: error: internal fault: oh\nsmall: hint: "},
		"nothing is not much": {func() error { return errors.Join(cli.Hint(nil, "x"), cli.Undetermined(nil)) }, cli.ExitAllow, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			a := &cli.App{Program: "small", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
			root := a.Root(&cobra.Command{Use: "small", RunE: func(*cobra.Command, []string) error { return test.do() }})
			if code := cli.Run(t.Context(), a, root, nil); code != test.code || !strings.Contains(errs.String(), test.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, test.code, test.says, errs.String())
			}
			if test.says == "" && errs.Len() > 0 || strings.Count(errs.String(), "hint:") > 1 || out.Len() > 0 {
				t.Errorf("it says %q and %q", out.String(), errs.String())
			}
		})
	}
}
