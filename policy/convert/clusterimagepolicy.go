package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// clusterImagePolicy reads a ClusterImagePolicy of policy-controller: every policy
// whose pattern matches an image must be met, by any of its authorities. What no
// policy matches is refused.
func (c *converter) clusterImagePolicy(n node) error {
	switch kind := n.field("kind").text(); kind {
	case "ClusterImagePolicy":
	case "TrustRoot":
		c.lose(n.place(), "a trust root", "it is not read, and what refers to it is never met")
		return nil
	default:
		return fmt.Errorf("%s: the kind %q: %w", n.place(), wording.Short(kind), ErrKind)
	}
	if v := n.field("apiVersion").text(); v != "policy.sigstore.dev/v1alpha1" && v != "policy.sigstore.dev/v1beta1" {
		return fmt.Errorf("%s: the version %q: %w", n.place(), wording.Short(v), ErrKind)
	}
	n.ignore("metadata", "status")
	name := n.field("metadata").field("name").text()
	if c.name == "" {
		c.name = name
	}
	spec := n.field("spec")
	w := wish{place: spec.place(), name: oneLine(name), warn: c.warnMode(spec.field("mode"), "warn", "enforce")}
	images, ok := spec.field("images").items()
	if !ok || len(images) == 0 {
		return fmt.Errorf("%s: no list of `images`: %w", spec.place(), ErrSource)
	}
	for _, image := range images {
		glob := image.field("glob").text()
		s := slashGlob(image.place(), glob)
		if c.unknown(image, "nothing has the pattern") {
			s.inner = nil
		}
		w.scopes = append(w.scopes, s)
	}
	c.authorities(spec, &w)
	if policy := spec.field("policy"); policy.there() {
		c.lose(policy.place(), "conditions in CUE or Rego on all authorities together", "nothing meets the policy; write them in CEL under `statements`")
		w.never = true
	}
	if match := spec.field("match"); match.there() && !podsOnly(match) {
		c.lose(match.place(), "it holds for some Kubernetes resources only", "nothing meets the policy, since the rule would hold for all")
		w.never = true
	}
	w.never = c.unknown(spec, "nothing meets the policy") || c.unknown(n, "nothing meets the policy") || w.never
	c.wishes = append(c.wishes, w)
	return nil
}

// unknown lists what a mapping has beside what was asked for. It may be a condition,
// so that the caller must refuse.
func (c *converter) unknown(n node, instead string) bool {
	all := n.unknown()
	for _, one := range all {
		c.lose(one.place(), "something that the converter does not know", instead)
	}
	return len(all) > 0
}

func (c *converter) warnMode(mode node, warn, enforce string) bool {
	switch text := mode.text(); {
	case text == warn:
		return true
	case mode.there() && text != enforce:
		c.lose(mode.place(), "the mode "+mode.short(), "it refuses")
	}
	return false
}

// podsOnly tells that a list of resources is pods, without a selector: every image
// runs in one.
func podsOnly(match node) bool {
	items, ok := match.items()
	for _, item := range items {
		if item.field("resource").text() == "pods" && item.field("group").text() == "" && !item.field("selector").there() {
			return true
		}
	}
	return ok && len(items) == 0
}

// authorities reads alternatives: one of them must be met. Those with signatures are
// one clause. Hallmark has no "signatures or statements": of such alternatives the
// first is taken.
func (c *converter) authorities(spec node, w *wish) {
	items, ok := spec.field("authorities").items()
	if !ok || len(items) == 0 {
		c.lose(spec.place(), "no authorities", "nothing meets the policy")
		w.never = true
		return
	}
	signers := clause{place: spec.field("authorities").place(), need: 1}
	type attested struct {
		place      string
		parties    []party
		statements []statementWish
	}
	var others []attested
	for i, item := range items {
		name := item.field("name").text()
		if name == "" {
			name = fmt.Sprintf("%s-authority-%d", w.name, i)
		}
		parties, pass := c.authority(item, name)
		attestations := item.field("attestations")
		if pass {
			w.signatures, w.statements = nil, nil
			return // whatever else stands there, everything is allowed
		}
		if !attestations.there() {
			signers.parties = append(signers.parties, parties...)
			continue
		}
		if len(parties) == 0 {
			continue
		}
		if statements, ok := c.attestations(attestations, parties); ok {
			others = append(others, attested{item.place(), parties, statements})
		}
	}
	switch {
	case len(signers.parties) > 0:
		w.signatures = []clause{signers}
		for _, other := range others {
			c.lose(other.place, "attestations instead of a signature", "the signature is wanted")
		}
	case len(others) == 0:
		w.never = true
	default:
		w.statements = others[0].statements
		for _, other := range others[1:] {
			// One statement by this party or that is one statement by either.
			if one, two := w.statements[0], other.statements[0]; len(w.statements)+len(other.statements) == 2 && one.kind == two.kind && slices.Equal(one.cel, two.cel) {
				w.statements[0].clauses[0].parties = append(w.statements[0].clauses[0].parties, other.parties...)
				continue
			}
			c.lose(other.place, "attestations by one authority or another", "those of the first authority are wanted")
		}
	}
}

// authority reads who may sign. pass tells that the image needs no signature at all.
func (c *converter) authority(n node, name string) (parties []party, pass bool) {
	const nobodyMeets = "this authority is never met"
	key, keyless, static := n.field("key"), n.field("keyless"), n.field("static")
	log, logged := n.field("ctlog"), publicRoot
	n.field("attestations")
	url, other := log.field("url"), log.field("trustRootRef")
	switch {
	case log.there() && !url.there() && !other.there():
		logged = ""
	case other.there(), url.there() && !publicHost(url.text(), "rekor.sigstore.dev"):
		c.lose(log.place(), "another transparency log than Sigstore's public one", nobodyMeets)
		return nil, false
	}
	refused := c.unknown(log, nobodyMeets)
	if source := n.field("source"); source.there() {
		c.lose(source.place(), "signatures in another place than the image's repository", "they are looked for beside the image")
	}
	if stamp := n.field("rfc3161timestamp"); stamp.there() {
		c.lose(stamp.place(), "a timestamp by an authority that the cluster names", nobodyMeets)
		refused = true
	}
	if format := n.field("signatureFormat"); format.there() && format.text() != "legacy" && format.text() != "bundle" {
		c.lose(format.place(), "the format "+format.short(), nobodyMeets)
		refused = true
	}
	switch {
	case static.there():
		action := static.field("action").text()
		static.field("message")
		refused = c.unknown(static, nobodyMeets) || refused
		if action == "pass" && !refused && !c.unknown(n, nobodyMeets) {
			return nil, true
		}
		return nil, false
	case key.there():
		parties = c.keyRef(key, name, logged)
	case keyless.there():
		parties = c.keylessRef(keyless, name, logged)
	}
	if c.unknown(n, nobodyMeets) || refused {
		return nil, false
	}
	return parties, false
}

func publicHost(url, host string) bool { return strings.TrimRight(url, "/") == "https://"+host }

func (c *converter) keyRef(n node, name, logged string) []party {
	data, algorithm := n.field("data"), n.field("hashAlgorithm")
	for _, remote := range []string{"secretRef", "kms"} {
		if one := n.field(remote); one.there() {
			c.lose(one.place(), "a key that is kept elsewhere", "nobody signs in its place; export it and write it under `data`")
			return nil
		}
	}
	if algorithm.there() && algorithm.text() != "sha256" {
		c.lose(algorithm.place(), "the hash algorithm "+algorithm.short(), "nobody signs with this key")
		return nil
	}
	if c.unknown(n, "nobody signs with this key") {
		return nil
	}
	if p, ok := c.key(data.place(), name, data.text(), logged); ok {
		return []party{p}
	}
	return nil
}

func (c *converter) keylessRef(n node, name, logged string) []party {
	const never = "nobody signs in its place"
	if url := n.field("url"); url.there() && !publicHost(url.text(), "fulcio.sigstore.dev") {
		c.lose(url.place(), "another certificate authority than Sigstore's public one", never)
		return nil
	}
	for _, private := range []string{"ca-cert", "trustRootRef"} {
		if one := n.field(private); one.there() {
			c.lose(one.place(), "another certificate authority than Sigstore's public one", never)
			return nil
		}
	}
	if logged == "" {
		c.lose(n.place(), "certificates without a transparency log", "the log must hold the signature")
	}
	if sct := n.field("insecureIgnoreSCT"); sct.truth(false) {
		c.lose(sct.place(), "certificates that no certificate log knows", "one log must know the certificate")
	}
	identities, ok := n.field("identities").items()
	if c.unknown(n, never) || !ok {
		return nil
	}
	if len(identities) == 0 {
		c.lose(n.place(), "a certificate of anybody", never)
	}
	return c.identities(identities, name)
}

// identities reads alternatives of an issuer and a subject.
func (c *converter) identities(items []node, name string) (all []party) {
	for i, item := range items {
		w := who{
			place: item.place(), name: name, root: publicRoot,
			issuer: item.field("issuer").text(), issuerRegexp: item.field("issuerRegExp").text(),
			subject: item.field("subject").text(), subjectRegxp: item.field("subjectRegExp").text(),
		}
		if len(items) > 1 {
			w.name = fmt.Sprintf("%s-%d", name, i+1)
		}
		if c.unknown(item, "nobody signs in its place") {
			continue
		}
		if p, ok := c.identity(w); ok {
			all = append(all, p)
		}
	}
	return all
}

// attestations reads the statements of one authority: each must be there, by any of
// its identities. false where one can never be met.
func (c *converter) attestations(n node, parties []party) (all []statementWish, ok bool) {
	const never = "this authority is never met"
	items, ok := n.items()
	for _, item := range items {
		item.field("name")
		kind, known := predicateType(item.field("predicateType").text())
		if !known {
			c.lose(item.place(), "a statement of a type that Hallmark does not know", never)
			ok = false
		}
		one := statementWish{place: item.place(), kind: kind, clauses: []clause{{item.place(), 1, parties}}}
		if policy := item.field("policy"); policy.there() {
			conditions, readable := cue(policy)
			if !readable {
				c.lose(policy.place(), "a condition in CUE or Rego that the converter cannot say in CEL", never)
				ok = false
			}
			one.cel = conditions
		}
		ok = !c.unknown(item, never) && ok
		all = append(all, one)
	}
	return all, ok && len(all) > 0
}
