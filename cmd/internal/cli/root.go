package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// Root makes a command the root of a program and hangs others below it. What cobra
// itself has to say about a command line becomes a usage error with a hint.
func (a *App) Root(root *cobra.Command, below ...*cobra.Command) *cobra.Command {
	root.SilenceUsage, root.SilenceErrors = true, true
	// Cobra runs it for every command below.
	root.PersistentPreRunE = a.offline
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if err.Error() == "unknown flag: --version" {
			return Hint(UsageError("%s", err), "%s version prints it", cmd.Root().Name())
		}
		return Hint(UsageError("%s", err), "%s --help lists the flags", cmd.CommandPath())
	})
	root.AddCommand(below...)
	knownShells(root)
	for _, cmd := range root.Commands() {
		wrapArgs(cmd)
	}
	return root
}

// knownShells lets cobra's completion command refuse a shell that it does not know,
// where it would print its help and end well.
func knownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" && cmd.HasSubCommands() {
			cmd.Args, cmd.RunE = KnownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// KnownCommand refuses a word that is no command below cmd, and names the nearest ones.
func KnownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := UsageError("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return Hint(err, "did you mean %s?", strings.Join(near, " or "))
	}
	return Hint(err, "%s --help lists the commands", cmd.Root().Name())
}

// wrapArgs turns cobra's own argument errors into usage errors.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var hinted *HintError
			if errors.As(err, &hinted) {
				return err
			}
			if err != nil {
				return Hint(UsageError("%s", strings.TrimSpace(err.Error())), "%s --help shows how it is used", cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}
