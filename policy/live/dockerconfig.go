package live

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// maxDockerConfig bounds docker's configuration; it has some kilobytes.
const maxDockerConfig = 1 << 20

// Credentials are the registry credentials of one docker configuration, by the exact
// host that each is for. Immutable and safe for concurrent use.
type Credentials struct {
	hosts map[string]authn.AuthConfig
}

// dockerHubNames are the spellings under which docker keeps the credentials of Docker
// Hub.
var dockerHubNames = []string{"docker.io", "index.docker.io", "registry-1.docker.io"}

// ParseDockerConfig reads the `auths` of a docker config.json, which is also what a
// Secret of the type kubernetes.io/dockerconfigjson holds. Credential helpers are an
// error: they run programs, and those of the clouds ask servers with the machine's own
// identity.
func ParseDockerConfig(raw []byte) (*Credentials, error) {
	if len(raw) > maxDockerConfig {
		return nil, fmt.Errorf("more than %d bytes", maxDockerConfig)
	}
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	var file struct {
		Auths   map[string]dockerAuth `json:"auths"`
		Store   string                `json:"credsStore"`
		Helpers map[string]string     `json:"credHelpers"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, errors.New("not a docker configuration") // the cause could quote a secret
	}
	if file.Store != "" || len(file.Helpers) > 0 {
		return nil, errors.New("it names credential helpers (credsStore, credHelpers), which are not run here; write the credentials under auths")
	}
	c := &Credentials{hosts: make(map[string]authn.AuthConfig)}
	for key, auth := range file.Auths {
		host, config, err := auth.read(key)
		if err != nil {
			return nil, err
		}
		c.hosts[host] = config
	}
	return c, nil
}

// Resolve implements [authn.Keychain]: credentials go to the host that they are for.
func (c *Credentials) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if config, found := c.hosts[canonicalHost(target.RegistryStr())]; found {
		return authn.FromConfig(config), nil
	}
	return authn.Anonymous, nil
}

// dockerAuth is one entry of auths.
type dockerAuth struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// read returns the host of an entry and its credentials. No error quotes them.
func (a dockerAuth) read(key string) (string, authn.AuthConfig, error) {
	host := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, path, _ := strings.Cut(host, "/")
	if path = strings.Trim(path, "/"); path != "" && path != "v1" && path != "v2" {
		return "", authn.AuthConfig{}, fmt.Errorf("the entry %q is for a path; credentials are kept by host here", key)
	}
	if host == "" {
		return "", authn.AuthConfig{}, fmt.Errorf("the entry %q names no host", key)
	}
	config := authn.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	if a.Auth != "" {
		plain, err := base64.StdEncoding.DecodeString(a.Auth)
		if err != nil {
			return "", authn.AuthConfig{}, fmt.Errorf("the auth of %q is no base64", key)
		}
		user, password, found := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
		if !found {
			return "", authn.AuthConfig{}, fmt.Errorf("the auth of %q is not user:password", key)
		}
		config.Username, config.Password = user, password
	}
	return canonicalHost(host), config, nil
}

// canonicalHost is one name for each registry.
func canonicalHost(host string) string {
	host = strings.ToLower(host)
	for _, name := range dockerHubNames {
		if host == name {
			return dockerHubNames[0]
		}
	}
	return host
}
