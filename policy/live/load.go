package live

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/credentials"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// load reads everything and swaps it in if all of it is good.
func (l *Live) load() error {
	var r *loader
	var s *Snapshot
	var err error
	for range maxLoads {
		r = &loader{Live: l, reading: reading{make(map[string]string), make(map[string]string)}, volumes: make(map[string]string)}
		// A volume that was swapped meanwhile is no fault of the files.
		if s, err = r.snapshot(); err == nil || !r.moved() {
			break
		}
	}
	l.seen = r.reading
	if err != nil {
		return err
	}
	before := l.current.Swap(s)
	l.state.Loaded++
	l.state.LoadedAt, l.state.RefusedAt, l.state.RefusedWhy = s.loaded, time.Time{}, ""
	if before != nil {
		l.options.Log.Info("loaded new policy files", "policy", s.Digest().String(), "before", before.Digest().String(), "namespaces", len(s.namespaces))
	}
	return nil
}

// loader is one load.
type loader struct {
	*Live
	reading
	state   *tuf.State        // once it was read
	usedIt  bool              // the policy that is being read rests on the state
	volumes map[string]string // what each folder stood for
}

// maxLoads is how often a load begins anew because a volume was swapped; volumes are
// swapped once a minute at most.
const maxLoads = 5

// volume settles a folder for this load.
func (l *loader) volume(dir string) volume {
	v := openVolume(dir)
	l.volumes[dir] = v.now
	return v
}

// moved reports whether a folder that was read stands for another one now.
func (l *loader) moved() bool {
	for dir, was := range l.volumes {
		if settle(dir) != was {
			return true
		}
	}
	return false
}

func (l *loader) snapshot() (*Snapshot, error) {
	s := &Snapshot{loaded: l.options.Now().UTC(), now: l.options.Now, maxAge: l.options.MaxTrustAge, namespaces: make(map[string]*part)}
	if err := l.credentials(); err != nil {
		return nil, err
	}
	s.source = l.source
	var err error
	if s.cluster, err = l.policy(l.options.Policy); err != nil {
		return nil, err
	}
	if l.options.Namespaces == "" {
		return s, nil
	}
	where := l.volume(l.options.Namespaces)
	names, err := l.folder(where.later)
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		name, isPolicy := strings.CutSuffix(file, ".yaml")
		full := filepath.Join(where.now, file)
		if info, err := os.Stat(full); err == nil && info.IsDir() && !isPolicy {
			continue // keys and roots that the policies name
		}
		if !isPolicy || !namespaceName.MatchString(name) {
			return nil, fmt.Errorf("reading namespace policies: %s is not named NAMESPACE.yaml; put keys and roots into a folder below", filepath.Join(l.options.Namespaces, file))
		}
		if s.namespaces[name], err = l.file(where, file, filepath.Join(l.options.Namespaces, file)); err != nil {
			return nil, fmt.Errorf("reading the policy of namespace %s: %w", name, err)
		}
	}
	return s, nil
}

// namespaceName is a DNS label (RFC 1123), as Kubernetes names namespaces.
var namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// policy reads a policy from a file or a folder.
func (l *loader) policy(path string) (*part, error) {
	info, err := os.Stat(path)
	if err != nil {
		l.took(path, nil, err)
		return nil, fmt.Errorf("reading policy %s: %w", path, wholefile.Pathless(err))
	}
	if !info.IsDir() {
		return l.file(l.volume(filepath.Dir(path)), filepath.Base(path), path)
	}
	where := l.volume(path)
	if _, err := l.reading.folder(where.later); err != nil {
		return nil, err
	}
	folder, err := source.OpenFolder(where.now)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	defer folder.Close() //nolint:errcheck // it was only read
	for i, file := range folder.Files {
		base := filepath.Base(file.Name)
		l.took(filepath.Join(where.later, base), file.Data, nil)
		folder.Files[i].Name = filepath.Join(path, base)
	}
	return l.compile(folder.Files, func(name string) ([]byte, error) {
		raw, err := folder.Read(name)
		l.took(filepath.Join(where.later, filepath.FromSlash(name)), raw, err)
		return raw, err
	})
}

// file reads a policy in one file; shown is its name in errors.
func (l *loader) file(where volume, base, shown string) (*part, error) {
	raw, err := l.in(where, base, policy.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("reading policy %s: %w", shown, wholefile.Pathless(err))
	}
	return l.compile([]policy.File{{Name: shown, Data: raw}}, func(name string) ([]byte, error) {
		if filepath.IsAbs(name) {
			return l.reading.file(name, maxNamedBytes)
		}
		return l.in(where, filepath.FromSlash(name), maxNamedBytes)
	})
}

// in reads a file of a volume.
func (l *loader) in(where volume, name string, limit int64) ([]byte, error) {
	raw, err := wholefile.ReadRegular(filepath.Join(where.now, name), limit)
	l.took(filepath.Join(where.later, name), raw, err)
	return raw, err
}

// compile makes a policy and the gate that judges under it.
func (l *loader) compile(files []policy.File, read func(string) ([]byte, error)) (*part, error) {
	l.usedIt = false
	p, err := policy.ParseFiles(files, func(name string) ([]byte, error) {
		if name == policy.PublicGood {
			return l.publicGood()
		}
		return read(name)
	})
	if err != nil {
		return nil, err
	}
	one := &part{policy: p, gate: gate.New(p, l.source, l.options.Gate)}
	if l.usedIt {
		one.trust = l.state
	}
	return one, nil
}

// publicGood is the root of the trust state. One that is too old is refused.
func (l *loader) publicGood() ([]byte, error) {
	if l.options.TrustDir == "" {
		return nil, errors.New("there is no trust state; name its folder, or name the file of a trusted root")
	}
	if l.state == nil {
		l.files[filepath.Join(l.options.TrustDir, stateFile)] = fingerprint(filepath.Join(l.options.TrustDir, stateFile))
		state, err := tuf.Open(l.options.TrustDir)
		if err != nil {
			return nil, fmt.Errorf("%w; hallmark trust init makes one", err)
		}
		if err := state.CheckAge(l.options.Now(), l.options.MaxTrustAge); err != nil {
			return nil, fmt.Errorf("the trust state: %w", err)
		}
		l.state = state
	}
	l.usedIt = true
	return l.state.TrustedRoot(), nil
}

// stateFile is the one file of a trust state (package tuf).
const stateFile = "state.json"

// ErrCredentials is in the error of a load whose docker configuration could not be used.
var ErrCredentials = errors.New("reading registry credentials")

// credentials reads the docker configuration and makes the client when it changed.
func (l *loader) credentials() error {
	if l.options.DockerConfig == "" {
		if l.source == nil {
			l.source = l.options.Source(authn.NewMultiKeychain())
		}
		return nil
	}
	path := l.options.DockerConfig
	raw, err := l.in(l.volume(filepath.Dir(path)), filepath.Base(path), credentials.MaxBytes)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrCredentials, path, wholefile.Pathless(err))
	}
	keychain, err := credentials.Parse(raw)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrCredentials, path, err)
	}
	if sum := digest.FromBytes(raw).String(); l.source == nil || sum != l.keychain {
		l.source, l.keychain = l.options.Source(keychain), sum
	}
	return nil
}

// rootDigest names the trusted root of a state as reports do; zero if it cannot be read.
func rootDigest(state *tuf.State) digest.Digest {
	root, err := trust.NewRoot(trust.WithTrustedRoot(state.TrustedRoot()))
	if err != nil {
		return digest.Digest{}
	}
	return root.Digest()
}

// sortedNames are the keys of a map in order.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
