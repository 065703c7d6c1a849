package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/airgap"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// airgapped is a sealed file with a signed index of a registry that is gone.
type airgapped struct {
	image          registrytest.Pushed
	file           string
	policy         string // by the key that signed
	strangerPolicy string
	index          airgap.Index
}

// keyPolicyFile writes a policy that wants a signature by a key.
func keyPolicyFile(t *testing.T, public string) string {
	t.Helper()
	p, err := cli.KeyPolicy([]string{public})
	if err != nil {
		t.Fatal(err)
	}
	return newFile(t, "policy.yaml", string(p.YAML()))
}

func newAirgapped(t *testing.T, flags ...string) airgapped {
	t.Helper()
	reg := registrytest.New(t)
	w := airgapped{image: reg.PushIndex("team/app", "1.2", "linux/amd64", "linux/arm64"), file: filepath.Join(t.TempDir(), "sealed.tar")}
	private, public := newKeyPair(t, keys.ECDSAP256)
	_, stranger := newKeyPair(t, keys.ECDSAP256)
	w.policy, w.strangerPolicy = keyPolicyFile(t, public), keyPolicyFile(t, stranger)
	for _, format := range []string{formatBundle, formatLegacy} {
		if got := runVerb(t.Context(), nil, "sign", "--key", private, "--recursive", "--format", format, w.image.TagRef()); got.code != 0 {
			t.Fatal(got.stderr)
		}
	}
	got := runVerb(t.Context(), nil, append([]string{"bundle", "save", w.image.TagRef(), "--policy", w.policy, "--out", w.file, "--output", "json", "--offline"}, flags...)...)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	if err := json.Unmarshal([]byte(got.stdout), &w.index); err != nil {
		t.Fatal(err)
	}
	reg.Close()
	return w
}

func TestBundleVerify(t *testing.T) {
	t.Parallel()
	w := newAirgapped(t)
	if w.index.Schema != airgap.Schema || len(w.index.Images) != 1 || w.index.Images[0].Verdict != policy.Allow {
		t.Errorf("%+v", w.index)
	}
	digest := w.index.Policy.Digest.String()
	other := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		code  int
		args  []string
		words []string
	}{
		"all of it":             {0, nil, []string{"ALLOW", digest, w.image.Digest.String(), "without an end"}},
		"by tag":                {0, []string{w.image.TagRef()}, []string{w.image.Digest.String()}},
		"by digest":             {0, []string{w.image.Ref()}, nil},
		"a platform":            {0, []string{"--platform", "linux/arm64"}, []string{w.image.Children[1].Digest.String()}},
		"by the digest of it":   {0, []string{"--policy-digest", digest}, nil},
		"by one's own policy":   {0, []string{"--policy", w.policy}, nil},
		"by a stranger's":       {1, []string{"--policy", w.strangerPolicy}, []string{"KEY_MISMATCH", "the one in the file is another"}},
		"another policy digest": {2, []string{"--policy-digest", "sha256:" + other}, []string{digest, "do not trust"}},
		"no digest":             {64, []string{"--policy-digest", "abc"}, []string{"--policy-digest"}},
		"no such image":         {2, []string{w.image.Name() + ":9"}, []string{"not in the sealed file"}},
		"CL-02 one of two":      {2, []string{w.image.TagRef(), "registry.example/other:1"}, []string{"ALLOW", "not in the sealed file"}},
		"CL-02 the other way":   {2, []string{"registry.example/other:1", w.image.TagRef()}, []string{"ALLOW"}},
		"no such platform":      {1, []string{"--platform", "linux/s390x"}, nil},
		"a bad name":            {2, []string{"UPPER/case"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runVerb(t.Context(), nil, append([]string{"verify", "--bundle-file", w.file}, test.args...)...)
			if got.code != test.code || !contains(got.stdout+got.stderr, test.words...) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, test.code, test.words, got.stdout, got.stderr)
			}
		})
	}
}

// TestBundleShowsWhatWasWeakened: CL-08.
func TestBundleShowsWhatWasWeakened(t *testing.T) {
	t.Parallel()
	w := newAirgapped(t)
	root := newFile(t, "root.json", string(verifytest.NewInstance(t).TrustedRoot(t)))
	got := runVerb(t.Context(), nil, "verify", "--bundle-file", w.file, "--output", "json", "--trusted-root", root, "--insecure-ignore-tlog",
		"--certificate-identity", verifytest.DefaultURI, "--certificate-oidc-issuer", verifytest.DefaultIssuer)
	var r report.Report
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.code != 1 || len(r.Insecure) != 1 || r.Insecure[0] != "--insecure-ignore-tlog" {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestBundleLoad(t *testing.T) {
	t.Parallel()
	w := newAirgapped(t)
	for _, api := range []bool{true, false} {
		to := registrytest.New(t, registrytest.WithReferrers(api))
		got := runVerb(t.Context(), nil, "bundle", "load", w.file, to.Host()+"/mirror", "--policy", w.policy, "--offline")
		if got.code != 0 {
			t.Fatal(got.stderr)
		}
		for _, p := range append(w.image.Children, w.image) {
			raw, _, found := to.Manifest("mirror/team/app", p.Digest.String())
			if !found || string(raw) != string(p.Raw) {
				t.Errorf("%s is not there as it was", p.Digest)
			}
			if got := runVerb(t.Context(), nil, "verify", "--policy", w.policy, to.Host()+"/mirror/team/app@"+p.Digest.String()); got.code != 0 {
				t.Errorf("%s%s", got.stdout, got.stderr)
			}
		}
		if got := to.Tags("mirror/team/app"); !contains(strings.Join(got, " "), "1.2", ".sig") {
			t.Errorf("tags: %q", got)
		}
		to.Reset()
		if got := runVerb(t.Context(), nil, "bundle", "load", w.file, to.Host()+"/mirror"); got.code != 0 || !strings.HasPrefix(got.stdout, "there already") {
			t.Errorf("the second run: %+v", got)
		}
	}
}

func TestBundleRefusals(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	unsigned := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	w, evidence := newAirgapped(t), newAirgapped(t, "--evidence-only")
	out := filepath.Join(t.TempDir(), "out.tar")
	damaged := newFile(t, "damaged.tar", "no tar")
	for name, test := range map[string]struct {
		code  int
		args  []string
		words []string
	}{
		"an unsigned image":        {1, []string{"save", unsigned.TagRef(), "--policy", w.policy, "-o", out}, []string{"nothing was sealed", "--allow-denied"}},
		"an image that is gone":    {2, []string{"save", w.image.TagRef(), "--policy", w.policy, "-o", out, "--allow-denied"}, []string{"could not be judged"}},
		"no policy":                {64, []string{"save", unsigned.TagRef(), "-o", out}, []string{"--policy"}},
		"no file":                  {64, []string{"save", unsigned.TagRef(), "--policy", w.policy}, []string{"--out"}},
		"a folder":                 {64, []string{"save", "oci-dir:build", "--policy", w.policy, "-o", out}, []string{"in no registry"}},
		"no image":                 {64, []string{"save", "--policy", w.policy, "-o", out}, nil},
		"a stranger's policy":      {1, []string{"load", w.file, reg.Host(), "--policy", w.strangerPolicy}, []string{"nothing was loaded", "KEY_MISMATCH"}},
		"evidence without images":  {1, []string{"load", evidence.file, reg.Host() + "/new"}, []string{"evidence only"}},
		"a damaged file":           {2, []string{"load", damaged, reg.Host()}, []string{"damaged.tar"}},
		"a file that is not there": {2, []string{"load", "nowhere.tar", reg.Host()}, []string{"nowhere.tar"}},
		"no registry":              {64, []string{"load", w.file, "mirror"}, []string{"no registry"}},
		"nothing may be asked":     {2, []string{"load", w.file, reg.Host(), "--offline=all"}, []string{"--offline=all"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runVerb(t.Context(), nil, append([]string{"bundle"}, test.args...)...)
			if got.code != test.code || !contains(got.stderr, test.words...) || strings.Count(got.stderr, "hallmark: error: ") != 1 {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, test.code, test.words, got.stdout, got.stderr)
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		})
	}
	denied := filepath.Join(t.TempDir(), "denied.tar")
	got := runVerb(t.Context(), nil, "bundle", "save", unsigned.TagRef(), "--policy", w.policy, "-o", denied, "--allow-denied")
	if got.code != 0 || !contains(got.stdout, "deny", w.index.Policy.Digest.String()) {
		t.Errorf("--allow-denied: %+v", got)
	}
	if got := runVerb(t.Context(), nil, "verify", "--bundle-file", denied); got.code != 1 {
		t.Errorf("a denied image that was sealed: %+v", got)
	}
}

// TestBundleCutShort: a file is there whole or not at all.
func TestBundleCutShort(t *testing.T) {
	t.Parallel()
	w := newAirgapped(t)
	reg := registrytest.New(t)
	if got := runVerb(t.Context(), nil, "bundle", "load", w.file, reg.Host()); got.code != 0 {
		t.Fatal(got.stderr)
	}
	reg.Inject(registrytest.Match{Method: "GET", Class: registrytest.Blob, After: 1}, registrytest.CutBody(3))
	dir := t.TempDir()
	path := filepath.Join(dir, "sealed.tar")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runVerb(t.Context(), nil, "bundle", "save", reg.Host()+"/team/app:1.2", "--policy", w.policy, "-o", path)
	if got.code == 0 {
		t.Errorf("%+v", got)
	}
	left, err := os.ReadDir(dir)
	if content, readErr := os.ReadFile(path); err != nil || readErr != nil || string(content) != "old" || len(left) != 1 {
		t.Errorf("the folder holds %v; %v %v", left, err, readErr)
	}
}

// TestBundleExpires: TR-02. After its date a file is refused by the policy in it, and
// judged by a newer one.
func TestBundleExpires(t *testing.T) {
	t.Parallel()
	w := newAirgapped(t)
	then := time.Now().Add(-90 * 24 * time.Hour)
	end := then.Add(30 * 24 * time.Hour)
	instance := verifytest.NewInstanceAt(t, then)
	root := instance.TrustedRoot(t, func(root *prototrustroot.TrustedRoot) {
		for _, log := range root.GetTlogs() {
			log.GetPublicKey().ValidFor.End = timestamppb.New(end)
		}
	})
	text := fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: lab}
trustRoots: {lab: {sigstore: root.json}}
signers: {ci: {keyless: {trustRoot: lab, issuer: %q, subject: {uri: %q}}}}
rules: [{name: all, images: ["**"], require: {signatures: {from: [ci]}}}]
`, verifytest.DefaultIssuer, verifytest.DefaultURI)
	p, err := policy.Parse("lab.yaml", []byte(text), func(string) ([]byte, error) { return root, nil })
	if err != nil {
		t.Fatal(err)
	}
	file, err := airgap.Open(t.Context(), w.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ref, err := file.Reference(file.Index.Images[0])
	if err != nil {
		t.Fatal(err)
	}
	whole, err := oci.Collect(t.Context(), file.Layout(), ref, oci.CollectOptions{Suffixes: publish.EvidenceSuffixes()})
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old.tar")
	if _, err := wholefile.Write(old, 0o644, func(out io.Writer) error {
		item := airgap.Item{Reference: ref, Source: file.Layout(), Whole: whole, Judged: &report.Image{Digest: ref.Digest, Decision: policy.Decision{Verdict: policy.Allow}}}
		_, err := airgap.Save(t.Context(), out, []airgap.Item{item}, airgap.Options{Policy: p, Created: then})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	date := end.UTC().Format("2006-01-02")
	got := runVerb(t.Context(), nil, "verify", "--bundle-file", old)
	if got.code != 2 || !contains(got.stdout, "TRUSTROOT_EXPIRED", date, "lab") || !contains(got.stderr, date) {
		t.Errorf("%+v", got)
	}
	reg := registrytest.New(t)
	if got := runVerb(t.Context(), nil, "bundle", "load", old, reg.Host()); got.code != 2 || !contains(got.stderr, "TRUSTROOT_EXPIRED") || len(reg.Requests()) > 0 {
		t.Errorf("%+v", got)
	}
	if got := runVerb(t.Context(), nil, "verify", "--bundle-file", old, "--policy", w.policy); got.code != 0 {
		t.Errorf("by a newer policy: %+v", got)
	}
}
