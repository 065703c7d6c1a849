// Hallmark signs container images, makes and attests their SBOMs and
// provenance, and answers one question about an image: may this run here?
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C ends the work in an orderly way; the second ends the program,
	// even in a read that nothing can interrupt.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, &app{
		App:       cli.App{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Confine: cli.ConfineProcess},
		lookupEnv: withoutPasswords(os.LookupEnv, os.Unsetenv),
	}, os.Args[1:]))
}
