package tuf_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// epoch is when everything in these tests begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// repo is a TUF repository whose owner may do as he likes: every knob makes one
// thing wrong. Its zero knobs make a good one.
type repo struct {
	t    testing.TB
	keys map[string]ed25519.PrivateKey // by role

	root, timestamp, snapshot, targets int64 // versions
	ends                               map[string]time.Time
	files                              map[string][]byte // targets
	roles                              []metadata.DelegatedRole
	delegated                          map[string]map[string][]byte // targets by delegated role
	changeRoot                         func(*metadata.RootType)
	changeTargets                      func(*metadata.TargetsType)
	changeTimestamp                    func(*metadata.TimestampType)
	done                               bool // an attack has published itself

	mu     sync.Mutex
	served map[string][]byte
	seen   []*http.Request
}

func newRepo(t testing.TB) *repo {
	t.Helper()
	r := &repo{
		t: t, keys: map[string]ed25519.PrivateKey{}, root: 1, timestamp: 1, snapshot: 1, targets: 1,
		ends: map[string]time.Time{}, files: map[string][]byte{"trusted_root.json": trustedRoot},
		delegated: map[string]map[string][]byte{}, served: map[string][]byte{},
	}
	for i, role := range []string{"root", "timestamp", "snapshot", "targets", "other"} {
		r.keys[role] = ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i+1)))
	}
	return r
}

func (r *repo) key(role string) *metadata.Key {
	key, err := metadata.KeyFromPublicKey(r.keys[role].Public())
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

func (r *repo) end(role string) time.Time {
	if end, ok := r.ends[role]; ok {
		return end
	}
	return epoch.AddDate(0, 0, 30)
}

func sign[T metadata.Roles](r *repo, m *metadata.Metadata[T], roles ...string) []byte {
	r.t.Helper()
	for _, role := range roles {
		signer, err := signature.LoadSigner(r.keys[role], crypto.Hash(0))
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := m.Sign(signer); err != nil {
			r.t.Fatal(err)
		}
	}
	text, err := m.ToBytes(false)
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

func (r *repo) list(files map[string][]byte, into *metadata.TargetsType) {
	for name, content := range files {
		info, err := metadata.TargetFile().FromBytes(name, content, "sha256")
		if err != nil {
			r.t.Fatal(err)
		}
		info.Path = name
		into.Targets[name] = info
		sum := sha256.Sum256(content)
		r.served["/targets/"+hex.EncodeToString(sum[:])+"."+name] = content
	}
}

// publish makes all files of the repository anew and returns its root.json.
func (r *repo) publish() []byte {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	targets := metadata.Targets(r.end("targets"))
	targets.Signed.Version = r.targets
	r.list(r.files, &targets.Signed)
	snapshot := metadata.Snapshot(r.end("snapshot"))
	snapshot.Signed.Version = r.snapshot
	snapshot.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": metadata.MetaFile(r.targets)}
	if len(r.roles) > 0 {
		targets.Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{r.keyID("other"): r.key("other")}, Roles: r.roles}
	}
	for role, files := range r.delegated {
		m := metadata.Targets(r.end(role))
		r.list(files, &m.Signed)
		r.served["/1."+role+".json"] = sign(r, m, "other")
		snapshot.Signed.Meta[role+".json"] = metadata.MetaFile(1)
	}
	if r.changeTargets != nil {
		r.changeTargets(&targets.Signed)
	}
	timestamp := metadata.Timestamp(r.end("timestamp"))
	timestamp.Signed.Version = r.timestamp
	timestamp.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": metadata.MetaFile(r.snapshot)}
	if r.changeTimestamp != nil {
		r.changeTimestamp(&timestamp.Signed)
	}
	root := metadata.Root(r.end("root"))
	root.Signed.Version, root.Signed.ConsistentSnapshot = r.root, true
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		if err := root.Signed.AddKey(r.key(role), role); err != nil {
			r.t.Fatal(err)
		}
	}
	if r.changeRoot != nil {
		r.changeRoot(&root.Signed)
	}
	made := map[string][]byte{
		fmt.Sprintf("/%d.root.json", r.root):         sign(r, root, "root"),
		fmt.Sprintf("/%d.targets.json", r.targets):   sign(r, targets, "targets"),
		fmt.Sprintf("/%d.snapshot.json", r.snapshot): sign(r, snapshot, "snapshot"),
		"/timestamp.json":                            sign(r, timestamp, "timestamp"),
	}
	maps.Copy(r.served, made)
	return made[fmt.Sprintf("/%d.root.json", r.root)]
}

// serve starts the mirror.
func (r *repo) serve() string {
	server := httptest.NewServer(r)
	r.t.Cleanup(server.Close)
	return server.URL
}

func (r *repo) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, request)
	content, ok := r.served[request.URL.Path]
	if !ok {
		http.NotFound(w, request)
		return
	}
	w.Write(content) //nolint:errcheck // the client notices
}

// put serves something of a test's own.
func (r *repo) put(path string, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served[path] = content
}

func (r *repo) keyID(role string) string {
	id, err := r.key(role).ID()
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// role is a delegated one for the other key.
func (r *repo) role(name string, terminating bool, patterns ...string) metadata.DelegatedRole {
	return metadata.DelegatedRole{Name: name, KeyIDs: []string{r.keyID("other")}, Threshold: 1, Terminating: terminating, Paths: patterns}
}

// RoundTrip serves without a network.
func (r *repo) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}
