// Hallmark-verify answers one question about container images: may they run here? It is
// the small verifier, for CI and for a cluster's admission: it signs nothing, makes no
// SBOM and reads no layers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the work in an orderly way; the second ends the program.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, &cli.App{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Confine: cli.ConfineProcess,
	}, os.Args[1:]))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, a *cli.App, args []string) int {
	a.Program, a.Version = "hallmark-verify", version
	if err := checkCompletion(args); err != nil {
		return a.Report(err)
	}
	return cli.Run(ctx, a, newRootCommand(a), args)
}

// checkCompletion refuses the hidden commands by which shells ask for completions where a
// shell does not put them: an image of that name would be passed over with exit code 0.
func checkCompletion(args []string) error {
	for n, arg := range args {
		switch {
		case arg == "--":
			return nil
		case arg == cobra.ShellCompRequestCmd || arg == cobra.ShellCompNoDescRequestCmd:
			if n == 0 {
				return nil
			}
			return cli.Hint(cli.UsageError("%s is no image", arg), "put -- before names that come from somebody else")
		}
	}
	return nil
}
