package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// trustMirror is a TUF repository that can publish a new version.
type trustMirror struct {
	t    *testing.T
	keys map[string]ed25519.PrivateKey
	url  string

	mu     sync.Mutex
	files  map[string][]byte
	broken bool
}

func newTrustMirror(t *testing.T) *trustMirror {
	t.Helper()
	m := &trustMirror{t: t, keys: map[string]ed25519.PrivateKey{}}
	for i, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		m.keys[role] = ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i+1)))
	}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

func (m *trustMirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.files[r.URL.Path]
	switch {
	case m.broken:
		w.WriteHeader(http.StatusForbidden)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Write(content)
	}
}

// signRole returns the metadata signed by its role's key.
func signRole[T metadata.Roles](m *trustMirror, role string, meta *metadata.Metadata[T]) []byte {
	m.t.Helper()
	signer, err := signature.LoadSigner(m.keys[role], crypto.Hash(0))
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := meta.Sign(signer); err != nil {
		m.t.Fatal(err)
	}
	text, err := meta.ToBytes(false)
	if err != nil {
		m.t.Fatal(err)
	}
	return text
}

// publish serves a version with the trusted root and returns the repository's root.
func (m *trustMirror) publish(version int64, trusted []byte) []byte {
	m.t.Helper()
	end := time.Now().AddDate(0, 0, 7)
	root := metadata.Root(end)
	for role, key := range m.keys {
		public, err := metadata.KeyFromPublicKey(key.Public())
		if err != nil {
			m.t.Fatal(err)
		}
		if err := root.Signed.AddKey(public, role); err != nil {
			m.t.Fatal(err)
		}
	}
	targets := metadata.Targets(end)
	info, err := metadata.TargetFile().FromBytes("trusted_root.json", trusted, "sha256")
	if err != nil {
		m.t.Fatal(err)
	}
	info.Path = "trusted_root.json"
	targets.Signed.Version, targets.Signed.Targets["trusted_root.json"] = version, info
	snapshot, timestamp := metadata.Snapshot(end), metadata.Timestamp(end)
	snapshot.Signed.Version, timestamp.Signed.Version = version, version
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(version)
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(version)
	sum := sha256.Sum256(trusted)
	digits := []string{"0", "1", "2", "3"}[version]
	made := map[string][]byte{
		"/1.root.json":                  signRole(m, "root", root),
		"/timestamp.json":               signRole(m, "timestamp", timestamp),
		"/" + digits + ".snapshot.json": signRole(m, "snapshot", snapshot),
		"/" + digits + ".targets.json":  signRole(m, "targets", targets),
		"/targets/" + hex.EncodeToString(sum[:]) + ".trusted_root.json": trusted,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = map[string][]byte{}
	}
	maps.Copy(m.files, made)
	return made["/1.root.json"]
}

// oneLog makes a trusted root with one log.
func oneLog(t *testing.T, url string) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	text, err := trust.Instance{
		RekorV2: []trust.Endpoint{{URL: url, PEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}},
		From:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTrustCommands(t *testing.T) {
	t.Parallel()
	m := newTrustMirror(t)
	dir := t.TempDir()
	anchor := filepath.Join(dir, "root.json")
	raw := m.publish(1, oneLog(t, "https://one.test"))
	if err := os.WriteFile(anchor, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	env := map[string]string{"HALLMARK_TRUST_DIR": filepath.Join(dir, "state")}
	expect := func(code int, words string, args ...string) (stdout string) {
		t.Helper()
		got, stdout, stderr := runWith(t, env, "", append([]string{"trust"}, args...)...)
		if got != code || !strings.Contains(stdout+stderr, words) {
			t.Fatalf("trust %v: exit code %d, want %d and %q\n%s%s", args, got, code, words, stdout, stderr)
		}
		return stdout
	}
	expect(1, "hint: run hallmark trust init", "show")
	expect(1, "hint: run hallmark trust init", "export")
	expect(1, "hint: run hallmark trust init", "update")
	expect(64, "hint: give --root root.json", "init", "--mirror", m.url) // TR-18
	expect(64, "TR-18", "init", "TR-18")
	expect(1, "not the pinned one", "init", "--mirror", m.url, "--root", anchor, "--root-sha256", strings.Repeat("0", 64))
	expect(1, "hint: --root names", "init", "--mirror", m.url, "--root", filepath.Join(dir, "none"))
	expect(0, "good until", "init", "--mirror", m.url, "--root", anchor, "--root-sha256", hex.EncodeToString(sum[:]))
	expect(0, "https://one.test", "show")
	if got := expect(0, "one.test", "export"); got != string(oneLog(t, "https://one.test")) {
		t.Errorf("exported %s", got)
	}
	expect(1, "no signing configuration", "export", "--signing-config")

	m.publish(2, oneLog(t, "https://two.test"))
	expect(0, "good until", "update")
	var shown struct {
		Schema, Digest, Mirror, Anchor string
		Entries                        []struct{ Kind, Name, State string }
	}
	if err := json.Unmarshal([]byte(expect(0, "two.test", "show", "--output", "json")), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Schema != trustSchema || shown.Mirror != m.url || shown.Digest == "" || shown.Anchor != "sha256:"+hex.EncodeToString(sum[:]) ||
		len(shown.Entries) != 1 || shown.Entries[0].Name != "https://two.test" || shown.Entries[0].State != "in force" {
		t.Errorf("shown %+v", shown)
	}

	m.publish(1, oneLog(t, "https://one.test"))
	expect(1, "hint: the mirror serves old files", "update") // TR-01
	expect(0, "https://two.test", "show")
	m.mu.Lock()
	m.broken = true
	m.mu.Unlock()
	expect(2, "trust root mirror cannot be asked", "update")
	expect(0, "https://two.test", "show")
	expect(64, "--output is text or json", "show", "--output", "yaml")

	folder, other := filepath.Join(dir, "out"), filepath.Join(dir, "two.json")
	expect(0, "", "export", "-o", other)
	expect(0, "https://two.test", "show", "--trusted-root", other)
	expect(1, "nothing of it is trusted", "show", "--trusted-root", anchor) // TR-08: a TUF root is no trusted root
	expect(64, "no --from was given", "create", "-o", folder)
}
