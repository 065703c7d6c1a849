package kubernetes

import (
	"encoding/base64"
	"fmt"
	"net"
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
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestPrivateRegistry: hallmark-verify logs in with the secrets that a Pod names, where
// that is switched on and granted, and only at the registry that they are for (AD-21).
func TestPrivateRegistry(t *testing.T) {
	t.Parallel()
	private := newImages(t, registrytest.WithBasicAuth("robot", "password"))
	account := t.TempDir()
	replace(t, filepath.Join(account, "config.json"), dockerConfig(private.Host(), "robot"))
	private.env = []string{"DOCKER_CONFIG=" + account}
	good := private.signed("team/app", "1").TagRef()
	bad := private.unsigned("team/app", "2").TagRef()
	stranger := newImages(t)
	theirs := stranger.signed("team/app", "1").TagRef()

	server, team := namespace(t, "server"), namespace(t, "private")
	makeAccount(t, server, "hallmark-verify")
	makeAccount(t, team, "default")
	makeAccount(t, team, "builder", "registry-login")
	login(t, team, "registry-login", private.Host(), "robot")
	login(t, team, "admin-login", private.Host(), "robot")
	grant(t, team, server)
	granted(t, team, server)

	host, port := apiServer(t)
	mounted := t.TempDir()
	mountAccount(t, server, mounted)
	s := settings{
		flags: []string{"--pull-secrets", "--service-account-dir", mounted},
		env:   []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port},
	}
	v := serve(t, signedOnly("cluster", "**"), s)
	register(t, v.address, v.authority, nil, team)
	effective(t, team)
	pods := in(t, team, "pods/v1")
	with := func(image, rest string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {%s, containers: [{name: app, image: %q}]}}", rest, image)
	}
	const named, ungranted, byAccount = "imagePullSecrets: [{name: registry-login}]", "imagePullSecrets: [{name: admin-login}]", "serviceAccountName: builder"
	for _, c := range []struct {
		name, pod string
		allow     bool
		says      string
	}{
		{"AD-21 a secret that may not be read", with(good, ungranted), false, "could not check"},
		{"AD-21 no secret", pod("app", good), false, "could not check"},
		{"a granted secret", with(good, named), true, ""},
		{"a service account with a secret", with(good, byAccount), true, ""},
		{"an unsigned image", with(bad, named), false, "denied"},
		{"AD-21 no secret, after it was allowed with one", pod("app", good), false, "could not check"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pods.try(c.pod)
			if c.allow {
				allowed(t, err)
			} else {
				refused(t, err, c.says)
			}
		})
	}
	t.Run("AD-21 another registry", func(t *testing.T) {
		stranger.Reset()
		_, err := pods.try(with(theirs, named))
		allowed(t, err)
		if stranger.Budgeted() == 0 {
			t.Error("the other registry was not asked")
		}
		for _, request := range stranger.Requests() {
			if got := request.Header.Get("Authorization"); got != "" {
				t.Errorf("%s came with a login", request)
			}
		}
	})
	t.Run("no secret in the logs", func(t *testing.T) {
		for _, secret := range []string{"password", base64.StdEncoding.EncodeToString([]byte("robot:password"))} {
			if strings.Contains(v.output(), secret) {
				t.Errorf("the output holds %q", secret)
			}
		}
	})
}

// TestPullSecrets reads pull secrets from the API server with the token of a service
// account that may read one Secret of one namespace, as the chart grants it: it gets that
// one and no other (AD-21).
func TestPullSecrets(t *testing.T) {
	t.Parallel()
	server, team, other := namespace(t, "server"), namespace(t, "team"), namespace(t, "other")
	makeAccount(t, server, "hallmark-verify")
	makeAccount(t, team, "default", "registry-login")
	makeAccount(t, other, "default", "registry-login")
	for _, namespace := range []string{team, other} {
		login(t, namespace, "registry-login", "registry.example", namespace)
		login(t, namespace, "admin-login", "registry.example", "admin")
	}
	grant(t, team, server)

	granted(t, team, server)

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
	folder := t.TempDir()
	mountAccount(t, server, folder)
	host, port := apiServer(t)
	api, err := credentials.NewAPI("https://"+net.JoinHostPort(host, port), filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := credentials.NewPullSecrets(credentials.PullSecretOptions{API: api, Now: time.Now, Warn: said.add})
	if err != nil {
		t.Fatal(err)
	}
	return secrets, api
}

// mountAccount writes what the kubelet mounts for a service account.
func mountAccount(t testing.TB, namespace, folder string) {
	t.Helper()
	token, err := started.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "hallmark-verify", &authentication.TokenRequest{}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(folder, "token"), []byte(token.Status.Token))
	replace(t, filepath.Join(folder, "ca.crt"), started.config.CAData)
}

func apiServer(t testing.TB) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(started.config.Host, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// granted waits until a role counts: the API server learns of it by a watch.
func granted(t testing.TB, namespace, server string) {
	t.Helper()
	eventually(t, "the role counts", func() bool {
		stdout, _, _ := kubectl(t, "", "auth", "can-i", "get", "secrets/registry-login", "-n", namespace, "--as", "system:serviceaccount:"+server+":hallmark-verify")
		return strings.TrimSpace(stdout) == "yes"
	})
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

func makeAccount(t testing.TB, namespace, name string, pullSecrets ...string) {
	t.Helper()
	object := &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: name}}
	for _, secret := range pullSecrets {
		object.ImagePullSecrets = append(object.ImagePullSecrets, core.LocalObjectReference{Name: secret})
	}
	if _, err := started.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), object, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// dockerConfig is a login in docker's form; every password is the same.
func dockerConfig(host, user string) []byte {
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":password"))
	return fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth)
}

func login(t testing.TB, namespace, name, host, user string) {
	t.Helper()
	object := &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: name}, Type: core.SecretTypeDockerConfigJson,
		Data: map[string][]byte{core.DockerConfigJsonKey: dockerConfig(host, user)},
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
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"default", "builder"}, Verbs: []string{"get"}},
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
