package oci_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestOC10EndlessBodies: on every endpoint, an answer that does not end costs a
// bounded number of bytes, error and login answers included.
func TestOC10EndlessBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		class  registrytest.Class
		status int
		run    func(context.Context, *oci.Client, oci.Reference, registrytest.Pushed) error
	}{
		"ping":               {registrytest.Ping, 200, resolve},
		"ping, 401":          {registrytest.Ping, 401, resolve},
		"ping, 503":          {registrytest.Ping, 503, resolve},
		"token":              {registrytest.Token, 200, resolve},
		"token, 401":         {registrytest.Token, 401, resolve},
		"token, 500":         {registrytest.Token, 500, resolve},
		"manifest":           {registrytest.Manifest, 200, manifest},
		"manifest, any size": {registrytest.Manifest, 200, manifestAnySize},
		"manifest, 404":      {registrytest.Manifest, 404, manifest},
		"manifest, 429":      {registrytest.Manifest, 429, manifest},
		"manifest, 503":      {registrytest.Manifest, 503, manifest},
		"tag":                {registrytest.Tag, 200, tagged},
		"referrers":          {registrytest.Referrers, 200, referrers},
		"referrers, 500":     {registrytest.Referrers, 500, referrers},
		"referrers tag":      {registrytest.ReferrersTag, 200, referrers},
		"blob":               {registrytest.Blob, 200, blob},
		"blob, 403":          {registrytest.Blob, 403, blob},
	} {
		t.Run("OC-10 "+name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.WithTokenAuth("user", "secret"), registrytest.WithReferrers(test.class != registrytest.ReferrersTag))
			image := reg.PushImage("team/app", "1.2", map[string]string{"app": "some bytes"})
			reg.Inject(registrytest.Match{Class: test.class}, registrytest.Endless(test.status, oci.TypeImage, "{"))
			client := oci.NewClient(oci.Options{Keychain: staticKeychain{reg.Host()}})
			err := test.run(t.Context(), client, parse(t, image.TagRef()), image)
			if err == nil && test.class != registrytest.Ping {
				t.Error("it passed")
			}
			// What was written includes what lies in the sockets' buffers.
			if out := reg.BytesOut(); out > 32<<20 {
				t.Errorf("%d bytes were taken: %v", out, err)
			}
		})
	}
}

// TestOC12Pages: pages are bounded in number and stay on the registry's host.
func TestOC12Pages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		link func(page int, self string) string
		want error
		most int
	}{
		"OC-12 a page after every page": {func(n int, self string) string { return fmt.Sprintf(`<%s?page=%d>; rel="next"`, self, n) }, oci.ErrLimit, 100},
		"OC-12 a circle of two":         {func(n int, self string) string { return fmt.Sprintf(`<%s?page=%d>; rel="next"`, self, n%2) }, oci.ErrLimit, 100},
		"OC-12 this page again":         {func(_ int, self string) string { return `<` + self + `>; rel="next"` }, oci.ErrLimit, 1},
		"OC-12 on another port":         {func(int, string) string { return `<http://127.0.0.1:1/v2/x>; rel=next` }, oci.ErrRedirectRefused, 1},
		"OC-12 over another scheme":     {func(int, string) string { return `<ftp://HOST/v2/x>; rel="prev next"` }, oci.ErrRedirectRefused, 1},
		"OC-12 without a scheme":        {func(int, string) string { return `<//victim.example/v2/x>;rel="next"` }, oci.ErrRedirectRefused, 1},
		"OC-12 with a user":             {func(int, string) string { return `<http://user:pw@HOST/v2/x>; rel="next"` }, oci.ErrRedirectRefused, 1},
		"OC-12 as a second link":        {func(int, string) string { return `</a>; rel="first", <//victim.example/x>; rel="next"` }, oci.ErrRedirectRefused, 1},
		"OC-12 no next page":            {func(_ int, self string) string { return `<` + self + `?page=9>; rel="prev"` }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushImage("app", "1", nil)
			var mu sync.Mutex
			page := 0
			reg.Inject(registrytest.Match{Class: registrytest.Referrers}, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					page++
					w.Header().Set("Link", strings.Replace(test.link(page, r.URL.Path), "HOST", r.Host, 1))
					mu.Unlock()
					next.ServeHTTP(w, r)
				})
			})
			_, err := oci.NewClient(oci.Options{}).Referrers(t.Context(), parse(t, image.TagRef()), image.Digest)
			if !errors.Is(err, test.want) || reg.Count("", registrytest.Referrers) > test.most {
				t.Errorf("%d pages, %v; want %v", reg.Count("", registrytest.Referrers), err, test.want)
			}
		})
	}
	t.Run("all pages are read", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t, registrytest.WithReferrersPages(2))
		image := reg.PushImage("app", "1", nil)
		for i := range 5 {
			reg.Attach("app", image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte{byte(i)}})
		}
		list, err := oci.NewClient(oci.Options{}).Referrers(t.Context(), parse(t, image.TagRef()), image.Digest)
		if err != nil || len(list.Descriptors) != 5 {
			t.Errorf("%d of 5, %v", len(list.Descriptors), err)
		}
	})
	t.Run("OC-16 a page in the middle is missing", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{404, 500} {
			reg := registrytest.New(t, registrytest.WithReferrersPages(1))
			image := reg.PushImage("app", "1", nil)
			for i := range 3 {
				reg.Attach("app", image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte{byte(i)}})
			}
			reg.Inject(registrytest.Match{Class: registrytest.Referrers, After: 1}, registrytest.Status(status))
			list, err := oci.NewClient(oci.Options{}).Referrers(t.Context(), parse(t, image.TagRef()), image.Digest)
			if !errors.Is(err, oci.ErrUnreachable) {
				t.Errorf("%d: a list of %d, %v", status, len(list.Descriptors), err)
			}
		}
	})
}

// manyReferrers is a list of n descriptors.
func manyReferrers(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"schemaVersion":2,"mediaType":"` + oci.TypeIndex + `","manifests":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"mediaType":%q,"digest":"sha256:%064x","size":1}`, oci.TypeImage, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// TestCounts: OC-13 and OC-20, more items than are read.
func TestCounts(t *testing.T) {
	t.Parallel()
	for _, class := range []registrytest.Class{registrytest.Referrers, registrytest.ReferrersTag} {
		reg := registrytest.New(t, registrytest.WithReferrers(class == registrytest.Referrers))
		image := reg.PushImage("app", "1", nil)
		reg.Inject(registrytest.Match{Class: class}, registrytest.Answer(200, oci.TypeIndex, manyReferrers(100_000)))
		_, err := oci.NewClient(oci.Options{}).Referrers(t.Context(), parse(t, image.TagRef()), image.Digest)
		if !errors.Is(err, oci.ErrLimit) {
			t.Errorf("OC-13 100,000 in %s: %v", class, err)
		}
	}
	for name, raw := range map[string][]byte{
		"OC-20 an index of 20,000 children": manyReferrers(20_000),
		"OC-20 objects in objects":          []byte(`{"schemaVersion":2,"mediaType":"` + oci.TypeIndex + `","manifests":[],"x":` + strings.Repeat(`{"a":`, 10_000) + `1` + strings.Repeat(`}`, 10_001)),
		"OC-13 20,000 keys":                 []byte(`{"schemaVersion":2` + strings.Repeat(` `, 10) + manyKeys(20_000) + `}`),
		"OC-10 more than 4 MiB":             append(manyReferrers(1), make([]byte, 4<<20)...),
	} {
		if _, err := oci.ParseManifest(raw, oci.TypeIndex); !errors.Is(err, oci.ErrLimit) {
			t.Errorf("%s: %.200v", name, err)
		}
	}
	// A manifest whose descriptor says more than is read is not asked for.
	huge := registrytest.New(t)
	stored := huge.PushImage("app", "1", nil)
	_, err := oci.NewClient(oci.Options{}).Manifest(t.Context(), parse(t, stored.TagRef()), oci.Descriptor{Digest: stored.Digest, Size: 5 << 20})
	if !errors.Is(err, oci.ErrLimit) || huge.Budgeted() != 0 {
		t.Errorf("OC-31 a manifest of 5 MiB: %v, %d requests", err, huge.Budgeted())
	}
	// An index in an index is a descriptor; nothing here descends by itself.
	reg := registrytest.New(t)
	inner := reg.PushIndex("app", "", "linux/amd64")
	outer := reg.PutJSON("app", "1", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []any{inner.Descriptor}})
	client := oci.NewClient(oci.Options{})
	m, err := client.TagManifest(t.Context(), parse(t, outer.TagRef()), "1")
	if err != nil || len(m.Manifests) != 1 || reg.Budgeted() != 1 {
		t.Errorf("OC-20 a nested index: %v, %d requests", err, reg.Budgeted())
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":0`, i)
	}
	return b.String()
}

// TestOC11Silence: a server that accepts and says nothing, plain or instead of
// its TLS handshake, holds nobody longer than the deadline.
func TestOC11Silence(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		var held []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		for _, conn := range held {
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		group.Wait()
	})
	client := oci.NewClient(oci.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if _, err := client.Resolve(ctx, parse(t, listener.Addr().String()+"/app:1")); !errors.Is(err, oci.ErrUnreachable) {
				t.Errorf("got %v", err)
			}
		})
	}
	callers.Wait()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("50 callers were held for %v", took)
	}
}

// TestASlowBlobEnds: a small blob cannot be dribbled for as long as a large one.
func TestASlowBlobEnds(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	stored := reg.PutBlob("app", "x", make([]byte, 100))
	reg.Inject(registrytest.Match{Class: registrytest.Blob}, registrytest.SlowBody(time.Second))
	client := oci.NewClient(oci.Options{Timeout: 300 * time.Millisecond})
	start := time.Now()
	_, err := client.Blob(t.Context(), parse(t, reg.Host()+"/app:1"), oci.Descriptor{Digest: stored.Digest, Size: stored.Size}, 1000)
	if !errors.Is(err, oci.ErrUnreachable) || time.Since(start) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

// TestSizes: OC-30 and OC-31 for a blob, and OC-32 for what follows its end.
func TestSizes(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	content := []byte("twelve bytes")
	stored := reg.PutBlob("app", "x", content)
	client := oci.NewClient(oci.Options{})
	ref := parse(t, reg.Host()+"/app:1")
	for name, test := range map[string]struct {
		d    oci.Descriptor
		want error
	}{
		"genuine":                 {oci.Descriptor{Digest: stored.Digest, Size: 12}, nil},
		"size not known":          {oci.Descriptor{Digest: stored.Digest, Size: -1}, nil},
		"OC-31 shorter":           {oci.Descriptor{Digest: stored.Digest, Size: 13}, oci.ErrSizeMismatch},
		"OC-31 longer":            {oci.Descriptor{Digest: stored.Digest, Size: 11}, oci.ErrSizeMismatch},
		"OC-31 nothing":           {oci.Descriptor{Digest: stored.Digest, Size: 0}, oci.ErrSizeMismatch},
		"OC-31 2^63-1":            {oci.Descriptor{Digest: stored.Digest, Size: 1<<63 - 1}, oci.ErrLimit},
		"OC-29 no digest":         {oci.Descriptor{Size: 12}, oci.ErrReference},
		"OC-30 data over a limit": {oci.Descriptor{Digest: digest.FromBytes(make([]byte, 200)), Size: 200, Data: make([]byte, 200)}, oci.ErrLimit},
		"OC-30 other data":        {oci.Descriptor{Digest: stored.Digest, Size: 12, Data: []byte("twelve bytez")}, oci.ErrDigestMismatch},
		"OC-30 shorter data":      {oci.Descriptor{Digest: stored.Digest, Size: 12, Data: []byte("twelve")}, oci.ErrSizeMismatch},
	} {
		raw, err := client.Blob(t.Context(), ref, test.d, 100)
		if !errors.Is(err, test.want) || (test.want == nil) != (string(raw) == string(content)) {
			t.Errorf("%s: %q, %v; want %v", name, raw, err, test.want)
		}
	}
	// A reader that stops where its own format ends has not seen io.EOF yet.
	for name, change := range map[string]registrytest.Fault{"OC-32 bytes behind the end": registrytest.Append([]byte("x")), "OC-32 the last byte": registrytest.FlipByte(-1)} {
		reg.ClearFaults()
		reg.Inject(registrytest.Match{Class: registrytest.Blob}, change)
		body, err := client.OpenBlob(t.Context(), ref, oci.Descriptor{Digest: stored.Digest, Size: -1}, 100)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, body, 11); err != nil {
			t.Errorf("%s: the start: %v", name, err)
		}
		for range 2 { // the refusal stays
			if _, err := io.Copy(io.Discard, body); !errors.Is(err, oci.ErrDigestMismatch) {
				t.Errorf("%s: %v", name, err)
			}
		}
		body.Close()
	}
}
