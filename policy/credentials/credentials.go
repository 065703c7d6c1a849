// Package credentials finds registry credentials: those of a docker configuration,
// and those of the imagePullSecrets that an object names, read through the Kubernetes
// API where that is switched on.
//
//	secrets, err := credentials.NewPullSecrets(options)
//	keychain, id, err := secrets.ForAsker(ctx, "shop", []string{"registry-login"}, "")
//	client := oci.NewClient(oci.Options{Keychain: keychain})
//
// A credential is given for the host and path that it was stored for and for no
// other. No credential helper is run, no environment is read, and no error quotes a
// secret.
//
// Non-goals: the identity of a cloud's machine, and writing credentials.
package credentials

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// Limits of one docker configuration.
const (
	// MaxBytes bounds it; a Secret has at most 1 MiB (Kubernetes, "Secrets").
	MaxBytes = 1 << 20
	// maxEntries bounds its registries; people have some.
	maxEntries = 1000
)

// ErrHelpers: the configuration names credential helpers, which are programs, and those
// of the clouds ask servers with the machine's own identity. A caller whose file it is
// refuses it; in somebody else's Secret they are passed over.
var ErrHelpers = errors.New("it names credential helpers (credsStore, credHelpers), which are not run here; write the credentials under auths")

// Credentials are those of one docker configuration. Immutable and safe for concurrent
// use. The zero value has none.
type Credentials struct {
	entries []entry // the longest path first
}

// entry is a credential and what it is for.
type entry struct {
	host string // may hold *, each for one label of a name
	path string // "" or "team/app"
	auth authn.AuthConfig
}

// Parse reads the auths of a docker config.json, which is also what a Secret of the
// type kubernetes.io/dockerconfigjson holds. With helpers it returns [ErrHelpers] beside
// the credentials that it holds itself.
func Parse(raw []byte) (*Credentials, error) {
	var file struct {
		Auths   map[string]stored `json:"auths"`
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	if err := decode(raw, &file); err != nil {
		return nil, err
	}
	c, err := read(file.Auths)
	if err == nil && (file.Store != "" || len(file.Helpers) > 0) {
		err = ErrHelpers
	}
	return c, err
}

// ParseLegacy reads a .dockercfg, which a Secret of the type kubernetes.io/dockercfg
// holds: auths without the rest.
func ParseLegacy(raw []byte) (*Credentials, error) {
	var auths map[string]stored
	if err := decode(raw, &auths); err != nil {
		return nil, err
	}
	return read(auths)
}

func decode(raw []byte, into any) error {
	if len(raw) > MaxBytes {
		return fmt.Errorf("reading a docker configuration: more than %d bytes", MaxBytes)
	}
	if err := strictjson.Check(raw); err != nil {
		return errors.New("reading a docker configuration: it is no JSON, or a key stands twice") // the cause could quote a secret
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errors.New("reading a docker configuration: an entry has a wrong type")
	}
	return nil
}

// stored is one entry of auths.
type stored struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func read(auths map[string]stored) (*Credentials, error) {
	if len(auths) > maxEntries {
		return nil, fmt.Errorf("reading a docker configuration: %d entries, at most %d are read", len(auths), maxEntries)
	}
	c := &Credentials{}
	for _, key := range slices.Sorted(maps.Keys(auths)) {
		e, err := auths[key].entry(key)
		if err != nil {
			return nil, fmt.Errorf("reading a docker configuration: the entry %q %w", wording.Short(key), err)
		}
		c.entries = append(c.entries, e)
	}
	c.sort()
	return c, nil
}

// sort puts what is narrower first: a host before a pattern, a longer path before a
// shorter one.
func (c *Credentials) sort() {
	slices.SortStableFunc(c.entries, func(a, b entry) int {
		if wildA, wildB := strings.Contains(a.host, "*"), strings.Contains(b.host, "*"); wildA != wildB {
			if wildA {
				return 1
			}
			return -1
		}
		if n := len(b.path) - len(a.path); n != 0 {
			return n
		}
		return strings.Compare(a.host+"/"+a.path, b.host+"/"+b.path)
	})
}

func (s stored) entry(key string) (entry, error) {
	host := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, rest, _ := strings.Cut(host, "/")
	e := entry{host: canonicalHost(host), path: strings.Trim(rest, "/")}
	if e.path == "v1" || e.path == "v2" {
		e.path = "" // how docker writes a registry's address
	}
	if host == "" || strings.ContainsAny(host, "@?[]\\ ") && !strings.HasPrefix(host, "[") {
		return e, errors.New("names no host")
	}
	e.auth = authn.AuthConfig{Username: s.Username, Password: s.Password, IdentityToken: s.IdentityToken, RegistryToken: s.RegistryToken}
	if s.Auth != "" {
		plain, err := base64.StdEncoding.DecodeString(s.Auth)
		if err != nil {
			return e, errors.New("has an auth that is no base64")
		}
		user, password, found := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
		if !found {
			return e, errors.New("has an auth that is not user:password")
		}
		e.auth.Username, e.auth.Password = user, password
	}
	return e, nil
}

// Resolve implements [authn.Keychain]: the credentials of the narrowest entry for the
// host and path of a repository, or none. A path covers what stands below it, by whole
// components; a * in a host stands for one label or a part of it, as the kubelet reads
// it, and the number of labels and the port must be the same.
func (c *Credentials) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if auth, found := c.find(target); found {
		return authn.FromConfig(auth), nil
	}
	return authn.Anonymous, nil
}

func (c *Credentials) find(target authn.Resource) (authn.AuthConfig, bool) {
	host := canonicalHost(target.RegistryStr())
	_, repository, _ := strings.Cut(target.String(), "/")
	for _, e := range c.entries {
		below := e.path == "" || repository == e.path || strings.HasPrefix(repository, e.path+"/")
		if below && matchesHost(e.host, host) {
			return e.auth, true
		}
	}
	return authn.AuthConfig{}, false
}

// matchesHost compares label by label; a pattern never crosses a dot or a port.
func matchesHost(pattern, host string) bool {
	if pattern == host {
		return true
	}
	if !strings.Contains(pattern, "*") || strings.Contains(host, "[") {
		return false
	}
	pattern, portWanted, _ := strings.Cut(pattern, ":")
	host, port, _ := strings.Cut(host, ":")
	wanted, labels := strings.Split(pattern, "."), strings.Split(host, ".")
	if port != portWanted || len(wanted) != len(labels) {
		return false
	}
	for i, label := range labels {
		if matched, err := path.Match(wanted[i], label); err != nil || !matched {
			return false
		}
	}
	return true
}

// canonicalHost is one name for each registry: lower case, one for Docker Hub's
// spellings, no port 443.
func canonicalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return host
}

// identify returns a text that is the same for the same credentials and for no others.
// It is for keys in memory and is not written anywhere.
func (c *Credentials) identify() string {
	h := sha256.New()
	for _, e := range c.entries {
		for _, part := range []string{e.host, e.path, e.auth.Username, e.auth.Password, e.auth.IdentityToken, e.auth.RegistryToken} {
			fmt.Fprintf(h, "%d:%s,", len(part), part)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
