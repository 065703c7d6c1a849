package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// mirror is a TUF repository of one test, with the shared instance's trusted root.
type mirror struct {
	*stack.Repository
	counter *stack.Counter
}

func newMirror(t *testing.T, s *stack.Stack, expires time.Time) mirror {
	t.Helper()
	config, err := s.Services().V2().SigningConfig()
	if err != nil {
		t.Fatal(err)
	}
	made, err := stack.NewRepository(t.TempDir(), expires, map[string][]byte{stack.TrustedRootTarget: s.TrustedRoot, stack.SigningConfigTarget: config})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(made.Dir)))
	t.Cleanup(server.Close)
	counter := stack.NewCounter(server.URL)
	t.Cleanup(counter.Close)
	return mirror{made, counter}
}

// file reads one of the repository's files.
func (m mirror) file(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func inAYear() time.Time { return time.Now().AddDate(1, 0, 0).UTC() }

// TestTrust: the life of a trust state, from a private repository: made, used without
// asking the repository, brought up to date, and kept when an update is refused.
func TestTrust(t *testing.T) {
	t.Parallel()
	s := instance(t)
	k := newKeyless(t, s.Services().V2(), stack.Email())
	m := newMirror(t, s, inAYear())
	put(t, k.dir, "root.json", m.Root)
	put(t, k.dir, "strangers.json", newMirror(t, s, inAYear()).Root)

	hallmark(t, k.dir, "trust", "init", "--mirror", m.counter.URL).want(t, 64, "hallmark trust init of a mirror without its root")
	hallmark(t, k.dir, "trust", "init", "--mirror", m.counter.URL, "--root", "strangers.json").want(t, 1, "hallmark trust init with a stranger's root")
	hallmark(t, k.dir, "trust", "show").fails(t, "hallmark trust show before anything was fetched")
	hallmark(t, k.dir, "trust", "init", "--mirror", m.counter.URL, "--root", "root.json").want(t, 0, "hallmark trust init")
	if kept := hallmark(t, k.dir, "trust", "export").want(t, 0, "hallmark trust export").stdout; kept != string(s.TrustedRoot) {
		t.Errorf("exported\n%s\nwant\n%s", kept, s.TrustedRoot)
	}
	shown := hallmark(t, k.dir, "trust", "show", "--output", "json").want(t, 0, "hallmark trust show").stdout
	for _, url := range append(s.Services().RekorV2, s.Services().RekorV1, s.Services().Fulcio) {
		contains(t, shown, url)
	}

	// Used with no flag, and the repository is not asked.
	before := len(m.counter.Requests())
	hallmark(t, k.dir, "sign-blob", "blob", "--bundle", "b.json", "--identity-token", "token").want(t, 0, "hallmark sign-blob")
	hallmark(t, k.dir, "verify-blob", "blob", "--bundle", "b.json", "--certificate-identity", k.profile.Identity, "--certificate-oidc-issuer", s.Issuer.URL).want(t, 0, "hallmark verify-blob")
	if after := len(m.counter.Requests()); after != before {
		t.Errorf("signing and verifying asked the repository: %v", m.counter.Requests())
	}

	old := m.file(t, "timestamp.json")
	config, err := s.Services().V1().SigningConfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Publish(inAYear(), map[string][]byte{stack.SigningConfigTarget: config}); err != nil {
		t.Fatal(err)
	}
	hallmark(t, k.dir, "trust", "update").want(t, 0, "hallmark trust update")
	updated := func(when string) {
		t.Helper()
		if kept := hallmark(t, k.dir, "trust", "export", "--signing-config").want(t, 0, "hallmark trust export").stdout; kept != string(config) {
			t.Errorf("%s, exported\n%s\nwant\n%s", when, kept, config)
		}
	}
	updated("after the update")

	put(t, m.Dir, "timestamp.json", old)
	refused := hallmark(t, k.dir, "trust", "update").want(t, 1, "hallmark trust update to an older state")
	contains(t, refused.stderr, "older version")
	updated("after a refused update")
	m.counter.Fail(http.StatusServiceUnavailable)
	hallmark(t, k.dir, "trust", "update").want(t, 2, "hallmark trust update while the mirror is down")
	updated("after a failed update")
	hallmark(t, k.dir, "verify-blob", "blob", "--bundle", "b.json", "--certificate-identity", k.profile.Identity, "--certificate-oidc-issuer", s.Issuer.URL).want(t, 0, "hallmark verify-blob while the mirror is down")
}

// TestTrustExpired: a repository that has ended is not begun with.
func TestTrustExpired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newMirror(t, instance(t), time.Now().Add(-time.Hour).UTC())
	put(t, dir, "root.json", m.Root)
	refused := hallmark(t, dir, "trust", "init", "--mirror", m.counter.URL, "--root", "root.json").want(t, 1, "hallmark trust init of an ended repository")
	contains(t, refused.stderr, "has expired")
}

// TestTrustCreate: the files that hallmark makes of the services' keys serve hallmark
// and cosign as those of the instance itself do.
func TestTrustCreate(t *testing.T) {
	t.Parallel()
	s := instance(t)
	services := s.Services()
	k := newKeyless(t, services, stack.RealGitHub())
	at := func(name string) string { return filepath.Join(s.Dir, name) }
	args := []string{
		"trust", "create", "--from", "2026-01-01", "-o", ".", "--oidc", services.OIDC, "--fulcio", services.Fulcio + "=" + at("fulcio-chain.pem"),
		"--rekor", services.RekorV1 + "=" + at("rekor1.pub"), "--ctlog", s.CTLog() + "=" + at("ct.pub"),
	}
	for i, name := range []string{"0", "1"} {
		args = append(args, "--rekor-v2", services.RekorV2[i]+"="+at("rekor2-"+name+".pub"), "--tsa", services.TSA[i]+"="+at("tsa"+name+"-chain.pem"))
	}
	hallmark(t, k.dir, args...).want(t, 0, "hallmark trust create")
	if err := os.Rename(filepath.Join(k.dir, "signing_config.json"), filepath.Join(k.dir, "signing.json")); err != nil {
		t.Fatal(err)
	}
	hallmark(t, k.dir, k.sign("sign-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark sign-blob")
	hallmark(t, k.dir, k.verify("verify-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark verify-blob")
	k.cosign(t, k.verify("verify-blob", "blob", "--bundle", "b.json", "--new-bundle-format", "--use-signed-timestamps")...).want(t, 0, "cosign verify-blob")
	k.cosign(t, "sign-blob", "blob", "--bundle", "theirs.json", "--new-bundle-format", "--identity-token", "token", "--yes", "--signing-config", "signing.json", "--trusted-root", "trusted_root.json").
		want(t, 0, "cosign sign-blob")
	hallmark(t, k.dir, k.verify("verify-blob", "blob", "--bundle", "theirs.json")...).want(t, 0, "hallmark verify-blob of cosign's")
}
