package convert

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// imageValidation is the one form of a validation that is read: every image of a list
// is verified, and how many attestors must have signed. White space is gone.
var imageValidation = regexp.MustCompile(`^images\.[A-Za-z]+\.map\(([a-z]+),verify(ImageSignatures|AttestationSignatures)\(([a-z]+),(?:attestations\.([A-Za-z0-9_]+),)?\[(attestors\.[A-Za-z0-9_]+(?:,attestors\.[A-Za-z0-9_]+)*)\]\)\)\.all\(([a-z]+),([a-z]+)(>|>=|==)([0-9]{1,3})\)$`)

// imageValidatingPolicy reads an ImageValidatingPolicy. Its validations are CEL; those
// of another form than imageValidation are never met.
func (c *converter) imageValidatingPolicy(n node, name string) error {
	const never = "nothing meets the policy"
	spec := n.field("spec")
	w := wish{place: spec.place(), name: oneLine(name), warn: validationWarns(spec.field("validationActions"))}
	spec.ignore("webhookConfiguration", "evaluation", "autogen", "credentials", "images", "auditAnnotations")
	if one := spec.field("failurePolicy"); one.text() == "Ignore" {
		c.lose(one.place(), "images are allowed when they cannot be checked", "what could not be checked is not allowed")
	}
	for _, name := range []string{"matchConditions", "matchConstraints"} {
		if one := spec.field(name); one.there() && !podConstraints(one) {
			c.lose(one.place(), "it holds for some Kubernetes resources only", "it holds for every image that it matches")
		}
	}
	if digest := spec.field("validationConfigurations").field("verifyDigest"); digest.there() && digest.truth(true) {
		c.lose(digest.place(), "images must be named by digest", "the digest that a tag leads to is judged")
	}
	references, ok := spec.field("matchImageReferences").items()
	if !ok || len(references) == 0 {
		w.scopes = []scope{exactly(spec.place(), "every image", everything)}
	}
	for _, reference := range references {
		if glob := reference.field("glob").text(); glob != "" && len(reference.unknown()) == 0 {
			w.scopes = append(w.scopes, openGlob(reference.place(), glob))
			continue
		}
		c.lose(reference.place(), "images by an expression", "it holds for every image")
		w.scopes = append(w.scopes, exactly(reference.place(), "an expression", everything))
	}
	attestors := make(map[string]node)
	items, _ := spec.field("attestors").items()
	for _, item := range items {
		attestors[item.field("name").text()] = item
	}
	kinds := make(map[string]node)
	items, _ = spec.field("attestations").items()
	for _, item := range items {
		kinds[item.field("name").text()] = item
	}
	validations, ok := spec.field("validations").items()
	for _, validation := range validations {
		w.never = !c.validation(validation, attestors, kinds, &w) || w.never
	}
	if !ok || w.open() {
		c.lose(spec.place(), "no validations", never)
		w.never = true
	}
	w.never = c.unknown(spec, never) || c.unknown(n, never) || w.never
	c.wishes = append(c.wishes, w)
	return nil
}

// validationWarns tells that actions refuse nothing.
func validationWarns(actions node) bool {
	texts, ok := actions.texts()
	if !ok || len(texts) == 0 {
		return false // Deny is the default
	}
	for _, text := range texts {
		if text != "Audit" && text != "Warn" {
			return false
		}
	}
	return true
}

// podConstraints tells that constraints are pods, when they are made or changed.
func podConstraints(n node) bool {
	rules, ok := n.field("resourceRules").items()
	if !ok || len(rules) != 1 || len(n.unknown()) > 0 {
		return false
	}
	groups, _ := rules[0].field("apiGroups").texts()
	resources, _ := rules[0].field("resources").texts()
	rules[0].ignore("apiVersions", "operations")
	return len(groups) <= 1 && strings.Join(groups, "") == "" && len(resources) == 1 && resources[0] == "pods" && len(rules[0].unknown()) == 0
}

// validation reads one expression; false where it cannot be said.
func (c *converter) validation(n node, attestors, kinds map[string]node, w *wish) bool {
	const never = "nothing meets the policy"
	n.ignore("message", "messageExpression", "reason")
	expression := n.field("expression")
	parts := imageValidation.FindStringSubmatch(strings.Join(strings.Fields(expression.text()), ""))
	if parts == nil || parts[1] != parts[3] || parts[6] != parts[7] || (parts[2] == "ImageSignatures") != (parts[4] == "") {
		c.lose(expression.place(), fmt.Sprintf("the expression %q", wording.Short(expression.text())), never+"; only `images.NAME.map(image, verify…(image, […])).all(e, e > 0)` is read")
		return false
	}
	one := clause{place: expression.place()}
	wanted := strings.Split(parts[5], ",")
	for _, name := range wanted {
		given := strings.TrimPrefix(name, "attestors.")
		attestor, found := attestors[given]
		if !found {
			c.lose(expression.place(), fmt.Sprintf("the attestor %q, which is not there", given), never)
			return false
		}
		if p, ok := c.validatingAttestor(attestor, given); ok {
			one.parties = append(one.parties, p)
		}
	}
	need, err := strconv.Atoi(parts[9])
	if parts[8] == ">" {
		need++
	}
	switch {
	case err != nil || need < 1:
		c.lose(expression.place(), "a number that needs no signature", never)
		return false
	case parts[8] == "==" && need < len(wanted):
		c.lose(expression.place(), "no more than some of the attestors", never)
		return false
	case need > len(one.parties):
		c.lose(expression.place(), fmt.Sprintf("%d of %d attestors, of which Hallmark knows %d", need, len(wanted), len(one.parties)), never)
		return false
	}
	one.need = need
	if c.unknown(n, never) {
		return false
	}
	if parts[4] == "" {
		w.signatures = append(w.signatures, one)
		return true
	}
	attestation := kinds[parts[4]]
	kind := attestation.field("intoto").field("type").text()
	uri, ok := predicateType(kind)
	if !ok {
		c.lose(expression.place(), fmt.Sprintf("a statement of the type %q", wording.Short(kind)), never)
		return false
	}
	w.statements = append(w.statements, statementWish{place: attestation.place(), kind: uri, clauses: []clause{one}})
	return true
}

// validatingAttestor reads an attestor. All its identities are one attestor: any of
// them signs for it.
func (c *converter) validatingAttestor(n node, name string) (party, bool) {
	const never = "nobody signs in its place"
	n.field("name")
	cosign := n.field("cosign")
	if c.unknown(n, never) || !cosign.there() {
		return party{}, false
	}
	log, times := cosign.field("ctlog"), publicRoot
	if log.field("insecureIgnoreTlog").truth(false) {
		times = ""
	}
	if url := log.field("url"); times != "" && url.there() && !publicHost(url.text(), "rekor.sigstore.dev") {
		c.lose(url.place(), "another transparency log than Sigstore's public one", never)
		return party{}, false
	}
	if sct := log.field("insecureIgnoreSCT"); sct.truth(false) && cosign.field("keyless").there() {
		c.lose(sct.place(), "certificates that no certificate log knows", "one log must know the certificate")
	}
	if source := cosign.field("source"); source.there() {
		c.lose(source.place(), "signatures in another place than the image's repository", "they are looked for beside the image")
	}
	log.ignore("url")
	key, keyless := cosign.field("key"), cosign.field("keyless")
	bad := c.unknown(log, never)
	if c.unknown(cosign, never) || bad || key.there() == keyless.there() {
		return party{}, false
	}
	if key.there() {
		data, algorithm := key.field("data"), key.field("hashAlgorithm")
		if c.unknown(key, never+"; export the key and write it under `data`") {
			return party{}, false
		}
		if algorithm.there() && algorithm.text() != "sha256" {
			c.lose(algorithm.place(), "the hash algorithm "+algorithm.short(), never)
			return party{}, false
		}
		return c.key(data.place(), name, data.text(), times)
	}
	if times == "" {
		c.lose(cosign.place(), "certificates without a transparency log", "the log must hold the signature")
	}
	identities, ok := keyless.field("identities").items()
	if c.unknown(keyless, never) || !ok || len(identities) == 0 {
		return party{}, false
	}
	all := c.identities(identities, name)
	if len(all) == 0 {
		return party{}, false
	}
	one, more := union(all)
	if more {
		c.lose(keyless.place(), "several identities that are one attestor", "only the first of them counts")
	}
	one.name = name
	return one, true
}
