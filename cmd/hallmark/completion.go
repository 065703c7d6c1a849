package main

import "github.com/spf13/cobra"

// completeFlag has shells offer the values of a flag that knows only these.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	choose := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, choose); err != nil {
		panic(err) // the flag does not exist: every start of the program would fail
	}
}
