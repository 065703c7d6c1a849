package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// attack is a certificate that must not count for an identity.
type attack struct {
	identity string
	honest   *verify.Certificate
	// root proved the certificate; "" is public.
	root   string
	change func(*verify.Certificate)
	reason verify.Reason
}

const trusted = "{trustRoot: public, issuer: " + actions

// near are issuers that are nearly GitHub's.
var near = map[string]string{
	"case":            "https://Token.actions.githubusercontent.com",
	"slash":           actions + "/",
	"enterprise path": actions + "/acme",
	"http":            "http://token.actions.githubusercontent.com",
	"user":            "https://github.com@token.actions.githubusercontent.com",
	"longer host":     actions + ".evil.example",
	"other host":      "https://evil.example/" + actions,
	"punycode":        "https://token.actions.xn--githubusercontent-1nb.com",
	"port":            actions + ":443",
	"dot":             "https://token.actions.githubusercontent.com.",
	"space":           actions + " ",
	"none":            "",
}

func attacks() map[string]attack {
	exact := trusted + ", subject: {uri: '" + release + "'}}"
	expression := trusted + `, subject: {uri: {regexp: 'https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+'}}}`
	glob := trusted + ", subject: {uri: {glob: 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v*'}}}"
	workflow := trusted + ", github: {repository: acme/app, workflow: .github/workflows/release.yml, ref: {glob: refs/tags/v*}, event: push}}"
	builder := "https://github.com/acme/builders/.github/workflows/build.yml@refs/tags/v2"
	reusable := trusted + ", github: {repository: acme/app, workflow: acme/builders/.github/workflows/build.yml}}"
	san := func(text string) func(*verify.Certificate) { return name("URI", text) }
	all := map[string]attack{
		"CI-05 the caller of a reusable workflow":          {reusable, github(name("URI", builder)), "", say("12", "https://github.com/evil/app"), verify.ReasonIdentityMismatch},
		"CI-05 the caller says two things":                 {reusable, github(name("URI", builder)), "", say("5", "evil/app"), verify.ReasonIdentityMismatch},
		"CI-05 the caller of a reusable workflow, subject": {exact, github(), "", say("12", "https://github.com/evil/app"), verify.ReasonIdentityMismatch},
		"CI-05 old claims alone": {exact, github(), "", func(c *verify.Certificate) {
			c.Extensions = map[string]string{oidGitHubRepository: "evil/app"}
		}, verify.ReasonIdentityMismatch},
		"CI-05 a workflow of another server":  {workflow, github(), "", say("12", "https://evil.example/acme/app"), verify.ReasonIdentityMismatch},
		"CI-05 no repository":                 {workflow, github(), "", func(c *verify.Certificate) { say("12", "")(c); say("5", "")(c) }, verify.ReasonIdentityMismatch},
		"CI-06 e-mail with the URI's text":    {exact, github(), "", name("Email", release), verify.ReasonIdentityMismatch},
		"CI-06 DNS with the URI's text":       {exact, github(), "", name("DNS", release), verify.ReasonIdentityMismatch},
		"CI-06 otherName with the URI's text": {exact, github(), "", name("Other", release), verify.ReasonIdentityMismatch},
		"CI-06 e-mail under a workflow":       {workflow, github(), "", name("Email", release), verify.ReasonIdentityMismatch},
		"CI-25 another owner of the name": {
			trusted + ", github: {repository: acme/app, ownerID: '5678', ref: refs/tags/v1.2.3}}", github(), "",
			say("17", "9999"), verify.ReasonIdentityMismatch,
		},
		"CI-25 no owner ID": {
			trusted + ", github: {repository: acme/app, ownerID: '5678', ref: refs/tags/v1.2.3}}", github(), "",
			say("17", ""), verify.ReasonIdentityMismatch,
		},
		"CI-04 another workflow":        {workflow, github(), "", san("https://github.com/acme/app/.github/workflows/other.yml@" + tagRef), verify.ReasonIdentityMismatch},
		"CI-04 a branch":                {workflow, github(), "", say("14", "refs/heads/attacker"), verify.ReasonIdentityMismatch},
		"CI-04 a branch, both claims":   {workflow, github(), "", func(c *verify.Certificate) { say("14", "refs/heads/v1")(c); say("6", "refs/heads/v1")(c) }, verify.ReasonIdentityMismatch},
		"CI-04 a pull request":          {workflow, github(), "", func(c *verify.Certificate) { say("14", "refs/pull/1/merge")(c); say("6", "refs/pull/1/merge")(c) }, verify.ReasonIdentityMismatch},
		"CI-04 another trigger":         {workflow, github(), "", func(c *verify.Certificate) { say("20", "workflow_dispatch")(c); say("2", "workflow_dispatch")(c) }, verify.ReasonIdentityMismatch},
		"CI-04 contradicting triggers":  {workflow, github(), "", say("2", "pull_request_target"), verify.ReasonIdentityMismatch},
		"CI-04 another branch, subject": {exact, github(), "", san(strings.Replace(release, tagRef, "refs/heads/attacker", 1)), verify.ReasonIdentityMismatch},
		"an identity of another root":   {exact, github(), "other", func(*verify.Certificate) {}, verify.ReasonIdentityMismatch},
		"CI-08 another issuer":          {exact, github(), "", issuer("https://evil.example"), verify.ReasonIssuerMismatch},
	}
	for name, identity := range map[string]string{"exact": exact, "regexp": expression, "glob": glob} {
		for where, text := range map[string]string{
			"CI-01 prefix":            "https://evil.example/?x=" + release,
			"CI-01 suffix":            release + "/evil",
			"CI-01 middle":            "https://evil.example/" + release + "/evil",
			"CI-01 line above":        "https://evil.example\n" + release,
			"CI-01 line below":        release + "\nhttps://evil.example",
			"CI-02 longer owner":      strings.Replace(release, "/acme/", "/acme-evil/", 1),
			"CI-02 longer repository": strings.Replace(release, "/app/", "/app-evil/", 1),
			"CI-02 other host":        strings.Replace(release, "github.com", "githubXcom", 1),
			"CI-02 longer host":       strings.Replace(release, "github.com", "github.com.evil.example", 1),
			"CI-02 user":              strings.Replace(release, "github.com", "github.com@evil.example", 1),
		} {
			all[where+" "+name] = attack{identity, github(), "", san(text), verify.ReasonIdentityMismatch}
		}
	}
	for where, text := range near {
		all["CI-09 "+where] = attack{workflow, github(), "", issuer(text), verify.ReasonIssuerMismatch}
	}
	return all
}

// TestIdentityAttacks: the honest certificate counts, and its twin, changed in one
// place, does not.
func TestIdentityAttacks(t *testing.T) {
	t.Parallel()
	for name, a := range attacks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, keyless(a.identity))
			expect(t, p.Decide(found(certified(t, p, "public", a.honest)), noon), Allow, "")
			twin := *a.honest
			a.change(&twin)
			root := a.root
			if root == "" {
				root = "public"
			}
			d := p.Decide(found(certified(t, p, root, &twin)), noon)
			expect(t, d, Deny, a.reason)
			if demand := d.Demands[0]; len(demand.Tried) != 1 || !strings.Contains(demand.Tried[0].Detail, "found ") || !strings.Contains(demand.Tried[0].Detail, "wanted ") {
				t.Errorf("the denial does not say what was found and wanted: %+v", demand)
			}
		})
	}
}

// TestWideIdentities: an identity that anybody could have is no identity. With
// `insecureAnyone: true` it is one, and each report says so.
func TestWideIdentities(t *testing.T) {
	t.Parallel()
	uri := func(pattern string) string { return trusted + ", subject: {uri: " + pattern + "}}" }
	for name, row := range map[string]struct{ identity, hint string }{
		"CI-03 issuer alone":                            {trusted + "}", "subject"},
		"CI-03 subject alone":                           {"{trustRoot: public, subject: {uri: '" + release + "'}}", "who vouches"},
		"CI-03 extension alone":                         {trusted + ", extensions: {'1.3.6.1.4.1.57264.1.20': push}}", "subject"},
		"CI-03 repository alone":                        {trusted + ", github: {repository: acme/app}}", "workflow or the ref"},
		"CI-03 ref alone":                               {trusted + ", github: {ref: refs/heads/main}}", "name the repository"},
		"CI-03 owner and its workflow":                  {trusted + ", github: {owner: acme, workflow: .github/workflows/release.yml}}", "name the repository"},
		"CI-03 project alone":                           {trusted + ", gitlab: {project: acme/app}}", "and the ref"},
		"CI-24 everything":                              {uri("{regexp: '.*'}"), "host and the owner"},
		"CI-24 everything in a glob":                    {uri("{glob: '*'}"), "host and the owner"},
		"CI-24 any https":                               {uri("{regexp: 'https://.+'}"), "host and the owner"},
		"CI-24 anybody on GitHub":                       {uri(`{regexp: 'https://github\.com/.*'}`), "host and the owner"},
		"CI-24 anybody, glob":                           {uri("{glob: 'https://github.com/**'}"), "host and the owner"},
		"CI-24 in any case":                             {uri(`{regexp: '(?i)https://github\.com/.*'}`), "host and the owner"},
		"CI-03 owner and its own workflow, in brackets": {trusted + `, github: {owner: acme, workflow: {regexp: '(\.github)/workflows/release\.yml'}}}`, "name the repository"},
		"CI-24 one alternative":                         {uri(`{regexp: 'https://github\.com/acme/.*|.*'}`), "host and the owner"},
		"CI-24 behind an exact text":                    {uri("['" + release + "', {regexp: '.+'}]"), "host and the owner"},
		"CI-24 any issuer":                              {"{trustRoot: public, issuer: {regexp: '.*'}, subject: {uri: '" + release + "'}}", "host"},
		"CI-24 any event":                               {trusted + ", github: {repository: acme/app, ref: refs/heads/main, event: {glob: '*'}}}", "everything"},
		"CI-24 any ref":                                 {trusted + ", github: {repository: acme/app, ref: {regexp: '.*'}}}", "refs/heads/"},
		"CI-24 any mail":                                {"{trustRoot: public, issuer: https://accounts.google.com, subject: {email: {glob: '*@gmail.com'}}}", "one by one"},
		"CI-24 any domain":                              {"{trustRoot: public, issuer: https://accounts.google.com, subject: {email: {regexp: 'release@.*'}}}", "domain"},
		"CI-24 any extension":                           {byURI[:len(byURI)-len("push}}")] + "{regexp: '.+'}}}", "everything"},
		"CI-02 no slash, regexp":                        {uri(`{regexp: 'https://github\.com/acme.*'}`), "slash behind each"},
		"CI-02 no slash, glob":                          {uri("{glob: 'https://github.com/acme*/app/**'}"), "slash behind each"},
		"CI-02 no slash, repository":                    {trusted + ", github: {repository: {glob: 'acme*/app'}, ref: refs/heads/main}}", "slash behind it"},
		"CI-02 dot, regexp":                             {uri(`{regexp: 'https://github.com/acme/app/.*'}`), `https://github\.com/acme/app/.*`},
		"CI-02 dot in a domain":                         {"{trustRoot: public, issuer: https://accounts.google.com, subject: {email: {regexp: '.*@acme.example'}}}", `.*@acme\.example`},
		"CI-02 no dot before the domain":                {"{trustRoot: corp, subject: {dns: {glob: '*acme.example'}}}", "a dot"},
		"CI-02 owner":                                   {trusted + ", github: {owner: {glob: 'acme*'}, workflow: acme/b/.github/workflows/b.yml}}", "without wildcards"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if e := fault(t, keyless(row.identity)); e.Line == 0 || !strings.Contains(e.Hint, row.hint) {
				t.Errorf("%v has no place, or its hint does not say %q", e, row.hint)
			}
			p := parse(t, keyless(row.identity[:len(row.identity)-1]+", insecureAnyone: true}"))
			d := p.Decide(found(certified(t, p, "public", github())), noon)
			if len(d.Warnings) == 0 || !strings.Contains(d.Warnings[0], "insecureAnyone") {
				t.Errorf("CI-24 the decision does not say that anybody may sign: %+v", d)
			}
		})
	}
}

// TestImpossibleIdentities: what cannot be an identity at all is refused, whatever
// else the policy says.
func TestImpossibleIdentities(t *testing.T) {
	t.Parallel()
	exact := func(s string) string { return trusted + ", " + s + "}" }
	for name, identity := range map[string]string{
		"CI-03 empty":                 "{}",
		"CI-03 a list of nobody":      "[{}]",
		"CI-03 no identities":         "[]",
		"CI-03 null":                  "null",
		"CI-03 empty issuer":          "{trustRoot: public, issuer: '', subject: {uri: '" + release + "'}}",
		"CI-03 empty subject":         exact("subject: {}"),
		"CI-03 empty uri":             exact("subject: {uri: ''}"),
		"CI-03 empty list":            exact("subject: {uri: []}"),
		"CI-03 empty glob":            exact("subject: {uri: {glob: ''}}"),
		"CI-03 empty regexp":          exact("subject: {uri: {regexp: ''}}"),
		"CI-03 misspelt field":        exact("subjects: {uri: '" + release + "'}"),
		"CI-03 misspelt regexp":       exact(`subject: {uri: {regex: 'https://github\.com/acme/.*'}}`),
		"CI-03 two kinds":             exact("subject: {uri: {glob: 'https://github.com/acme/*', regexp: x}}"),
		"CI-03 two types":             exact("subject: {uri: '" + release + "', email: a@acme.example}"),
		"CI-19 distinguished name":    exact("subject: {dn: 'CN=#0c03616263,O=acme'}"),
		"CI-19 x509 subject":          exact("x509: {subject: 'CN=build'}"),
		"CI-19 name in the URI":       exact("subject: {uri: 'CN=build,O=acme'}"),
		"CI-01 brackets that close":   exact(`subject: {uri: {regexp: 'https://github\.com/acme/x)|(?:.*'}}`),
		"CI-01 no regexp":             exact("subject: {uri: {regexp: 'https://github.com/acme/['}}"),
		"a star in an exact text":     exact("subject: {uri: 'https://github.com/acme/*'}"),
		"a glob without a star":       exact("subject: {uri: {glob: '" + release + "'}}"),
		"stars across segments":       exact("subject: {uri: {glob: 'https://github.com/acme/**/x'}}"),
		"a short ref":                 exact("github: {repository: acme/app, ref: main}"),
		"no owner":                    exact("github: {repository: app, ref: refs/heads/main}"),
		"an OID of X.509":             exact("subject: {uri: '" + release + "'}, extensions: {'2.5.29.17': x}"),
		"no OID":                      exact("subject: {uri: '" + release + "'}, extensions: {'1.3.x': y}"),
		"a host before the owner":     exact("github: {repository: github.com/acme/app, ref: refs/heads/main}"),
		"a clone address":             exact("github: {repository: 'https://github.com/acme/app.git', ref: refs/heads/main}"),
		"CI-24 two types, insecure":   exact("subject: {uri: '" + release + "', email: a@acme.example}, insecureAnyone: true"),
		"an unknown root":             strings.Replace(exact("subject: {uri: '"+release+"'}"), "public", "publik", 1),
		"CI-24 consent without need":  exact("subject: {uri: '" + release + "'}, insecureAnyone: true"),
		"CI-24 consent that is no":    exact("insecureAnyone: false"),
		"a long text":                 exact("subject: {uri: 'https://github.com/" + strings.Repeat("a", 1100) + "'}"),
		"CI-23 neither keys nor name": "{trustRoot: public}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if e := fault(t, keyless(identity)); e.Line == 0 {
				t.Errorf("no place in %v", e)
			}
		})
	}
	e := fault(t, strings.Replace(keyless(full3), "keyless: "+full3, "{}", 1))
	if !errors.Is(e, ErrEmpty) {
		t.Errorf("a signer without keys and identity: %v", e)
	}
}

// TestNeverSkipped: CI-26, each demand on an identity against each kind of proven
// signer: what cannot be compared does not count.
func TestNeverSkipped(t *testing.T) {
	t.Parallel()
	bare := &verify.Certificate{Issuer: actions, SAN: release, SANType: "URI"}
	rows := map[string]*verify.Certificate{"no claims": bare, "no type": github(name("", release)), "no issuer": github(issuer("")), "no name": github(name("URI", ""))}
	for kind, c := range rows {
		for what, demand := range map[string]string{
			"everything": full3,
			"repository": trusted + ", github: {repository: acme/app, ref: refs/tags/v1.2.3}}",
			"extension":  trusted + ", subject: {uri: '" + release + "'}, extensions: {'1.3.6.1.4.1.57264.1.20': push}}",
		} {
			t.Run("CI-26 "+kind+" "+what, func(t *testing.T) {
				t.Parallel()
				p := parse(t, keyless(demand))
				d := p.Decide(found(certified(t, p, "public", c)), noon)
				if kind == "no type" && what == "repository" || kind == "no name" && what == "repository" {
					expect(t, d, Allow, "") // the policy asks for no subject
					return
				}
				if d.Verdict != Deny {
					t.Errorf("decided %+v", d)
				}
			})
		}
	}
	p := parse(t, keyless(full3))
	f := signed(t, "a")
	expect(t, p.Decide(found(f), noon), Deny, verify.ReasonIdentityMismatch)
	f = certified(t, p, "public", github())
	f.Signer.Certificate.Root = digest.Digest{}
	expect(t, p.Decide(found(f), noon), Deny, verify.ReasonIdentityMismatch)
	key := f.Signer
	key.Certificate = nil
	f.Signer = key
	expect(t, p.Decide(found(f), noon), Deny, verify.ReasonIdentityMismatch)
}
