// Package cli holds what the programs below cmd have in common: how a command line
// ends, the flags that say how registries are reached and what is trusted, and the
// verb that judges images.
//
//	a := &cli.App{Program: "hallmark-verify", Version: version, Stdin: os.Stdin, …}
//	os.Exit(cli.Run(ctx, a, a.Root(cmd, subcommands...), os.Args[1:]))
//
// Results go to standard output and all else to standard error: one line
// "PROGRAM: error: …", and where something can be done about it "PROGRAM: hint: …".
//
// Non-goals: signing, SBOMs, the layers of images. It links none of what makes these, so
// that the small verifier stays small; the full program adds them by [Extras].
package cli

import (
	"cmp"
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

// App is what a command may touch of the world: tests give it buffers.
type App struct {
	// Program is the name that messages begin with and hints call; empty is "hallmark".
	Program string
	// Version is that of the program, for registries and reports; empty is "dev".
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Getenv reads a variable of the environment.
	Getenv func(string) string
	// Confine keeps the whole process offline; nil leaves that to each client.
	Confine func(oci.Reach)
}

// Name is the name of the program.
func (a *App) Name() string { return cmp.Or(a.Program, "hallmark") }

// version is that of the program.
func (a *App) version() string { return cmp.Or(a.Version, "dev") }

// Exit codes of every command.
const (
	ExitAllow        = 0  // allowed, or done
	ExitDeny         = 1  // checked and bad, or the operation failed
	ExitUndetermined = 2  // could not be checked
	ExitUsage        = 64 // wrong usage (sysexits.h EX_USAGE)
)

// Run executes one command line below a root, which [App.Root] has made, and returns
// its exit code. A panic becomes an error of its own, never success.
func Run(ctx context.Context, a *App, root *cobra.Command, args []string) (code int) {
	defer func() {
		if fault := recover(); fault != nil {
			fmt.Fprintf(a.Stderr, "%s: error: internal fault: %v\n", a.Name(), fault)
			fmt.Fprintf(a.Stderr, "%s: hint: this is a bug of Hallmark's; nothing was allowed. Please report it with the command line.\n", a.Name())
			code = ExitUndetermined
		}
	}()
	root.SetArgs(args)
	return a.Report(root.ExecuteContext(ctx))
}

// ExitError ends a command with a code; what there is to say has been printed.
type ExitError struct{ Code int }

func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// HintError carries the exact command or field to change.
type HintError struct {
	err  error
	hint string
}

func (e *HintError) Error() string { return e.err.Error() }
func (e *HintError) Unwrap() error { return e.err }

// Hint attaches a hint to err; nil stays nil.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &HintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// CodeError gives an error an exit code other than [ExitDeny].
type CodeError struct {
	Err  error
	Code int
}

func (e *CodeError) Error() string { return e.Err.Error() }
func (e *CodeError) Unwrap() error { return e.Err }

// UsageError is an error of the command line itself.
func UsageError(format string, args ...any) error {
	return &CodeError{Err: fmt.Errorf(format, args...), Code: ExitUsage}
}

// Undetermined marks err as "could not check"; nil stays nil.
func Undetermined(err error) error {
	if err == nil {
		return nil
	}
	return &CodeError{Err: err, Code: ExitUndetermined}
}

// Report prints err as one error line and at most one hint line and returns
// the exit code.
func (a *App) Report(err error) int {
	if err == nil {
		return ExitAllow
	}
	var done ExitError
	if errors.As(err, &done) {
		return done.Code
	}
	// An error may quote what a registry or a file said, so every line of it is made
	// harmless and none starts with words that are not ours.
	text := err.Error()
	if text == context.Canceled.Error() {
		text = "interrupted"
	}
	for i, line := range strings.Split(text, "\n") {
		label := "error:"
		if i > 0 {
			label = "      "
		}
		fmt.Fprintf(a.Stderr, "%s: %s %s\n", a.Name(), label, report.Plain(line))
	}
	var hinted *HintError
	if errors.As(err, &hinted) {
		fmt.Fprintf(a.Stderr, "%s: hint: %s\n", a.Name(), report.Plain(hinted.hint))
	}
	var coded *CodeError
	if errors.As(err, &coded) {
		return coded.Code
	}
	if errors.Is(err, context.Canceled) {
		return 130 // as a shell reports SIGINT
	}
	return ExitDeny
}

// Terminal reports whether w is a terminal, so that progress may be shown.
func Terminal(w io.Writer) bool {
	file, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// NoArgs is cobra.NoArgs with a usage error.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageError("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
