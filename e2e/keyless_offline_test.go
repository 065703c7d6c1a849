package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestOfflineNamespace: keyless evidence is judged on a machine without a network, and
// nothing is even tried: an image in a registry on that machine, a sealed file, and a
// file's bundle, by a trusted root from a file and by the state that hallmark trust
// keeps. What is wrong is refused there too.
func TestOfflineNamespace(t *testing.T) {
	t.Parallel()
	s := instance(t)
	for name, services := range map[string]stack.Services{"Rekor v1": s.Services().V1(), "Rekor v2": s.Services().V2()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, services, stack.RealGitHub())
			offlineCases(t, k, prepareOffline(t, k))
		})
	}
}

// prepared is what prepareOffline leaves in the folder: images in the registry's data,
// sealed.tar, b.json, and a trust state in the home folder.
type prepared struct {
	start string // a shell script that starts the registry
	image string
}

func prepareOffline(t *testing.T, k keyless) prepared {
	t.Helper()
	host, err := stack.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	put(t, k.dir, "registry.yml", fmt.Appendf(nil, "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s}\nhttp: {addr: %s}\n", filepath.Join(k.dir, "data"), host))
	address, port, _ := strings.Cut(host, ":")
	p := prepared{start: fmt.Sprintf("\"$REGISTRY\" serve registry.yml & registry=$!\ntrap 'kill $registry' EXIT\nuntil (exec 3<>/dev/tcp/%s/%s) 2>/dev/null; do sleep 0.05; done\n", address, port)}
	server := exec.Command(filepath.Join(cache, "registry"), "serve", "registry.yml")
	server.Dir = k.dir
	server.Env = []string{"OTEL_TRACES_EXPORTER=none"}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	answers(t, host)
	p.image = pushTo(t, host, "app")
	issuer := k.stack.Issuer.URLOf(k.profile)
	hallmark(t, k.dir, k.sign("sign", p.image)...).want(t, 0, "hallmark sign")
	hallmark(t, k.dir, k.sign("sign-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark sign-blob")
	k.policy(t, k.profile.Identity, issuer, wantSignature)
	hallmark(t, k.dir, "bundle", "save", p.image, "--policy", "policy.yaml", "--out", "sealed.tar").want(t, 0, "hallmark bundle save")
	put(t, k.dir, "root.json", k.stack.TUF.Root)
	hallmark(t, k.dir, "trust", "init", "--mirror", k.stack.TUF.URL, "--root", "root.json").want(t, 0, "hallmark trust init")
	return p
}

func offlineCases(t *testing.T, k keyless, p prepared) {
	t.Helper()
	issuer := k.stack.Issuer.URLOf(k.profile)
	identity := fmt.Sprintf(" --certificate-identity %s --certificate-oidc-issuer %s ", k.profile.Identity, issuer)
	other := fmt.Sprintf(" --certificate-identity mallory@example.com --certificate-oidc-issuer %s ", issuer)
	root := " --trusted-root trusted_root.json"
	for _, test := range []struct {
		name, script string
		code         int
	}{
		{"registry", p.start + "\"$HALLMARK\" verify " + p.image + identity + root, 0},
		{"registry, --offline", p.start + "\"$HALLMARK\" verify --offline " + p.image + identity + root, 0},
		{"registry, trust state", p.start + "\"$HALLMARK\" verify --offline " + p.image + identity, 0},
		{"registry, policy", p.start + "\"$HALLMARK\" verify --offline " + p.image + " --policy policy.yaml", 0},
		{"registry, another identity", p.start + "\"$HALLMARK\" verify --offline " + p.image + other + root, 1},
		{"registry, --offline=all", p.start + "\"$HALLMARK\" verify --offline=all " + p.image + identity + root, 2},
		{"sealed file", "\"$HALLMARK\" verify --bundle-file sealed.tar", 0},
		{"sealed file, --offline=all", "\"$HALLMARK\" verify --offline=all --bundle-file sealed.tar --policy policy.yaml", 0},
		{"sealed file, cut short", "head -c 4096 sealed.tar > cut.tar; \"$HALLMARK\" verify --bundle-file cut.tar", 2},
		{"blob", "\"$HALLMARK\" verify-blob blob --bundle b.json" + identity + root, 0},
		{"blob, trust state", "\"$HALLMARK\" verify-blob blob --bundle b.json" + identity, 0},
		{"blob, another identity", "\"$HALLMARK\" verify-blob blob --bundle b.json" + other, 1},
	} {
		ended, packets := isolated(t, k.dir, test.script)
		ended.want(t, test.code, test.name)
		if packets != 0 {
			t.Errorf("%s: %d packets were to leave the machine\n%s", test.name, packets, ended.stderr)
		}
	}
}

// TestOfflineRefusesOtherHosts: with --offline a registry cannot send hallmark to
// another host, which sees no connection; without it, it can.
func TestOfflineRefusesOtherHosts(t *testing.T) {
	t.Parallel()
	k := newKeyless(t, instance(t).Services().V1(), stack.GitHub())
	reg := registrytest.New(t, registrytest.WithReferrers(true))
	elsewhere := registrytest.New(t, registrytest.WithReferrers(true))
	image := reg.PushImage("app", "1", map[string]string{"a": "b"}).TagRef()
	// In this format the payload is a blob; a bundle may lie in its manifest.
	hallmark(t, k.dir, k.sign("sign", image, "--format", "legacy")...).want(t, 0, "hallmark sign")
	reg.Inject(registrytest.Match{Class: registrytest.Blob}, registrytest.Redirect(http.StatusTemporaryRedirect, elsewhere.URL()+"/blob"))
	refused := hallmark(t, k.dir, k.verify("verify", "--offline", image)...).want(t, 2, "hallmark verify --offline")
	contains(t, refused.stdout+refused.stderr, elsewhere.Host())
	if n := elsewhere.Connections(); n != 0 {
		t.Errorf("%d connections to another host\n%s", n, elsewhere.Log())
	}
	hallmark(t, k.dir, k.verify("verify", image)...).fails(t, "hallmark verify of a blob that is not there")
	if elsewhere.Connections() == 0 {
		t.Error("without --offline the redirect was not followed: this test shows nothing")
	}
}
