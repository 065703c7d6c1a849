package cli

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxKeyFileBytes bounds a key file; the longest kind has three kilobytes.
const maxKeyFileBytes = 64 << 10

// LoadPublicKey reads the public key that --key names.
func LoadPublicKey(path string) (trust.Key, error) {
	text, err := ReadKeyFile(path)
	if err != nil {
		return trust.Key{}, err
	}
	key, err := trust.ParsePublicKey(text)
	if err == nil {
		return key, nil
	}
	err = fmt.Errorf("%s: %w", path, err)
	if block, _ := pem.Decode(text); block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return trust.Key{}, Hint(err, "this is a private key; verifying wants the public one: hallmark key public --key %s", path)
	}
	return trust.Key{}, Hint(err, "a public key is one PEM block of type PUBLIC KEY, as hallmark key public prints it")
}

// ReadKeyFile reads a key file. Names of key services are errors, not paths.
func ReadKeyFile(path string) ([]byte, error) {
	if path == "" {
		return nil, Hint(UsageError("no key was named"), "name one with --key; hallmark key generate makes one")
	}
	if scheme, _, found := strings.Cut(path, ":"); found && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\.`) || strings.Contains(path, "://") {
		return nil, Hint(UsageError("--key %q names a key service or URL, which this version does not know", path),
			"name a key file; ./%s if that is its name", path)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Hint(fmt.Errorf("reading key %s: no such file", path), "check the path; hallmark key generate makes a new pair, and verifying wants the public key of who signed")
	}
	if err != nil {
		return nil, Hint(fmt.Errorf("reading key: %w", err), "check the path and its permissions")
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
	if err != nil {
		return nil, Hint(fmt.Errorf("reading key: %w", err), "check the path and its permissions")
	}
	if len(text) > maxKeyFileBytes {
		return nil, Hint(fmt.Errorf("reading key %s: more than %d bytes, which no key has", path, maxKeyFileBytes), "hallmark key generate makes a key pair")
	}
	return text, nil
}
