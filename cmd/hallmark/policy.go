package main

import (
	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// newPolicyCommand groups what is done with policies as files: each verb below it
// has a file of its own.
func newPolicyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check, test, explain and change trust policies",
		Long: `A trust policy says which images need which evidence, by whom; docs/policy.md
describes the language and docs/policy-tools.md these tools. hallmark verify --policy
decides under one.`,
		Args: cli.KnownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(policyCommands(a)...)
	return cmd
}

// policyCommands lists every verb below policy.
func policyCommands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newPolicyLintCommand(a),
		newPolicyTestCommand(a),
		newPolicyExplainCommand(a),
		newPolicyDiffCommand(a),
		newPolicyLearnCommand(a),
		newPolicySchemaCommand(a),
		newPolicyFmtCommand(a),
		newPolicyConvertCommand(a),
		newPolicyPushCommand(a),
		newPolicyPullCommand(a),
	}
}
