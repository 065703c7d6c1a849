package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxPolicyFileBytes bounds one file that a policy names: a key has two kilobytes, a
// trusted root some ten, a revocation list can have megabytes.
const maxPolicyFileBytes = 16 << 20

// loadPolicy reads a policy file, or a folder of them, and the files that they name,
// which are relative to the policy's folder. Its errors are "could not check".
func (a *app) loadPolicy(path string) (*policy.Policy, error) {
	if err := notInRegistry(path); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return a.loadPolicyFolder(path)
	}
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

// notInRegistry refuses a policy in a registry for verbs that use no network.
func notInRegistry(path string) error {
	if !source.IsReference(path) {
		return nil
	}
	return hint(usageError("a policy in a registry cannot be read here"), "hallmark policy pull writes it to a file")
}

// loadPolicyFolder reads the policy that the files of a folder are together.
func (a *app) loadPolicyFolder(dir string) (*policy.Policy, error) {
	folder, err := source.OpenFolder(dir)
	if err != nil {
		return nil, undetermined(hint(fmt.Errorf("reading policies: %w", err), "every *.yaml, *.yml and *.json in the folder is a part of the policy; put keys and roots into a folder below it"))
	}
	defer folder.Close()
	p, err := policy.ParseFiles(folder.Files, func(name string) ([]byte, error) { return a.policyFile(name, folder.Read) })
	if err != nil {
		return nil, undetermined(hint(err, "docs/policy.md describes every entry of a policy"))
	}
	return p, nil
}

// policySignerFlags say who must have signed a policy that lies in a registry.
type policySignerFlags struct {
	policyKeys     []string
	policyIdentity string
	policyIssuer   string
	policyRoot     string
}

func (f *policySignerFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.policyKeys, "policy-key", nil, "a public key that must have signed a policy in a registry; given several times, any of them will do")
	flags.StringVar(&f.policyIdentity, "policy-identity", "", "the exact certificate identity that must have signed a policy in a registry")
	flags.StringVar(&f.policyIssuer, "policy-issuer", "", "the exact issuer of that identity")
	flags.StringVar(&f.policyRoot, "policy-trusted-root", "", "the trusted_root.json for that identity; without it the state of hallmark trust")
}

// wanted is the policy that a policy must meet; nil where no flag was given.
func (f *policySignerFlags) wanted(a *app) (*policy.Policy, error) {
	keyless := f.policyIdentity != "" || f.policyIssuer != "" || f.policyRoot != ""
	switch {
	case len(f.policyKeys) > 0 && keyless:
		return nil, usageError("--policy-key and --policy-identity contradict each other")
	case len(f.policyKeys) > 0:
		return keyPolicy(f.policyKeys)
	case !keyless:
		return nil, nil //nolint:nilnil // no signer is wanted
	case f.policyIdentity == "" || f.policyIssuer == "":
		return nil, hint(usageError("an identity is a name and its issuer"), "give both --policy-identity and --policy-issuer")
	}
	root, err := a.trustedRoot(f.policyRoot)
	if err != nil {
		return nil, err
	}
	need := trust.Requirement{LogEntries: 1, Timestamps: 1, SCTs: 1}
	p, err := policy.ForIdentity(root, need, policy.Pattern{Exact: f.policyIssuer}, policy.Pattern{Exact: f.policyIdentity})
	return p, undetermined(err)
}

// check refuses flags that nothing would look at.
func (f *policySignerFlags) check(where string) error {
	if f.given() && !source.IsReference(where) {
		return hint(usageError("--policy-key and --policy-identity are for a policy in a registry"), "name it with --policy oci://REGISTRY/REPOSITORY@sha256:…")
	}
	return nil
}

// given reports whether any of the flags was used.
func (f *policySignerFlags) given() bool {
	return len(f.policyKeys) > 0 || f.policyIdentity != "" || f.policyIssuer != "" || f.policyRoot != ""
}

// policyFrom reads a policy from a file, a folder, or a registry. Its errors are "could
// not check".
func (a *app) policyFrom(ctx context.Context, where string, f *policySignerFlags, registry *registryFlags) (*policy.Policy, error) {
	if !source.IsReference(where) {
		if err := f.check(where); err != nil {
			return nil, err
		}
		return a.loadPolicy(where)
	}
	fetched, err := a.fetchPolicy(ctx, where, f, registry)
	var coded *codeError
	switch {
	case err == nil:
	case errors.As(err, &coded) && coded.code == exitUsage:
		return nil, err
	default:
		return nil, undetermined(err)
	}
	p, err := parseFetched(fetched)
	return p, undetermined(err)
}

// parseFetched reads a policy that names no files: keys and roots stand in it.
func parseFetched(fetched source.Fetched) (*policy.Policy, error) {
	p, err := policy.Parse(source.Scheme+fetched.Reference.String(), fetched.Data, nil)
	return p, hint(err, "push it again with a hallmark of the same version")
}

// fetchPolicy reads a policy from a registry or the cache. What was looked at and is
// bad has the exit code 1.
func (a *app) fetchPolicy(ctx context.Context, where string, f *policySignerFlags, registry *registryFlags) (source.Fetched, error) {
	ref, err := source.ParseReference(where)
	if err != nil {
		return source.Fetched{}, hint(&codeError{err: err, code: exitUsage}, "a policy is named like oci://registry.example/policies/prod@sha256:…")
	}
	signer, err := f.wanted(a)
	if err != nil {
		return source.Fetched{}, err
	}
	client, err := registry.client(false)
	if err != nil {
		return source.Fetched{}, undetermined(err)
	}
	fetcher := &source.Fetcher{Registry: client, Signer: signer, Cache: a.policyCache(), Now: time.Now}
	fetched, err := fetcher.Fetch(ctx, ref)
	return fetched, policySourceError(where, err)
}

// policyCache is where policies of registries are kept: below XDG_CACHE_HOME or
// ~/.cache. Without either nothing is kept.
func (a *app) policyCache() source.Cache {
	dir := a.getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		home := a.getenv("HOME")
		if !filepath.IsAbs(home) {
			return source.Cache{}
		}
		dir = filepath.Join(home, ".cache")
	}
	return source.Cache{Dir: filepath.Join(dir, "hallmark", "policy")}
}

// policySourceError gives an error of fetching its hint and exit code.
func policySourceError(where string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, source.ErrUnpinned):
		return hint(&codeError{err: err, code: exitUsage}, "name it by digest, or say who must have signed it with --policy-key or --policy-identity")
	case errors.Is(err, source.ErrNotSigned):
		return hint(err, "nothing of it was used; hallmark inspect %s shows who has signed it", where[len(source.Scheme):])
	case errors.Is(err, source.ErrOlder):
		return hint(err, "somebody moved the tag back; if that was meant, push the older policy again")
	case errors.Is(err, source.ErrNoPolicy):
		return hint(err, "hallmark policy push makes one")
	case errors.Is(err, oci.ErrUnauthorized):
		return undetermined(hint(err, "log in to the registry of %s, for example with: docker login", where))
	case errors.Is(err, oci.ErrOffline):
		return undetermined(hint(err, "without a network a policy is read from the cache, by digest; fetch it once with a network"))
	case errors.Is(err, source.ErrUndetermined):
		return undetermined(hint(err, "nothing was found bad; try again when the registry answers"))
	case errors.Is(err, oci.ErrNotFound):
		return undetermined(hint(err, "check the name and the tag or digest of %s", where))
	}
	return registryError(where, err)
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
