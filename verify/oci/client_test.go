package oci_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

func parse(t testing.TB, text string) oci.Reference {
	t.Helper()
	r, err := oci.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadOneSignature(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]registrytest.Option{
		"referrers API": registrytest.WithReferrers(true), "referrers tag": registrytest.WithReferrers(false),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, option)
			image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
			reg.Attach("team/app", image.Descriptor, registrytest.Artifact{Type: bundleType, Content: []byte("bundle")})
			reg.Reset()
			client := oci.NewClient(oci.Options{})
			ref := parse(t, image.TagRef())
			d, err := client.Resolve(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if d.Digest != image.Digest {
				t.Fatalf("resolved %s, want %s", d.Digest, image.Digest)
			}
			list, err := client.Referrers(t.Context(), ref, d.Digest)
			if err != nil || len(list.Descriptors) != 1 {
				t.Fatalf("referrers: %v, %v", list, err)
			}
			m, err := client.Manifest(t.Context(), ref, list.Descriptors[0])
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject == nil || m.Subject.Digest != image.Digest {
				t.Errorf("subject: %v", m.Subject)
			}
			raw, err := client.Blob(t.Context(), ref, m.Layers[0], 1<<20)
			if err != nil || string(raw) != "bundle" {
				t.Errorf("blob: %q, %v", raw, err)
			}
			if reg.Count("", registrytest.Ping) != 1 || reg.Connections() != 1 {
				t.Errorf("want one ping on one connection:\n%s", reg.Log())
			}
		})
	}
}

// TestFaultsHaveTheirOwnErrors: what a registry does wrong has one name each,
// and "could not look" is never "nothing there".
func TestFaultsHaveTheirOwnErrors(t *testing.T) {
	t.Parallel()
	both := `{"schemaVersion":2,"mediaType":"` + oci.TypeImage + `","config":{"mediaType":"a","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1},"layers":[],"manifests":[]}`
	for name, test := range map[string]struct {
		match registrytest.Match
		fault registrytest.Fault
		run   func(context.Context, *oci.Client, oci.Reference, registrytest.Pushed) error
		want  error
	}{
		"OC-01 another body":                 {registrytest.Match{Class: registrytest.Manifest}, registrytest.FlipByte(5), manifest, oci.ErrDigestMismatch},
		"OC-01 another blob":                 {registrytest.Match{Class: registrytest.Blob}, registrytest.FlipByte(0), blob, oci.ErrDigestMismatch},
		"OC-31 a blob longer than said":      {registrytest.Match{Class: registrytest.Blob}, registrytest.Append([]byte("x")), blob, oci.ErrSizeMismatch},
		"OC-31 a manifest longer than said":  {registrytest.Match{Class: registrytest.Manifest}, registrytest.Append([]byte(" ")), manifest, oci.ErrSizeMismatch},
		"OC-32 a cut blob":                   {registrytest.Match{Class: registrytest.Blob}, registrytest.CutBody(3), blob, oci.ErrUnreachable},
		"OC-06 another manifest by digest":   {registrytest.Match{Class: registrytest.Manifest}, registrytest.RewriteBody(func([]byte) []byte { return []byte(both) }), manifestAnySize, oci.ErrDigestMismatch},
		"OC-08 another Content-Type":         {registrytest.Match{Class: registrytest.Manifest}, registrytest.SetHeader("Content-Type", oci.TypeIndex), manifest, oci.ErrMediaType},
		"OC-09 schema 1":                     {registrytest.Match{Class: registrytest.Tag}, registrytest.Answer(200, "application/vnd.docker.distribution.manifest.v1+prettyjws", []byte(`{"schemaVersion":1,"fsLayers":[]}`)), tagged, oci.ErrMediaType},
		"OC-07 manifest and index in one":    {registrytest.Match{Class: registrytest.Tag}, registrytest.Answer(200, oci.TypeImage, []byte(both)), tagged, oci.ErrAmbiguous},
		"OC-43 config twice":                 {registrytest.Match{Class: registrytest.Tag}, registrytest.Answer(200, oci.TypeImage, []byte(strings.Replace(both, `"layers":[],"manifests":[]`, `"layers":[],"layers":[]`, 1))), tagged, oci.ErrAmbiguous},
		"OC-10 an endless manifest":          {registrytest.Match{Class: registrytest.Tag}, registrytest.Endless(200, oci.TypeImage, "{"), tagged, oci.ErrLimit},
		"OC-10 an endless list of referrers": {registrytest.Match{Class: registrytest.Referrers}, registrytest.Endless(200, oci.TypeIndex, "{"), referrers, oci.ErrLimit},
		"OC-16 referrers: 500":               {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(500), referrers, oci.ErrUnreachable},
		"OC-16 referrers: 406":               {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(406), referrers, oci.ErrUnreachable},
		"OC-16 referrers: a web page":        {registrytest.Match{Class: registrytest.Referrers}, registrytest.HTML(), referrers, oci.ErrUnreachable},
		"OC-41 referrers: 401":               {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(401), referrers, oci.ErrUnauthorized},
		"OC-41 referrers: 403":               {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(403), referrers, oci.ErrUnauthorized},
		"OC-41 referrers: 429":               {registrytest.Match{Class: registrytest.Referrers}, registrytest.TooManyRequests(3600), referrers, oci.ErrUnreachable},
		"OC-11 silence":                      {registrytest.Match{Class: registrytest.Referrers}, registrytest.Hang(), referrers, oci.ErrUnreachable},
		"OC-11 one byte at a time":           {registrytest.Match{Class: registrytest.Manifest}, registrytest.SlowBody(time.Second), manifest, oci.ErrUnreachable},
		"OC-12 the next page is this page":   {registrytest.Match{Class: registrytest.Referrers}, linkToSelf, referrers, oci.ErrLimit},
		"OC-12 the next page is elsewhere":   {registrytest.Match{Class: registrytest.Referrers}, registrytest.SetHeader("Link", `<http://127.0.0.1:1/v2/>; rel="next"`), referrers, oci.ErrRedirectRefused},
		"the ping says 503":                  {registrytest.Match{Class: registrytest.Ping}, registrytest.Status(503), referrers, oci.ErrUnreachable},
		"no such image":                      {registrytest.Match{Class: registrytest.Tag}, registrytest.Status(404), resolve, oci.ErrNotFound},
		"OC-24 the token server is internal": {registrytest.Match{Class: registrytest.Ping}, registrytest.Challenge("http://169.254.169.254/token", ""), resolve, oci.ErrRedirectRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushImage("team/app", "1.2", map[string]string{"app": "some bytes"})
			reg.Inject(test.match, test.fault)
			timeout := 20 * time.Second // a slow machine needs some of it
			if strings.HasPrefix(name, "OC-11") {
				timeout = 500 * time.Millisecond
			}
			client := oci.NewClient(oci.Options{Timeout: timeout})
			err := test.run(t.Context(), client, parse(t, image.TagRef()), image)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if out := reg.BytesOut(); out > 64<<20 {
				t.Errorf("%d bytes were read", out)
			}
		})
	}
}

func linkToSelf(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+r.URL.Path+`>; rel="next"`)
		next.ServeHTTP(w, r)
	})
}

func manifest(ctx context.Context, c *oci.Client, r oci.Reference, p registrytest.Pushed) error {
	_, err := c.Manifest(ctx, r, oci.Descriptor{MediaType: p.Descriptor.MediaType, Digest: p.Digest, Size: p.Descriptor.Size})
	return err
}

func manifestAnySize(ctx context.Context, c *oci.Client, r oci.Reference, p registrytest.Pushed) error {
	_, err := c.Manifest(ctx, r, oci.Descriptor{Digest: p.Digest, Size: -1})
	return err
}

func blob(ctx context.Context, c *oci.Client, r oci.Reference, p registrytest.Pushed) error {
	m, err := c.Manifest(ctx, r, oci.Descriptor{Digest: p.Digest, Size: -1})
	if err != nil {
		return err
	}
	_, err = c.Blob(ctx, r, m.Layers[0], 1<<20)
	return err
}

func tagged(ctx context.Context, c *oci.Client, r oci.Reference, _ registrytest.Pushed) error {
	_, err := c.TagManifest(ctx, r, r.Tag)
	return err
}

func referrers(ctx context.Context, c *oci.Client, r oci.Reference, p registrytest.Pushed) error {
	_, err := c.Referrers(ctx, r, p.Digest)
	return err
}

func resolve(ctx context.Context, c *oci.Client, r oci.Reference, _ registrytest.Pushed) error {
	_, err := c.Resolve(ctx, r)
	return err
}

func TestOC30EmbeddedData(t *testing.T) {
	t.Parallel()
	good := []byte("bundle")
	document := func(data string, d digest.Digest, size string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"` + oci.TypeImage + `","config":{"mediaType":"a","digest":"` + d.String() + `","size":6},"layers":[{"mediaType":"a","digest":"` + d.String() + `","size":` + size + `,"data":"` + data + `"}]}`)
	}
	if _, err := oci.ParseManifest(document("YnVuZGxl", digest.FromBytes(good), "6"), oci.TypeImage); err != nil {
		t.Errorf("genuine data: %v", err)
	}
	for name, raw := range map[string][]byte{
		"other bytes":            document("YnVuZGxm", digest.FromBytes(good), "6"),
		"another size":           document("YnVuZGxl", digest.FromBytes(good), "7"),
		"OC-31 no size":          document("YnVuZGxl", digest.FromBytes(good), "0"),
		"OC-31 negative":         document("YnVuZGxl", digest.FromBytes(good), "-6"),
		"OC-31 beyond any count": document("YnVuZGxl", digest.FromBytes(good), "9223372036854775808"),
	} {
		if _, err := oci.ParseManifest(raw, oci.TypeImage); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestOC29DigestsAreNoPaths(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"sha256:../../v2/other/blobs/x", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("a", 63), "md5:" + strings.Repeat("a", 32), "sha256:" + strings.Repeat("a", 63) + "/", "sha256:" + strings.Repeat("a", 63) + "\x00"} {
		raw := `{"schemaVersion":2,"mediaType":"` + oci.TypeIndex + `","manifests":[{"mediaType":"x","digest":` + strings.ReplaceAll(`"`+text+`"`, "\x00", `\u0000`) + `,"size":1}]}`
		if _, err := oci.ParseManifest([]byte(raw), oci.TypeIndex); err == nil {
			t.Errorf("%q passed in a descriptor", text)
		}
		if _, err := oci.ParseReference("example.com/app@" + text); !errors.Is(err, oci.ErrReference) {
			t.Errorf("%q in a reference: %v", text, err)
		}
	}
}

// TestCredentialsStayHome: OC-25, OC-26, OC-37, OC-42.
func TestCredentialsStayHome(t *testing.T) {
	t.Parallel()
	// The victim may be asked, but never sees a credential.
	victim := registrytest.NewWatchedVictim(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	reg := registrytest.New(t, registrytest.WithTokenAuth("user", "secret"))
	image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
	reg.Inject(registrytest.Match{Class: registrytest.Blob}, registrytest.Redirect(http.StatusTemporaryRedirect, victim.URL()+"/blob"))
	client := oci.NewClient(oci.Options{Keychain: staticKeychain{reg.Host()}})
	ref := parse(t, image.TagRef())
	if _, err := client.Resolve(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := blob(t.Context(), client, ref, image); err == nil {
		t.Error("a blob from another host passed")
	}
	t.Run("OC-42 one Authorization header after a retry", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t, registrytest.WithBasicAuth("user", "secret"))
		image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
		var counts []int
		reg.Inject(registrytest.Match{Class: registrytest.Tag}, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				counts = append(counts, len(r.Header.Values("Authorization")))
				next.ServeHTTP(w, r)
			})
		})
		reg.Inject(registrytest.Match{Class: registrytest.Tag, Times: 2}, registrytest.Status(503))
		client := oci.NewClient(oci.Options{Keychain: staticKeychain{reg.Host()}})
		if _, err := client.Resolve(t.Context(), parse(t, image.TagRef())); err != nil {
			t.Fatal(err)
		}
		for _, n := range counts {
			if n != 1 {
				t.Errorf("%d Authorization headers", n)
			}
		}
		if len(counts) != 3 {
			t.Errorf("%d requests, want 3", len(counts))
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t, registrytest.WithTokenAuth("user", "other"))
		image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
		client := oci.NewClient(oci.Options{Keychain: staticKeychain{reg.Host()}})
		if _, err := client.Resolve(t.Context(), parse(t, image.TagRef())); !errors.Is(err, oci.ErrUnauthorized) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t, registrytest.WithTLS())
		image := reg.PushImage("team/app", "1.2", map[string]string{"app": "x"})
		if _, err := oci.NewClient(oci.Options{RootCAs: reg.CAs()}).Resolve(t.Context(), parse(t, image.TagRef())); err != nil {
			t.Errorf("with its authority: %v", err)
		}
		if _, err := oci.NewClient(oci.Options{}).Resolve(t.Context(), parse(t, image.TagRef())); !errors.Is(err, oci.ErrUnreachable) {
			t.Errorf("without its authority: %v", err)
		}
	})
}

type staticKeychain struct{ host string }

func (k staticKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if target.RegistryStr() != k.host {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: "user", Password: "secret"}, nil
}

func TestReferences(t *testing.T) {
	t.Parallel()
	hub := "docker.io/library/nginx"
	d := "sha256:" + strings.Repeat("a", 64)
	for text, want := range map[string]string{ // OC-38
		"nginx": hub + ":latest", "library/nginx": hub + ":latest", "docker.io/nginx": hub + ":latest",
		"index.docker.io/library/nginx:1": hub + ":1", "docker.io/library/nginx": hub + ":latest",
		"example.com/a/b:1": "example.com/a/b:1", "example.com:443/a:1": "example.com/a:1", "localhost/a": "localhost/a:latest",
		"[::1]:5000/a:1": "[::1]:5000/a:1", "127.0.0.1:5000/a@" + d: "127.0.0.1:5000/a@" + d, "example.com/a:1@" + d: "example.com/a:1@" + d,
	} {
		r, err := oci.ParseReference(text)
		if err != nil || r.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, r, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "Example.com/a", "example.com/A", "example.com/a:", "example.com/a@", "example.com/a@@" + d, "example.com./a", "example.com/a//b", "example.com/../a",
		"https://example.com/a", "example.com/%2e", "ex\u3002ample.com/a", "example.com/a b", "example.com/a\n", "user@example.com/a", "[::1/a", "[fe80::1%eth0]/a", "example.com:x/a:1", strings.Repeat("a", 2000),
	} {
		if r, err := oci.ParseReference(text); !errors.Is(err, oci.ErrReference) {
			t.Errorf("%q passed as %s (%v)", text, r, err)
		}
	}
}

// TestOC36PlainHTTPOnlyOnLoopback: a name that only looks local is not local.
func TestOC36PlainHTTPOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	asked := ""
	network := roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.Scheme
		return nil, errors.New("no network in this test")
	})
	for host, scheme := range map[string]string{
		"127.0.0.1.evil.example": "https", "x.localhost": "https", "localhost.evil.example": "https", "10.0.0.1": "https", "localhost:5000": "http", "127.0.0.2:80": "http", "[::1]:5000": "http",
	} {
		_, err := oci.NewClient(oci.Options{Transport: network}).Resolve(t.Context(), parse(t, host+"/app:1"))
		if !errors.Is(err, oci.ErrUnreachable) || asked != scheme {
			t.Errorf("%s was asked over %s (%v), want %s", host, asked, err, scheme)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func FuzzParseReference(f *testing.F) {
	f.Add("nginx")
	f.Add("example.com:5000/a/b:tag@sha256:" + strings.Repeat("a", 64))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := oci.ParseReference(text)
		if err != nil {
			return
		}
		again, err := oci.ParseReference(r.String())
		if err != nil || again != r {
			t.Errorf("%q became %q, which becomes %q (%v)", text, r, again, err)
		}
	})
}

// FuzzParseManifest: what is taken is exactly one thing, holds only descriptors
// that can be read, and no other bytes are taken under its digest.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"`+oci.TypeIndex+`","manifests":[]}`), oci.TypeIndex, uint16(3))
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"`+oci.TypeImage+`","config":{`+plain+`},"layers":[{`+plain+`}]}`), oci.TypeImage, uint16(40))
	f.Fuzz(func(t *testing.T, raw []byte, mediaType string, at uint16) {
		m, err := oci.ParseManifest(raw, mediaType)
		if err != nil {
			return
		}
		if m.IsIndex() == (m.Layers != nil) || m.IsIndex() != (m.Manifests != nil) {
			t.Errorf("layers %v and manifests %v in %q", m.Layers, m.Manifests, m.MediaType)
		}
		if m.Digest != digest.FromBytes(raw) {
			t.Error("the digest is not the bytes'")
		}
		for _, d := range append(append([]oci.Descriptor(nil), m.Layers...), m.Manifests...) {
			if d.Digest.IsZero() || d.Size < 0 || d.Data != nil && !d.Digest.Matches(d.Data) {
				t.Errorf("an unusable descriptor: %+v", d)
			}
		}
		changed := append([]byte(nil), raw...)
		changed[int(at)%len(raw)] ^= 1
		if other, err := oci.ParseManifest(changed, mediaType); err == nil && other.Digest == m.Digest {
			t.Error("other bytes under the same digest")
		}
	})
}
