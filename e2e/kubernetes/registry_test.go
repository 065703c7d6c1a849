package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// keyPair is the key that all signed images of these tests are signed with.
type keyPair struct {
	folder string
	public string
}

var (
	keyOnce sync.Once
	keyMade keyPair
)

// releaseKey makes the key once, with the command.
func releaseKey(t testing.TB) keyPair {
	t.Helper()
	keyOnce.Do(func() {
		// t.TempDir would end with the first test that asks.
		folder, err := os.MkdirTemp(os.TempDir(), "hallmark-key-")
		if err != nil {
			t.Fatal(err)
		}
		atEnd(func() { os.RemoveAll(folder) })
		hallmark(t, folder, "key", "generate", "--algorithm", "ecdsa-p256", "--format", "pkcs8", "--no-password", "--out", "release")
		public, err := os.ReadFile(filepath.Join(folder, "release.pub"))
		if err != nil {
			t.Fatal(err)
		}
		keyMade = keyPair{folder, string(public)}
	})
	if keyMade.folder == "" {
		t.Fatal("there is no key: an earlier test could not make it")
	}
	return keyMade
}

// hallmark runs the command that signs; it must succeed.
func hallmark(t testing.TB, folder string, arguments ...string) string {
	t.Helper()
	return hallmarkWith(t, folder, nil, arguments...)
}

func hallmarkWith(t testing.TB, folder string, env []string, arguments ...string) string {
	t.Helper()
	stdout, stderr, code := runProgram(t, folder, program(t, "HALLMARK", "hallmark"), env, arguments...)
	if code != 0 {
		t.Fatalf("hallmark %s ended with %d\n%s%s", strings.Join(arguments, " "), code, stdout, stderr)
	}
	return stdout
}

// images are what a test's registry holds.
type images struct {
	*registrytest.Registry
	t   testing.TB
	env []string // for the program that signs
}

func newImages(t testing.TB, options ...registrytest.Option) *images {
	t.Helper()
	return &images{Registry: registrytest.New(t, options...), t: t}
}

// signed pushes an image and signs it by its digest.
func (i *images) signed(repository, tag string) registrytest.Pushed {
	i.t.Helper()
	pushed := i.PushImage(repository, tag, map[string]string{"name": repository + ":" + tag})
	i.sign(pushed)
	return pushed
}

func (i *images) sign(pushed registrytest.Pushed) {
	i.t.Helper()
	key := releaseKey(i.t)
	hallmarkWith(i.t, key.folder, i.env, "sign", pushed.Ref(), "--key", "release.key")
}

// unsigned pushes an image.
func (i *images) unsigned(repository, tag string) registrytest.Pushed {
	i.t.Helper()
	return i.PushImage(repository, tag, map[string]string{"name": repository + ":" + tag, "signed": "no"})
}

// policy wants a signature for all images of the registry.
func (i *images) policy() string { return signedOnly("cluster", i.Host()+"/**") }

// signedOnly is a policy that wants a signature by the release key.
func signedOnly(name, pattern string) string {
	return `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: ` + name + `}
signers:
  release: {keys: [{file: release.pub}]}
rules:
  - name: production
    images: ["` + pattern + `"]
    require: {signatures: {from: [release]}}
unmatched: deny
`
}
