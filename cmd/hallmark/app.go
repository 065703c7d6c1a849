package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// app is what a command may touch of the world: tests give it buffers.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
	// lookupEnv tells an empty variable from none; nil stands for getenv.
	lookupEnv func(string) (string, bool)
	// confine keeps the whole process offline; nil leaves that to each client.
	confine func(oci.Reach)
}

// lookup returns a variable of the environment and whether it is set.
func (a *app) lookup(name string) (string, bool) {
	if a.lookupEnv != nil {
		return a.lookupEnv(name)
	}
	value := a.getenv(name)
	return value, value != ""
}

// Exit codes of every command.
const (
	exitAllow        = 0  // allowed, or done
	exitDeny         = 1  // checked and bad, or the operation failed
	exitUndetermined = 2  // could not be checked
	exitUsage        = 64 // wrong usage (sysexits.h EX_USAGE)
)

// run executes one command line and returns its exit code. A panic becomes an
// error of its own, never success.
func run(ctx context.Context, a *app, args []string) (code int) {
	defer func() {
		if fault := recover(); fault != nil {
			fmt.Fprintf(a.stderr, "hallmark: error: internal fault: %v\n", fault)
			fmt.Fprintln(a.stderr, "hallmark: hint: this is a bug of Hallmark's; nothing was allowed. Please report it with the command line.")
			code = exitUndetermined
		}
	}()
	root := newRootCommand(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return a.report(err)
}

// exitError ends a command with a code; what there is to say has been printed.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// hintError carries the exact command or field to change.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// hint attaches a hint to err; nil stays nil.
func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// codeError gives err an exit code other than exitDeny.
type codeError struct {
	err  error
	code int
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// usageError is an error of the command line itself.
func usageError(format string, args ...any) error {
	return &codeError{err: fmt.Errorf(format, args...), code: exitUsage}
}

// undetermined marks err as "could not check".
func undetermined(err error) error {
	if err == nil {
		return nil
	}
	return &codeError{err: err, code: exitUndetermined}
}

// report prints err as one error line and at most one hint line and returns
// the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitAllow
	}
	var done exitError
	if errors.As(err, &done) {
		return done.code
	}
	// An error may quote what a registry or a file said, so every line of it is made
	// harmless and none starts with words that are not ours.
	for i, line := range strings.Split(err.Error(), "\n") {
		label := "error:"
		if i > 0 {
			label = "      "
		}
		fmt.Fprintf(a.stderr, "hallmark: %s %s\n", label, report.Plain(line))
	}
	var hinted *hintError
	if errors.As(err, &hinted) {
		fmt.Fprintf(a.stderr, "hallmark: hint: %s\n", report.Plain(hinted.hint))
	}
	var coded *codeError
	if errors.As(err, &coded) {
		return coded.code
	}
	if errors.Is(err, context.Canceled) {
		return 130 // as a shell reports SIGINT
	}
	return exitDeny
}

// terminal reports whether w is a terminal, so that progress may be shown.
func terminal(w io.Writer) bool {
	file, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// noArgs is cobra.NoArgs with a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
