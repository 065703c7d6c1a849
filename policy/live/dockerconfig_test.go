package live_test

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/credentials"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// TestDockerConfig, AD-21: credentials go to the host that they are for, and no program
// is run to get them.
func TestDockerConfig(t *testing.T) {
	t.Parallel()
	c, err := credentials.Parse([]byte(fmt.Sprintf(`{"auths": {
		"registry.example": {"auth": %q},
		"https://registry.example:5000/v2/": {"username": "port", "password": "p"},
		"https://index.docker.io/v1/": {"auth": %q},
		"token.example": {"identitytoken": "t"}
	}}`, basic("u", "p:w"), basic("hub", "x"))))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"registry.example": "u/p:w", "registry.example:5000": "port/p", "index.docker.io": "hub/x", "token.example": "/ t",
		"AD-21 registry.example.attacker.test": "", "AD-21 attacker.test": "", "AD-21 xregistry.example": "",
	} {
		registry, err := name.NewRegistry(strings.TrimPrefix(host, "AD-21 "))
		if err != nil {
			t.Fatal(err)
		}
		found, err := c.Resolve(registry)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if found != authn.Anonymous {
			config, err := found.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			got = config.Username + "/" + config.Password
			if config.IdentityToken != "" {
				got += " " + config.IdentityToken
			}
		}
		if got != want {
			t.Errorf("%s got %q, want %q", host, got, want)
		}
	}
	for name, text := range map[string]string{
		"AD-21 helper":       `{"credHelpers": {"registry.example": "ecr-login"}}`,
		"AD-21 store":        `{"credsStore": "desktop"}`,
		"twice":              `{"auths": {}, "auths": {}}`,
		"no base64":          `{"auths": {"registry.example": {"auth": "!!secret!!"}}}`,
		"no colon":           `{"auths": {"registry.example": {"auth": "c2VjcmV0"}}}`,
		"another type":       `{"auths": {"registry.example": {"auth": 5}}}`,
		"no host":            `{"auths": {"": {"auth": "YTpi"}}}`,
		"another type, text": `{"auths": {"registry.example": "secret"}}`,
	} {
		if _, err := credentials.Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCredentialsReload: new credentials are used without a restart.
func TestCredentialsReload(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.WithBasicAuth("bot", "right"))
	key := verifytest.NewKey(t, "ecdsa-p256")
	image := reg.PushImage("team/app", "1", map[string]string{"app": "x"})
	dir := t.TempDir()
	o := options(filepath.Join(dir, "policy.yaml"))
	o.DockerConfig = filepath.Join(dir, "config.json")
	write(t, o.Policy, policyText("p", `"**"`, key))
	config := func(password string) string {
		return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, reg.Host(), basic("bot", password))
	}
	write(t, o.DockerConfig, config("wrong"))
	l := open(t, o)
	judge := func() *policy.Decision {
		s := l.Current()
		return &s.Judge(t.Context(), live.Asking{}, []gate.Target{s.Target(fmt.Sprintf("%s/%s@%s", reg.Host(), image.Repository, image.Digest))})[0].Decision
	}
	if d := judge(); d.Verdict != policy.Undetermined || d.Reason != policy.ReasonUnauthorized {
		t.Errorf("wrong password: %s %s", d.Verdict, d.Reason)
	}
	write(t, o.DockerConfig, config("right"))
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	if d := judge(); d.Verdict != policy.Deny || d.Reason != policy.ReasonNoSignature {
		t.Errorf("right password: %s %s", d.Verdict, d.Reason)
	}
	write(t, o.DockerConfig, `{"credsStore": "desktop"}`)
	if err := l.Check(); err == nil {
		t.Error("a credential helper was taken")
	}
	if d := judge(); d.Verdict != policy.Deny {
		t.Errorf("after a bad file: %s %s", d.Verdict, d.Reason)
	}
}
