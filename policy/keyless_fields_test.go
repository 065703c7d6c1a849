package policy

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify"
)

const (
	actions = "https://token.actions.githubusercontent.com"
	release = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.3"
)

// identities is the example of docs/policy.md.
const identities = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: acme-keyless}
trustRoots:
  public: {sigstore: public-good}
  acme: {sigstore: other.json, log: 2}
  corp: {x509: {roots: corp.pem, intermediates: issuing.pem, timestampRoots: tsa.pem}}
signers:
  release:
    keyless:
      trustRoot: public
      issuer: https://token.actions.githubusercontent.com
      github: {repository: acme/app, workflow: .github/workflows/release.yml, ref: {glob: refs/tags/v*}, runner: github-hosted}
  builders:
    keyless: {trustRoot: acme, issuer: https://gitlab.acme.example, gitlab: {project: acme/app, ref: refs/heads/main}}
  people:
    keyless: {trustRoot: public, issuer: https://accounts.google.com, subject: {email: [release@acme.example, security@acme.example]}}
  ops:
    keys: [{file: keys/ops.pub}]
    keyless: {trustRoot: corp, subject: {dns: signing.ops.acme.example}}
rules:
  - name: production
    images: [registry.acme.example/prod/**]
    require: {signatures: {from: [release, people, ops], atLeast: 2}}
  - name: internal
    images: [registry.acme.example/internal/**]
    require: {signatures: {from: [builders]}}
`

// github is what a certificate of a release of acme/app says, after some changes.
func github(changes ...func(*verify.Certificate)) *verify.Certificate {
	c := &verify.Certificate{Issuer: actions, SAN: release, SANType: "URI", Extensions: map[string]string{
		fulcioClaim + "1": actions, fulcioClaim + "8": actions, fulcioClaim + "2": "push", fulcioClaim + "5": "acme/app", fulcioClaim + "6": tagRef,
		fulcioClaim + "9": release, fulcioClaim + "11": "github-hosted", fulcioClaim + "12": "https://github.com/acme/app", fulcioClaim + "14": tagRef,
		fulcioClaim + "16": "https://github.com/acme", fulcioClaim + "17": "5678", fulcioClaim + "18": release, fulcioClaim + "20": "push", fulcioClaim + "23": "production",
	}}
	for _, change := range changes {
		change(c)
	}
	return c
}

// say sets one Fulcio claim.
func say(number, value string) func(*verify.Certificate) {
	return func(c *verify.Certificate) {
		c.Extensions = maps.Clone(c.Extensions)
		c.Extensions[fulcioClaim+number] = value
	}
}

// name sets the subject.
func name(kind, san string) func(*verify.Certificate) {
	return func(c *verify.Certificate) { c.SANType, c.SAN = kind, san }
}

func issuer(text string) func(*verify.Certificate) {
	return func(c *verify.Certificate) { c.Issuer = text }
}

func gitlab(changes ...func(*verify.Certificate)) *verify.Certificate {
	c := &verify.Certificate{
		Issuer: "https://gitlab.acme.example", SANType: "URI", SAN: "https://gitlab.acme.example/acme/app//.gitlab-ci.yml@refs/heads/main",
		Extensions: map[string]string{
			fulcioClaim + "11": "self-hosted", fulcioClaim + "12": "https://gitlab.acme.example/acme/app", fulcioClaim + "14": "refs/heads/main",
			fulcioClaim + "20": "push", fulcioClaim + "23": "production",
		},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

// keyless is a policy in which only the signer "it" signs.
func keyless(identity string) string {
	return `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
trustRoots:
  public: {sigstore: root.json}
  other: {sigstore: other.json}
  corp: {x509: {roots: corp.pem, intermediates: issuing.pem, timestampRoots: tsa.pem}}
signers:
  it:
    keyless: ` + identity + `
rules:
  - {name: one, images: [registry.acme.example/**], require: {signatures: {from: [it]}}}
`
}

// certified is a signature by a certificate that the named root of p has proved.
func certified(t testing.TB, p *Policy, root string, c *verify.Certificate) verify.Fact {
	t.Helper()
	proven := *c
	for _, anchor := range p.TrustRoots() {
		if anchor.Name == root {
			proven.Root = anchor.Root.Digest()
		}
	}
	if proven.Root.IsZero() {
		t.Fatalf("there is no root %q", root)
	}
	return verify.Fact{Subject: subject(), Kind: verify.KindSignature, Signer: verify.Signer{KeyID: "sha256:00", Certificate: &proven}, Origin: origin(len(c.SAN))}
}

// times says when a fact was signed.
func times(f verify.Fact, texts ...string) verify.Fact {
	for _, text := range texts {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		f.Times = append(f.Times, verify.TrustedTime{Time: at, Source: "tsa"})
	}
	return f
}

// revoking is the policy of an identity that revokes something else.
func revoking(entry string) string { return keyless(mail) + "revoked:\n  - " + entry + "\n" }

type keylessCase struct {
	identity, from, to string
	certificate        *verify.Certificate
	revoked            string // entry under revoked
	root               string // "" is public
	refused            bool
}

const (
	full3 = "{trustRoot: public, issuer: " + actions + ", github: {repository: acme/app, owner: acme, ownerID: '5678', workflow: .github/workflows/release.yml, ref: {glob: refs/tags/v*}, event: push, runner: github-hosted, environment: production}}"
	lab   = "{trustRoot: public, issuer: https://gitlab.acme.example, gitlab: {project: acme/app, ref: refs/heads/main, pipelineSource: push, environment: production, runner: self-hosted}}"
	kite  = "{trustRoot: public, issuer: https://agent.buildkite.com, buildkite: {organization: acme, pipeline: release}}"
	mail  = "{trustRoot: public, issuer: https://accounts.google.com, subject: {email: [release@acme.example]}}"
	host  = "{trustRoot: corp, subject: {dns: build.acme.example}}"
	byURI = "{trustRoot: public, issuer: " + actions + ", subject: {uri: '" + release + "'}, extensions: {'1.3.6.1.4.1.57264.1.20': push}}"
)

// keylessCases are the fields of keyless signers and of trust roots; each change
// alone turns Allow into Deny, or the policy is refused.
var keylessCases = func() map[string]keylessCase {
	build := &verify.Certificate{Issuer: "https://agent.buildkite.com", SANType: "URI", SAN: "https://buildkite.com/acme/release"}
	person := &verify.Certificate{Issuer: "https://accounts.google.com", SANType: "Email", SAN: "release@acme.example"}
	machine := &verify.Certificate{SANType: "DNS", SAN: "build.acme.example"}
	signer, x509 := "signers[].keyless", "trustRoots[].x509"
	return map[string]keylessCase{
		"trustRoots[]":                     {identity: full3, from: "public: {sigstore: root.json}", to: "public: {sigstore: other.json}", certificate: github()},
		"trustRoots[].sigstore":            {identity: full3, from: "public: {sigstore: root.json}", to: "public: {sigstore: other.json}", certificate: github()},
		"trustRoots[].sha256":              {identity: full3, from: "root.json}", to: "root.json, sha256: " + strings.Repeat("00", 32) + "}", certificate: github(), refused: true},
		"trustRoots[].log":                 {identity: full3, from: "root.json}", to: "root.json}\n  again: {sigstore: root.json, log: 2}", certificate: github(), refused: true},
		"trustRoots[].timestamps":          {identity: full3, from: "root.json}", to: "root.json, timestamps: 0}", certificate: github(), refused: true},
		"trustRoots[].sct":                 {identity: full3, from: "root.json}", to: "root.json}\n  again: {sigstore: root.json, sct: 2}", certificate: github(), refused: true},
		"revoked[]":                        {identity: mail, revoked: "{subject: other@acme.example, reason: left}", from: "subject: other@", to: "subject: release@", certificate: person},
		"revoked[].digest":                 {identity: mail, revoked: "{digest: 'sha256:" + strings.Repeat("11", 32) + "', reason: leaked}", from: "sha256:" + strings.Repeat("11", 32), to: imageDigest.String(), certificate: person},
		"revoked[].key":                    {identity: mail, revoked: "{key: 'sha256:" + strings.Repeat("11", 32) + "', reason: left}", from: strings.Repeat("11", 32), to: strings.Repeat("00", 32), certificate: person},
		"revoked[].subject":                {identity: mail, revoked: "{issuer: https://accounts.google.com, subject: other@acme.example, reason: left}", from: "subject: other@acme.example, ", to: "", certificate: person},
		"revoked[].issuer":                 {identity: mail, revoked: "{issuer: https://accounts.google.com/, subject: release@acme.example, reason: left}", from: "issuer: https://accounts.google.com/, ", to: "", certificate: person},
		"revoked[].since":                  {identity: mail, revoked: "{subject: release@acme.example, since: 2026-03-01, reason: left}", from: "since: 2026-03-01", to: "since: 2026-02-01", certificate: person},
		"revoked[].reason":                 {identity: mail, revoked: "{subject: other@acme.example, reason: left}", from: ", reason: left", to: "", certificate: person, refused: true},
		x509:                               {identity: host, from: "corp: {x509", to: "corp: {sigstore: root.json, x509", root: "corp", certificate: machine, refused: true},
		x509 + ".roots":                    {identity: host, from: "roots: corp.pem", to: "roots: corp2.pem", root: "corp", certificate: machine},
		x509 + ".intermediates":            {identity: host, from: "intermediates: issuing.pem", to: "intermediates: corp2.pem", root: "corp", certificate: machine},
		x509 + ".crl":                      {identity: host, from: "timestampRoots", to: "crl: corp.pem, timestampRoots", root: "corp", certificate: machine, refused: true},
		x509 + ".timestampRoots":           {identity: host, from: "tsa.pem", to: "tsa2.pem", root: "corp", certificate: machine},
		signer:                             {identity: full3, from: "release.yml", to: "other.yml", certificate: github()},
		signer + ".trustRoot":              {identity: full3, from: "trustRoot: public", to: "trustRoot: other", certificate: github()},
		signer + ".issuer":                 {identity: full3, from: "issuer: " + actions, to: "issuer: " + actions + "/", certificate: github()},
		signer + ".subject":                {identity: mail, from: "release@", to: "security@", certificate: person},
		signer + ".subject.uri":            {identity: byURI, from: "v1.2.3", to: "v1.2.4", certificate: github()},
		signer + ".subject.email":          {identity: mail, from: "release@", to: "Release@", certificate: person},
		signer + ".subject.dns":            {identity: host, from: "build.acme", to: "test.acme", root: "corp", certificate: machine},
		signer + ".github":                 {identity: full3, from: "5678", to: "5679", certificate: github()},
		signer + ".github.repository":      {identity: full3, from: "repository: acme/app", to: "repository: acme/app2", certificate: github()},
		signer + ".github.owner":           {identity: full3, from: "owner: acme", to: "owner: acne", certificate: github()},
		signer + ".github.ownerID":         {identity: full3, from: "5678", to: "56789", certificate: github()},
		signer + ".github.workflow":        {identity: full3, from: "release.yml", to: "test.yml", certificate: github()},
		signer + ".github.ref":             {identity: full3, from: "refs/tags/v*", to: "refs/heads/v*", certificate: github()},
		signer + ".github.event":           {identity: full3, from: "event: push", to: "event: pull_request", certificate: github()},
		signer + ".github.runner":          {identity: full3, from: "runner: github-hosted", to: "runner: self-hosted", certificate: github()},
		signer + ".github.environment":     {identity: full3, from: "environment: production", to: "environment: staging", certificate: github()},
		signer + ".gitlab":                 {identity: lab, from: "refs/heads/main", to: "refs/heads/dev", certificate: gitlab()},
		signer + ".gitlab.project":         {identity: lab, from: "acme/app", to: "acme/app/sub", certificate: gitlab()},
		signer + ".gitlab.ref":             {identity: lab, from: "refs/heads/main", to: "refs/tags/main", certificate: gitlab()},
		signer + ".gitlab.pipelineSource":  {identity: lab, from: "pipelineSource: push", to: "pipelineSource: web", certificate: gitlab()},
		signer + ".gitlab.environment":     {identity: lab, from: "environment: production", to: "environment: staging", certificate: gitlab()},
		signer + ".gitlab.runner":          {identity: lab, from: "runner: self-hosted", to: "runner: gitlab-hosted", certificate: gitlab()},
		signer + ".buildkite":              {identity: kite, from: "pipeline: release", to: "pipeline: test", certificate: build},
		signer + ".buildkite.organization": {identity: kite, from: "organization: acme", to: "organization: acne", certificate: build},
		signer + ".buildkite.pipeline":     {identity: kite, from: "pipeline: release", to: "pipeline: release2", certificate: build},
		signer + ".extensions":             {identity: byURI, from: "57264.1.20': push", to: "57264.1.20': schedule", certificate: github()},
		signer + ".insecureAnyone":         {identity: "{trustRoot: public, issuer: " + actions + ", insecureAnyone: true}", from: ", insecureAnyone: true", to: "", certificate: github(), refused: true},
	}
}()

// TestDocumentedIdentities: the example is a policy, and its canonical form is the
// same one.
func TestDocumentedIdentities(t *testing.T) {
	t.Parallel()
	p := parse(t, identities)
	again, err := Parse("again", p.YAML(), nil)
	if err != nil || again.Digest() != p.Digest() {
		t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
	}
	person := &verify.Certificate{Issuer: "https://accounts.google.com", SANType: "Email", SAN: "security@acme.example"}
	expect(t, p.Decide(found(certified(t, p, "public", github()), certified(t, p, "public", person)), noon), Allow, "")
	expect(t, p.Decide(found(certified(t, p, "public", github()), certified(t, p, "public", github())), noon), Deny, verify.ReasonThreshold)
	internal := found(certified(t, p, "acme", gitlab()))
	internal.Name = "registry.acme.example/internal/tool"
	expect(t, p.Decide(internal, noon), Allow, "")
}

// TestEveryKeylessFieldHasAnEffect: PO-10, CI-26 for keyless signers.
func TestEveryKeylessFieldHasAnEffect(t *testing.T) {
	t.Parallel()
	for path, c := range keylessCases {
		t.Run("PO-10 "+path, func(t *testing.T) {
			t.Parallel()
			root := c.root
			if root == "" {
				root = "public"
			}
			text := keyless(c.identity)
			if c.revoked != "" {
				text += "revoked:\n  - " + c.revoked + "\n"
			}
			before := parse(t, text)
			f := times(certified(t, before, root, c.certificate), "2026-02-15T00:00:00Z")
			f.Signer.KeyID = "sha256:" + strings.Repeat("00", 32)
			img := found(f)
			expect(t, before.Decide(img, noon), Allow, "")
			p, err := Parse("policy.yaml", []byte(replaceOnce(t, text, c.from, c.to)), keyFiles(t))
			if c.refused {
				if err == nil {
					t.Error("the changed policy is accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := p.Decide(img, noon); d.Verdict != Deny {
				t.Errorf("the field alone does not turn allow into deny: %+v", d)
			}
		})
	}
}
