package oci_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// endless is a body that does not end, and counts what was read of it.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

func (*endless) Close() error { return nil }

// answering is a client whose registry answers everything but the ping in one way.
func answering(answer func(*http.Request) *http.Response) *oci.Client {
	return oci.NewClient(oci.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/v2/") {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}
		return answer(r), nil
	})})
}

// TestRE01BytesAreCounted: whatever a size, a header or nobody says, no more is read than
// the limit, or than the descriptor names.
func TestRE01BytesAreCounted(t *testing.T) {
	t.Parallel()
	ref := parse(t, "registry.example/app:1")
	d := digest.FromBytes([]byte("x"))
	for name, test := range map[string]struct {
		most int64
		read func(*oci.Client) error
		want error
	}{
		"RE-01 a blob whose size lies": {1000, func(c *oci.Client) error {
			_, err := c.Blob(t.Context(), ref, oci.Descriptor{Digest: d, Size: 1000}, 1<<30)
			return err
		}, oci.ErrSizeMismatch},
		"RE-01 a blob of no size": {1 << 20, func(c *oci.Client) error {
			_, err := c.Blob(t.Context(), ref, oci.Descriptor{Digest: d, Size: -1}, 1<<20)
			return err
		}, oci.ErrLimit},
		"RE-01 a manifest whose size lies": {1000, func(c *oci.Client) error {
			_, err := c.Manifest(t.Context(), ref, oci.Descriptor{Digest: d, Size: 1000})
			return err
		}, oci.ErrSizeMismatch},
		"RE-01 a manifest of no size": {oci.MaxManifestBytes, func(c *oci.Client) error {
			_, err := c.TagManifest(t.Context(), ref, "1")
			return err
		}, oci.ErrLimit},
		"RE-01 a list": {4 << 20, func(c *oci.Client) error {
			_, err := c.Referrers(t.Context(), ref, d)
			return err
		}, oci.ErrLimit},
	} {
		for _, length := range []int64{-1, 10, 2 << 30} {
			body := new(endless)
			client := answering(func(r *http.Request) *http.Response {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {oci.TypeIndex}}, ContentLength: length, Body: body, Request: r}
			})
			err := test.read(client)
			if !errors.Is(err, test.want) {
				t.Errorf("%s, Content-Length %d: %v", name, length, err)
			}
			if got := body.read.Load(); got > test.most+test.most/4+64<<10 { // what the last read asks for
				t.Errorf("%s, Content-Length %d: %d bytes were read", name, length, got)
			}
		}
	}
}

// TestRE02NothingIsAllocatedByClaim: sizes and counts that are only claimed cost no
// memory. It runs alone, since it measures that of the whole process.
func TestRE02NothingIsAllocatedByClaim(t *testing.T) {
	ref := parse(t, "registry.example/app:1")
	d := digest.FromBytes([]byte("x"))
	client := answering(func(r *http.Request) *http.Response {
		return &http.Response{
			StatusCode: 200, ContentLength: 1 << 40, Request: r, Body: io.NopCloser(strings.NewReader("{}")),
			Header: http.Header{"Content-Type": {oci.TypeImage}, "Content-Length": {fmt.Sprint(1 << 40)}},
		}
	})
	for name, read := range map[string]func() error{
		"RE-02 a blob": func() error {
			_, err := client.Blob(t.Context(), ref, oci.Descriptor{Digest: d, Size: 1 << 30}, 1<<40)
			return err
		},
		"RE-02 a manifest": func() error {
			_, err := client.Manifest(t.Context(), ref, oci.Descriptor{Digest: d, Size: 4 << 20})
			return err
		},
		"RE-02 a manifest of 10^9 bytes": func() error {
			_, err := client.Manifest(t.Context(), ref, oci.Descriptor{Digest: d, Size: 1e9})
			return err
		},
		"RE-02 a manifest that lists sizes of 10^9": func() error {
			_, err := oci.ParseManifest(fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x","digest":%q,"size":1000000000},"layers":[{"mediaType":"x","digest":%[2]q,"size":1000000000}],"x":1e999999999}`,
				oci.TypeImage, d), oci.TypeImage)
			if err == nil {
				return io.EOF // it may be read: a size is a number
			}
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := read()
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s passed", name)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
}

// TestRE04NothingIsUnpacked: compressed bytes are bytes. A bomb stays as small as it was
// sent.
func TestRE04NothingIsUnpacked(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(zip, new(endless), 8<<20); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	ref := parse(t, "registry.example/app:1")
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd"} {
		client := answering(func(r *http.Request) *http.Response {
			if r.Header.Get("Accept-Encoding") != "" && r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("RE-04 asked for %s", r.Header.Get("Accept-Encoding"))
			}
			return &http.Response{
				StatusCode: 200, Header: http.Header{"Content-Type": {oci.TypeIndex}, "Content-Encoding": {encoding}},
				ContentLength: int64(bomb.Len()), Body: io.NopCloser(bytes.NewReader(bomb.Bytes())), Request: r,
			}
		})
		if m, err := client.TagManifest(t.Context(), ref, "1"); err == nil {
			t.Errorf("RE-04 %s was read as a manifest: %+v", encoding, m)
		}
		if list, err := client.Referrers(t.Context(), ref, digest.FromBytes(nil)); err == nil {
			t.Errorf("RE-04 %s was read as a list: %+v", encoding, list)
		}
		raw, err := client.Blob(t.Context(), ref, oci.Descriptor{Digest: digest.FromBytes(bomb.Bytes()), Size: int64(bomb.Len())}, 1<<30)
		if err != nil || !bytes.Equal(raw, bomb.Bytes()) {
			t.Errorf("RE-04 %s: a blob of %d bytes, %v", encoding, len(raw), err)
		}
	}
	archive := filepath.Join(t.TempDir(), "image.tar.gz")
	if err := os.WriteFile(archive, bomb.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := oci.OpenArchive(archive); !errors.Is(err, oci.ErrMediaType) {
		t.Errorf("RE-04 a compressed archive: %v", err)
	}
}

// TestRE06Depth: documents that nest deeply are refused, wherever they come from.
func TestRE06Depth(t *testing.T) {
	t.Parallel()
	ref := parse(t, "registry.example/app:1")
	for name, deep := range map[string]string{
		"RE-06 objects": strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_000),
		"RE-06 arrays":  strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000),
		"RE-06 in a manifest": `{"schemaVersion":2,"mediaType":"` + oci.TypeIndex + `","manifests":[],"annotations":` +
			strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_000) + `}`,
	} {
		if _, err := oci.ParseManifest([]byte(deep), oci.TypeIndex); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: %.200v", name, err)
		}
		for _, status := range []int{200, 400, 404} {
			client := answering(func(r *http.Request) *http.Response {
				return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {oci.TypeIndex}}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(deep)), Request: r}
			})
			if _, err := client.TagManifest(t.Context(), ref, "1"); err == nil {
				t.Errorf("%s, %d: it was read", name, status)
			}
			list, err := client.Referrers(t.Context(), ref, digest.FromBytes(nil))
			if (err == nil) != (status == 404) || len(list.Descriptors) != 0 {
				t.Errorf("%s, %d: %v, %v", name, status, list, err)
			}
		}
	}
}

// TestAD22NamesAreForgotten: AD-22: a server asks about whatever names somebody
// makes up, for months. A client does not remember them all, and asks again for those that
// it has forgotten.
func TestAD22NamesAreForgotten(t *testing.T) {
	t.Parallel()
	var pings, tokens int
	client := oci.NewClient(oci.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		answer := &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: r}
		switch {
		case strings.HasSuffix(r.URL.Path, "/v2/"):
			pings++
			answer.StatusCode = http.StatusUnauthorized
			answer.Header.Set("WWW-Authenticate", `Bearer realm="https://`+r.URL.Host+`/token",service="x"`)
		case r.URL.Path == "/token":
			tokens++
			answer.StatusCode, answer.Body = http.StatusOK, io.NopCloser(strings.NewReader(`{"token":"x"}`))
		}
		return answer, nil
	})})
	ask := func(text string) {
		if _, err := client.Resolve(t.Context(), parse(t, text)); !errors.Is(err, oci.ErrNotFound) {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for i := range 300 {
		ask(fmt.Sprintf("h%d.example/app:1", i))
	}
	ask("h0.example/app:1")
	if pings != 301 {
		t.Errorf("%d hosts were asked, not 300 and one of them again", pings)
	}
	for i := range 1100 {
		ask(fmt.Sprintf("h0.example/app%d:1", i))
	}
	before := tokens
	ask("h0.example/app0:1")
	if tokens != before+1 {
		t.Errorf("all logins of a host are remembered")
	}
}
