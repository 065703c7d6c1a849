package publish_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// bigImage is an image with one layer that must be streamed.
func bigImage(t *testing.T, reg *registrytest.Registry, mediaType string) registrytest.Pushed {
	t.Helper()
	config := reg.PutBlob("team/app", oci.TypeConfig, []byte(`{"os":"linux","architecture":"amd64"}`))
	layer := reg.PutBlob("team/app", mediaType, big(9))
	return reg.PutJSON("team/app", "1", oci.TypeImage, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeImage, "config": config, "layers": []registrytest.Descriptor{layer},
	})
}

const plainLayer = "application/vnd.oci.image.layer.v1.tar"

// TestCopyStreams: a stream that breaks for a moment is sent again, one that the
// registry refuses is given up and thrown away.
func TestCopyStreams(t *testing.T) {
	t.Parallel()
	upload := registrytest.Match{Method: http.MethodPut, Class: registrytest.Upload, Times: 1}
	for name, test := range map[string]struct {
		options []registrytest.Option
		fault   registrytest.Fault
		wants   error
	}{
		"whole":                 {},
		"503 once":              {fault: registrytest.Status(http.StatusServiceUnavailable)},
		"the connection breaks": {fault: registrytest.Drop()},
		"400":                   {fault: registrytest.Status(http.StatusBadRequest), wants: oci.ErrUnreachable},
		"tokens that do not last": {
			options: []registrytest.Option{registrytest.WithTokenAuth("", ""), registrytest.WithTokenUses(1), registrytest.WithAnonymousPull()},
			wants:   oci.ErrUnauthorized, // nobody pushes anonymously
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := registrytest.New(t), registrytest.New(t, test.options...)
			image := bigImage(t, from, plainLayer)
			if test.fault != nil {
				to.Inject(upload, test.fault)
			}
			var last atomic.Int64
			result, err := copyAll(t.Context(), t, image.TagRef(), to.Host()+"/mirror/app:1", publish.CopyOptions{Progress: func(done, all int64) {
				if done > all {
					t.Errorf("%d of %d bytes", done, all)
				}
				last.Store(done)
			}})
			if !errors.Is(err, test.wants) {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				if _, _, found := to.Manifest("mirror/app", "1"); found {
					t.Error("the tag was set")
				}
				if test.fault != nil && to.Count(http.MethodDelete, registrytest.Upload) != 1 {
					t.Errorf("the half upload was not thrown away:\n%s", to.Log())
				}
				return
			}
			content, found := to.BlobContent("mirror/app", digest.FromBytes(big(9)))
			if !found || !bytes.Equal(content, big(9)) {
				t.Error("the layer is not there")
			}
			if size := int64(len(big(9))); last.Load() <= size || result.BytesSent <= size {
				t.Errorf("progress ended at %d bytes; %+v", last.Load(), result)
			}
		})
	}
}

// TestCopyCancelledUpload: a half upload is thrown away with all that its location
// says, also when the copy was cancelled.
func TestCopyCancelledUpload(t *testing.T) {
	t.Parallel()
	from, to := registrytest.New(t), registrytest.New(t)
	image := bigImage(t, from, plainLayer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	to.Inject(registrytest.Match{Method: http.MethodPost, Class: registrytest.Upload}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("digest") {
				next.ServeHTTP(w, r) // the small config
				return
			}
			w.Header().Set("Location", "/v2/mirror/app/blobs/uploads/1?_state=x")
			w.WriteHeader(http.StatusAccepted)
		})
	})
	to.Inject(registrytest.Match{Method: http.MethodPut, Class: registrytest.Upload}, registrytest.Handle(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		for readErr := error(nil); readErr == nil; { // until the client has left
			_, readErr = r.Body.Read(make([]byte, 1<<10))
		}
	}))
	deleted := to.Inject(registrytest.Match{Method: http.MethodDelete, Class: registrytest.Upload}, registrytest.Handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "_state=x" {
			t.Errorf("thrown away with %q", r.URL.RawQuery)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	if _, err := copyAll(ctx, t, image.TagRef(), to.Host()+"/mirror/app:1", publish.CopyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if deleted.Count() != 1 {
		t.Errorf("the half upload stayed:\n%s", to.Log())
	}
}

// TestCopyMounts: inside one registry nothing is sent that can be mounted.
func TestCopyMounts(t *testing.T) {
	t.Parallel()
	for _, supported := range []bool{true, false} {
		// The registry behind the tests keeps the blobs of all repositories together,
		// so here it is told to know none of the target's, and to answer a mount.
		reg := registrytest.New(t, registrytest.WithMiddleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/mirror/app/blobs/"):
					w.WriteHeader(http.StatusNotFound)
				case r.Method == http.MethodPost && r.URL.Query().Get("mount") != "" && supported:
					if r.URL.Query().Get("from") != "team/app" {
						t.Errorf("mounting from %q", r.URL.Query().Get("from"))
					}
					w.WriteHeader(http.StatusCreated)
				default:
					next.ServeHTTP(w, r)
				}
			})
		}))
		image := bigImage(t, reg, plainLayer)
		result, err := copyAll(t.Context(), t, image.TagRef(), reg.Host()+"/mirror/app:1", publish.CopyOptions{MountFrom: parse(t, image.TagRef())})
		if err != nil {
			t.Fatal(err)
		}
		if supported != (result.BlobsMounted == 2) || supported != (result.BlobsSent == 0) {
			t.Errorf("mounting supported %t: %+v", supported, result)
		}
	}
}

// TestCopyLeavesForeignLayersOut: what a registry need not have is no error.
func TestCopyLeavesForeignLayersOut(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]int{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": 1, plainLayer: -1} {
		from, to := registrytest.New(t), registrytest.New(t)
		image := bigImage(t, from, mediaType)
		from.Inject(registrytest.Match{Method: http.MethodGet, Class: registrytest.Blob, Path: digest.FromBytes(big(9)).Hex()}, registrytest.Status(http.StatusNotFound))
		result, err := copyAll(t.Context(), t, image.TagRef(), to.Host()+"/mirror/app:1", publish.CopyOptions{})
		if want < 0 && !errors.Is(err, oci.ErrNotFound) || want > 0 && (err != nil || result.ForeignLeftOut != want) {
			t.Errorf("%s: %+v, %v", mediaType, result, err)
		}
	}
}

// TestCollectIsHonest: OC-15, OC-13. What a list claims and is not so is told and
// not copied, and limits hold.
func TestCollectIsHonest(t *testing.T) {
	t.Parallel()
	collect := func(image registrytest.Pushed, o oci.CollectOptions) (*oci.Collection, error) {
		return oci.Collect(t.Context(), oci.NewClient(oci.Options{}), parse(t, image.TagRef()), o)
	}
	reg := registrytest.New(t, registrytest.WithReferrers(false))
	image := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
	other := reg.PushImage("team/app", "other", map[string]string{"x": "y"})
	gone := reg.PushImage("team/app", "gone", map[string]string{"x": "z"})
	reg.AddToReferrersTag("team/app", image.Digest, gone.Descriptor, other.Descriptor)
	reg.Inject(registrytest.Match{Path: gone.Digest.Hex()}, registrytest.Status(http.StatusNotFound))
	whole, err := collect(image, oci.CollectOptions{})
	if err != nil || len(whole.Attached) != 0 || len(whole.Skipped) != 2 {
		t.Errorf("%+v, %v", whole, err)
	}
	one, err := collect(image, oci.CollectOptions{Platform: "linux/arm64"})
	if err != nil || one.Top.Digest != image.Children[1].Digest || len(one.Image) != 1 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := collect(image, oci.CollectOptions{Platform: "linux/s390x"}); !errors.Is(err, oci.ErrNotFound) || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("got %v", err)
	}
	// OC-13: a chain of evidence about evidence ends somewhere.
	subject := image.Descriptor
	for range 8 {
		next := reg.Attach("team/app", subject, registrytest.Artifact{Type: "application/vnd.example", Content: []byte("x")})
		subject = next.Descriptor
	}
	if _, err := collect(image, oci.CollectOptions{}); !errors.Is(err, oci.ErrLimit) {
		t.Errorf("OC-13 an endless chain: %v", err)
	}
}

// TestCopyBudgets: the requests, besides pings, to copy an image with one signature
// in each format. They may only fall.
func TestCopyBudgets(t *testing.T) {
	t.Parallel()
	from, to := registrytest.New(t), registrytest.New(t)
	image := from.PushImage("team/app", "1", map[string]string{"a": "b"})
	for _, attach := range []attacher{bundle, legacy} {
		if _, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, newSigner(t), attach); err != nil {
			t.Fatal(err)
		}
	}
	for _, budget := range []struct {
		what             string
		reading, writing int
	}{
		{"first", 22, 26},
		{"again", 18, 5},
	} {
		from.Reset()
		to.Reset()
		if _, err := copyAll(t.Context(), t, image.TagRef(), to.Host()+"/mirror/app:1", publish.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := from.Budgeted(); got > budget.reading {
			t.Errorf("%s: %d requests to the source, the budget is %d:\n%s", budget.what, got, budget.reading, from.Log())
		}
		if got := to.Budgeted(); got > budget.writing {
			t.Errorf("%s: %d requests to the destination, the budget is %d:\n%s", budget.what, got, budget.writing, to.Log())
		}
	}
}
