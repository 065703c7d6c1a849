package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/trust"
)

const (
	maxPasswordBytes = 4096
	maxKeyFileBytes  = 64 << 10
)

// passwordVariables are asked in this order. The second is cosign's.
var passwordVariables = [...]string{"HALLMARK_PASSWORD", "COSIGN_PASSWORD"}

// withoutPasswords takes the passwords out of the process's environment, so that no
// program that is started later inherits them, and returns a lookup that knows them
// still. What the system shows as the environment of the process at its start, to
// its own user, stays.
func withoutPasswords(lookup func(string) (string, bool), unset func(string) error) func(string) (string, bool) {
	kept := map[string]string{}
	for _, name := range passwordVariables {
		if value, set := lookup(name); set && unset(name) == nil {
			kept[name] = value
		}
	}
	return func(name string) (string, bool) {
		if value, known := kept[name]; known {
			return value, true
		}
		return lookup(name)
	}
}

// readPassword returns a password from the first source that there is: the file,
// "-" for standard input, a variable (set and empty is the empty password), or a
// prompt on a terminal. One line break at the end is taken away. A new password
// is asked for twice.
func (a *app) readPassword(ctx context.Context, file string, twice bool) ([]byte, error) {
	if file != "" {
		return a.passwordFile(file)
	}
	for _, name := range passwordVariables {
		if value, set := a.lookup(name); set {
			return []byte(value), nil
		}
	}
	input, isFile := a.Stdin.(*os.File)
	if !isFile || !term.IsTerminal(int(input.Fd())) {
		return nil, cli.Hint(cli.UsageError("a password is needed and there is no terminal to ask for it"),
			"set HALLMARK_PASSWORD, or name a file with --password-file")
	}
	password, err := a.prompt(ctx, input, "Password for the key: ")
	if err != nil || !twice {
		return password, err
	}
	again, err := a.prompt(ctx, input, "The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(password, again) {
		return nil, cli.UsageError("the two passwords differ")
	}
	return password, nil
}

// prompt asks on a terminal, without echo. It ends when ctx does, with the terminal
// as it was: the read itself cannot be interrupted and ends with the process.
func (a *app) prompt(ctx context.Context, input *os.File, text string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd := int(input.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	fmt.Fprint(a.Stderr, text)
	defer fmt.Fprintln(a.Stderr)
	type answer struct {
		password []byte
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		password, err := term.ReadPassword(fd)
		answers <- answer{password, err}
	}()
	select {
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	case got := <-answers:
		if got.err != nil {
			return nil, fmt.Errorf("reading the password: %w", got.err)
		}
		return got.password, nil
	}
}

func (a *app) passwordFile(name string) ([]byte, error) {
	reader := a.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, cli.Hint(fmt.Errorf("reading the password: %w", err), "--password-file names a file that holds the password alone")
		}
		defer file.Close()
		reader = file
	}
	raw, err := io.ReadAll(io.LimitReader(reader, maxPasswordBytes+1))
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("reading the password: %w", err), "--password-file names a file that holds the password alone")
	}
	if len(raw) > maxPasswordBytes {
		return nil, cli.Hint(fmt.Errorf("reading the password: more than %d bytes", maxPasswordBytes), "--password-file names a file that holds the password alone")
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	return bytes.TrimSuffix(raw, []byte("\r")), nil
}

// loadSigner reads the private key that --key names.
func (a *app) loadSigner(ctx context.Context, path, passwordFile string) (*keys.Signer, error) {
	text, err := cli.ReadKeyFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := keys.Parse(text, func() ([]byte, error) { return a.readPassword(ctx, passwordFile, false) })
	if err == nil {
		return signer, nil
	}
	var hinted *cli.HintError // from a source of passwords, which says all there is to say
	if errors.As(err, &hinted) {
		return nil, hinted
	}
	err = fmt.Errorf("%s: %w", path, err)
	switch {
	case errors.Is(err, keys.ErrPassword):
		return nil, cli.Hint(err, "the password came from --password-file, HALLMARK_PASSWORD, COSIGN_PASSWORD or the prompt, in this order")
	case errors.Is(err, keys.ErrPublicKey):
		return nil, cli.Hint(err, "--key wants the private key here, such as %s", strings.TrimSuffix(path, ".pub")+".key")
	case errors.Is(err, trust.ErrKeyWeak):
		return nil, cli.Hint(err, "make a new one with: hallmark key generate")
	}
	return nil, cli.Hint(err, "hallmark key inspect %s says what the file is", path)
}
