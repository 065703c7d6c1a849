package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestOC38OneSpelling: each image has one canonical name, or none.
func TestOC38OneSpelling(t *testing.T) {
	t.Parallel()
	d := "@sha256:" + strings.Repeat("a", 64)
	for name, spellings := range map[string][]string{
		"docker.io/library/nginx": {
			"nginx", "library/nginx", "docker.io/nginx", "docker.io/library/nginx", "index.docker.io/nginx", "index.docker.io/library/nginx",
			"registry-1.docker.io/nginx", "docker.io:443/nginx", "index.docker.io:443/library/nginx", "registry-1.docker.io:443/nginx",
			"nginx:1.2", "nginx" + d, "nginx:1.2" + d,
		},
		"docker.io/team/app":        {"team/app", "docker.io/team/app", "index.docker.io/team/app"},
		"registry.example/app":      {"registry.example/app", "registry.example:443/app"},
		"registry.example:8443/a":   {"registry.example:8443/a"},
		"registry.example:80/a":     {"registry.example:80/a"},
		"localhost/app":             {"localhost/app"},
		"localhost:443/app":         {"localhost:443/app"},
		"127.0.0.1:5000/app":        {"127.0.0.1:5000/app"},
		"[::1]:5000/app":            {"[::1]:5000/app", "[0:0:0:0:0:0:0:1]:5000/app", "[0000::0001]:5000/app"},
		"[2001:db8::1]/app":         {"[2001:db8::1]/app", "[2001:db8::1]:443/app", "[2001:0db8:0::1]/app"},
		"3rd-registry:5000/app":     {"3rd-registry:5000/app"},
		"registry.example/a__b-c.d": {"registry.example/a__b-c.d"},
	} {
		for _, text := range spellings {
			r, err := oci.ParseReference(text)
			if err != nil || r.Name() != name {
				t.Errorf("OC-38 %q: %s, %v; want %s", text, r.Name(), err, name)
			}
		}
	}
	for _, text := range []string{
		"Registry.example/app", "registry.EXAMPLE/app", "registry.example/App", "registry.example./app", ".registry.example/app", "registry..example/app",
		"registry.example:/app", "registry.example:0/app", "registry.example:0443/app", "registry.example:65536/app", "registry.example:99999/app", "registry.example:-1/app", "registry.example:80:80/app",
		"registry.example%2fapp", "registry.example/app%00", "registry.example/%2e%2e/app", "registry.example/./app", "registry.example/../app", "registry.example/app/", "/app", "registry.example//app", "registry.example/",
		"regıstry.example/app", "registry。example/app", "registry.example/аpp", "registry.example/app\u200b", "registry.example\\app", "registry.example/app?x=1", "registry.example/app#x", "registry.example /app",
		"127.1/app", "127.0.0.01/app", "0x7f.0.0.1/app", "127.0.0.1.:5000/app", "2130706433:5000/app", "256.0.0.1/app",
		"[::1/app", "::1/app", "[::1]5000/app", "[::ffff:127.0.0.1]/app", "[::1%25lo]/app", "[127.0.0.1]/app", "[]/app", "-registry.example/app", "registry-.example/app",
		strings.Repeat("a", 64) + ".example/app", strings.Repeat("a.", 130) + "example/app", "registry.example/" + strings.Repeat("a", 256),
		"registry.example/app:", "registry.example/app:-x", "registry.example/app:" + strings.Repeat("x", 129), "registry.example/app@", "registry.example/app@sha256", "registry.example/app@sha256:abc", "registry.example/app" + d + d, "registry.example/app" + d + ":tag",
		"registry.example/app@SHA256:" + strings.Repeat("a", 64), "registry.example/app@sha256:" + strings.Repeat("A", 64), "oci://registry.example/app", "docker://nginx", "@" + d, ":tag", "sha256:" + strings.Repeat("a", 64), "nginx@" + d,
	} {
		if r, err := oci.ParseReference(text); !errors.Is(err, oci.ErrReference) {
			t.Errorf("OC-38 %q passed as %s (%v)", text, r, err)
		}
	}
	r := parse(t, "registry.example/app:1.2"+d)
	if r.Tag != "1.2" || r.Digest.IsZero() {
		t.Errorf("OC-38 tag and digest: %+v", r)
	}
	if found, err := oci.NewClient(oci.Options{Transport: roundTrip(nil)}).Resolve(t.Context(), r); err != nil || found.Digest != r.Digest {
		t.Errorf("OC-38 the digest wins, without a request: %v, %v", found, err)
	}
}

// TestOC29HandMadeReferences: a reference that was not parsed never becomes a URL.
func TestOC29HandMadeReferences(t *testing.T) {
	t.Parallel()
	victim := registrytest.NewVictim(t)
	client := oci.NewClient(oci.Options{})
	d := digest.FromBytes(nil)
	for _, r := range []oci.Reference{
		{},
		{Host: victim.Host()},
		{Host: victim.Host(), Repository: "../app"},
		{Host: victim.Host(), Repository: "app/blobs/uploads/?x="},
		{Host: victim.Host(), Repository: "App"},
		{Host: victim.Host(), Repository: "app", Tag: "../../x"},
		{Host: victim.Host() + "/v2", Repository: "app"},
		{Host: "user@" + victim.Host(), Repository: "app"},
		{Host: "LOCALHOST", Repository: "app"},
	} {
		for name, read := range map[string]func() error{
			"exists":    func() error { _, err := client.Exists(t.Context(), r, d); return err },
			"referrers": func() error { _, err := client.Referrers(t.Context(), r, d); return err },
			"blob": func() error {
				_, err := client.Blob(t.Context(), r, oci.Descriptor{Digest: d, Size: -1}, 1)
				return err
			},
			"resolve": func() error { _, err := client.Resolve(t.Context(), r); return err },
		} {
			if err := read(); !errors.Is(err, oci.ErrReference) {
				t.Errorf("OC-29 %s of %+v: %v", name, r, err)
			}
		}
	}
	good := oci.Reference{Host: victim.Host(), Repository: "app", Tag: "1"}
	if _, err := client.TagManifest(t.Context(), good, "../1"); !errors.Is(err, oci.ErrReference) {
		t.Errorf("OC-29 a tag: %v", err)
	}
	if _, err := client.Exists(t.Context(), good, digest.Digest{}); !errors.Is(err, oci.ErrReference) {
		t.Errorf("OC-29 no digest: %v", err)
	}
}
