package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/trust"
)

const (
	maxPasswordBytes = 4096
	maxKeyFileBytes  = 64 << 10
)

// passwordVariables are asked in this order. The second is cosign's.
var passwordVariables = [...]string{"HALLMARK_PASSWORD", "COSIGN_PASSWORD"}

// readPassword returns a password from the first source that there is: the file,
// "-" for standard input, a variable (set and empty is the empty password), or a
// prompt on a terminal. One line break at the end is taken away. A new password
// is asked for twice.
func (a *app) readPassword(file string, twice bool) ([]byte, error) {
	if file != "" {
		return a.passwordFile(file)
	}
	for _, name := range passwordVariables {
		if value, set := a.lookup(name); set {
			return []byte(value), nil
		}
	}
	input, isFile := a.stdin.(*os.File)
	if !isFile || !term.IsTerminal(int(input.Fd())) {
		return nil, hint(usageError("the key is encrypted and there is nobody to ask for its password"),
			"set HALLMARK_PASSWORD, or name a file with --password-file")
	}
	password, err := a.prompt(input, "Password for the key: ")
	if err != nil || !twice {
		return password, err
	}
	again, err := a.prompt(input, "The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(password, again) {
		return nil, usageError("the two passwords differ")
	}
	return password, nil
}

func (a *app) prompt(input *os.File, text string) ([]byte, error) {
	fmt.Fprint(a.stderr, text)
	password, err := term.ReadPassword(int(input.Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	return password, nil
}

func (a *app) passwordFile(name string) ([]byte, error) {
	reader := a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, hint(fmt.Errorf("reading the password: %w", err), "--password-file names a file that holds the password alone")
		}
		defer file.Close()
		reader = file
	}
	raw, err := io.ReadAll(io.LimitReader(reader, maxPasswordBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	if len(raw) > maxPasswordBytes {
		return nil, fmt.Errorf("reading the password: more than %d bytes", maxPasswordBytes)
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	return bytes.TrimSuffix(raw, []byte("\r")), nil
}

// loadSigner reads the private key that --key names.
func (a *app) loadSigner(_ context.Context, path, passwordFile string) (*keys.Signer, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := keys.Parse(text, func() ([]byte, error) { return a.readPassword(passwordFile, false) })
	if err == nil {
		return signer, nil
	}
	var coded *codeError
	if errors.As(err, &coded) {
		return nil, coded
	}
	err = fmt.Errorf("%s: %w", path, err)
	switch {
	case errors.Is(err, keys.ErrPassword):
		return nil, hint(err, "the password came from --password-file, HALLMARK_PASSWORD, COSIGN_PASSWORD or the prompt, in this order")
	case errors.Is(err, keys.ErrPublicKey):
		return nil, hint(err, "--key wants the private key here, such as %s", strings.TrimSuffix(path, ".pub")+".key")
	case errors.Is(err, trust.ErrKeyWeak):
		return nil, hint(err, "make a new one with: hallmark key generate")
	}
	return nil, hint(err, "hallmark key inspect %s says what the file is", path)
}

// loadPublicKey reads the public key that --key names.
func loadPublicKey(path string) (trust.Key, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return trust.Key{}, err
	}
	key, err := trust.ParsePublicKey(text)
	if err == nil {
		return key, nil
	}
	err = fmt.Errorf("%s: %w", path, err)
	if _, describeErr := keys.Describe(text); describeErr == nil {
		return trust.Key{}, hint(err, "this is a private key; verifying wants the public one: hallmark key public --key %s", path)
	}
	return trust.Key{}, hint(err, "a public key is one PEM block of type PUBLIC KEY, as hallmark key public prints it")
}

// readKeyFile reads a key file. Names of key services are errors, not paths.
func readKeyFile(path string) ([]byte, error) {
	if path == "" {
		return nil, hint(usageError("no key was named"), "name one with --key; hallmark key generate makes one")
	}
	if scheme, _, found := strings.Cut(path, ":"); found && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\.`) {
		if _, err := os.Stat(path); err != nil {
			return nil, hint(usageError("--key %q names a key service or URL, which this version does not know", path), "name a key file")
		}
	}
	file, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, hint(fmt.Errorf("reading key %s: no such file", path), "hallmark key generate makes a key pair")
		}
		return nil, fmt.Errorf("reading key %s: %w", path, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading key %s: %w", path, err)
	}
	if len(text) > maxKeyFileBytes {
		return nil, fmt.Errorf("reading key %s: more than %d bytes; this is no key", path, maxKeyFileBytes)
	}
	return text, nil
}
