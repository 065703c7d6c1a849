package live_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// policyText is one rule that wants signatures of each signer.
func policyText(name, images string, keys ...*verifytest.Key) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %s}\nsigners:\n", name)
	for i, key := range keys {
		fmt.Fprintf(&b, "  s%d:\n    keys:\n      - pem: |\n          %s\n", i, strings.ReplaceAll(strings.TrimSpace(string(key.Trusted.PEM())), "\n", "\n          "))
	}
	fmt.Fprintf(&b, "rules:\n  - name: all\n    images: [%s]\n    require:\n      signatures:\n        from: [%s]\n", images, "s0")
	return b.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func options(path string) live.Options {
	return live.Options{
		Policy: path,
		Source: func(k authn.Keychain) gate.Source {
			return oci.NewClient(oci.Options{Keychain: k, Timeout: 10 * time.Second})
		},
	}
}

func open(t *testing.T, o live.Options) *live.Live {
	t.Helper()
	l, err := live.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestReload: a good file is swapped in, a bad one is refused once, and the old policy
// stays in force.
func TestReload(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, policyText("one", `"**"`, key))
	l := open(t, options(path))
	first := l.Current()

	if err := l.Check(); err != nil || l.Current() != first {
		t.Fatalf("unchanged files made a load: %v", err)
	}
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); err != nil || l.Current() != first {
		t.Fatalf("a touched file made a load: %v", err)
	}

	write(t, path, policyText("bad", `"**"`, key)+"unknown: true\n")
	err := l.Check()
	if err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Fatalf("bad policy: %v", err)
	}
	state := l.State()
	if l.Current() != first || state.Refused != 1 || state.RefusedAt.IsZero() || !strings.Contains(state.RefusedWhy, "unknown") {
		t.Fatalf("after a bad policy: %+v", state)
	}
	if err := l.Check(); err != nil || l.State().Refused != 1 {
		t.Fatalf("the same bad policy was reported twice: %v", err)
	}

	write(t, path, policyText("two", `"**"`, key))
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	if got := l.Current().Policy().Name(); got != "two" || !l.State().RefusedAt.IsZero() {
		t.Errorf("in force: %s, %+v", got, l.State())
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); err == nil || l.Current().Policy().Name() != "two" {
		t.Errorf("a policy that went away: %v", err)
	}
	write(t, path, policyText("two", `"**"`, key))
	if err := l.Check(); err != nil || !l.State().RefusedAt.IsZero() {
		t.Errorf("a policy that came back: %v %+v", err, l.State())
	}
}

// TestReloadOfNamedFile: a key that a policy names is watched like the policy.
func TestReloadOfNamedFile(t *testing.T) {
	t.Parallel()
	one, two := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")
	for _, kind := range []string{"file", "folder"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			text := policyText("p", `"**"`, one)
			text = text[:strings.Index(text, "      - pem:")] + "      - file: keys/ops.pub\n" + text[strings.Index(text, "rules:"):]
			write(t, filepath.Join(dir, "policy.yaml"), text)
			write(t, filepath.Join(dir, "keys", "ops.pub"), string(one.Trusted.PEM()))
			path := dir
			if kind == "file" {
				path = filepath.Join(dir, "policy.yaml")
			}
			l := open(t, options(path))
			before := l.Current().Digest()
			write(t, filepath.Join(dir, "keys", "ops.pub"), string(two.Trusted.PEM()))
			if err := l.Check(); err != nil || l.Current().Digest() == before {
				t.Errorf("the new key is not in force: %v", err)
			}
			write(t, filepath.Join(dir, "keys", "ops.pub"), "rubbish")
			if err := l.Check(); err == nil {
				t.Error("rubbish was taken for a key")
			}
		})
	}
	t.Run("a file more in the folder", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a.yaml"), policyText("p", `"a.example/**"`, one))
		l := open(t, options(dir))
		write(t, filepath.Join(dir, "b.yaml"), "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: p}\nrules:\n  - name: b\n    images: [\"b.example/**\"]\n    require: {signatures: {from: [s0]}}\n")
		if err := l.Check(); err != nil || l.State().Loaded != 2 {
			t.Errorf("%v %+v", err, l.State())
		}
	})
}

// volume mimics how the kubelet mounts a ConfigMap: files are links through ..data,
// which is swapped in one step.
type volume struct {
	t   *testing.T
	dir string
	n   int
}

func (v *volume) set(files map[string]string) {
	v.t.Helper()
	v.n++
	real := fmt.Sprintf("..2026_06_01_12_00_%02d.000000001", v.n)
	for name, text := range files {
		write(v.t, filepath.Join(v.dir, real, name), text)
		link := filepath.Join(v.dir, name)
		if _, err := os.Lstat(link); err != nil {
			if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
				v.t.Fatal(err)
			}
		}
	}
	old, _ := os.Readlink(filepath.Join(v.dir, "..data"))
	if err := os.Symlink(real, filepath.Join(v.dir, "..data_tmp")); err != nil {
		v.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")); err != nil {
		v.t.Fatal(err)
	}
	if old != "" {
		if err := os.RemoveAll(filepath.Join(v.dir, old)); err != nil {
			v.t.Fatal(err)
		}
	}
}

// TestSymlinkSwap: a mounted volume is read whole and its swap is noticed, as a file and
// as a folder.
func TestSymlinkSwap(t *testing.T) {
	t.Parallel()
	one, two := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")
	text := policyText("p", `"**"`, one)
	text = text[:strings.Index(text, "      - pem:")] + "      - file: ops.pub\n" + text[strings.Index(text, "rules:"):]
	for _, kind := range []string{"file", "folder", "namespaces"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := &volume{t: t, dir: t.TempDir()}
			files := map[string]string{"policy.yaml": text, "ops.pub": string(one.Trusted.PEM())}
			o := options(filepath.Join(v.dir, "policy.yaml"))
			switch kind {
			case "folder":
				o.Policy = v.dir
			case "namespaces":
				o.Policy = filepath.Join(t.TempDir(), "policy.yaml")
				write(t, o.Policy, policyText("cluster", `"**"`, one))
				o.Namespaces = v.dir
				files = map[string]string{"team-a.yaml": policyText("a", `"**"`, one)}
			}
			v.set(files)
			l := open(t, o)
			before := l.Current().Names("team-a")
			v.set(files) // the same content under another link
			if err := l.Check(); err != nil || l.State().Loaded != 1 {
				t.Fatalf("the same content made a load: %v %+v", err, l.State())
			}
			if kind == "namespaces" {
				files["team-a.yaml"] = policyText("a", `"**"`, two)
			} else {
				files["ops.pub"] = string(two.Trusted.PEM())
			}
			v.set(files)
			if err := l.Check(); err != nil || l.Current().Names("team-a") == before {
				t.Errorf("the swap was not noticed: %v", err)
			}
		})
	}
}

// TestSwapsWhileLoading: a swap in the middle of a load is neither a mixture of two
// volumes nor a refusal.
func TestSwapsWhileLoading(t *testing.T) {
	t.Parallel()
	one, two := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")
	v := &volume{t: t, dir: t.TempDir()}
	// Each volume's policy pins its own key: a mixture is no valid policy of either.
	text := func(name string) string {
		text := policyText(name, `"**"`, one)
		return text[:strings.Index(text, "      - pem:")] + "      - file: ops.pub\n" + text[strings.Index(text, "rules:"):]
	}
	volumes := []map[string]string{
		{"policy.yaml": text("one"), "ops.pub": string(one.Trusted.PEM())}, {"policy.yaml": text("two"), "ops.pub": string(two.Trusted.PEM())},
	}
	v.set(volumes[0])
	l := open(t, options(v.dir))
	good := map[string]bool{l.Current().Names(""): true}
	v.set(volumes[1])
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	good[l.Current().Names("")] = true
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := range 100 {
			v.set(volumes[i%2])
			// Slow enough that a busy machine ends one of a few loads between two swaps.
			time.Sleep(20 * time.Millisecond)
		}
	}()
	for done := false; !done; {
		select {
		case <-swapped:
			done = true
		default:
		}
		if err := l.Reload(); err != nil {
			t.Errorf("refused: %v", err)
		}
		if !good[l.Current().Names("")] {
			t.Errorf("a mixture is in force: %s", l.Current().Policy().YAML())
		}
	}
}

// TestNamespaces: a namespace policy tightens, and nothing in it loosens.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	cluster, own := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")
	push := func(tag string, keys ...*verifytest.Key) string {
		image := reg.PushImage("team/app", tag, map[string]string{"app": tag})
		for _, key := range keys {
			reg.Attach(image.Repository, image.Descriptor, registrytest.Artifact{
				Type: verifytest.BundleMediaType, Content: key.Signature(t, image.Digest).Raw,
				Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
			})
		}
		return fmt.Sprintf("%s/%s:%s", reg.Host(), image.Repository, tag)
	}
	dir := t.TempDir()
	o := options(filepath.Join(dir, "policy.yaml"))
	o.Namespaces = filepath.Join(dir, "namespaces")
	write(t, o.Policy, policyText("cluster", `"**"`, cluster))
	write(t, filepath.Join(o.Namespaces, "strict.yaml"), policyText("strict", `"**"`, own))
	warns := strings.Replace(policyText("loose", `"other.example/**"`, own), "signers:", "unmatched: warn\nsigners:", 1)
	write(t, filepath.Join(o.Namespaces, "loose.yaml"), warns)
	l := open(t, o)
	s := l.Current()
	byCluster, byOwn, byBoth, byNone := push("c", cluster), push("o", own), push("b", cluster, own), push("n")
	for _, test := range []struct {
		namespace, image string
		verdict          policy.Verdict
		reason           verify.Reason
	}{
		{"other", byCluster, policy.Allow, ""},
		{"other", byOwn, policy.Deny, verify.ReasonKeyMismatch},
		{"strict", byCluster, policy.Deny, verify.ReasonKeyMismatch},
		{"strict", byOwn, policy.Deny, verify.ReasonKeyMismatch},
		{"strict", byBoth, policy.Allow, ""},
		{"strict", byNone, policy.Deny, policy.ReasonNoSignature},
		{"loose", byNone, policy.Deny, policy.ReasonNoSignature},
		{"loose", byCluster, policy.Allow, ""},
		{"", byCluster, policy.Allow, ""},
	} {
		image := s.Judge(t.Context(), live.Asking{Namespace: test.namespace}, []gate.Target{s.Target(test.image)})[0]
		if image.Verdict != test.verdict || image.Reason != test.reason {
			t.Errorf("%s in %q: %s %s, want %s %s", test.image, test.namespace, image.Verdict, image.Reason, test.verdict, test.reason)
		}
		if image.Image != test.image {
			t.Errorf("the answer is for %q", image.Image)
		}
	}
	if got := strings.Join(s.Namespaces(), " "); got != "loose strict" {
		t.Errorf("namespaces %q", got)
	}
}

// TestNamespaceWorse: a registry that fails in between never turns a denial of the
// namespace's policy into "could not check", or the other way around into an allowance.
func TestNamespaceWorse(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	key, other := verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")
	image := reg.PushImage("team/app", "1", map[string]string{"app": "x"})
	dir := t.TempDir()
	o := options(filepath.Join(dir, "policy.yaml"))
	o.Namespaces = filepath.Join(dir, "ns")
	// The cluster's rule allows by its dates; the namespace's needs the registry.
	write(t, o.Policy, strings.Replace(policyText("cluster", `"other.example/**"`, key), "signers:", "unmatched: warn\nsigners:", 1))
	write(t, filepath.Join(o.Namespaces, "a.yaml"), policyText("own", `"**"`, other))
	l := open(t, o)
	reg.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(503))
	s := l.Current()
	got := s.Judge(t.Context(), live.Asking{Namespace: "a"}, []gate.Target{s.Target(fmt.Sprintf("%s/%s@%s", reg.Host(), image.Repository, image.Digest))})[0]
	if got.Verdict != policy.Undetermined {
		t.Errorf("%s %s", got.Verdict, got.Reason)
	}
}

// TestBadFolders: what is no namespace policy is an error, and so is a namespace policy
// that cannot be read: nothing is passed over.
func TestBadFolders(t *testing.T) {
	t.Parallel()
	key := verifytest.NewKey(t, "ecdsa-p256")
	for name, file := range map[string]string{
		"another ending": "team-a.yml", "upper case": "Team-A.yaml", "no label": "team_a.yaml", "hidden": ".team-a.yaml", "rubbish": "team-a.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := options(filepath.Join(dir, "policy.yaml"))
			o.Namespaces = filepath.Join(dir, "ns")
			write(t, o.Policy, policyText("p", `"**"`, key))
			text := policyText("p", `"**"`, key)
			if name == "rubbish" {
				text = "rubbish"
			}
			write(t, filepath.Join(o.Namespaces, file), text)
			if _, err := live.Open(o); err == nil {
				t.Error("it was passed over")
			}
		})
	}
}

const publicGood = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: p}
trustRoots:
  public: {sigstore: public-good}
signers:
  ci:
    keyless: {trustRoot: public, issuer: https://issuer.example, subject: {uri: https://example.com/ci}}
rules:
  - name: all
    images: ["**"]
    require: {signatures: {from: [ci]}}
`

// TestNoTrustState: without a state, a policy for the public instance is refused.
func TestNoTrustState(t *testing.T) {
	t.Parallel()
	o := options(filepath.Join(t.TempDir(), "policy.yaml"))
	write(t, o.Policy, publicGood)
	for _, where := range []string{"", t.TempDir()} {
		o.TrustDir = where
		if _, err := live.Open(o); err == nil || !strings.Contains(err.Error(), "trust state") && !strings.Contains(err.Error(), "trust init") {
			t.Errorf("in %q: %v", where, err)
		}
	}
}

// TestTrustStateAge: a state that becomes too old while the server runs allows nothing
// more, a newer one is taken up, and one that is too old is refused.
func TestTrustStateAge(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", map[string]string{"app": "x"})
	now := in.Now
	o := options(filepath.Join(t.TempDir(), "policy.yaml"))
	o.TrustDir, o.Now = t.TempDir(), func() time.Time { return now }
	write(t, o.Policy, publicGood)
	state := func(fetched time.Time) {
		raw, err := json.Marshal(map[string]any{
			"version": 1, "mirror": "https://tuf.example", "anchor": "sha256:" + strings.Repeat("0", 64), "fetched": fetched, "expires": fetched.Add(24 * time.Hour),
			"rootVersion": 1, "timestampVersion": 1, "metadata": map[string][]byte{}, "trustedRoot": in.TrustedRoot(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(o.TrustDir, "state.json"), string(raw))
	}
	state(now)
	l := open(t, o)
	judge := func() verify.Reason {
		s := l.Current()
		got := s.Judge(t.Context(), live.Asking{}, []gate.Target{s.Target(fmt.Sprintf("%s/%s@%s", reg.Host(), image.Repository, image.Digest))})[0]
		if got.Verdict == policy.Allow {
			t.Error("allowed")
		}
		return got.Reason
	}
	if reason := judge(); reason != policy.ReasonNoSignature {
		t.Errorf("fresh: %s", reason)
	}
	now = now.Add(live.DefaultTrustAge + time.Hour)
	if reason := judge(); reason != verify.ReasonTrustRootExpired {
		t.Errorf("too old: %s", reason)
	}
	if err := l.Reload(); err == nil {
		t.Error("a state that is too old was loaded")
	}
	state(now)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	if reason := judge(); reason != policy.ReasonNoSignature {
		t.Errorf("fresh again: %s", reason)
	}
	r := report.New(l.Current().Policy(), now)
	l.Current().SetAge(r)
	if !r.TrustRoots[0].Fetched.Equal(now) {
		t.Errorf("the report says %s", r.TrustRoots[0].Fetched)
	}
}

// TestNamespaceDeniesByName: AD-11: what the namespace policy denies by name alone is
// denied also while the registry does not answer, which a server may be told to let pass.
func TestNamespaceDeniesByName(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	key := verifytest.NewKey(t, "ecdsa-p256")
	image := reg.PushImage("team/app", "1", map[string]string{"app": "1"})
	reg.Inject(registrytest.Match{}, registrytest.Status(503))
	dir := t.TempDir()
	o := options(filepath.Join(dir, "policy.yaml"))
	o.Namespaces = filepath.Join(dir, "namespaces")
	write(t, o.Policy, policyText("cluster", `"**"`, key))
	write(t, filepath.Join(o.Namespaces, "strict.yaml"), policyText("strict", `"other.example/**"`, key))
	write(t, filepath.Join(o.Namespaces, "lax.yaml"), policyText("lax", `"**"`, key))
	s := open(t, o).Current()
	for _, ref := range []string{image.TagRef(), image.Ref()} {
		for namespace, want := range map[string]verify.Reason{"": policy.ReasonUnreachable, "lax": policy.ReasonUnreachable, "strict": policy.ReasonNoMatch} {
			got := s.Judge(t.Context(), live.Asking{Namespace: namespace}, []gate.Target{s.Target(ref)})[0]
			if got.Reason != want || (got.Verdict == policy.Deny) != (namespace == "strict") {
				t.Errorf("AD-11 %s in %q: %s %s", ref, namespace, got.Verdict, got.Reason)
			}
		}
	}
}
