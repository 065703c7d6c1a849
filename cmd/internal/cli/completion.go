package cli

import "github.com/spf13/cobra"

// CompleteFlag has shells offer the values of a flag that knows only these.
func CompleteFlag(cmd *cobra.Command, flag string, values ...string) {
	choose := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, choose); err != nil {
		panic(err) // the flag does not exist: every start of the program would fail
	}
}
