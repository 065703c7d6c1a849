package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxPolicyFileBytes bounds one file that a policy names: a key has two kilobytes, a
// trusted root some ten, a revocation list can have megabytes.
const maxPolicyFileBytes = 16 << 20

// loadPolicy reads a policy file and the files that it names, which are
// relative to the policy's folder. Its errors are "could not check".
func (a *app) loadPolicy(path string) (*policy.Policy, error) {
	raw, err := readBounded(path, policy.MaxBytes)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no such file")
		}
		return nil, undetermined(hint(fmt.Errorf("reading policy %s: %w", path, err), "--policy names a policy file; docs/policy.md describes it"))
	}
	p, err := policy.Parse(path, raw, func(name string) ([]byte, error) {
		return a.policyFile(name, func(name string) ([]byte, error) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(path), filepath.FromSlash(name))
			}
			return readBounded(name, maxPolicyFileBytes)
		})
	})
	if err != nil {
		return nil, undetermined(hint(err, "docs/policy.md describes every entry of a policy"))
	}
	return p, nil
}

// keyPolicy is the policy that --key stands for: one rule that wants one
// signature by any of the keys.
func keyPolicy(paths []string) (*policy.Policy, error) {
	var all []trust.Key
	for _, path := range paths {
		key, err := loadPublicKey(path)
		var coded *codeError
		if errors.As(err, &coded) {
			return nil, err
		}
		if err != nil {
			return nil, undetermined(err)
		}
		all = append(all, key)
	}
	return policy.ForKey(all...)
}
