package tuf_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// attack changes a repository after a client has its good state.
type attack struct {
	name   string
	change func(*testing.T, *repo, client)
	want   error
}

var attacks = []attack{
	{"TR-01 older timestamp", func(_ *testing.T, r *repo, _ client) { r.timestamp-- }, tuf.ErrRollback},
	{"TR-01 older snapshot under a newer timestamp", func(_ *testing.T, r *repo, _ client) { r.timestamp++; r.snapshot-- }, tuf.ErrRollback},
	{"TR-01 older targets under a newer snapshot", func(_ *testing.T, r *repo, _ client) { r.timestamp++; r.snapshot++; r.targets-- }, tuf.ErrRollback},
	{"TR-01 older root as the next one", func(_ *testing.T, r *repo, _ client) {
		r.publish()
		r.put("/6.root.json", r.served["/5.root.json"])
		r.done = true
	}, tuf.ErrRollback},
	{"TR-02 expired timestamp", func(_ *testing.T, r *repo, c client) {
		*c.now = epoch.AddDate(0, 0, 30).Add(1)
		for _, role := range []string{"root", "snapshot", "targets"} {
			r.ends[role] = epoch.AddDate(1, 0, 0)
		}
	}, tuf.ErrExpired},
	{"TR-02 expired snapshot", func(_ *testing.T, r *repo, _ client) { later(r); r.ends["snapshot"] = epoch.Add(-1) }, tuf.ErrExpired},
	{"TR-02 expired targets", func(_ *testing.T, r *repo, _ client) { later(r); r.ends["targets"] = epoch.Add(-1) }, tuf.ErrExpired},
	{"TR-02 expired root", func(_ *testing.T, r *repo, _ client) { later(r); r.root++; r.ends["root"] = epoch.Add(-1) }, tuf.ErrExpired},
	{"TR-03 threshold 0", func(_ *testing.T, r *repo, _ client) { later(r); threshold(r, 0) }, trust.ErrRootInvalid},
	{"TR-03 threshold -1", func(_ *testing.T, r *repo, _ client) { later(r); threshold(r, -1) }, trust.ErrRootInvalid},
	{"TR-03 threshold 2 of one key", func(_ *testing.T, r *repo, _ client) { later(r); threshold(r, 2) }, trust.ErrRootInvalid},
	{"TR-03 one key under two ids with threshold 2", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.root++
		r.changeRoot = func(root *metadata.RootType) {
			twice := *r.key("targets")
			root.Keys["0123"] = &twice
			root.Roles["targets"].KeyIDs = append(root.Roles["targets"].KeyIDs, "0123")
			root.Roles["targets"].Threshold = 2
		}
	}, trust.ErrRootInvalid},
	{"TR-03 foreign timestamp key", func(_ *testing.T, r *repo, _ client) { later(r); r.keys["timestamp"] = r.keys["other"] }, trust.ErrRootInvalid},
	{"TR-03 new root that the former did not sign", func(_ *testing.T, r *repo, _ client) { later(r); r.root++; r.keys["root"] = r.keys["other"] }, trust.ErrRootInvalid},
	{"TR-06 target named ../x", func(_ *testing.T, r *repo, _ client) { later(r); r.files["../x"] = []byte("x") }, trust.ErrRootInvalid},
	{"TR-06 target named /abs", func(_ *testing.T, r *repo, _ client) { later(r); r.files["/abs"] = []byte("x") }, trust.ErrRootInvalid},
	{`TR-06 target named C:\x`, func(_ *testing.T, r *repo, _ client) { later(r); r.files[`C:\x`] = []byte("x") }, trust.ErrRootInvalid},
	{"TR-06 delegated role named ../x", func(_ *testing.T, r *repo, _ client) {
		later(r)
		delete(r.files, "trusted_root.json")
		r.roles = []metadata.DelegatedRole{r.role("../x", false, "*")}
	}, trust.ErrRootInvalid},
	{"TR-06 delegated role named root", func(_ *testing.T, r *repo, _ client) {
		later(r)
		delete(r.files, "trusted_root.json")
		r.roles = []metadata.DelegatedRole{r.role("root", false, "*")}
		r.delegated["root"] = map[string][]byte{"trusted_root.json": otherRoot}
	}, trust.ErrRootInvalid},
	{"TR-08 no trusted root", func(_ *testing.T, r *repo, _ client) { later(r); delete(r.files, "trusted_root.json") }, trust.ErrRootInvalid},
	{"TR-08 trusted root is a 404 page", func(_ *testing.T, r *repo, _ client) { later(r); r.files["trusted_root.json"] = []byte("<html>") }, trust.ErrRootInvalid},
	{"TR-08 trusted root is cut short", func(_ *testing.T, r *repo, _ client) { later(r); r.files["trusted_root.json"] = trustedRoot[:99] }, trust.ErrRootInvalid},
	{"TR-08 signing configuration is a 404 page", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.files["signing_config.v0.2.json"] = []byte("<html>")
	}, trust.ErrRootInvalid},
	{"TR-08 target changed on the way", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.files["trusted_root.json"] = otherRoot
		r.publish()
		for path, content := range r.served {
			if bytes.Equal(content, otherRoot) {
				r.put(path, bytes.Replace(otherRoot, []byte("other"), []byte("otter"), 1))
			}
		}
		r.done = true
	}, trust.ErrRootInvalid},
	{"TR-05 timestamp without a snapshot", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.changeTimestamp = func(t *metadata.TimestampType) { clear(t.Meta) }
	}, trust.ErrRootInvalid},
	{"TR-05 timestamp with a null snapshot", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.changeTimestamp = func(t *metadata.TimestampType) { t.Meta["snapshot.json"] = nil }
	}, trust.ErrRootInvalid},
	{"TR-05 target is null", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.changeTargets = func(t *metadata.TargetsType) { t.Targets["trusted_root.json"] = nil }
	}, trust.ErrRootInvalid},
	{"TR-05 role is null", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.root++
		r.changeRoot = func(root *metadata.RootType) { root.Roles["timestamp"] = nil }
	}, trust.ErrRootInvalid},
	{"TR-05 key is null", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.root++
		r.changeRoot = func(root *metadata.RootType) { root.Keys[r.keyID("timestamp")] = nil }
	}, trust.ErrRootInvalid},
	{"TR-05 target of a negative length", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.changeTargets = func(t *metadata.TargetsType) { t.Targets["trusted_root.json"].Length = -1 }
	}, trust.ErrRootInvalid},
	{"TR-05 target larger than all memory", func(_ *testing.T, r *repo, _ client) {
		later(r)
		r.changeTargets = func(t *metadata.TargetsType) { t.Targets["trusted_root.json"].Length = 1 << 60 }
	}, trust.ErrRootInvalid},
	{"TR-05 endless timestamp", func(_ *testing.T, r *repo, _ client) {
		r.publish()
		r.put("/timestamp.json", bytes.Repeat([]byte(" "), 1<<20))
		r.done = true
	}, trust.ErrRootInvalid},
}

// later makes the next versions.
func later(r *repo) { r.timestamp++; r.snapshot++; r.targets++ }

func threshold(r *repo, n int) {
	r.root++
	r.changeRoot = func(root *metadata.RootType) { root.Roles["targets"].Threshold = n }
}

func TestUpdateUnderAttack(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			r.root, r.timestamp, r.snapshot, r.targets = 5, 5, 5, 5
			c := newClient(t, r)
			former := c.init(t, r.publish())
			attack.change(t, r, c)
			if !r.done {
				r.publish()
			}
			if _, err := c.Update(t.Context()); !errors.Is(err, attack.want) {
				t.Errorf("error %v, want %v", err, attack.want)
			}
			c.stays(t, former)
		})
	}
}

func TestInitDoesNotGoBack(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.timestamp, r.snapshot, r.targets = 5, 5, 5
	root := r.publish()
	c := newClient(t, r)
	former := c.init(t, root)
	r.timestamp = 4
	r.publish()
	if _, err := c.Init(t.Context(), tuf.Source{Mirror: c.url, Root: root}); !errors.Is(err, tuf.ErrRollback) {
		t.Errorf("TR-01 initialising again: %v", err)
	}
	c.stays(t, former)
}

func TestDelegations(t *testing.T) {
	t.Parallel()
	type files = map[string][]byte
	for name, c := range map[string]struct {
		change func(*repo)
		want   []byte
		err    error
	}{
		"TR-04 the top level goes before a delegated role": {func(r *repo) {
			r.roles = []metadata.DelegatedRole{r.role("shadow", true, "*")}
			r.delegated["shadow"] = files{"trusted_root.json": otherRoot}
		}, trustedRoot, nil},
		"TR-04 the first role goes before the second": {func(r *repo) {
			delete(r.files, "trusted_root.json")
			r.roles = []metadata.DelegatedRole{r.role("first", false, "*"), r.role("second", false, "*")}
			r.delegated["first"] = files{"trusted_root.json": trustedRoot}
			r.delegated["second"] = files{"trusted_root.json": otherRoot}
		}, trustedRoot, nil},
		"TR-04 a role for other names is not asked": {func(r *repo) {
			delete(r.files, "trusted_root.json")
			r.roles = []metadata.DelegatedRole{r.role("first", true, "other*"), r.role("second", false, "*")}
			r.delegated["first"] = files{"trusted_root.json": otherRoot}
			r.delegated["second"] = files{"trusted_root.json": trustedRoot}
		}, trustedRoot, nil},
		"TR-04 a terminating role without it ends the search": {func(r *repo) {
			delete(r.files, "trusted_root.json")
			r.roles = []metadata.DelegatedRole{r.role("first", true, "*"), r.role("second", false, "*")}
			r.delegated["first"] = files{}
			r.delegated["second"] = files{"trusted_root.json": otherRoot}
		}, nil, trust.ErrRootInvalid},
		"TR-04 a role that cannot be read is no role without it": {func(r *repo) {
			delete(r.files, "trusted_root.json")
			r.roles = []metadata.DelegatedRole{r.role("first", false, "*"), r.role("second", false, "*")}
			r.delegated["first"], r.ends["first"] = files{}, epoch.Add(-1)
			r.delegated["second"] = files{"trusted_root.json": otherRoot}
		}, nil, tuf.ErrExpired},
		"TR-04 nor is it for what need not be there": {func(r *repo) {
			r.roles = []metadata.DelegatedRole{r.role("first", false, "signing*")}
			r.delegated["first"], r.ends["first"] = files{}, epoch.Add(-1)
		}, nil, tuf.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			c.change(r)
			root := r.publish()
			client := newClient(t, r)
			state, err := client.Init(t.Context(), tuf.Source{Mirror: client.url, Root: root})
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err == nil && !bytes.Equal(state.TrustedRoot(), c.want) {
				t.Errorf("the trusted root is %s", state.TrustedRoot())
			}
		})
	}
}

func TestStateOnDisk(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir string){
		"TR-16 world-writable file": func(t *testing.T, dir string) { check(t, os.Chmod(filepath.Join(dir, "state.json"), 0o666)) },
		"TR-16 world-writable dir":  func(t *testing.T, dir string) { check(t, os.Chmod(dir, 0o777)) },
		"TR-08 cut short":           func(t *testing.T, dir string) { check(t, os.Truncate(filepath.Join(dir, "state.json"), 100)) },
		"TR-08 empty":               func(t *testing.T, dir string) { check(t, os.Truncate(filepath.Join(dir, "state.json"), 0)) },
		"TR-16 unknown field": func(t *testing.T, dir string) {
			edit(t, dir, func(s string) string { return strings.Replace(s, "{", `{"more":1,`, 1) })
		},
		"TR-16 duplicate key": func(t *testing.T, dir string) {
			edit(t, dir, func(s string) string { return strings.Replace(s, "{", `{"mirror":"x",`, 1) })
		},
		"TR-16 no mirror": func(t *testing.T, dir string) {
			edit(t, dir, func(s string) string { return strings.Replace(s, `"mirror":"http`, `"mirror":"","x":"http`, 1) })
			edit(t, dir, func(s string) string { return regexp.MustCompile(`"x":"[^"]*",`).ReplaceAllString(s, "") })
		},
		"TR-16 other version": func(t *testing.T, dir string) {
			edit(t, dir, func(s string) string { return strings.Replace(s, `"version":1`, `"version":2`, 1) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			c := newClient(t, r)
			c.init(t, r.publish())
			change(t, c.dir)
			if _, err := tuf.Open(c.dir); !errors.Is(err, trust.ErrRootInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, dir string, change func(string) string) {
	t.Helper()
	name := filepath.Join(dir, "state.json")
	text, err := os.ReadFile(name)
	check(t, err)
	changed := change(string(text))
	if changed == string(text) {
		t.Fatal("nothing changed")
	}
	check(t, os.WriteFile(name, []byte(changed), 0o600))
}

func TestStateIsReadOnce(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	c := newClient(t, r)
	c.init(t, r.publish())
	state, err := tuf.Open(c.dir)
	check(t, err)
	state.TrustedRoot()[0] = 'x'
	later(r)
	r.files["trusted_root.json"] = otherRoot
	r.publish()
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(state.TrustedRoot(), trustedRoot) {
		t.Error("TR-16: a state changes during a run")
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	root := r.publish()
	asked := false
	victim := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(victim.Close)
	turns := 0
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if strings.HasPrefix(request.URL.Path, "/circle") {
			turns++
			http.Redirect(w, request, "/circle", http.StatusFound)
			return
		}
		if strings.HasPrefix(request.URL.Path, "/timestamp") {
			http.Redirect(w, request, victim.URL, http.StatusFound)
			return
		}
		r.ServeHTTP(w, request)
	}))
	t.Cleanup(mirror.Close)
	store := tuf.NewStore(filepath.Join(t.TempDir(), "trust"), tuf.WithClock(func() time.Time { return epoch }))
	if _, err := store.Init(t.Context(), tuf.Source{Mirror: mirror.URL, Root: root}); !errors.Is(err, tuf.ErrUnreachable) || asked {
		t.Errorf("TR-14: redirected to another host: %v, asked: %t", err, asked)
	}
	if _, err := store.Init(t.Context(), tuf.Source{Mirror: mirror.URL + "/circle", Root: root}); !errors.Is(err, tuf.ErrUnreachable) || turns > 10 {
		t.Errorf("redirected in a circle: %v, %d times", err, turns)
	}
}

func TestMirrorDown(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	c := newClient(t, r)
	former := c.init(t, r.publish())
	r.mu.Lock()
	delete(r.served, "/timestamp.json")
	r.mu.Unlock()
	if _, err := c.Update(t.Context()); !errors.Is(err, tuf.ErrUnreachable) {
		t.Errorf("TR-08 404: %v", err)
	}
	c.stays(t, former)
}

func TestTwoUpdatesAtOnce(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	c := newClient(t, r)
	c.init(t, r.publish())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := c.Update(t.Context()); err != nil && !errors.Is(err, tuf.ErrBusy) {
				t.Error(err)
			}
			if _, err := tuf.Open(c.dir); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
