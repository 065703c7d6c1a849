package kubernetes

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hallmark-project/hallmark/policy/credentials"
)

// TestPullSecrets reads pull secrets from the API server with the token of a service
// account that may read one Secret of one namespace, as the chart grants it: it gets that
// one and no other (AD-21).
func TestPullSecrets(t *testing.T) {
	t.Parallel()
	server, team, other := namespace(t, "server"), namespace(t, "team"), namespace(t, "other")
	account(t, server, "hallmark-verify")
	account(t, team, "default", "registry-login")
	account(t, other, "default", "registry-login")
	for _, namespace := range []string{team, other} {
		login(t, namespace, "registry-login", "registry.example", namespace)
		login(t, namespace, "admin-login", "registry.example", "admin")
	}
	grant(t, team, server)

	eventually(t, "the role counts", func() bool {
		stdout, _, _ := kubectl(t, "", "auth", "can-i", "get", "secrets/registry-login", "-n", team, "--as", "system:serviceaccount:"+server+":hallmark-verify")
		return strings.TrimSpace(stdout) == "yes"
	})

	said := &warnings{}
	secrets, api := reader(t, server, said)
	defer api.Close()
	const host, elsewhere = "registry.example", "elsewhere.example"
	for _, c := range []struct {
		name, namespace string
		secrets         []string
		host, user      string
		warning         string
	}{
		{"the granted secret", team, []string{"registry-login"}, host, team, ""},
		{"AD-21 another host", team, []string{"registry-login"}, elsewhere, "", ""},
		{"that of the service account", team, nil, host, team, ""},
		{"AD-21 a secret that is not granted", team, []string{"admin-login"}, host, "", "may not read it"},
		{"AD-21 another namespace", other, []string{"registry-login"}, host, "", "may not read it"},
		{"AD-21 another namespace's service account", other, nil, host, "", "may not read it"},
		{"AD-21 a path as a name", team, []string{"../../" + other + "/secrets/registry-login"}, host, "", "no such name"},
		{"both", team, []string{"admin-login", "registry-login"}, host, team, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			said.take()
			keychain, id, err := secrets.ForAsker(t.Context(), c.namespace, c.secrets, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := user(t, keychain, c.host); got != c.user {
				t.Errorf("%s gets the account %q, want %q", c.host, got, c.user)
			}
			if (id == "") != (keychain == nil) {
				t.Errorf("id %q of keychain %v", id, keychain)
			}
			if got := said.take(); !strings.Contains(got, c.warning) || c.warning == "" && got != "" {
				t.Errorf("warnings %q, want %q", got, c.warning)
			}
		})
	}
	t.Run("nothing is listed", func(t *testing.T) {
		for _, verb := range []string{"list", "watch"} {
			stdout, _, _ := kubectl(t, "", "auth", "can-i", verb, "secrets", "-n", team, "--as", "system:serviceaccount:"+server+":hallmark-verify")
			if strings.TrimSpace(stdout) != "no" {
				t.Errorf("may it %s secrets? %s", verb, stdout)
			}
		}
	})
}

// reader is what hallmark-verify reads secrets with, as the account of its namespace.
func reader(t *testing.T, server string, said *warnings) (*credentials.PullSecrets, *credentials.API) {
	t.Helper()
	token, err := started.client.CoreV1().ServiceAccounts(server).CreateToken(t.Context(), "hallmark-verify", &authentication.TokenRequest{}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	replace(t, filepath.Join(folder, "token"), []byte(token.Status.Token))
	replace(t, filepath.Join(folder, "ca.crt"), started.config.CAData)
	address := started.config.Host
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	api, err := credentials.NewAPI(address, filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := credentials.NewPullSecrets(credentials.PullSecretOptions{API: api, Now: time.Now, Warn: said.add})
	if err != nil {
		t.Fatal(err)
	}
	return secrets, api
}

// warnings are what was passed over.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) add(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, err.Error())
}

func (w *warnings) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := strings.Join(w.all, "\n")
	w.all = nil
	return all
}

// user is who a keychain logs in as at a host; "" is nobody.
func user(t testing.TB, keychain authn.Keychain, host string) string {
	t.Helper()
	if keychain == nil {
		return ""
	}
	repository, err := name.NewRepository(host + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := keychain.Resolve(repository)
	if err != nil {
		t.Fatal(err)
	}
	config, err := authenticator.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return config.Username
}

func account(t testing.TB, namespace, name string, pullSecrets ...string) {
	t.Helper()
	object := &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: name}}
	for _, secret := range pullSecrets {
		object.ImagePullSecrets = append(object.ImagePullSecrets, core.LocalObjectReference{Name: secret})
	}
	if _, err := started.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), object, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func login(t testing.TB, namespace, name, host, user string) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":password"))
	object := &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: name}, Type: core.SecretTypeDockerConfigJson,
		Data: map[string][]byte{core.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth)},
	}
	if _, err := started.client.CoreV1().Secrets(namespace).Create(t.Context(), object, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// grant grants what the chart grants for an entry of pullSecrets.namespaces.
func grant(t testing.TB, namespace, server string) {
	t.Helper()
	role := &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "hallmark-verify-pull-secrets"}, Rules: []rbac.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"registry-login"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"default"}, Verbs: []string{"get"}},
	}}
	if _, err := started.client.RbacV1().Roles(namespace).Create(t.Context(), role, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: role.Name}, RoleRef: rbac.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: role.Name},
		Subjects: []rbac.Subject{{Kind: "ServiceAccount", Name: "hallmark-verify", Namespace: server}},
	}
	if _, err := started.client.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
