// Package live keeps the policies of a server that runs for months: it reads them
// from files, notices when the files change, and swaps in what is good.
//
//	l, err := live.Open(live.Options{Policy: "/etc/hallmark/policy", Source: newClient})
//	go l.Watch(ctx, 5*time.Second)
//	s := l.Current() // one snapshot for the whole of a request
//	images := s.Judge(ctx, live.Asking{Namespace: "team-a"}, targets)
//
// A snapshot is immutable and whole: cluster policy, namespace policies, trust roots,
// keys and registry credentials as they stood at one load. A load that fails changes
// nothing: the old snapshot stays, and [Live.State] says what was refused and when.
//
// Files are compared by content, not by time, so that the symbolic links by which
// Kubernetes swaps a volume are noticed, and a touched file is not. Where a folder has
// Kubernetes' link ..data, all of a load is read below the folder that it then led to:
// half of an old and half of a new volume are never mixed.
//
// # Namespace policies
//
// A file NAME.yaml in Options.Namespaces is a whole policy that applies to the images
// of that namespace in addition. An image is allowed only if both policies allow it, so
// a namespace policy can tighten and never loosen.
//
// Non-goals: policies from a registry, watching by inotify (it does not see every kind
// of mount), serving.
package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/policy/gate"
)

// Options say what is loaded. Policy and Source are required.
type Options struct {
	// Policy is the cluster policy: a file, or a folder whose files are one policy.
	Policy string
	// Namespaces is a folder of NAME.yaml, one for each namespace; "" for none.
	Namespaces string
	// DockerConfig is a file with registry credentials in docker's form; "" is
	// anonymous. Credential helpers in it are refused: they would run programs and ask
	// servers.
	DockerConfig string
	// TrustDir is where `hallmark trust` keeps its state, for policies that say
	// `sigstore: public-good`; "" refuses those.
	TrustDir string
	// MaxTrustAge is how old that state may be; zero is [DefaultTrustAge].
	MaxTrustAge time.Duration
	// Source makes the client that images are looked up with. It is called again only
	// when the credentials changed.
	Source func(authn.Keychain) gate.Source
	// Gate are the options of the gates that judge.
	Gate gate.Options
	// Log is told of loads; nil is silent.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// DefaultTrustAge is how old a trust state may be when nothing else is said: a mirror
// that is held back must not keep a withdrawn anchor in force for ever.
const DefaultTrustAge = 30 * 24 * time.Hour

// Live holds the newest good snapshot. Safe for concurrent use.
type Live struct {
	options Options
	current atomic.Pointer[Snapshot]

	mu       sync.Mutex // one load at a time; guards what follows
	seen     reading    // what the last load read, good or refused
	source   gate.Source
	keychain string // the credentials' digest that source was made with
	state    State
}

// State says what became of the loads so far.
type State struct {
	// Loaded counts good loads, the first included; Refused those that were not used.
	Loaded, Refused int
	// LoadedAt is when the snapshot in force was loaded.
	LoadedAt time.Time
	// RefusedAt and RefusedWhy tell of the last refused load. Both are empty once a
	// later load was good.
	RefusedAt  time.Time
	RefusedWhy string
}

// Open makes the first load; its error is that of the policy.
func Open(o Options) (*Live, error) {
	if o.Policy == "" || o.Source == nil {
		return nil, errors.New("loading policies: no policy is named, or there is nothing to look images up with")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxTrustAge == 0 {
		o.MaxTrustAge = DefaultTrustAge
	}
	l := &Live{options: o}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return nil, err
	}
	return l, nil
}

// Current returns the snapshot in force; it is never nil. A request takes one and keeps
// to it.
func (l *Live) Current() *Snapshot { return l.current.Load() }

// State returns what became of the loads so far.
func (l *Live) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Reload loads anew, whether or not a file has changed, and returns why the new files
// were refused. The old snapshot stays then.
func (l *Live) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuse(l.load())
}

// Check loads anew if a file has changed since the last load. The same refused files
// are reported once.
func (l *Live) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.seen.changed() {
		return nil
	}
	return l.refuse(l.load())
}

// Watch checks at each interval until ctx ends.
func (l *Live) Watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = l.Check() // logged and counted there
		}
	}
}

// refuse records a load that failed.
func (l *Live) refuse(err error) error {
	if err == nil {
		return nil
	}
	l.state.Refused++
	l.state.RefusedAt, l.state.RefusedWhy = l.options.Now().UTC(), err.Error()
	l.options.Log.Error("refused new policy files; the old policy stays in force", "error", err, "policy", l.Current().Digest().String())
	return err
}
