// Package tuf fetches a Sigstore trusted root from a TUF repository and keeps it
// in a folder, so that no verification needs the network.
//
//	store := tuf.NewStore(dir)
//	state, err := store.Init(ctx, tuf.Source{})  // once: Sigstore's public instance
//	state, err = store.Update(ctx)               // from time to time
//
//	state, err := tuf.Open(dir)                  // no network
//	if err := state.CheckAge(now, 72*time.Hour); err != nil { … }
//	root, err := trust.NewRoot(trust.WithTrustedRoot(state.TrustedRoot()))
//
// The work of a TUF client is go-tuf's. This package adds the anchor that a person
// must give for every mirror but one, a folder that changes in one step or not at
// all, and errors that say whether a mirror is unreachable, frozen, set back or
// wrong. It does not decide how old a state may be: its callers do.
package tuf

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	sigtuf "github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// PublicGood is the mirror of Sigstore's public instance, whose root.json is part
// of the program.
const PublicGood = sigtuf.DefaultMirror

// Source says which repository to trust.
type Source struct {
	Mirror string // URL; "" is [PublicGood]

	// Root is the root.json to start from. It may be nil for [PublicGood] only:
	// what a mirror says of itself is never taken for its anchor.
	Root []byte

	// RootSHA256 is the hexadecimal SHA-256 that Root must have; "" checks nothing.
	RootSHA256 string
}

// Store is a folder with a state that can be fetched anew. It is safe for
// concurrent use, also by several processes.
type Store struct {
	dir       string
	transport http.RoundTripper
	now       func() time.Time
}

// Option changes how a [Store] works.
type Option func(*Store)

// WithTransport makes all requests through the transport. The default is a new one
// of net/http's, with the proxies of the environment.
func WithTransport(transport http.RoundTripper) Option {
	return func(s *Store) { s.transport = transport }
}

// WithClock judges ends by another clock than the system's.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// NewStore returns the store in the folder, which need not exist yet.
func NewStore(dir string, options ...Option) *Store {
	s := &Store{dir: dir, now: time.Now}
	for _, option := range options {
		option(s)
	}
	if s.transport == nil {
		s.transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: false, IdleConnTimeout: requestTimeout}
	}
	return s
}

// Init trusts a repository and fetches its state. A state that is there already
// is replaced, but never by an older one of the same mirror. Errors wrap those of
// this package or trust.ErrRootInvalid; the former state then stays.
func (s *Store) Init(ctx context.Context, source Source) (*State, error) {
	state, err := s.initialise(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("initialising the trust root in %s: %w", s.dir, err)
	}
	return state, nil
}

func (s *Store) initialise(ctx context.Context, source Source) (*State, error) {
	source, err := source.complete()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	release, err := lock(s.dir)
	if err != nil {
		return nil, err
	}
	defer release() //nolint:errcheck // the lock ends with the process at the latest
	start := record{
		Version: stateVersion, Mirror: source.Mirror, Anchor: digest.FromBytes(source.Root).String(),
		Metadata: map[string][]byte{rootFile: source.Root},
	}
	former, err := open(s.dir)
	if err != nil && !errors.Is(err, ErrNoState) && !errors.Is(err, trust.ErrRootInvalid) {
		return nil, err
	}
	state, err := s.refresh(ctx, start)
	if err != nil {
		return nil, err
	}
	if former != nil && former.record.Mirror == state.record.Mirror {
		if state.record.Timestamp < former.record.Timestamp || state.record.RootVersion < former.record.RootVersion {
			return nil, fmt.Errorf("%w: the mirror now has root %d and timestamp %d; the folder has %d and %d", ErrRollback,
				state.record.RootVersion, state.record.Timestamp, former.record.RootVersion, former.record.Timestamp)
		}
	}
	return state, state.write(s.dir)
}

// complete fills in the public instance and checks the anchor.
func (source Source) complete() (Source, error) {
	if source.Mirror == "" {
		source.Mirror = PublicGood
	}
	source.Mirror = strings.TrimSuffix(source.Mirror, "/")
	if err := checkMirror(source.Mirror); err != nil {
		return source, err
	}
	if len(source.Root) == 0 {
		if source.Mirror != PublicGood {
			return source, ErrNoAnchor
		}
		source.Root = sigtuf.DefaultRoot()
	}
	if len(source.Root) > maxRootBytes {
		return source, fmt.Errorf("%w: root.json has more than %d bytes", trust.ErrRootInvalid, maxRootBytes)
	}
	if source.RootSHA256 != "" {
		want, err := hex.DecodeString(source.RootSHA256)
		if err != nil || len(want) != sha256.Size {
			return source, fmt.Errorf("%w: the pinned SHA-256 is not one of 64 hexadecimal digits", trust.ErrRootInvalid)
		}
		sum := sha256.Sum256(source.Root)
		if subtle.ConstantTimeCompare(want, sum[:]) == 0 {
			return source, fmt.Errorf("%w: root.json has the SHA-256 %x, not the pinned one", trust.ErrRootInvalid, sum)
		}
	}
	return source, nil
}

// Update fetches what is new. After an error, which wraps one of this package's or
// trust.ErrRootInvalid, the former state stays and can be used.
func (s *Store) Update(ctx context.Context) (*State, error) {
	state, err := s.update(ctx)
	if err != nil {
		return nil, fmt.Errorf("updating the trust root in %s: %w", s.dir, err)
	}
	return state, nil
}

func (s *Store) update(ctx context.Context) (*State, error) {
	if _, err := open(s.dir); err != nil {
		return nil, err // nothing to update, or nothing to trust: no file is made
	}
	release, err := lock(s.dir)
	if err != nil {
		return nil, err
	}
	defer release() //nolint:errcheck // the lock ends with the process at the latest
	former, err := open(s.dir)
	if err != nil {
		return nil, err
	}
	state, err := s.refresh(ctx, former.record)
	if err != nil {
		return nil, err
	}
	return state, state.write(s.dir)
}
