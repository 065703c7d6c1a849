package tuf_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// client is a store that has been initialised from a good repository.
type client struct {
	*tuf.Store
	dir, url string
	now      *time.Time
}

func newClient(t *testing.T, r *repo) client {
	t.Helper()
	c := client{dir: filepath.Join(t.TempDir(), "trust"), url: r.serve(), now: new(time.Time)}
	*c.now = epoch
	c.Store = tuf.NewStore(c.dir, tuf.WithClock(func() time.Time { return *c.now }))
	return c
}

func (c client) init(t *testing.T, root []byte) *tuf.State {
	t.Helper()
	state, err := c.Init(t.Context(), tuf.Source{Mirror: c.url, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// stays checks that the folder still has what it had before a failure.
func (c client) stays(t *testing.T, want *tuf.State) {
	t.Helper()
	got, err := tuf.Open(c.dir)
	if err != nil {
		t.Fatalf("TR-08: the former state is gone: %v", err)
	}
	if !bytes.Equal(got.TrustedRoot(), want.TrustedRoot()) || !got.Fetched().Equal(want.Fetched()) || got.RootVersion() != want.RootVersion() {
		t.Error("TR-08: the former state has changed")
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "state.json" && name != "lock" {
			t.Errorf("%s was left behind", name)
		}
	}
}

func TestInitAndUpdate(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	config := []byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`)
	r.files["signing_config.v0.2.json"] = config
	root := r.publish()
	c := newClient(t, r)
	if _, err := tuf.Open(c.dir); !errors.Is(err, tuf.ErrNoState) {
		t.Errorf("opening nothing: %v", err)
	}
	if _, err := c.Update(t.Context()); !errors.Is(err, tuf.ErrNoState) {
		t.Errorf("updating nothing: %v", err)
	}
	c.init(t, root)
	state, err := tuf.Open(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(state.TrustedRoot(), trustedRoot) || !bytes.Equal(state.SigningConfig(), config) {
		t.Error("the targets are not those of the repository")
	}
	if state.Mirror() != c.url || !state.Fetched().Equal(epoch) || !state.Expires().Equal(epoch.AddDate(0, 0, 30)) || state.RootVersion() != 1 {
		t.Errorf("state %s %s %s %d", state.Mirror(), state.Fetched(), state.Expires(), state.RootVersion())
	}
	*c.now = epoch.AddDate(0, 0, 1)
	if state, err = c.Update(t.Context()); err != nil || !state.Fetched().Equal(*c.now) {
		t.Fatalf("an update of nothing: %v", err)
	}
	r.root, r.timestamp, r.snapshot, r.targets = 2, 2, 2, 2
	r.files["trusted_root.json"] = otherRoot
	delete(r.files, "signing_config.v0.2.json")
	r.publish()
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state, err = tuf.Open(c.dir); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(state.TrustedRoot(), otherRoot) || state.SigningConfig() != nil || state.RootVersion() != 2 {
		t.Error("the update is not that of the repository")
	}
}

func TestAnchor(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	root := r.publish()
	sum := sha256.Sum256(root)
	pin := hex.EncodeToString(sum[:])
	other := newRepo(t)
	for role := range other.keys {
		other.keys[role] = other.keys["other"]
	}
	foreign := other.publish()
	for name, c := range map[string]struct {
		source tuf.Source
		want   error
	}{
		"TR-18 no root":             {tuf.Source{}, tuf.ErrNoAnchor},
		"TR-18 no root, but a pin":  {tuf.Source{RootSHA256: pin}, tuf.ErrNoAnchor},
		"TR-18 root":                {tuf.Source{Root: root}, nil},
		"TR-18 root and pin":        {tuf.Source{Root: root, RootSHA256: pin}, nil},
		"TR-18 another pin":         {tuf.Source{Root: root, RootSHA256: hex.EncodeToString(make([]byte, 32))}, trust.ErrRootInvalid},
		"TR-18 half a pin":          {tuf.Source{Root: root, RootSHA256: pin[:32]}, trust.ErrRootInvalid},
		"TR-07 root of another one": {tuf.Source{Root: foreign}, trust.ErrRootInvalid},
		"TR-08 root is a 404 page":  {tuf.Source{Root: []byte("<html>404</html>")}, trust.ErrRootInvalid},
		"TR-08 root is cut short":   {tuf.Source{Root: root[:len(root)/2]}, trust.ErrRootInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, r)
			c.source.Mirror = client.url
			_, err := client.Init(t.Context(), c.source)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if _, open := tuf.Open(client.dir); (err == nil) != (open == nil) {
				t.Errorf("after %v, opening says %v", err, open)
			}
		})
	}
}

func TestMirrorGetsNoCredentials(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	root := r.publish()
	c := newClient(t, r)
	c.init(t, root)
	if len(r.seen) == 0 {
		t.Fatal("the mirror was not asked")
	}
	for _, request := range r.seen {
		for _, header := range []string{"Authorization", "Cookie", "Proxy-Authorization", "Referer"} {
			if request.Header.Get(header) != "" {
				t.Errorf("TR-14: the mirror got %s", header)
			}
		}
	}
	for _, mirror := range []string{"http://user:secret@127.0.0.1:1", "ftp://127.0.0.1", "/etc", "https://", "http://127.0.0.1/?x=y", "http://127.0.0.1/#x"} {
		_, err := c.Init(t.Context(), tuf.Source{Mirror: mirror, Root: root})
		if err == nil || errors.Is(err, tuf.ErrUnreachable) || bytes.Contains([]byte(err.Error()), []byte("secret")) {
			t.Errorf("TR-14: mirror %q: %v", mirror, err)
		}
	}
}

func TestCheckAge(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.ends["snapshot"] = epoch.AddDate(0, 0, 7)
	root := r.publish()
	state := newClient(t, r).init(t, root)
	for name, c := range map[string]struct {
		now   time.Time
		limit time.Duration
		good  bool
	}{
		"TR-02 fresh":                      {epoch, 0, true},
		"TR-02 at the end":                 {epoch.AddDate(0, 0, 7), 0, true},
		"TR-02 after the end":              {epoch.AddDate(0, 0, 7).Add(time.Second), 0, false},
		"TR-02 at the limit":               {epoch.Add(time.Hour), time.Hour, true},
		"TR-02 after the limit":            {epoch.Add(time.Hour + time.Second), time.Hour, false},
		"TR-02 limit beyond the end":       {epoch.AddDate(0, 0, 20), 30 * 24 * time.Hour, true},
		"TR-02 offline for 30 days":        {epoch.AddDate(0, 0, 30), 0, false},
		"TI-09 fetched in the future":      {epoch.Add(-time.Hour), 0, false},
		"TI-09 the clock is at 1970":       {time.Unix(0, 0), time.Hour, false},
		"TI-09 a clock that is late a bit": {epoch.Add(-time.Minute), 0, true},
	} {
		if err := state.CheckAge(c.now, c.limit); (err == nil) != c.good || err != nil && !errors.Is(err, tuf.ErrExpired) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	root := r.publish()
	c := newClient(t, r)
	former := c.init(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Update(ctx); !errors.Is(err, tuf.ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	c.stays(t, former)
}

// TestPublicGood: the public instance needs nothing but the program, and its mirror
// is the only one that is asked.
func TestPublicGood(t *testing.T) {
	t.Parallel()
	var asked []string
	mirror := transport(func(request *http.Request) (*http.Response, error) {
		asked = append(asked, request.URL.String())
		return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: request}, nil
	})
	store := tuf.NewStore(filepath.Join(t.TempDir(), "trust"), tuf.WithTransport(mirror), tuf.WithClock(func() time.Time { return epoch }))
	if _, err := store.Init(t.Context(), tuf.Source{}); !errors.Is(err, tuf.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	for _, address := range asked {
		if !strings.HasPrefix(address, tuf.PublicGood+"/") {
			t.Errorf("asked %s", address)
		}
	}
	if len(asked) != 2 || !strings.HasSuffix(asked[0], ".root.json") || !strings.HasSuffix(asked[1], "/timestamp.json") {
		t.Errorf("asked %v", asked)
	}
}

// TestRetries: what passes by itself is tried again, what does not is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{http.StatusServiceUnavailable: 3, http.StatusTooManyRequests: 3, http.StatusForbidden: 1} {
		asked := 0
		mirror := transport(func(request *http.Request) (*http.Response, error) {
			asked++
			return &http.Response{StatusCode: status, Body: http.NoBody, Request: request}, nil
		})
		store := tuf.NewStore(filepath.Join(t.TempDir(), "trust"), tuf.WithTransport(mirror), tuf.WithClock(func() time.Time { return epoch }))
		if _, err := store.Init(t.Context(), tuf.Source{}); !errors.Is(err, tuf.ErrUnreachable) || asked != want {
			t.Errorf("status %d: asked %d times, %v", status, asked, err)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func TestDefaultDir(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  map[string]string
		want string // "" is an error
	}{
		"own folder":       {map[string]string{"HALLMARK_TRUST_DIR": "/own", "XDG_DATA_HOME": "/data", "HOME": "/home/a"}, "/own"},
		"data home":        {map[string]string{"XDG_DATA_HOME": "/data", "HOME": "/home/a"}, "/data/hallmark/trust"},
		"home":             {map[string]string{"HOME": "/home/a"}, "/home/a/.local/share/hallmark/trust"},
		"relative is none": {map[string]string{"XDG_DATA_HOME": "data", "HOME": "/home/a"}, "/home/a/.local/share/hallmark/trust"},
		"nothing":          {nil, ""},
	} {
		got, err := tuf.DefaultDir(func(variable string) string { return c.env[variable] })
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
