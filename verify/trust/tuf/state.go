package tuf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/verify/trust"
)

const (
	stateFile     = "state.json"
	stateVersion  = 1
	maxStateBytes = 64 << 20 // all metadata and targets at their limits, in base64
	maxSkew       = 5 * time.Minute
)

// State is what the last update of a folder fetched and proved. It is read as a
// whole, is immutable and safe for concurrent use.
type State struct{ record record }

// record is the state's one file: as it is one, a reader sees all of an update or
// nothing, and no name from a repository ever becomes the name of a file.
type record struct {
	Version       int               `json:"version"`
	Mirror        string            `json:"mirror"`
	Anchor        string            `json:"anchor"` // digest of the root.json that a person gave
	Fetched       time.Time         `json:"fetched"`
	Expires       time.Time         `json:"expires"`
	RootVersion   int64             `json:"rootVersion"`
	Timestamp     int64             `json:"timestampVersion"`
	Metadata      map[string][]byte `json:"metadata"`
	TrustedRoot   []byte            `json:"trustedRoot"`
	SigningConfig []byte            `json:"signingConfig,omitempty"`
}

// Open reads the state of a folder; it asks no network. It is [ErrNoState] if
// there is none, and trust.ErrRootInvalid if it cannot be read whole or if others
// than the owner and the group could have written it.
func Open(dir string) (*State, error) {
	state, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the trust root in %s: %w", dir, err)
	}
	return state, nil
}

func open(dir string) (*State, error) {
	folder, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoState
	}
	if err != nil {
		return nil, err
	}
	defer folder.Close() //nolint:errcheck // nothing was written
	file, err := folder.Open(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoState
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	if err := checkMode(folder, file); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxStateBytes+1))
	if err != nil {
		return nil, err
	}
	return decode(text)
}

// checkMode refuses what every user of the machine may write.
func checkMode(folder *os.Root, file *os.File) error {
	if runtime.GOOS == "windows" {
		return nil // modes say nothing there
	}
	dir, err := folder.Stat(".")
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	for _, mode := range []fs.FileMode{dir.Mode(), info.Mode()} {
		if mode.Perm()&0o002 != 0 {
			return fmt.Errorf("%w: every user may write it (mode %s)", trust.ErrRootInvalid, mode)
		}
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no file", trust.ErrRootInvalid, stateFile)
	}
	return nil
}

func decode(text []byte) (*State, error) {
	if len(text) > maxStateBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", trust.ErrRootInvalid, maxStateBytes)
	}
	var r record
	if err := strictjson.Decode(text, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", trust.ErrRootInvalid, err)
	}
	if r.Version != stateVersion {
		return nil, fmt.Errorf("%w: version %d of %s is not known", trust.ErrRootInvalid, r.Version, stateFile)
	}
	if r.Mirror == "" || len(r.TrustedRoot) == 0 || r.Fetched.IsZero() || r.Expires.IsZero() {
		return nil, fmt.Errorf("%w: %s is not complete", trust.ErrRootInvalid, stateFile)
	}
	return &State{record: r}, nil
}

// write replaces the state of the folder in one step.
func (s *State) write(dir string) error {
	text, err := json.Marshal(s.record)
	if err != nil {
		return err
	}
	return wholefile.WriteBytes(filepath.Join(dir, stateFile), 0o600, text)
}

// TrustedRoot returns the trusted_root.json, for trust.WithTrustedRoot.
func (s *State) TrustedRoot() []byte { return bytes.Clone(s.record.TrustedRoot) }

// SigningConfig returns the signing configuration, or nil if the repository has
// none.
func (s *State) SigningConfig() []byte { return bytes.Clone(s.record.SigningConfig) }

// Mirror returns the URL of the repository.
func (s *State) Mirror() string { return s.record.Mirror }

// Anchor names the root.json with which the repository was first trusted.
func (s *State) Anchor() (digest.Digest, error) { return digest.Parse(s.record.Anchor) }

// RootVersion returns the version of the repository's root metadata.
func (s *State) RootVersion() int64 { return s.record.RootVersion }

// Fetched returns when the last update was.
func (s *State) Fetched() time.Time { return s.record.Fetched }

// Expires returns when the first of the metadata ends: until then the repository
// vouches for the state as the newest there is.
func (s *State) Expires() time.Time { return s.record.Expires }

// CheckAge refuses a state that was fetched longer ago than limit; a limit of zero
// stands for the time that the repository itself gives, [State.Expires]. The
// error wraps [ErrExpired]. A state from the future is refused too: the clock is
// wrong, or was.
func (s *State) CheckAge(now time.Time, limit time.Duration) error {
	fetched := s.record.Fetched.UTC().Format(time.RFC3339)
	if now.Before(s.record.Fetched.Add(-maxSkew)) {
		return fmt.Errorf("checking the age of the trust root: %w: it was fetched at %s, which is in the future: the system clock is wrong", ErrExpired, fetched)
	}
	if limit > 0 {
		if age := now.Sub(s.record.Fetched); age > limit {
			return fmt.Errorf("checking the age of the trust root: %w: it was fetched at %s, %s ago; %s are allowed", ErrExpired, fetched, age.Round(time.Minute), limit)
		}
		return nil
	}
	if now.After(s.record.Expires) {
		return fmt.Errorf("checking the age of the trust root: %w: fetched at %s, it was good until %s", ErrExpired, fetched, s.record.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}
