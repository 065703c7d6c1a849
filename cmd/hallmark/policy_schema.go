package main

import (
	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
)

func newPolicySchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of the policy language, for editors",
		Long: `Prints a JSON Schema (draft 2020-12). Editors that know YAML complete entries with it,
show what each means, and mark what is wrong. It is weaker than hallmark policy lint,
which reads a policy as verify does.`,
		Example: `  hallmark policy schema > trust-policy.schema.json
  # and as the first line of a policy, for editors with yaml-language-server:
  # yaml-language-server: $schema=trust-policy.schema.json`,
		Args: cli.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.Stdout.Write(policy.Schema())
			return err
		},
	}
}
