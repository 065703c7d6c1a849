package oci_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// readOne reads what a verification of one signature reads.
func readOne(ctx context.Context, c *oci.Client, text string) error {
	ref, err := oci.ParseReference(text)
	if err != nil {
		return err
	}
	d, err := c.Resolve(ctx, ref)
	if err != nil {
		return err
	}
	list, err := c.Referrers(ctx, ref, d.Digest)
	if err != nil {
		return err
	}
	if len(list.Descriptors) != 1 {
		return fmt.Errorf("%d referrers", len(list.Descriptors))
	}
	m, err := c.Manifest(ctx, ref, list.Descriptors[0])
	if err != nil {
		return err
	}
	if m.Subject == nil || m.Subject.Digest != d.Digest { // OC-15: the reader's caller checks
		return errors.New("the subject is another one")
	}
	raw, err := c.Blob(ctx, ref, m.Layers[0], 1<<20)
	if err == nil && string(raw) != "bundle" {
		err = fmt.Errorf("read %q", raw)
	}
	return err
}

// TestRequestBudget counts requests: besides the ping, two by digest when the
// bundle is embedded, three when it is not; one more for a tag, and one more
// where there is no API, for the first image of a host alone.
func TestRequestBudget(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		api, embed, byTag bool
		first, second     int
	}{
		"by digest, embedded":         {true, true, false, 2, 2},
		"by digest":                   {true, false, false, 3, 3},
		"by tag, embedded":            {true, true, true, 3, 3},
		"by tag":                      {true, false, true, 4, 4},
		"no API, by digest, embedded": {false, true, false, 3, 2},
		"no API, by tag":              {false, false, true, 5, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.WithReferrers(test.api))
			client := oci.NewClient(oci.Options{})
			for i, want := range []int{test.first, test.second} {
				image := reg.PushImage(fmt.Sprintf("team/app%d", i), "1", map[string]string{"app": "x"})
				reg.Attach(image.Repository, image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte("bundle"), Embed: test.embed})
				text := image.Ref()
				if test.byTag {
					text = image.TagRef()
				}
				if err := readOne(t.Context(), client, text); err != nil {
					t.Fatal(err)
				}
				if got := reg.Budgeted(); got != want || reg.Count("", registrytest.Ping) != 1-i {
					t.Errorf("image %d: %d requests, want %d, and %d pings\n%s", i, got, want, 1-i, reg.Log())
				}
				reg.Reset()
			}
		})
	}
}

// TestManyImages: a hundred images at once share one ping, and their requests at
// most 16 connections.
func TestManyImages(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]registrytest.Option{
		"open": nil, "token": {registrytest.WithTokenAuth("user", "secret")}, "no API": {registrytest.WithReferrers(false)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, append(options, registrytest.WithLatency(2*time.Millisecond))...)
			var refs []string
			for i := range 100 {
				image := reg.PushImage("team/app", "", map[string]string{"app": fmt.Sprint(i)})
				reg.Attach("team/app", image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte("bundle"), Embed: true})
				refs = append(refs, image.Ref())
			}
			client := oci.NewClient(oci.Options{Keychain: staticKeychain{reg.Host()}})
			var group sync.WaitGroup
			for _, ref := range refs {
				group.Go(func() {
					if err := readOne(t.Context(), client, ref); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if reg.Count("", registrytest.Ping) != 1 || reg.Count("", registrytest.Token) > 1 || reg.Connections() > 16 {
				t.Errorf("%d pings, %d tokens, %d connections", reg.Count("", registrytest.Ping), reg.Count("", registrytest.Token), reg.Connections())
			}
			if name != "no API" && reg.Budgeted() != 200 {
				t.Errorf("%d requests, want 200", reg.Budgeted())
			}
		})
	}
}

// TestOC02TagIsReadOnce: whatever the registry shows later, the digest that the
// one answer gave is what everything is read by.
func TestOC02TagIsReadOnce(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 10; n++ {
		reg := registrytest.New(t)
		image := reg.PushImage("app", "1", map[string]string{"app": "good"})
		other := reg.PushImage("app", "", map[string]string{"app": "evil"})
		reg.Attach("app", image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte("bundle")})
		reg.FlipTag("app", "1", n, other)
		client := oci.NewClient(oci.Options{})
		for range n {
			if err := readOne(t.Context(), client, image.TagRef()); err != nil {
				t.Errorf("OC-02 flip after %d: %v", n, err)
			}
		}
		if got := reg.Count("", registrytest.Tag); got != n {
			t.Errorf("OC-02 flip after %d: %d requests for the tag in %d readings", n, got, n)
		}
	}
	t.Run("OC-02 the header lies", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t)
		image := reg.PushImage("app", "1", map[string]string{"app": "good"})
		absent := "sha256:" + strings.Repeat("c", 64)
		reg.Inject(registrytest.Match{Class: registrytest.Tag}, registrytest.SetHeader("Docker-Content-Digest", absent))
		client := oci.NewClient(oci.Options{})
		ref := parse(t, image.TagRef())
		d, err := client.Resolve(t.Context(), ref)
		if err != nil || d.Digest.String() != absent {
			t.Fatalf("resolved %s, %v", d.Digest, err)
		}
		// Nothing can be read under that digest but its own content.
		reg.Inject(registrytest.Match{Class: registrytest.Manifest}, registrytest.Answer(200, oci.TypeImage, image.Raw))
		if _, err := client.Manifest(t.Context(), ref, oci.Descriptor{Digest: d.Digest, Size: -1}); !errors.Is(err, oci.ErrDigestMismatch) {
			t.Errorf("got %v", err)
		}
		// A GET's digest is computed, so a lie in its header changes nothing.
		m, err := client.TagManifest(t.Context(), ref, "1")
		if err != nil || m.Digest != image.Digest {
			t.Errorf("%v, %v", m, err)
		}
	})
	for name, fault := range map[string]registrytest.Fault{
		"OC-02 no digest in the header": registrytest.SetHeader("Docker-Content-Digest", ""),
		"OC-02 junk in the header":      registrytest.SetHeader("Docker-Content-Digest", "sha256:../../x"),
		"HEAD is not allowed":           registrytest.Status(http.StatusMethodNotAllowed),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushImage("app", "1", nil)
			reg.Inject(registrytest.Match{Method: http.MethodHead}, fault)
			d, err := oci.NewClient(oci.Options{}).Resolve(t.Context(), parse(t, image.TagRef()))
			if err != nil || d.Digest != image.Digest || d.Size != image.Size || d.MediaType != image.MediaType {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

// TestOC08MediaTypes: descriptor, header and document must not disagree.
func TestOC08MediaTypes(t *testing.T) {
	t.Parallel()
	types := []string{oci.TypeImage, oci.TypeIndex, ""}
	for _, inDocument := range types {
		for _, inHeader := range types {
			for _, inDescriptor := range types {
				reg := registrytest.New(t)
				document := map[string]any{"schemaVersion": 2}
				if inDocument != "" {
					document["mediaType"] = inDocument
				}
				if inDocument == oci.TypeIndex || inDocument == "" && inHeader == oci.TypeIndex {
					document["manifests"] = []any{}
				} else {
					document["config"], document["layers"] = reg.PutBlob("app", "x", []byte("{}")), []any{}
				}
				pushed := reg.PutJSON("app", "1", oci.TypeImage, document)
				reg.Inject(registrytest.Match{Class: registrytest.Manifest}, registrytest.Answer(200, inHeader, pushed.Raw))
				_, err := oci.NewClient(oci.Options{}).Manifest(t.Context(), parse(t, pushed.TagRef()), oci.Descriptor{MediaType: inDescriptor, Digest: pushed.Digest, Size: pushed.Size})
				named := map[string]bool{inDocument: true, inHeader: true, inDescriptor: true}
				delete(named, "")
				agreed := len(named) == 1 && (inDocument != "" || inHeader != "") // the descriptor alone is no word of the document's
				if agreed != (err == nil) || err != nil && !errors.Is(err, oci.ErrMediaType) {
					t.Errorf("OC-08 document %q, header %q, descriptor %q: %v", inDocument, inHeader, inDescriptor, err)
				}
			}
		}
	}
}

// TestOC16WhatIsRemembered: a registry without the API is asked there once; one
// that only does not know a repository is asked again.
func TestOC16WhatIsRemembered(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("app", "1", nil)
	reg.Attach("app", image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte("bundle")})
	unknown := []byte(`{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}`)
	reg.Inject(registrytest.Match{Class: registrytest.Referrers, Repository: "typo"}, registrytest.Answer(404, "application/json", unknown))
	client := oci.NewClient(oci.Options{})
	if list, err := client.Referrers(t.Context(), parse(t, reg.Host()+"/typo:1"), image.Digest); err != nil || len(list.Descriptors) != 0 {
		t.Errorf("an unknown repository: %v, %v", list, err)
	}
	list, err := client.Referrers(t.Context(), parse(t, image.TagRef()), image.Digest)
	if err != nil || list.Place != oci.PlaceAPI || len(list.Descriptors) != 1 {
		t.Errorf("OC-16 the repository after it: %v, %v", list, err)
	}
	// Once it has answered, a bare 404 is no reason either to leave the API.
	reg.Inject(registrytest.Match{Class: registrytest.Referrers, Times: 1}, registrytest.Status(404))
	for range 2 {
		if list, err = client.Referrers(t.Context(), parse(t, image.TagRef()), image.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if list.Place != oci.PlaceAPI {
		t.Errorf("OC-16 after one 404 the list came from %s", list.Place)
	}
}

// TestOC41NoReadMistakesRefusalForAbsence: per status and kind of read.
func TestOC41NoReadMistakesRefusalForAbsence(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		401: oci.ErrUnauthorized, 403: oci.ErrUnauthorized, 404: oci.ErrNotFound, 400: oci.ErrUnreachable, 406: oci.ErrUnreachable,
		410: oci.ErrUnreachable, 418: oci.ErrUnreachable, 429: oci.ErrUnreachable, 500: oci.ErrUnreachable, 502: oci.ErrUnreachable, 503: oci.ErrUnreachable,
	} {
		t.Run(fmt.Sprintf("OC-41 %d", status), func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushImage("app", "1", nil)
			for _, class := range []registrytest.Class{registrytest.Tag, registrytest.Manifest, registrytest.Blob, registrytest.LegacyTag} {
				reg.Inject(registrytest.Match{Class: class}, registrytest.Status(status))
			}
			client := oci.NewClient(oci.Options{})
			ref := parse(t, image.TagRef())
			for name, read := range map[string]func() error{
				"resolve":  func() error { return resolve(t.Context(), client, ref, image) },
				"exists":   func() error { _, err := client.Exists(t.Context(), ref, image.Digest); return err },
				"manifest": func() error { return manifest(t.Context(), client, ref, image) },
				"blob": func() error {
					_, err := client.Blob(t.Context(), ref, oci.Descriptor{Digest: image.Digest, Size: 1}, 10)
					return err
				},
				"signature tag": func() error {
					_, err := client.TagManifest(t.Context(), ref, oci.FallbackTag(image.Digest)+".sig")
					return err
				},
			} {
				if err := read(); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
			}
		})
	}
}

// TestRetries: a moment's failure is waited out, a lasting one is reported after
// three attempts, and no wait outlasts the deadline.
func TestRetries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    registrytest.Fault
		times    int
		requests int
		want     error
	}{
		"503 twice":              {registrytest.Status(503), 2, 3, nil},
		"502 for ever":           {registrytest.Status(502), 0, 3, oci.ErrUnreachable},
		"500 is no moment":       {registrytest.Status(500), 0, 1, oci.ErrUnreachable},
		"429 for a moment":       {registrytest.TooManyRequests(0), 2, 3, nil},
		"429 beyond the limit":   {registrytest.TooManyRequests(3600), 0, 1, oci.ErrUnreachable},
		"429 beyond any number":  {tooMany("99999999999999999"), 0, 1, oci.ErrUnreachable},
		"429 until a far date":   {tooMany("Fri, 31 Dec 9999 23:59:59 GMT"), 0, 1, oci.ErrUnreachable},
		"429 until a past date":  {tooMany("Sun, 06 Nov 1994 08:49:37 GMT"), 1, 2, nil},
		"a connection that ends": {registrytest.Drop(), 1, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushImage("app", "1", nil)
			reg.Inject(registrytest.Match{Class: registrytest.Tag, Times: test.times}, test.fault)
			err := resolve(t.Context(), oci.NewClient(oci.Options{Timeout: 20 * time.Second}), parse(t, image.TagRef()), image)
			if !errors.Is(err, test.want) || reg.Count("", registrytest.Tag) != test.requests {
				t.Errorf("%d requests, want %d; %v", reg.Count("", registrytest.Tag), test.requests, err)
			}
		})
	}
	t.Run("a wait that the deadline does not allow", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t)
		image := reg.PushImage("app", "1", nil)
		reg.Inject(registrytest.Match{Class: registrytest.Tag}, registrytest.TooManyRequests(20))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if err := resolve(ctx, oci.NewClient(oci.Options{}), parse(t, image.TagRef()), image); !errors.Is(err, oci.ErrUnreachable) || time.Since(start) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func tooMany(retryAfter string) registrytest.Fault {
	return registrytest.Handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusTooManyRequests)
	})
}

// TestADeadRegistryIsWaitedForOnce: callers share the outcome of one ping, and
// one who gives up takes nobody along.
func TestADeadRegistryIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("app", "1", nil)
	release := make(chan struct{})
	reg.Inject(registrytest.Match{Class: registrytest.Ping, Times: 1}, registrytest.Handle(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	client := oci.NewClient(oci.Options{})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := resolve(t.Context(), client, parse(t, image.TagRef()), image); !errors.Is(err, oci.ErrUnauthorized) {
				t.Errorf("got %v", err)
			}
		})
	}
	for reg.Count("", registrytest.Ping) == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // the others have come by now
	close(release)
	group.Wait()
	if n := reg.Count("", registrytest.Ping); n != 1 {
		t.Errorf("%d pings", n)
	}
	if err := resolve(t.Context(), client, parse(t, image.TagRef()), image); err != nil {
		t.Errorf("a failure was kept: %v", err)
	}

	// The first caller leaves while it asks; the second asks again.
	reg.Inject(registrytest.Match{Class: registrytest.Ping, Times: 1}, registrytest.Hang())
	client = oci.NewClient(oci.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	reg.Reset()
	group.Go(func() {
		if err := resolve(ctx, client, parse(t, image.TagRef()), image); !errors.Is(err, context.Canceled) {
			t.Errorf("the one who left: %v", err)
		}
	})
	for reg.Count("", registrytest.Ping) == 0 {
		time.Sleep(time.Millisecond)
	}
	group.Go(func() {
		if err := resolve(t.Context(), client, parse(t, image.TagRef()), image); err != nil {
			t.Errorf("the one who stayed: %v", err)
		}
	})
	time.Sleep(50 * time.Millisecond)
	cancel()
	group.Wait()
}
