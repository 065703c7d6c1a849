package convert

import (
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxKeys bounds the keys in one text.
const maxKeys = 100

// attestor reads an entry of a set. wanted is how many attestors the source counts
// there: each key of a list is one.
func (c *converter) attestor(n node, name string) (parties []party, wanted int) {
	const never = "nobody signs in its place"
	keys, keyless := n.field("keys"), n.field("keyless")
	bad := false
	if repository := n.field("repository"); repository.there() {
		c.lose(repository.place(), "signatures in another place than the image's repository", "they are looked for beside the image")
	}
	if annotations := n.field("annotations"); annotations.there() {
		c.lose(annotations.place(), "annotations that the signature must have", never)
		bad = true
	}
	wanted = 1
	switch {
	case keys.there():
		parties, wanted = c.staticKeys(keys, name)
	case keyless.there():
		parties = c.kyvernoKeyless(keyless, name+"-identity")
	}
	if c.unknown(n, never) || bad {
		return nil, wanted
	}
	return parties, wanted
}

func (c *converter) staticKeys(n node, name string) (parties []party, wanted int) {
	const never = "nobody signs in its place"
	for _, elsewhere := range []string{"kms", "secret"} {
		if one := n.field(elsewhere); one.there() {
			c.lose(one.place(), "a key that is kept elsewhere", never+"; export it and write it under `publicKeys`")
			return nil, 1
		}
	}
	if algorithm := n.field("signatureAlgorithm"); algorithm.there() && algorithm.text() != "sha256" {
		c.lose(algorithm.place(), "the hash algorithm "+algorithm.short(), never)
		return nil, 1
	}
	times, ok := c.kyvernoLog(n)
	keys := n.field("publicKeys")
	if c.unknown(n, never) || !ok {
		return nil, 1
	}
	texts := pemBlocks(keys.text())
	if len(texts) == 0 {
		c.lose(keys.place(), "a key that is no PEM", never)
		return nil, 1
	}
	for i, text := range texts {
		given := name
		if i > 0 {
			given = fmt.Sprintf("%s-%d", name, i+1)
		}
		if p, ok := c.key(keys.place(), given, text, times); ok {
			parties = append(parties, p)
		}
	}
	return parties, len(texts)
}

// pemBlocks takes the keys of one text apart.
func pemBlocks(text string) (all []string) {
	for rest := []byte(text); len(all) < maxKeys; {
		block, after := pem.Decode(rest)
		if block == nil {
			return all
		}
		all, rest = append(all, string(pem.EncodeToMemory(block))), after
	}
	return nil // more than anybody has
}

// kyvernoLog reads which log must hold a signature, and what may be left away.
func (c *converter) kyvernoLog(n node) (times string, ok bool) {
	const never = "nobody signs in its place"
	rekor, ct := n.field("rekor"), n.field("ctlog")
	times = publicRoot
	if rekor.field("ignoreTlog").truth(false) {
		times = ""
	}
	if url := rekor.field("url"); times != "" && url.there() && !publicHost(url.text(), "rekor.sigstore.dev") {
		c.lose(url.place(), "another transparency log than Sigstore's public one", never)
		return "", false
	}
	for _, one := range []node{rekor.field("pubkey"), ct.field("pubkey"), ct.field("tsaCertChain"), n.field("tsaCertChain")} {
		if one.there() && one.text() != "" {
			c.lose(one.place(), "logs and authorities with keys of their own", never)
			return "", false
		}
	}
	if sct := ct.field("ignoreSCT"); sct.truth(false) {
		c.lose(sct.place(), "certificates that no certificate log knows", "one log must know the certificate")
	}
	rekor.ignore("url", "ignoreTlog", "pubkey")
	ct.ignore("ignoreSCT", "pubkey", "tsaCertChain")
	return times, !c.unknown(rekor, never) && !c.unknown(ct, never)
}

func (c *converter) kyvernoKeyless(n node, name string) []party {
	const never = "nobody signs in its place"
	times, ok := c.kyvernoLog(n)
	if roots := n.field("roots"); roots.there() {
		c.lose(roots.place(), "certificates of another authority than Sigstore's public one", never)
		return nil
	}
	if times == "" {
		c.lose(n.place(), "certificates without a transparency log", "the log must hold the signature")
	}
	w := kyvernoWho(n, name)
	extensions := n.field("additionalExtensions")
	for _, key := range extensions.names() {
		oid, known := extensionOID(key)
		if !known {
			c.lose(extensions.place(), fmt.Sprintf("the extension %q", wording.Short(key)), never)
			return nil
		}
		if w.extensions == nil {
			w.extensions = make(map[string]string)
		}
		w.extensions[oid] = extensions.field(key).text()
	}
	if c.unknown(n, never) || !ok || slices.Contains(slices.Collect(maps.Values(w.extensions)), "") {
		return nil
	}
	if p, ok := c.identity(w); ok {
		return []party{p}
	}
	return nil
}

// kyvernoWho reads an issuer and a subject, in which `*` and `?` are wildcards.
func kyvernoWho(n node, name string) who {
	w := who{
		place: n.place(), name: name, root: publicRoot,
		issuer: n.field("issuer").text(), issuerRegexp: n.field("issuerRegExp").text(),
		subject: n.field("subject").text(), subjectRegxp: n.field("subjectRegExp").text(),
	}
	if expression, wild := wildcards(w.subject); wild && w.subjectRegxp == "" {
		w.subject, w.subjectRegxp = "", expression
	}
	if expression, wild := wildcards(w.issuer); wild && w.issuerRegexp == "" {
		w.issuer, w.issuerRegexp = "", expression
	}
	return w
}

// extensionOID finds the OID of a claim by the name that cosign gives it (fulcio,
// docs/oid-info.md), or takes it as it is.
func extensionOID(name string) (string, bool) {
	const arc = "1.3.6.1.4.1.57264.1."
	for i, known := range []string{"githubWorkflowTrigger", "githubWorkflowSha", "githubWorkflowName", "githubWorkflowRepository", "githubWorkflowRef"} {
		if strings.EqualFold(name, known) {
			return fmt.Sprintf("%s%d", arc, i+2), true
		}
	}
	return name, strings.HasPrefix(name, arc)
}

// kyvernoAttestation reads a statement that must be there; with conditions each of its
// type must meet them.
func (c *converter) kyvernoAttestation(n node, signer string) (statementWish, bool) {
	const never = "nothing meets the rule"
	kind := n.field("predicateType").text()
	if other := n.field("type").text(); other != "" {
		kind = other
	}
	n.field("name")
	one := statementWish{place: n.place()}
	uri, ok := predicateType(kind)
	if !ok {
		c.lose(n.place(), fmt.Sprintf("a statement of the type %q", wording.Short(kind)), never)
	}
	one.kind = uri
	clauses, good := c.attestorSets(n.field("attestors"), signer)
	ok = ok && good
	if len(clauses) == 0 {
		c.lose(n.place(), "a statement by whomever", never)
		ok = false
	}
	one.clauses = clauses
	conditions, _ := n.field("conditions").items()
	if n.field("conditions").there() && len(conditions) == 0 {
		c.lose(n.field("conditions").place(), "conditions that the converter cannot say in CEL", never)
		ok = false
	}
	for _, condition := range conditions {
		text, readable := kyvernoConditions(condition)
		if !readable {
			c.lose(condition.place(), "conditions that the converter cannot say in CEL", never)
			ok = false
			continue
		}
		one.cel, one.all = append(one.cel, text...), true
	}
	return one, !c.unknown(n, never) && ok
}
