package registrytest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

func get(t *testing.T, url string) (*http.Response, []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestCountsAndClasses(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
	sig := reg.AttachLegacy("team/app", image.Digest, "sig", registrytest.LegacyLayer{MediaType: "a/b", Content: []byte("p")})
	if got := len(reg.Requests()); got != 0 {
		t.Fatalf("the helpers were counted: %s", reg.Log())
	}
	base := reg.URL() + "/v2/team/app"
	for _, path := range []string{
		"/manifests/1.2", "/manifests/" + image.Digest.String(), "/manifests/sha256-" + image.Digest.Hex(),
		"/manifests/" + sig.Tag, "/blobs/" + image.Digest.String(), "/referrers/" + image.Digest.String(), "/tags/list",
	} {
		get(t, base+path)
	}
	get(t, reg.URL()+"/v2/")
	for _, class := range []registrytest.Class{
		registrytest.Tag, registrytest.Manifest, registrytest.ReferrersTag, registrytest.LegacyTag,
		registrytest.Blob, registrytest.Referrers, registrytest.Tags, registrytest.Ping,
	} {
		if got := reg.Count("GET", class); got != 1 {
			t.Errorf("%s: %d requests, want 1\n%s", class, got, reg.Log())
		}
	}
	if got := reg.Budgeted(); got != 7 {
		t.Errorf("budgeted %d, want 7", got)
	}
	first := reg.Requests()[0]
	if first.Repository != "team/app" || first.Reference != "1.2" || first.Status != 200 || first.BytesOut != int64(len(image.Raw)) {
		t.Errorf("recorded %+v", first)
	}
	reg.Reset()
	if reg.Count("", registrytest.Any) != 0 {
		t.Error("Reset kept requests")
	}
}

func TestReferrersOnOffAndPaged(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		reg := registrytest.New(t, registrytest.WithReferrers(on), registrytest.WithReferrersPages(1))
		image := reg.PushImage("app", "1", nil)
		for _, content := range []string{"one", "two"} {
			reg.Attach("app", image.Descriptor, registrytest.Artifact{Type: "application/x", Content: []byte(content), Embed: true})
		}
		resp, body := get(t, reg.URL()+"/v2/app/referrers/"+image.Digest.String())
		if !on {
			if resp.StatusCode != http.StatusNotFound || len(reg.ReferrersTag("app", image.Digest)) != 2 {
				t.Errorf("API off: %d, tag lists %v", resp.StatusCode, reg.ReferrersTag("app", image.Digest))
			}
			continue
		}
		var index struct{ Manifests []registrytest.Descriptor }
		if err := json.Unmarshal(body, &index); err != nil {
			t.Fatal(err)
		}
		if len(index.Manifests) != 1 || index.Manifests[0].ArtifactType != "application/x" || resp.Header.Get("Link") == "" {
			t.Errorf("API on: %s, Link %q", body, resp.Header.Get("Link"))
		}
		if got := len(reg.Referrers("app", image.Digest)); got != 2 {
			t.Errorf("Referrers lists %d, want 2", got)
		}
	}
}

func TestConditionalPut(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.WithConditionalPut())
	first := reg.PushImage("app", "1", map[string]string{"a": "1"})
	other := reg.PushImage("app", "", map[string]string{"a": "2"})
	put := func(header, value string) int {
		req, err := http.NewRequest(http.MethodPut, reg.URL()+"/v2/app/manifests/1", bytes.NewReader(other.Raw))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", other.MediaType)
		req.Header.Set(header, value)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := put("If-None-Match", "*"); got != http.StatusPreconditionFailed {
		t.Errorf("If-None-Match on an existing tag: %d", got)
	}
	if got := put("If-Match", `"`+other.Digest.String()+`"`); got != http.StatusPreconditionFailed {
		t.Errorf("If-Match of another digest: %d", got)
	}
	resp, _ := get(t, reg.URL()+"/v2/app/manifests/1")
	if want := `"` + first.Digest.String() + `"`; resp.Header.Get("ETag") != want {
		t.Errorf("ETag %q, want %q", resp.Header.Get("ETag"), want)
	}
	if got := put("If-Match", resp.Header.Get("ETag")); got != http.StatusCreated {
		t.Errorf("If-Match of the tag's digest: %d", got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("app", "1", nil)
	other := reg.PushImage("app", "", map[string]string{"evil": "x"})
	url := reg.URL() + "/v2/app/manifests/1"

	hits := reg.Inject(registrytest.Match{Class: registrytest.Tag, After: 1, Times: 1}, registrytest.Status(503))
	for i, want := range []int{200, 503, 200} {
		if resp, _ := get(t, url); resp.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i, resp.StatusCode, want)
		}
	}
	if hits.Count() != 1 {
		t.Errorf("%d hits, want 1", hits.Count())
	}
	reg.ClearFaults()

	reg.FlipTag("app", "1", 2, other)
	for i, want := range []registrytest.Pushed{image, image, other, other} {
		if _, body := get(t, url); !bytes.Equal(body, want.Raw) {
			t.Errorf("request %d saw the wrong face", i)
		}
	}
	reg.ClearFaults()

	reg.Inject(registrytest.Match{Times: 1}, registrytest.CutBody(10))
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err == nil || len(body) != 10 {
		t.Errorf("cut body: %d bytes, %v", len(body), err)
	}
	resp.Body.Close()
	reg.ClearFaults()

	reg.Inject(registrytest.Match{Times: 1}, registrytest.Endless(200, "application/json", "{"))
	resp, err = http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil || n != 1<<20 {
		t.Errorf("endless body ended after %d: %v", n, err)
	}
	resp.Body.Close()
	reg.ClearFaults()

	reg.Inject(registrytest.Match{Times: 1}, registrytest.Pad(1<<20))
	if _, body := get(t, url); len(body) != 1<<20 {
		t.Errorf("padded body has %d bytes", len(body))
	}
	reg.Inject(registrytest.Match{Times: 1}, registrytest.SetHeader("Docker-Content-Digest", other.Digest.String()))
	if resp, _ := get(t, url); resp.Header.Get("Docker-Content-Digest") != other.Digest.String() {
		t.Error("the header does not lie")
	}
	reg.Inject(registrytest.Match{Times: 1}, registrytest.FlipByte(-1))
	if _, body := get(t, url); bytes.Equal(body, image.Raw) {
		t.Error("no byte changed")
	}
}

func TestAuthFronts(t *testing.T) {
	t.Parallel()
	fronts := map[string][]registrytest.Option{
		"basic":      {registrytest.WithBasicAuth("u", "secret")},
		"token":      {registrytest.WithTokenAuth("u", "secret")},
		"token, tls": {registrytest.WithTokenAuth("u", "secret"), registrytest.WithTLS()},
	}
	for label, options := range fronts {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, options...)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: reg.CAs(), MinVersion: tls.VersionTLS12}}
			defer transport.CloseIdleConnections()
			ref, err := name.ParseReference(reg.Host() + "/team/app:1")
			if err != nil {
				t.Fatal(err)
			}
			image, err := random.Image(100, 1)
			if err != nil {
				t.Fatal(err)
			}
			for password, allowed := range map[string]bool{"secret": true, "wrong": false} {
				auth := remote.WithAuth(&authn.Basic{Username: "u", Password: password})
				if err := remote.Write(ref, image, auth, remote.WithTransport(transport)); (err == nil) != allowed {
					t.Errorf("writing with %q: %v", password, err)
				}
				if _, err := remote.Get(ref, auth, remote.WithTransport(transport)); (err == nil) != allowed {
					t.Errorf("reading with %q: %v", password, err)
				}
			}
		})
	}
}

func TestConcurrencyIsSeen(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.WithLatency(50*time.Millisecond))
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			resp, err := (&http.Client{Transport: transport}).Get(reg.URL() + "/v2/")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	group.Wait()
	if reg.MaxConcurrent() < 2 || reg.Connections() < 2 || reg.MaxConnections() < 2 {
		t.Errorf("concurrent %d, connections %d, at one time %d", reg.MaxConcurrent(), reg.Connections(), reg.MaxConnections())
	}
}

// recorder is a testing.TB that notes failures in place of failing.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed []string
}

func (r *recorder) Errorf(format string, _ ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, format)
}

func TestVictimFailsItsTest(t *testing.T) {
	t.Parallel()
	noted := &recorder{TB: t}
	get(t, registrytest.NewVictim(noted).URL())
	if len(noted.failed) != 1 {
		t.Errorf("contact: %v", noted.failed)
	}
	noted = &recorder{TB: t}
	watched := registrytest.NewWatchedVictim(noted, func(http.ResponseWriter, *http.Request) {})
	get(t, watched.URL())
	if len(noted.failed) != 0 {
		t.Errorf("contact without credentials: %v", noted.failed)
	}
	get(t, strings.Replace(watched.URL(), "http://", "http://user:pass@", 1))
	if len(noted.failed) != 1 || len(watched.Requests()) != 2 {
		t.Errorf("contact with credentials: %v", noted.failed)
	}
}
