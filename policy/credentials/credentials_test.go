package credentials_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hallmark-project/hallmark/policy/credentials"
)

// userFor is the user whose credentials a keychain gives for a repository, "" for none.
func userFor(t *testing.T, keychain authn.Keychain, repository string) string {
	t.Helper()
	target, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := keychain.Resolve(target)
	if err != nil {
		t.Fatal(err)
	}
	config, err := auth.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return config.Username + config.IdentityToken + config.RegistryToken
}

func TestHostsAndPaths(t *testing.T) {
	t.Parallel()
	c, err := credentials.Parse([]byte(`{"auths": {
		"registry.example": {"username": "host", "password": "x"},
		"registry.example/team": {"username": "team", "password": "x"},
		"https://registry.example/team/app": {"username": "app", "password": "x"},
		"registry.example:5000": {"username": "port", "password": "x"},
		"https://index.docker.io/v1/": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("hub:pass:word")) + `"},
		"*.cloud.example": {"username": "wild", "password": "x"},
		"one.cloud.example": {"username": "one", "password": "x"},
		"token.example": {"identitytoken": "identity"},
		"[::1]:5000": {"username": "six", "password": "x"}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]string{
		"registry.example/x": "host", "registry.example/team": "team", "registry.example/team/x": "team", "registry.example/team2": "host",
		"registry.example/team/app": "app", "registry.example/team/app/x": "app", "registry.example/team/apps": "team",
		"registry.example:5000/team": "port", "registry.example:5001/team": "", "registry.example:443/x": "host",
		"nginx": "hub", "docker.io/team/x": "hub", "registry-1.docker.io/x/y": "hub", "index.docker.io/library/x": "hub",
		"two.cloud.example/x": "wild", "one.cloud.example/x": "one", "a.b.cloud.example/x": "", "cloud.example/x": "", "two.cloud.example:8443/x": "",
		"token.example/x": "identity", "other.example/x": "", "registry.example.evil.example/x": "", "xregistry.example/x": "",
	} {
		if got := userFor(t, c, repository); got != want {
			t.Errorf("AD-21 %s: %q, want %q", repository, got, want)
		}
	}
}

// TestRefusedConfigurations: nothing is guessed, and no error quotes a secret.
func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"empty":        ``,
		"no JSON":      `hunter2`,
		"twice":        `{"auths": {"a.example": {"password": "hunter2"}, "a.example": {}}}`,
		"wrong type":   `{"auths": {"a.example": "hunter2"}}`,
		"no base64":    `{"auths": {"a.example": {"auth": "hunter2!"}}}`,
		"no colon":     `{"auths": {"a.example": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("hunter2")) + `"}}}`,
		"no host":      `{"auths": {"": {"username": "hunter2"}}}`,
		"path alone":   `{"auths": {"https:///x": {"username": "hunter2"}}}`,
		"user in host": `{"auths": {"u@a.example": {"username": "hunter2"}}}`,
		"too large":    `{"auths": {}, "x": "` + strings.Repeat("x", credentials.MaxBytes) + `"}`,
	} {
		if _, err := credentials.Parse([]byte(raw)); err == nil || strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, raw := range []string{`{"credsStore": "desktop"}`, `{"auths": {"a.example": {"username": "u", "password": "p"}}, "credHelpers": {"b.example": "x"}}`} {
		if c, err := credentials.Parse([]byte(raw)); c == nil || !errors.Is(err, credentials.ErrHelpers) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if c, err := credentials.ParseLegacy([]byte(`{"https://a.example": {"username": "u", "password": "p"}}`)); err != nil || userFor(t, c, "a.example/x") != "u" {
		t.Errorf("the legacy form: %v", err)
	}
	if got := userFor(t, &credentials.Credentials{}, "a.example/x"); got != "" {
		t.Errorf("no credentials are %q", got)
	}
}

// FuzzParse: whatever is read, credentials go to a host that the text names.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"auths": {"registry.example/team": {"auth": "dTpw"}, "*.example": {"username": "u"}}}`))
	f.Add([]byte(`{"auths": {"https://index.docker.io/v1/": {"identitytoken": "t"}}, "credsStore": "x"}`))
	target, err := name.NewRepository("victim.test/app")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := credentials.Parse(raw)
		if c == nil {
			if err == nil {
				t.Fatal("neither credentials nor an error")
			}
			return
		}
		auth, err := c.Resolve(target)
		if err != nil {
			t.Fatal(err)
		}
		if lower := strings.ToLower(string(raw)); auth != authn.Anonymous && !strings.ContainsAny(lower, `*\`) && !strings.Contains(lower, "victim.test") {
			t.Fatalf("%q has credentials for %s", raw, target)
		}
	})
}
