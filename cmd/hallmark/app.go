package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// version is set by the linker.
var version = "dev"

// app is what a command may touch of the world: tests give it buffers.
type app struct {
	cli.App
	// lookupEnv tells an empty variable from none; nil stands for Getenv.
	lookupEnv func(string) (string, bool)
}

// lookup returns a variable of the environment and whether it is set.
func (a *app) lookup(name string) (string, bool) {
	if a.lookupEnv != nil {
		return a.lookupEnv(name)
	}
	value := a.Getenv(name)
	return value, value != ""
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, a *app, args []string) int {
	a.Program, a.Version = "hallmark", version
	return cli.Run(ctx, &a.App, newRootCommand(a), args)
}

// newRootCommand assembles the command tree: one file per verb.
func newRootCommand(a *app) *cobra.Command {
	return a.Root(&cobra.Command{
		Use:   "hallmark",
		Short: "Sign container images, attest to them, and decide whether they may run",
		Args:  cli.KnownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}, commands(a)...)
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
		cli.NewVersionCommand(&a.App),
		newDemoCommand(a),
	}
}
