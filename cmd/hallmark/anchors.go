package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// maxTrustAge is how old the trust state may be that a verification rests on: a mirror
// that is held back must not keep a withdrawn anchor in force for ever.
const maxTrustAge = 30 * 24 * time.Hour

// errNoTrustState: hallmark trust init was not run yet.
var errNoTrustState = errors.New("there is no trust state")

// trustState opens what hallmark trust has fetched. It uses no network.
func (a *app) trustState() (*tuf.State, error) {
	dir, err := tuf.DefaultDir(a.getenv)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoTrustState, err)
	}
	state, err := tuf.Open(dir)
	if errors.Is(err, tuf.ErrNoState) {
		return nil, errNoTrustState
	}
	return state, err
}

// stateTrustedRoot is the trusted root that verifications use when none is named. One
// that is too old is refused, and one past its end is used with a warning.
func (a *app) stateTrustedRoot() ([]byte, error) {
	state, err := a.trustState()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := state.CheckAge(now, maxTrustAge); err != nil {
		return nil, fmt.Errorf("the trust state: %w", err)
	}
	if ends := state.Expires(); now.After(ends) {
		fmt.Fprintf(a.stderr, "hallmark: warning: the trust state ended at %s; run hallmark trust update\n", ends.UTC().Format(time.RFC3339))
	}
	return state.TrustedRoot(), nil
}

// stateSigningConfig is the signing config that signatures use when none is named.
func (a *app) stateSigningConfig() ([]byte, error) {
	state, err := a.trustState()
	if err != nil {
		return nil, err
	}
	raw := state.SigningConfig()
	if len(raw) == 0 {
		return nil, errors.New("the trust state has no signing config: the mirror offers none")
	}
	return raw, nil
}

// setAge tells a report how old the trust state is that its certificates were proved
// with.
func (a *app) setAge(r *report.Report) {
	if len(r.TrustRoots) == 0 {
		return
	}
	state, err := a.trustState()
	if err != nil {
		return // the roots are from files then, or the policy could not have been read
	}
	if root, err := trust.NewRoot(trust.WithTrustedRoot(state.TrustedRoot())); err == nil {
		r.SetFetched(root.Digest(), state.Fetched())
	}
}

// policyFile reads a file that a policy names, or the root that the trust state holds.
func (a *app) policyFile(path string, read func(string) ([]byte, error)) ([]byte, error) {
	if path != policy.PublicGood {
		return read(path)
	}
	raw, err := a.stateTrustedRoot()
	if err != nil {
		return nil, fmt.Errorf("%w; run hallmark trust init once", err)
	}
	return raw, nil
}
