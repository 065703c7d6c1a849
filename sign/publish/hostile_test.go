package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// login is a keychain with one account for every registry.
type login struct{ user, password string }

func (l login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: l.user, Password: l.password}), nil
}

// TestRacingWritersFarAway: OC-17 and OC-18 at a latency that is longer than any
// fixed pause, on registries that ignore conditions.
func TestRacingWritersFarAway(t *testing.T) {
	t.Parallel()
	const writers = 5
	for name, attach := range map[string]attacher{"OC-17 far away": bundle, "OC-18 far away": legacy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.WithReferrers(false), registrytest.WithLatency(60*time.Millisecond))
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			ref := parse(t, image.Ref())
			subject := oci.Descriptor{MediaType: oci.TypeImage, Digest: image.Digest, Size: image.Descriptor.Size}
			var wait sync.WaitGroup
			for range writers {
				signer := newSigner(t)
				wait.Go(func() {
					if _, err := attach(t.Context(), newPublisher(), ref, subject, signer); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			client := oci.NewClient(oci.Options{})
			listed := 0
			if m, err := client.TagManifest(t.Context(), ref, publish.SignatureTag(image.Digest)); err == nil {
				listed = len(m.Layers)
			}
			if list, err := client.ReferrersTag(t.Context(), ref, image.Digest); err == nil {
				listed = len(list)
			}
			if listed != writers {
				t.Errorf("%d of %d are listed", listed, writers)
			}
		})
	}
}

// TestTokensThatExpire: a token may end between any two requests of one signature.
func TestTokensThatExpire(t *testing.T) {
	t.Parallel()
	for uses := 2; uses <= 6; uses++ {
		t.Run(fmt.Sprint(uses), func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.WithTokenAuth("user", "secret"), registrytest.WithTokenUses(uses))
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			client := oci.NewClient(oci.Options{Push: true, Keychain: login{"user", "secret"}})
			if _, err := signAll(t.Context(), publish.New(client), parse(t, image.TagRef()), false, newSigner(t), bundle); err != nil {
				t.Fatalf("%v\n%s", err, reg.Log())
			}
			if n := len(reg.Referrers("team/app", image.Digest)); n != 1 {
				t.Errorf("%d signatures\n%s", n, reg.Log())
			}
		})
	}
}

// TestBusyRegistry: a registry that is busy for a moment is asked again, for writes
// too; one that stays busy is an error, and nothing is listed.
func TestBusyRegistry(t *testing.T) {
	t.Parallel()
	for _, status := range []registrytest.Fault{registrytest.Status(http.StatusServiceUnavailable), registrytest.TooManyRequests(0)} {
		for _, match := range []registrytest.Match{
			{Method: http.MethodPost, Times: 1},
			{Method: http.MethodPut, Class: registrytest.Manifest, Times: 1},
		} {
			reg := registrytest.New(t)
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			reg.Inject(match, status)
			if _, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, newSigner(t), bundle); err != nil {
				t.Errorf("%+v: %v", match, err)
			}
			match.Times = 0
			again := registrytest.New(t)
			image = again.PushImage("team/app", "1", map[string]string{"a": "b"})
			again.Inject(match, status)
			_, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, newSigner(t), bundle)
			if !errors.Is(err, publish.ErrNotStored) || !errors.Is(err, oci.ErrUnreachable) {
				t.Errorf("%+v: %v", match, err)
			}
			if n := len(again.Referrers("team/app", image.Digest)); n != 0 {
				t.Errorf("%+v: %d signatures are listed", match, n)
			}
		}
	}
}

// TestUploadElsewhere: OC-27. An upload may go to another host over TLS; it carries
// no credentials there, whatever that host asks for.
func TestUploadElsewhere(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]registrytest.Option{
		"OC-27 basic":  {registrytest.WithBasicAuth("user", "secret")},
		"OC-27 bearer": {registrytest.WithTokenAuth("user", "secret")},
	} {
		for _, challenge := range []string{"", `Basic realm="other"`, `Bearer realm="%s/token",service="other"`} {
			t.Run(name+" "+challenge, func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var leaked []string
				var other *httptest.Server
				other = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					r.ParseForm()
					for _, text := range []string{r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Form.Get("password"), r.Form.Get("refresh_token")} {
						if text != "" {
							leaked = append(leaked, r.Method+" "+r.URL.Path+": "+text)
						}
					}
					if challenge != "" {
						w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "%s", other.URL))
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					w.WriteHeader(http.StatusCreated)
				}))
				other.Config.ErrorLog = log.New(io.Discard, "", 0)
				other.StartTLS()
				t.Cleanup(other.Close)
				reg := registrytest.New(t, append(options, registrytest.WithTLS())...)
				image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
				reg.Inject(registrytest.Match{Method: http.MethodPost}, registrytest.Handle(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", other.URL+"/upload?state=1")
					w.WriteHeader(http.StatusAccepted)
				}))
				roots := reg.CAs().Clone()
				roots.AddCert(other.Certificate())
				client := oci.NewClient(oci.Options{Push: true, RootCAs: roots, Keychain: login{"user", "secret"}})
				_, err := signAll(t.Context(), publish.New(client), parse(t, image.TagRef()), false, newSigner(t), bundle)
				mu.Lock()
				defer mu.Unlock()
				for _, leak := range leaked {
					t.Errorf("credentials left the registry: %s", leak)
				}
				if challenge == "" && err != nil && errors.Is(err, oci.ErrRedirectRefused) {
					t.Errorf("an upload to another host over TLS: %v", err)
				}
				if challenge != "" && !errors.Is(err, publish.ErrNotStored) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// TestTagMovesWhileSigning: KE-14. The tag is looked at once; what it names then is
// signed, and nothing else.
func TestTagMovesWhileSigning(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	first := reg.PushImage("team/app", "1", map[string]string{"a": "first"})
	other := reg.PushImage("team/app", "2", map[string]string{"a": "other"})
	reg.FlipTag("team/app", "1", 1, other)
	results, err := signAll(t.Context(), newPublisher(), parse(t, first.TagRef()), false, newSigner(t), bundle)
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Subject != first.Digest {
		t.Errorf("KE-14: signed %s", results[0].Subject)
	}
	if n := len(reg.Referrers("team/app", other.Digest)); n != 0 {
		t.Errorf("KE-14: the other image got %d signatures", n)
	}
	if n := reg.Count("", registrytest.Tag); n != 1 {
		t.Errorf("KE-14: the tag was asked for %d times", n)
	}
}

// TestHeadWithoutLength: the subject's descriptor is never a guess.
func TestHeadWithoutLength(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	reg.Inject(registrytest.Match{Method: http.MethodHead}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Docker-Content-Digest", image.Digest.String())
			w.Header().Set("Transfer-Encoding", "chunked")
			w.WriteHeader(http.StatusOK)
		})
	})
	subjects, err := newPublisher().Subjects(t.Context(), parse(t, image.TagRef()), false)
	if err != nil {
		t.Fatal(err)
	}
	if subjects[0].Size != image.Size || subjects[0].MediaType != oci.TypeImage {
		t.Errorf("subject %+v", subjects[0])
	}
}

// TestNestedIndex: recursive means every manifest below, not only the next level.
func TestNestedIndex(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	inner := reg.PushIndex("team/app", "", "linux/amd64", "linux/arm64")
	lone := reg.PushImage("team/app", "", map[string]string{"a": "b"})
	outer := reg.PutJSON("team/app", "1", oci.TypeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeIndex,
		"manifests": []any{inner.Descriptor, lone.Descriptor, inner.Descriptor},
	})
	subjects, err := newPublisher().Subjects(t.Context(), parse(t, outer.TagRef()), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(subjects) != 5 {
		t.Errorf("%d subjects, want the outer and inner index and three images: %+v", len(subjects), subjects)
	}
}

// TestOtherReferrersAreNotDownloaded: looking for an equal signature does not fetch
// what is none.
func TestOtherReferrersAreNotDownloaded(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	for i := range 30 {
		reg.Attach("team/app", image.Descriptor, registrytest.Artifact{Type: "application/spdx+json", Content: fmt.Appendf(nil, "sbom %d", i)})
	}
	reg.Reset()
	if _, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, newSigner(t), bundle); err != nil {
		t.Fatal(err)
	}
	if got := reg.Budgeted(); got > budgetSignByTag {
		t.Errorf("%d requests beside 30 plain SBOMs:\n%s", got, reg.Log())
	}
}

// TestForgedEqualIsNotKept: what only looks like the own signature is no reason to
// add none (SB-16).
func TestForgedEqualIsNotKept(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	other := reg.PushImage("team/app", "2", map[string]string{"a": "other"})
	signer := newSigner(t)
	stolen, err := sign.Image(t.Context(), other.Digest, nil, signer)
	if err != nil {
		t.Fatal(err)
	}
	genuine, err := sign.Image(t.Context(), image.Digest, nil, signer)
	if err != nil {
		t.Fatal(err)
	}
	broken := []byte(strings.Replace(string(genuine.Raw), `"sig":"ME`, `"sig":"MA`, 1))
	for _, content := range [][]byte{stolen.Raw, broken, []byte("{}"), nil} {
		reg.Attach("team/app", image.Descriptor, registrytest.Artifact{
			Type: sign.BundleMediaType, Content: content,
			Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": genuine.PredicateType},
		})
	}
	results, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, signer, bundle)
	if err != nil || results[0].Existing {
		t.Errorf("a forgery passed for the own signature: %+v, %v", results, err)
	}
}

// TestCancelledLegacy is TestCancelledAtEachRequest for cosign's tags, with an older
// signature that must stay.
func TestCancelledLegacy(t *testing.T) {
	t.Parallel()
	for n := range 8 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			ref := parse(t, image.TagRef())
			if _, err := signAll(t.Context(), newPublisher(), ref, false, newSigner(t), legacy); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reg.Inject(registrytest.Match{After: n, Times: 1}, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					cancel()
					next.ServeHTTP(w, r)
				})
			})
			_, err := signAll(ctx, newPublisher(), ref, false, newSigner(t), legacy)
			client := oci.NewClient(oci.Options{})
			m, listErr := client.TagManifest(t.Context(), ref, publish.SignatureTag(image.Digest))
			if listErr != nil {
				t.Fatal(listErr)
			}
			if err == nil && len(m.Layers) != 2 || len(m.Layers) < 1 || len(m.Layers) > 2 {
				t.Errorf("%d layers, error %v", len(m.Layers), err)
			}
			for _, l := range append(m.Layers, m.Config) {
				if _, err := client.Blob(t.Context(), ref, oci.Descriptor{Digest: l.Digest, Size: l.Size}, 1<<20); err != nil {
					t.Errorf("a listed signature has no blob: %v", err)
				}
			}
		})
	}
}
