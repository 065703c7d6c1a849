package learn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/learn"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

const (
	custom = "https://example.com/t/v1"
	slsa   = "https://slsa.dev/provenance/v1"
	spdx   = "https://spdx.dev/Document"
)

// world is a registry and two keys that the learner is given.
type world struct {
	*registrytest.Registry
	t    *testing.T
	a, b *verifytest.Key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{registrytest.New(t), t, verifytest.NewKey(t, "ecdsa-p256"), verifytest.NewKey(t, "ecdsa-p256")}
}

func (w *world) hang(on registrytest.Pushed, claim string, raw []byte) {
	w.Attach(on.Repository, on.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: raw,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": claim},
	})
}

func (w *world) sign(on registrytest.Pushed, by *verifytest.Key) {
	w.hang(on, verify.SignaturePredicateType, by.Signature(w.t, on.Digest).Raw)
}

func (w *world) attest(on registrytest.Pushed, by *verifytest.Key, uri, body string) {
	w.hang(on, uri, by.Attestation(w.t, on.Digest, uri, body).Raw)
}

func (w *world) options() learn.Options {
	return learn.Options{
		Keys: []learn.Key{{Name: "a", File: "a.pub", Key: w.a.Trusted}, {Name: "b", File: "b.pub", Key: w.b.Trusted}},
		Now:  func() time.Time { return verifytest.Now },
	}
}

// files reads the keys that a proposal names.
func (w *world) files(name string) ([]byte, error) {
	return map[string][]byte{"a.pub": w.a.Trusted.PEM(), "b.pub": w.b.Trusted.PEM()}[name], nil
}

func (w *world) targets(refs ...string) []gate.Target {
	source := record.NewRecorder().Watch(oci.NewClient(oci.Options{}))
	g := gate.New(nil, source, gate.Options{})
	var all []gate.Target
	for _, ref := range refs {
		all = append(all, g.Target(ref))
	}
	return all
}

// propose learns and returns the text and the policy.
func (w *world) propose(o learn.Options, read func(string) ([]byte, error), refs ...string) (string, *policy.Policy) {
	w.t.Helper()
	proposal, err := learn.Propose(w.t.Context(), w.targets(refs...), o)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := policy.Parse("proposal.yaml", proposal.YAML, read)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, proposal.YAML)
	}
	return string(proposal.YAML), p
}

func (w *world) verdict(p *policy.Policy, ref string) string {
	image := gate.New(p, oci.NewClient(oci.Options{}), gate.Options{Now: func() time.Time { return verifytest.Now.AddDate(0, 0, 1) }}).Judge(w.t.Context(), ref)
	return strings.TrimSpace(image.Verdict.String() + " " + string(image.Reason))
}

func provenance(source, ref string) string {
	return fmt.Sprintf(`{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"workflow":{"ref":%q,"repository":%q,"path":".github/workflows/release.yml"}},"resolvedDependencies":[{"uri":"git+%s@%s","digest":{"gitCommit":"0123456789012345678901234567890123456789"}}]},"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"}}}`, ref, source, source, ref)
}

// The proposal demands what the images have in common, allows them, and nothing that
// has less.
func TestProposalIsTight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.PushImage("team/app", "1", map[string]string{"v": "1"}), w.PushImage("team/app", "2", map[string]string{"v": "2"})
	for _, image := range []registrytest.Pushed{one, two} {
		w.sign(image, w.a)
		w.sign(image, w.b)
		w.attest(image, w.a, custom, `{"ok":true}`)
		w.attest(image, w.b, slsa, provenance("https://github.com/acme/app", "refs/heads/main"))
		w.attest(image, w.a, spdx, `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","packages":[{"name":"p","SPDXID":"SPDXRef-p","versionInfo":"1"}]}`)
	}
	text, p := w.propose(w.options(), w.files, one.Ref(), two.TagRef())
	for _, want := range []string{
		"signatures:\n        from: [a, b]\n        atLeast: 2\n", "provenance:\n        from: [b]\n", "source: https://github.com/acme/app\n",
		"ref: refs/heads/main\n", "builder: ['https://github.com/actions/runner/github-hosted']\n", "sbom:\n        from: [a]\n        format: [spdx]\n",
		"- type: https://example.com/t/v1\n          from: [a]\n", "- " + one.Name() + "\n", "unmatched: deny\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, image := range []registrytest.Pushed{one, two} {
		if got := w.verdict(p, image.Ref()); got != "allow" {
			t.Errorf("%s: %s", image.Ref(), got)
		}
	}
	less := w.PushImage("team/app", "3", map[string]string{"v": "3"})
	w.sign(less, w.a)
	other := w.PushImage("team/other", "1", map[string]string{"v": "4"})
	if got := w.verdict(p, less.Ref()); got == "allow" {
		t.Errorf("an image with less: %s", got)
	}
	if got := w.verdict(p, other.Ref()); got != "deny POLICY_NO_MATCH" {
		t.Errorf("another repository: %s", got)
	}
}

// What only some images have is not demanded; repositories that have the same share a
// rule.
func TestWhatImagesHaveInCommon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two, three := w.PushImage("team/one", "1", nil), w.PushImage("team/two", "1", nil), w.PushImage("team/three", "1", nil)
	w.sign(one, w.a)
	w.sign(one, w.b)
	w.sign(two, w.a)
	w.sign(two, w.b)
	w.sign(three, w.b)
	w.attest(three, w.b, custom, `{}`)
	text, _ := w.propose(w.options(), w.files, one.Ref(), two.Ref(), three.Ref())
	if strings.Count(text, "- name: ") != 2 || !strings.Contains(text, one.Name()+"\n      - "+two.Name()+"\n") {
		t.Errorf("not two rules:\n%s", text)
	}
	// Images of one repository with different signers: any of them, once.
	four := w.PushImage("team/one", "2", map[string]string{"v": "2"})
	w.sign(four, w.b)
	text, _ = w.propose(w.options(), w.files, one.Ref(), four.Ref())
	if !strings.Contains(text, "from: [b]\n") || strings.Contains(text, "atLeast") {
		t.Errorf("not what both have:\n%s", text)
	}
}

// With an index, the platforms are demanded if they have what is demanded.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index := w.PushIndex("team/multi", "1", "linux/amd64", "linux/arm64")
	w.sign(index, w.a)
	text, p := w.propose(w.options(), w.files, index.Ref())
	if strings.Contains(text, "platforms") || w.verdict(p, index.Ref()) != "allow" {
		t.Errorf("only the index is signed:\n%s", text)
	}
	raw, _, _ := w.Manifest("team/multi", index.Digest.String())
	var document struct {
		Manifests []registrytest.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	for _, d := range document.Manifests {
		below := index
		below.Descriptor = d
		w.sign(below, w.a)
	}
	text, p = w.propose(w.options(), w.files, index.Ref())
	if !strings.Contains(text, "platforms: all\n") || w.verdict(p, index.Ref()) != "allow" {
		t.Errorf("every platform is signed:\n%s", text)
	}
}

// An identity is proposed with its issuer and its exact subjects, and the trust root
// with its digest.
func TestIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	instance := verifytest.NewInstance(t)
	image := w.PushImage("team/app", "1", nil)
	w.hang(image, verify.SignaturePredicateType, instance.Sign(t, verifytest.Options{
		Image: image.Digest, Statement: verifytest.Statement(t, image.Digest, verify.SignaturePredicateType, `{}`),
	}).Evidence(t).Raw)
	root := instance.TrustedRoot(t)
	o := learn.Options{Root: root, RootFile: "root.json", Now: func() time.Time { return verifytest.Now.AddDate(0, 0, 1) }}
	text, p := w.propose(o, func(string) ([]byte, error) { return root, nil }, image.Ref())
	for _, want := range []string{"sha256: ", "sigstore: root.json\n", "issuer: ", "subject:\n", "trustRoot: root\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := w.verdict(p, image.Ref()); got != "allow" {
		t.Errorf("%s\n%s", got, text)
	}
}

func TestNothingToLearn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bare, stranger := w.PushImage("team/bare", "1", nil), w.PushImage("team/stranger", "1", map[string]string{"v": "1"})
	w.sign(stranger, verifytest.NewKey(t, "ecdsa-p256"))
	for name, test := range map[string]struct {
		o    learn.Options
		refs []string
		want error
	}{
		"no evidence":       {w.options(), []string{bare.Ref()}, learn.ErrNothing},
		"a stranger's":      {w.options(), []string{stranger.Ref()}, learn.ErrNothing},
		"nobody to believe": {learn.Options{Now: time.Now}, []string{bare.Ref()}, learn.ErrNothing},
		"no such image":     {w.options(), []string{w.Host() + "/team/none:1"}, oci.ErrNotFound},
		"no readable image": {w.options(), []string{"UPPER"}, oci.ErrReference},
	} {
		if _, err := learn.Propose(t.Context(), w.targets(test.refs...), test.o); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := learn.Propose(t.Context(), nil, w.options()); err == nil {
		t.Error("no image is no error")
	}
}

// The severity that is accepted is the worst that was found; what no rule can accept
// is said.
func TestScans(t *testing.T) {
	t.Parallel()
	const vuln = "https://cosign.sigstore.dev/attestation/vuln/v1"
	for severity, want := range map[string]string{
		"":           "maxSeverity: none\n",
		"Negligible": "maxSeverity: low\n",
		"Medium":     "maxSeverity: medium\n",
		"High":       "maxSeverity: high\n",
		"Critical":   "- type: " + vuln + "\n",
	} {
		w := newWorld(t)
		image := w.PushImage("team/app", "1", nil)
		matches := ""
		if severity != "" {
			matches = fmt.Sprintf(`{"vulnerability":{"id":"CVE-1","severity":%q},"artifact":{"name":"p","version":"1","purl":"pkg:npm/p@1"}}`, severity)
		}
		w.attest(image, w.a, vuln, `{"invocation":{},"scanner":{"uri":"grype","version":"1","result":{"matches":[`+matches+`]}},"metadata":{}}`)
		text, p := w.propose(w.options(), w.files, image.Ref())
		if !strings.Contains(text, want) || w.verdict(p, image.Ref()) != "allow" {
			t.Errorf("%q: no %q in\n%s", severity, want, text)
		}
	}
}
