package publish_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestStorePolicy: a policy is stored by digest, shown by its tag, and kept with its
// first time; another policy, and what is not ours, is replaced.
func TestStorePolicy(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	p := publish.New(oci.NewClient(oci.Options{Push: true}))
	ref, err := oci.ParseReference(reg.Host() + "/policies/prod:v1")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 5_000_000, time.UTC)
	store := func(content string, at time.Time) publish.StoredPolicy {
		t.Helper()
		s, err := p.StorePolicy(t.Context(), ref, []byte(content), at)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := store("one", at)
	if _, _, found := reg.Manifest("policies/prod", "v1"); found {
		t.Error("the tag stands before it was asked for")
	}
	if err := p.TagPolicy(t.Context(), ref, first); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content string
		at      time.Time
		same    bool
	}{
		"later":           {"one", at.Add(time.Hour), true},
		"another policy":  {"two", at.Add(time.Hour), false},
		"from the future": {"one", at.Add(-time.Hour), false},
	} {
		if got := store(c.content, c.at); got.Existing != c.same || (got.Descriptor.Digest == first.Descriptor.Digest) != c.same {
			t.Errorf("%s: %+v", name, got)
		}
	}
	reg.PushImage("policies/prod", "v1", map[string]string{"a": "an image"})
	if got := store("one", at); got.Existing || got.Descriptor.Digest != first.Descriptor.Digest {
		t.Errorf("where an image was: %+v", got)
	}
}

// TestStorePolicyRefused: what the registry refuses is an error, and no tag is shown.
func TestStorePolicyRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		match registrytest.Match
		want  error
	}{
		"the look at the tag": {registrytest.Match{Class: registrytest.Tag}, oci.ErrUnauthorized},
		"the upload":          {registrytest.Match{Class: registrytest.Upload}, publish.ErrNotStored},
		"the manifest":        {registrytest.Match{Method: http.MethodPut, Class: registrytest.Manifest}, publish.ErrNotStored},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			reg.Inject(c.match, registrytest.Status(http.StatusForbidden))
			ref, err := oci.ParseReference(reg.Host() + "/policies/prod:v1")
			if err != nil {
				t.Fatal(err)
			}
			s, err := publish.New(oci.NewClient(oci.Options{Push: true})).StorePolicy(t.Context(), ref, []byte("one"), time.Unix(1, 0))
			if !errors.Is(err, c.want) || !s.Descriptor.Digest.IsZero() {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
