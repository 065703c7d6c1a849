package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// MaxPolicyFileBytes bounds one file that a policy names: a key has two kilobytes, a
// trusted root some ten, a revocation list can have megabytes.
const MaxPolicyFileBytes = 16 << 20

// LoadPolicy reads a policy file, or a folder of them, and the files that they name,
// which are relative to the policy's folder. Its errors are "could not check".
func (a *App) LoadPolicy(path string) (*policy.Policy, error) {
	if err := NotInRegistry(path); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return a.loadPolicyFolder(path)
	}
	raw, err := wholefile.ReadFile(path, policy.MaxBytes)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no such file")
		}
		return nil, Undetermined(Hint(fmt.Errorf("reading policy %s: %w", path, err), "--policy names a policy file; docs/policy.md describes it"))
	}
	p, err := policy.Parse(path, raw, func(name string) ([]byte, error) {
		return a.PolicyFile(name, func(name string) ([]byte, error) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(path), filepath.FromSlash(name))
			}
			return wholefile.ReadFile(name, MaxPolicyFileBytes)
		})
	})
	if err != nil {
		return nil, Undetermined(Hint(err, "docs/policy.md describes every entry of a policy"))
	}
	return p, nil
}

// NotInRegistry refuses a policy in a registry for verbs that use no network.
func NotInRegistry(path string) error {
	if !source.IsReference(path) {
		return nil
	}
	return Hint(UsageError("a policy in a registry cannot be read here"), "hallmark policy pull writes it to a file")
}

// loadPolicyFolder reads the policy that the files of a folder are together.
func (a *App) loadPolicyFolder(dir string) (*policy.Policy, error) {
	folder, err := source.OpenFolder(dir)
	if err != nil {
		return nil, Undetermined(Hint(fmt.Errorf("reading policies: %w", err), "every *.yaml, *.yml and *.json in the folder is a part of the policy; put keys and roots into a folder below it"))
	}
	defer folder.Close()
	p, err := policy.ParseFiles(folder.Files, func(name string) ([]byte, error) { return a.PolicyFile(name, folder.Read) })
	if err != nil {
		return nil, Undetermined(Hint(err, "docs/policy.md describes every entry of a policy"))
	}
	return p, nil
}

// PolicySignerFlags say who must have signed a policy that lies in a registry.
type PolicySignerFlags struct {
	policyKeys     []string
	policyIdentity string
	policyIssuer   string
	policyRoot     string
}

// Add adds the flags.
func (f *PolicySignerFlags) Add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.policyKeys, "policy-key", nil, "a public key that must have signed a policy in a registry; given several times, any of them will do")
	flags.StringVar(&f.policyIdentity, "policy-identity", "", "the exact certificate identity that must have signed a policy in a registry")
	flags.StringVar(&f.policyIssuer, "policy-issuer", "", "the exact issuer of that identity")
	flags.StringVar(&f.policyRoot, "policy-trusted-root", "", "the trusted_root.json for that identity; without it the state of hallmark trust")
}

// wanted is the policy that a policy must meet; nil where no flag was given.
func (f *PolicySignerFlags) wanted(a *App) (*policy.Policy, error) {
	keyless := f.policyIdentity != "" || f.policyIssuer != "" || f.policyRoot != ""
	switch {
	case len(f.policyKeys) > 0 && keyless:
		return nil, UsageError("--policy-key and --policy-identity contradict each other")
	case len(f.policyKeys) > 0:
		return KeyPolicy(f.policyKeys)
	case !keyless:
		return nil, nil //nolint:nilnil // no signer is wanted
	case f.policyIdentity == "" || f.policyIssuer == "":
		return nil, Hint(UsageError("an identity is a name and its issuer"), "give both --policy-identity and --policy-issuer")
	}
	root, err := a.TrustedRoot(f.policyRoot)
	if err != nil {
		return nil, err
	}
	need := trust.Requirement{LogEntries: 1, Timestamps: 1, SCTs: 1}
	p, err := policy.ForIdentity(root, need, policy.Pattern{Exact: f.policyIssuer}, policy.Pattern{Exact: f.policyIdentity})
	return p, Undetermined(err)
}

// Check refuses flags that nothing would look at.
func (f *PolicySignerFlags) Check(where string) error {
	if f.Given() && !source.IsReference(where) {
		return Hint(UsageError("--policy-key and --policy-identity are for a policy in a registry"), "name it with --policy oci://REGISTRY/REPOSITORY@sha256:…")
	}
	return nil
}

// Given reports whether any of the flags was used.
func (f *PolicySignerFlags) Given() bool {
	return len(f.policyKeys) > 0 || f.policyIdentity != "" || f.policyIssuer != "" || f.policyRoot != ""
}

// PolicyFrom reads a policy from a file, a folder, or a registry. Its errors are "could
// not check".
func (a *App) PolicyFrom(ctx context.Context, where string, f *PolicySignerFlags, registry *RegistryFlags) (*policy.Policy, error) {
	if !source.IsReference(where) {
		if err := f.Check(where); err != nil {
			return nil, err
		}
		return a.LoadPolicy(where)
	}
	fetched, err := a.FetchPolicy(ctx, where, f, registry)
	var coded *CodeError
	switch {
	case err == nil:
	case errors.As(err, &coded) && coded.Code == ExitUsage:
		return nil, err
	default:
		return nil, Undetermined(err)
	}
	p, err := ParseFetched(fetched)
	return p, Undetermined(err)
}

// ParseFetched reads a policy that names no files: keys and roots stand in it.
func ParseFetched(fetched source.Fetched) (*policy.Policy, error) {
	p, err := policy.Parse(source.Scheme+fetched.Reference.String(), fetched.Data, nil)
	return p, Hint(err, "push it again with a hallmark of the same version")
}

// FetchPolicy reads a policy from a registry or the cache. What was looked at and is
// bad has the exit code 1.
func (a *App) FetchPolicy(ctx context.Context, where string, f *PolicySignerFlags, registry *RegistryFlags) (source.Fetched, error) {
	ref, err := source.ParseReference(where)
	if err != nil {
		return source.Fetched{}, Hint(&CodeError{Err: err, Code: ExitUsage}, "a policy is named like oci://registry.example/policies/prod@sha256:…")
	}
	signer, err := f.wanted(a)
	if err != nil {
		return source.Fetched{}, err
	}
	client, err := registry.Client(a, false)
	if err != nil {
		return source.Fetched{}, Undetermined(err)
	}
	fetcher := &source.Fetcher{Registry: client, Signer: signer, Cache: a.policyCache(), Now: time.Now}
	fetched, err := fetcher.Fetch(ctx, ref)
	return fetched, policySourceError(where, err)
}

// policyCache is where policies of registries are kept: below XDG_CACHE_HOME or
// ~/.cache. Without either nothing is kept.
func (a *App) policyCache() source.Cache {
	dir := a.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		home := a.Getenv("HOME")
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
		return Hint(&CodeError{Err: err, Code: ExitUsage}, "name it by digest, or say who must have signed it with --policy-key or --policy-identity")
	case errors.Is(err, source.ErrNotSigned):
		return Hint(err, "nothing of it was used; hallmark inspect %s shows who has signed it", where[len(source.Scheme):])
	case errors.Is(err, source.ErrOlder):
		return Hint(err, "somebody moved the tag back; if that was meant, push the older policy again")
	case errors.Is(err, source.ErrNoPolicy):
		return Hint(err, "hallmark policy push makes one")
	case errors.Is(err, oci.ErrUnauthorized):
		return Undetermined(Hint(err, "log in to the registry of %s, for example with: docker login", where))
	case errors.Is(err, oci.ErrOffline):
		return Undetermined(Hint(err, "without a network a policy is read from the cache, by digest; fetch it once with a network"))
	case errors.Is(err, source.ErrUndetermined):
		return Undetermined(Hint(err, "nothing was found bad; try again when the registry answers"))
	case errors.Is(err, oci.ErrNotFound):
		return Undetermined(Hint(err, "check the name and the tag or digest of %s", where))
	}
	return RegistryError(where, err)
}

// KeyPolicy is the policy that --key stands for: one rule that wants one
// signature by any of the keys.
func KeyPolicy(paths []string) (*policy.Policy, error) {
	var all []trust.Key
	for _, path := range paths {
		key, err := LoadPublicKey(path)
		var coded *CodeError
		if errors.As(err, &coded) {
			return nil, err
		}
		if err != nil {
			return nil, Undetermined(err)
		}
		all = append(all, key)
	}
	return policy.ForKey(all...)
}
