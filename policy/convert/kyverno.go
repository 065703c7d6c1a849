package convert

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// kyverno reads one resource of Kyverno. What none of them matches is allowed there,
// and so here, with a warning.
func (c *converter) kyverno(n node) error {
	c.unmatched = "warn"
	name := n.field("metadata").field("name").text()
	n.ignore("status")
	if c.name == "" {
		c.name = name
	}
	kind, version := n.field("kind").text(), n.field("apiVersion").text()
	switch {
	case kind == "ClusterPolicy" && (version == "kyverno.io/v1" || version == "kyverno.io/v2beta1"):
		return c.clusterPolicy(n, name)
	case kind == "ImageValidatingPolicy" && strings.HasPrefix(version, "policies.kyverno.io/v1"):
		return c.imageValidatingPolicy(n, name)
	case kind == "Policy" || kind == "NamespacedImageValidatingPolicy":
		c.lose(n.place(), "a policy for one namespace", "it holds for every image that it matches")
		if kind == "Policy" {
			return c.clusterPolicy(n, name)
		}
		return c.imageValidatingPolicy(n, name)
	}
	return fmt.Errorf("%s: %s of %q: %w", n.place(), wording.Short(kind), wording.Short(version), ErrKind)
}

func (c *converter) clusterPolicy(n node, name string) error {
	spec := n.field("spec")
	// What has to do with the webhook, not with trust.
	spec.ignore("background", "admission", "webhookTimeoutSeconds", "schemaValidation", "useServerSideApply", "emitWarning")
	action := spec.field("validationFailureAction")
	overrides := spec.field("validationFailureActionOverrides")
	if overrides.there() {
		c.lose(overrides.place(), "other actions in some namespaces", "it refuses")
	}
	for _, lenient := range []node{spec.field("failurePolicy"), spec.field("webhookConfiguration").field("failurePolicy")} {
		if lenient.text() == "Ignore" {
			c.lose(lenient.place(), "images are allowed when they cannot be checked", "what could not be checked is not allowed")
		}
	}
	rules, ok := spec.field("rules").items()
	never := c.unknown(spec, "nothing meets the policy")
	never = c.unknown(n, "nothing meets the policy") || never
	if !ok {
		return fmt.Errorf("%s: `rules` is no list: %w", spec.place(), ErrSource)
	}
	if len(rules) == 0 && never {
		c.refuseAll(spec, name)
	}
	for _, rule := range rules {
		entries, ok := rule.field("verifyImages").items()
		if !ok {
			return fmt.Errorf("%s: `verifyImages` is no list: %w", rule.place(), ErrSource)
		}
		ruleName := oneLine(name + " / " + rule.field("name").text())
		c.matched(rule)
		if len(entries) == 0 {
			c.lose(rule.place(), "a rule that verifies no images", "it is not converted")
			rule.ignore("validate", "mutate", "generate", "reportProperties")
		}
		broken := c.unknown(rule, "nothing meets the rule")
		if len(entries) == 0 && broken {
			c.refuseAll(rule, ruleName)
		}
		broken = broken || never
		for _, entry := range entries {
			w := wish{place: entry.place(), name: ruleName}
			if one := entry.field("failureAction"); one.there() {
				w.warn = c.warnMode(one, "Audit", "Enforce")
			} else {
				// Audit is the default of policies that say nothing.
				w.warn = !overrides.there() && (!action.there() || c.warnMode(action, "Audit", "Enforce") || action.text() == "audit")
			}
			c.verifyImages(entry, &w)
			if broken {
				w.never, w.warn = true, false
			}
			c.wishes = append(c.wishes, w)
		}
	}
	return nil
}

// refuseAll stands for something that may speak about any image.
func (c *converter) refuseAll(n node, name string) {
	c.wishes = append(c.wishes, wish{place: n.place(), name: oneLine(name), never: true, scopes: []scope{exactly(n.place(), "every image", everything)}})
}

// matched reads where a rule holds. Every image runs in a pod.
func (c *converter) matched(rule node) {
	match := rule.field("match")
	if !plainPods(match) {
		c.lose(match.place(), "it holds for some Kubernetes resources only", "it holds for every image that it matches")
	}
	for _, name := range []string{"exclude", "preconditions", "celPreconditions", "skipBackgroundRequests", "imageExtractors", "context"} {
		if one := rule.field(name); one.there() {
			c.lose(one.place(), "a condition on the Kubernetes resource, or data from the cluster", "it holds for every image that it matches")
		}
	}
}

// plainPods tells that a match is pods or what makes pods, and nothing else.
func plainPods(match node) bool {
	lists := []node{match.field("any"), match.field("all")}
	direct := match.field("resources")
	if len(match.unknown()) > 0 {
		return false
	}
	var all []node
	for _, list := range lists {
		items, ok := list.items()
		if !ok || len(items) > 1 {
			return false
		}
		for _, item := range items {
			all = append(all, item.field("resources"))
			if len(item.unknown()) > 0 {
				return false
			}
		}
	}
	if direct.there() {
		all = append(all, direct)
	}
	if len(all) != 1 {
		return false
	}
	kinds, ok := all[0].field("kinds").texts()
	all[0].ignore("operations")
	pods := false
	for _, kind := range kinds {
		pods = pods || kind == "Pod" || kind == "v1/Pod"
	}
	return ok && pods && len(all[0].unknown()) == 0
}

// verifyImages reads one entry: all its sets of attestors must be met, and all its
// attestations.
func (c *converter) verifyImages(n node, w *wish) {
	const never = "nothing meets the rule"
	patterns, ok := n.field("imageReferences").texts()
	if !ok {
		c.lose(n.place(), "patterns that are no texts", "the rule holds for every image")
		patterns = []string{"*"}
	}
	if image := n.field("image").text(); image != "" {
		patterns = append(patterns, image)
	}
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	for _, pattern := range patterns {
		w.scopes = append(w.scopes, openGlob(n.field("imageReferences").place(), pattern))
	}
	if skip := n.field("skipImageReferences"); skip.there() {
		c.lose(skip.place(), "images that are left out", "they are not")
	}
	if digest := n.field("verifyDigest"); digest.there() && digest.truth(true) {
		c.lose(digest.place(), "images must be named by digest", "the digest that a tag leads to is judged")
	}
	if required := n.field("required"); required.there() && !required.truth(true) {
		c.lose(required.place(), "images need not have been verified", "they must be")
	}
	if kind := n.field("type"); kind.there() && kind.text() != "Cosign" && kind.text() != "SigstoreBundle" {
		c.lose(kind.place(), "signatures of the kind "+kind.short(), never)
		w.never = true
	}
	if repository := n.field("repository"); repository.there() {
		c.lose(repository.place(), "signatures in another place than the image's repository", "they are looked for beside the image")
	}
	n.ignore("mutateDigest", "imageRegistryCredentials", "useCache", "cosignOCI11")
	for _, name := range []string{"annotations", "validate"} {
		if one := n.field(name); one.there() {
			c.lose(one.place(), "a condition on the signature's annotations or the image", never)
			w.never = true
		}
	}
	signer := w.name[strings.LastIndexByte(w.name, ' ')+1:]
	w.signatures, ok = c.attestorSets(n.field("attestors"), signer)
	w.never = w.never || !ok
	if old, found := c.oldAttestor(n, signer); found {
		w.signatures = append(w.signatures, old...)
		w.never = w.never || len(old) == 0
	}
	attestations, ok := n.field("attestations").items()
	for _, item := range attestations {
		one, ok := c.kyvernoAttestation(item, signer)
		w.statements = append(w.statements, one)
		w.never = w.never || !ok
	}
	if w.open() {
		c.lose(n.place(), "no attestors", never)
		w.never = true
	}
	w.never = w.never || !ok
	if c.unknown(n, never) {
		w.never, w.warn = true, false // it may be the action
	}
}

// oldAttestor reads the fields that older versions have beside `attestors`.
func (c *converter) oldAttestor(n node, name string) ([]clause, bool) {
	key, subject := n.field("key"), n.field("subject")
	issuer, roots, extensions := n.field("issuer"), n.field("roots"), n.field("additionalExtensions")
	switch {
	case key.there():
		if p, ok := c.key(key.place(), name, key.text(), publicRoot); ok {
			return []clause{{key.place(), 1, []party{p}}}, true
		}
		return nil, true
	case roots.there() || extensions.there():
		c.lose(n.place(), "certificates of another authority, or with extensions", "nothing meets the rule; write them under `attestors`")
		return nil, true
	case subject.there() || issuer.there():
		if p, ok := c.identity(kyvernoWho(n, name)); ok {
			return []clause{{n.place(), 1, []party{p}}}, true
		}
		return nil, true
	}
	return nil, false
}

// attestorSets reads sets, each of which must be met.
func (c *converter) attestorSets(n node, name string) (all []clause, ok bool) {
	items, ok := n.items()
	for _, item := range items {
		clauses, good := c.attestorSet(item, name)
		all, ok = append(all, clauses...), ok && good
	}
	return all, ok
}

// attestorSet reads a set: as many of its entries as it counts, or all.
func (c *converter) attestorSet(n node, name string) ([]clause, bool) {
	const never = "nothing meets the rule"
	entries, ok := n.field("entries").items()
	if !ok || len(entries) == 0 {
		c.lose(n.place(), "a set without entries", never)
		return nil, false
	}
	one := clause{place: n.place()}
	var nested []clause
	total, direct := 0, 0
	for _, entry := range entries {
		if inner := entry.field("attestor"); inner.there() {
			clauses, good := c.attestorSet(inner, name)
			nested, ok = append(nested, clauses...), ok && good
			if c.unknown(entry, never) {
				ok = false
			}
			continue
		}
		direct++
		parties, wanted := c.attestor(entry, name)
		one.parties, total = append(one.parties, parties...), total+wanted
	}
	sets := len(entries) - direct
	need, readable := n.field("count").number(0)
	if !readable || c.unknown(n, never) {
		return nil, false
	}
	if need == 0 {
		need = total + sets
	}
	if sets > 0 {
		if need < total+sets {
			c.lose(n.place(), "some of several attestors, one of which is a set", "all of them must sign")
		}
		need = total
	}
	if need > len(one.parties) {
		c.lose(n.place(), fmt.Sprintf("%d of %d attestors, of which Hallmark knows %d", need, total, len(one.parties)), never)
		return nil, false
	}
	if one.need = need; need > 0 {
		nested = append(nested, one)
	}
	return nested, ok
}

// celValue writes a scalar of a source as CEL.
func celValue(n node) (string, bool) {
	if !n.there() || len(n.yaml.Content) > 0 {
		return "", false
	}
	switch n.yaml.ShortTag() {
	case "!!str":
		return celText(n.yaml.Value), true
	case "!!bool":
		return fmt.Sprint(n.yaml.Value == "true"), true
	case "!!int":
		return n.yaml.Value, json.Valid([]byte(n.yaml.Value))
	}
	return "", false
}
