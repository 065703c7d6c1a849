package oci_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestHosts: AD-22. Only registries on the list are asked anything, however the host is
// spelled, and whatever method asks.
func TestHosts(t *testing.T) {
	t.Parallel()
	reg, victim := registrytest.New(t), registrytest.NewVictim(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	client := oci.NewClient(oci.Options{Hosts: []string{"registry.example:443", reg.Host(), "index.docker.io"}})
	if err := manifest(t.Context(), client, parse(t, image.TagRef()), image); err != nil {
		t.Errorf("AD-22 a listed host: %v", err)
	}
	elsewhere := image
	for _, text := range []string{victim.Host() + "/team/app:1", "localhost:1/app:1", "registry.example.evil.test/app:1", "[::1]:5000/app:1", "169.254.169.254/latest:1"} {
		r := parse(t, text)
		errs := []error{client.Admits(r), resolve(t.Context(), client, r, elsewhere), manifest(t.Context(), client, r, elsewhere), referrers(t.Context(), client, r, elsewhere), blob(t.Context(), client, r, elsewhere)}
		_, err := client.Do(t.Context(), r, http.MethodGet, "tags/list", nil, nil, 0)
		for i, err := range append(errs, err) {
			if !errors.Is(err, oci.ErrHostRefused) {
				t.Errorf("AD-22 %s, %d: %v", text, i, err)
			}
		}
	}
	if len(victim.Requests()) != 0 {
		t.Errorf("AD-22 %d requests to a host that is not listed", len(victim.Requests()))
	}
	for _, text := range []string{"nginx", "docker.io/library/nginx:1", "registry-1.docker.io/team/app", "registry.example/app", "registry.example:443/app"} {
		if err := client.Admits(parse(t, text)); err != nil {
			t.Errorf("AD-22 %s: %v", text, err)
		}
	}
	for _, bad := range []string{"https://registry.example", "*.example", "registry.example/team", "", "Registry.example"} {
		if oci.CheckHost(bad) == nil {
			t.Errorf("%q is a host", bad)
		}
		if err := oci.NewClient(oci.Options{Hosts: []string{bad}}).Admits(parse(t, "registry.example/app")); !errors.Is(err, oci.ErrHostRefused) {
			t.Errorf("a list of %q alone allows registry.example: %v", bad, err)
		}
	}
	if err := oci.NewClient(oci.Options{}).Admits(parse(t, "registry.example/app")); err != nil {
		t.Errorf("without a list: %v", err)
	}
}

// TestHostsAndRedirects: AD-22. A listed registry cannot send a client with a list to an
// internal address either, and with ReachRegistry nowhere else at all.
func TestHostsAndRedirects(t *testing.T) {
	t.Parallel()
	reg, victim := registrytest.New(t), registrytest.NewVictim(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	reg.Inject(registrytest.Match{Class: registrytest.Tag}, registrytest.Redirect(http.StatusTemporaryRedirect, victim.URL()+"/v2/x"))
	client := oci.NewClient(oci.Options{Hosts: []string{reg.Host()}, Reach: oci.ReachRegistry})
	if err := resolve(t.Context(), client, parse(t, image.TagRef()), image); !errors.Is(err, oci.ErrOffline) || len(victim.Requests()) != 0 {
		t.Errorf("AD-22 %v, %d requests", err, len(victim.Requests()))
	}
}

// TestCounter: each request is counted once, in every context above it.
func TestCounter(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.WithTokenAuth("user", "secret"), registrytest.WithAnonymousPull())
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	reg.Inject(registrytest.Match{Class: registrytest.Tag, Times: 1}, registrytest.Status(http.StatusServiceUnavailable))
	client := oci.NewClient(oci.Options{})
	var outer, first, second atomic.Int64
	ctx := oci.WithCounter(t.Context(), &outer)
	if err := resolve(oci.WithCounter(ctx, &first), client, parse(t, image.TagRef()), image); err != nil {
		t.Fatal(err)
	}
	if err := resolve(oci.WithCounter(ctx, &second), client, parse(t, image.TagRef()), image); err != nil {
		t.Fatal(err)
	}
	if first.Load() != 4 || second.Load() != 1 || outer.Load() != 5 || reg.Count("", registrytest.Any) != 5 {
		t.Errorf("counted %d and %d, %d in all:\n%s", first.Load(), second.Load(), outer.Load(), reg.Log())
	}
}
