// Hallmark signs container images, makes and attests their SBOMs and
// provenance, and answers one question about an image: may this run here?
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C ends the work in an orderly way; the second ends the program,
	// even in a read that nothing can interrupt.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, lookupEnv: withoutPasswords(os.LookupEnv, os.Unsetenv), confine: confineProcess}, os.Args[1:]))
}
