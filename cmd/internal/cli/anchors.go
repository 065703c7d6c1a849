package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// MaxTrustAge is how old the trust state may be that a verification rests on: a mirror
// that is held back must not keep a withdrawn anchor in force for ever.
const MaxTrustAge = 30 * 24 * time.Hour

// ErrNoTrustState: hallmark trust init was not run yet.
var ErrNoTrustState = errors.New("there is no trust state")

// TrustState opens what hallmark trust has fetched. It uses no network.
func (a *App) TrustState() (*tuf.State, error) {
	dir, err := tuf.DefaultDir(a.Getenv)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTrustState, err)
	}
	state, err := tuf.Open(dir)
	if errors.Is(err, tuf.ErrNoState) {
		return nil, ErrNoTrustState
	}
	return state, err
}

// StateTrustedRoot is the trusted root that verifications use when none is named. One
// that is too old is refused, and one past its end is used with a warning.
func (a *App) StateTrustedRoot() ([]byte, error) {
	state, err := a.TrustState()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := state.CheckAge(now, MaxTrustAge); err != nil {
		return nil, fmt.Errorf("the trust state: %w", err)
	}
	if ends := state.Expires(); now.After(ends) {
		fmt.Fprintf(a.Stderr, "%s: warning: the trust state ended at %s; run hallmark trust update\n", a.Name(), ends.UTC().Format(time.RFC3339))
	}
	return state.TrustedRoot(), nil
}

// SetAge tells a report how old the trust state is that its certificates were proved
// with.
func (a *App) SetAge(r *report.Report) {
	if len(r.TrustRoots) == 0 {
		return
	}
	state, err := a.TrustState()
	if err != nil {
		return // the roots are from files then, or the policy could not have been read
	}
	if root, err := trust.NewRoot(trust.WithTrustedRoot(state.TrustedRoot())); err == nil {
		r.SetFetched(root.Digest(), state.Fetched())
	}
}

// PolicyFile reads a file that a policy names, or the root that the trust state holds.
func (a *App) PolicyFile(path string, read func(string) ([]byte, error)) ([]byte, error) {
	if path != policy.PublicGood {
		return read(path)
	}
	raw, err := a.StateTrustedRoot()
	if err != nil {
		return nil, fmt.Errorf("%w; run hallmark trust init once", err)
	}
	return raw, nil
}

// MaxTrustedRoot bounds a trusted root: Sigstore's has some ten kilobytes.
const MaxTrustedRoot = 8 << 20

// TrustedRoot reads the named trusted root, or that of the trust state.
func (a *App) TrustedRoot(path string) ([]byte, error) {
	if path == "" {
		raw, err := a.StateTrustedRoot()
		if errors.Is(err, ErrNoTrustState) {
			return nil, Hint(UsageError("no trusted root was named: %w", err), "run hallmark trust init once, or give --trusted-root FILE")
		}
		return raw, Undetermined(Hint(err, "run hallmark trust update, or give --trusted-root FILE"))
	}
	raw, err := wholefile.ReadFile(path, MaxTrustedRoot)
	if err != nil {
		return nil, Undetermined(Hint(fmt.Errorf("reading the trusted root: %w", err), "--trusted-root names a trusted_root.json"))
	}
	return raw, nil
}
