package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// newRootCommand assembles the command tree: one file per verb.
func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "hallmark",
		Short:         "Sign container images, attest to them, and decide whether they may run",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		// Cobra runs it for every command below.
		PersistentPreRunE: a.offline,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hint(usageError("%s", err), "%s --help lists the flags", cmd.CommandPath())
	})
	root.AddCommand(commands(a)...)
	for _, cmd := range root.Commands() {
		wrapArgs(cmd)
	}
	return root
}

// knownCommand refuses a word that is no verb, and names the nearest ones.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usageError("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return hint(err, "did you mean %s?", strings.Join(near, " or "))
	}
	return hint(err, "hallmark --help lists the commands")
}

// commands lists every verb.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newKeyCommand(a),
		newSBOMCommand(a),
		newSignCommand(a),
		newAttestCommand(a),
		newSignBlobCommand(a),
		newVerifyCommand(a),
		newReplayCommand(a),
		newInspectCommand(a),
		newCopyCommand(a),
		newBundleCommand(a),
		newVerifyBlobCommand(a),
		newPolicyCommand(a),
		newTrustCommand(a),
		newVersionCommand(a),
		newDemoCommand(a),
	}
}

// wrapArgs turns cobra's own argument errors into usage errors.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var hinted *hintError
			if errors.As(err, &hinted) {
				return err
			}
			if err != nil {
				return hint(usageError("%s", strings.TrimSpace(err.Error())), "%s --help shows how it is used", cmd.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}
