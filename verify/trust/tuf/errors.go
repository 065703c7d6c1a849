package tuf

import "errors"

// Errors of this package. What is wrong with the content of a repository wraps
// trust.ErrRootInvalid instead.
var (
	// ErrRollback: the mirror offers older metadata than is already known; the
	// newer stays. Ask another mirror, and whoever runs this one.
	ErrRollback = errors.New("trust root would go back to an older version")
	// ErrExpired: the metadata, or the age of what was fetched, is beyond its end:
	// update. If a mirror serves it, the mirror is frozen.
	ErrExpired = errors.New("trust root has expired")
	// ErrNoState: nothing was fetched yet; initialise.
	ErrNoState = errors.New("no trust root was fetched yet")
	// ErrNoAnchor: a mirror other than the public-good one is trusted only with a
	// root.json from somewhere else; give it.
	ErrNoAnchor = errors.New("no root.json to trust the mirror with")
	// ErrUnreachable: the mirror could not be asked; the former state stays.
	ErrUnreachable = errors.New("trust root mirror cannot be asked")
	// ErrBusy: another process updates the same folder; wait for it.
	ErrBusy = errors.New("another update is under way")
)
