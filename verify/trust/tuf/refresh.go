package tuf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/hallmark-project/hallmark/verify/trust"
)

const (
	rootFile = "root.json"

	maxRootBytes    = 512_000 // go-tuf's own limit for a fetched one
	maxRotations    = 256     // roots in one update; the public instance had 14 in five years
	maxDelegations  = 32
	maxMetadata     = 64 // files: four and the delegated roles
	trustedRootName = "trusted_root.json"
	// Sigstore's client specification names it so in repositories.
	signingConfigName = "signing_config.v0.2.json"
)

// refresh runs the client workflow of the TUF specification (section 5) from the
// metadata of a record and returns a new one. The engine works in a folder of its
// own that is gone afterwards, so that a failure changes nothing.
func (s *Store) refresh(ctx context.Context, former record) (_ *State, err error) {
	// The engine dereferences what signed but malformed metadata leave out.
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("%w: malformed metadata: %v", trust.ErrRootInvalid, broken)
		}
	}()
	work, err := os.MkdirTemp(s.dir, ".work-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work) //nolint:errcheck // what stays is never read
	folder, err := os.OpenRoot(work)
	if err != nil {
		return nil, err
	}
	defer folder.Close() //nolint:errcheck // nothing is lost
	if err := unpack(folder, former.Metadata); err != nil {
		return nil, err
	}
	now := s.now().UTC()
	source := newFetcher(ctx, s.transport)
	defer source.client.CloseIdleConnections() // and with them their goroutines
	engine, err := newEngine(source, work, former, now)
	if err != nil {
		return nil, classify(err)
	}
	if err := engine.Refresh(); err != nil {
		return nil, classify(err)
	}
	next := record{Version: stateVersion, Mirror: former.Mirror, Anchor: former.Anchor, Fetched: now}
	if next.TrustedRoot, err = target(engine, work, trustedRootName); err != nil {
		return nil, err
	}
	if next.TrustedRoot == nil {
		return nil, fmt.Errorf("%w: the repository has no %s", trust.ErrRootInvalid, trustedRootName)
	}
	if next.SigningConfig, err = target(engine, work, signingConfigName); err != nil {
		return nil, err
	}
	if err := checkNames(engine); err != nil {
		return nil, err
	}
	if err := checkTargets(next); err != nil {
		return nil, err
	}
	next.Expires, next.RootVersion, next.Timestamp = ends(engine)
	if next.Metadata, err = pack(folder, engine.GetTrustedMetadataSet().Snapshot.Signed.Meta); err != nil {
		return nil, err
	}
	return &State{record: next}, nil
}

func newEngine(source *fetcher, work string, former record, now time.Time) (*updater.Updater, error) {
	settings, err := config.New(former.Mirror, former.Metadata[rootFile])
	if err != nil {
		return nil, err
	}
	settings.Fetcher = source
	settings.LocalMetadataDir, settings.LocalTargetsDir = work, work
	settings.MaxRootRotations, settings.MaxDelegations = maxRotations, maxDelegations
	settings.RootMaxLength = maxRootBytes
	engine, err := updater.New(settings)
	if err != nil {
		return nil, err
	}
	engine.UnsafeSetRefTime(now) // "unsafe" as it is for tests; ours is the store's clock
	return engine, nil
}

// target fetches one target, or nil if no role that may speak of it has it.
func target(engine *updater.Updater, work, name string) ([]byte, error) {
	found, err := engine.GetTargetInfo(name)
	if err != nil {
		// The engine has no type for "not found" beside those for errors.
		if err.Error() == fmt.Sprintf("target %s not found", name) {
			return nil, nil
		}
		return nil, fmt.Errorf("finding %s: %w", name, classify(err))
	}
	// The file gets a name of ours: the metadata's are never paths (TR-06). Its
	// ending keeps it out of pack.
	_, content, err := engine.DownloadTarget(found, work+"/download", "")
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", name, classify(err))
	}
	return content, nil
}

// checkNames refuses a repository with a target name that some client could take
// for a path out of its folder.
func checkNames(engine *updater.Updater) error {
	for _, targets := range engine.GetTrustedMetadataSet().Targets {
		for name := range targets.Signed.Targets {
			odd := func(r rune) bool { return r < ' ' || r == '\\' || r == ':' }
			if !fs.ValidPath(name) || strings.ContainsFunc(name, odd) {
				return fmt.Errorf("%w: the target name %q is not a plain path", trust.ErrRootInvalid, name)
			}
		}
	}
	return nil
}

// checkTargets reads the files as their users will.
func checkTargets(r record) error {
	if _, err := trust.NewRoot(trust.WithTrustedRoot(r.TrustedRoot)); err != nil {
		return fmt.Errorf("reading %s: %w", trustedRootName, err)
	}
	if r.SigningConfig != nil {
		if _, err := root.NewSigningConfigFromJSON(r.SigningConfig); err != nil {
			return fmt.Errorf("reading %s: %w: %w", signingConfigName, trust.ErrRootInvalid, err)
		}
	}
	return nil
}

// ends returns when the first of the top-level metadata ends, and their versions.
func ends(engine *updater.Updater) (first time.Time, rootVersion, timestamp int64) {
	set := engine.GetTrustedMetadataSet()
	first = set.Root.Signed.Expires
	for _, end := range []time.Time{set.Timestamp.Signed.Expires, set.Snapshot.Signed.Expires, set.Targets[metadata.TARGETS].Signed.Expires} {
		if end.Before(first) {
			first = end
		}
	}
	return first, set.Root.Signed.Version, set.Timestamp.Signed.Version
}

// unpack lays the metadata where the engine looks for them.
func unpack(folder *os.Root, files map[string][]byte) error {
	if len(files) > maxMetadata {
		return fmt.Errorf("%w: more than %d metadata files", trust.ErrRootInvalid, maxMetadata)
	}
	for name, content := range files {
		if strings.ContainsAny(name, `/\:`) || !strings.HasSuffix(name, ".json") {
			return fmt.Errorf("%w: %q is no name of a metadata file", trust.ErrRootInvalid, name)
		}
		if err := folder.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pack collects the metadata that the engine has proved and written, but for roles
// that are no more.
func pack(folder *os.Root, roles map[string]*metadata.MetaFiles) (map[string][]byte, error) {
	names := []string{rootFile, metadata.TIMESTAMP + ".json", metadata.SNAPSHOT + ".json"}
	for role := range roles {
		// As the engine escapes it.
		names = append(names, url.PathEscape(strings.TrimSuffix(role, ".json"))+".json")
	}
	files := map[string][]byte{}
	for _, name := range names {
		content, err := folder.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a delegated role that was not asked
		}
		if err != nil {
			return nil, err
		}
		if files[name] = content; len(files) > maxMetadata {
			return nil, fmt.Errorf("%w: more than %d metadata files", trust.ErrRootInvalid, maxMetadata)
		}
	}
	return files, nil
}

// classify gives the engine's errors the names that callers branch on.
func classify(err error) error {
	var (
		status *metadata.ErrDownloadHTTP
		failed *metadata.ErrDownload
	)
	switch {
	case errors.Is(err, ErrUnreachable):
		return err
	case errors.As(err, &status), errors.As(err, &failed):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return fmt.Errorf("%w: %w", ErrExpired, err)
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		return fmt.Errorf("%w: %w", ErrRollback, err)
	}
	var local *fs.PathError
	if errors.As(err, &local) {
		return err
	}
	return fmt.Errorf("%w: %w", trust.ErrRootInvalid, err)
}
