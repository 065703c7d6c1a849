package oci_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestReach: nothing leads a client out of its reach, and the error names the host
// and the flag.
func TestReach(t *testing.T) {
	t.Parallel()
	t.Run("the image's own registry", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t, registrytest.WithTokenAuth("", ""), registrytest.WithAnonymousPull())
		image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
		client := oci.NewClient(oci.Options{Reach: oci.ReachRegistry})
		if _, err := client.Resolve(t.Context(), parse(t, image.TagRef())); err != nil {
			t.Error(err)
		}
	})
	t.Run("nothing at all", func(t *testing.T) {
		t.Parallel()
		victim := registrytest.NewVictim(t)
		_, err := oci.NewClient(oci.Options{Reach: oci.ReachNothing}).Resolve(t.Context(), parse(t, victim.Host()+"/app:1"))
		refused(t, err, victim.Host(), "--offline=all")
	})
	t.Run("a redirect to a blob store", func(t *testing.T) {
		t.Parallel()
		reg, victim := registrytest.New(t), registrytest.NewVictim(t)
		image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
		reg.Inject(registrytest.Match{Class: registrytest.Blob}, registrytest.Redirect(http.StatusTemporaryRedirect, victim.URL()+"/blob"))
		client, ref := oci.NewClient(oci.Options{Reach: oci.ReachRegistry}), parse(t, image.TagRef())
		d, err := client.Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		m, err := client.Manifest(t.Context(), ref, d)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Blob(t.Context(), ref, m.Config, 1<<20)
		refused(t, err, victim.Host(), "--offline,")
	})
	t.Run("OC-24 a token server on another host", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t, registrytest.WithTokenAuth("user", "secret"))
		image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
		reg.Inject(registrytest.Match{Class: registrytest.Ping}, registrytest.Challenge("https://auth.registry.example/token", `service="x"`))
		_, err := oci.NewClient(oci.Options{Reach: oci.ReachRegistry}).Resolve(t.Context(), parse(t, image.TagRef()))
		refused(t, err, "auth.registry.example", "token server")
	})
	t.Run("a proxy", func(t *testing.T) {
		t.Parallel()
		reg, victim := registrytest.New(t), registrytest.NewVictim(t)
		proxy, err := url.Parse(victim.URL())
		if err != nil {
			t.Fatal(err)
		}
		client := oci.NewClient(oci.Options{Reach: oci.ReachRegistry, Proxy: http.ProxyURL(proxy)})
		_, err = client.Resolve(t.Context(), parse(t, reg.Host()+"/team/app:1"))
		refused(t, err, victim.Host(), "--offline")
	})
	t.Run("another port of the same host", func(t *testing.T) {
		t.Parallel()
		victim := registrytest.NewVictim(t)
		server := httptest.NewServer(http.RedirectHandler(victim.URL()+"/v2/", http.StatusTemporaryRedirect))
		t.Cleanup(server.Close)
		_, err := oci.NewClient(oci.Options{Reach: oci.ReachRegistry}).Resolve(t.Context(), parse(t, strings.TrimPrefix(server.URL, "http://")+"/app:1"))
		refused(t, err, victim.Host(), "--offline")
	})
	t.Run("cancelled stays cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := oci.NewClient(oci.Options{Reach: oci.ReachRegistry}).Resolve(ctx, parse(t, "127.0.0.1:1/app:1"))
		if errors.Is(err, oci.ErrOffline) {
			t.Error(err)
		}
	})
}

func TestReachWords(t *testing.T) {
	t.Parallel()
	for _, want := range []oci.Reach{oci.ReachRegistry, oci.ReachNothing} {
		var got oci.Reach
		if err := got.Set(want.String()); err != nil || got != want {
			t.Errorf("%q gives %v, %v", want, got, err)
		}
	}
	var got oci.Reach
	if err := got.Set("off"); err == nil || got != oci.ReachAnywhere {
		t.Errorf("%v, %v", got, err)
	}
}

func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, oci.ErrOffline) || !errors.Is(err, oci.ErrUnreachable) {
		t.Fatalf("got %v", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}
