package convert

import (
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// notation reads a trustpolicy.json of the Notary Project. The statement whose scope
// is the repository speaks, else the one of `*`. Hallmark does not read the Notary
// Project's signatures: what a statement asks is asked of Sigstore bundles that were
// signed with the same certificates.
func (c *converter) notation(n node) error {
	c.specific = true
	if c.name == "" {
		c.name = "notation"
	}
	if v := n.field("version"); v.text() != "1.0" {
		return fmt.Errorf("%s: the version %s: %w", n.place(), v.short(), ErrKind)
	}
	refused := c.unknown(n, "nothing meets a statement")
	items, ok := n.field("trustPolicies").items()
	if !ok || len(items) == 0 {
		return fmt.Errorf("%s: no statements: %w", n.place(), ErrSource)
	}
	c.lose(n.field("trustPolicies").place(), "signatures of the Notary Project", "they do not count; images must be signed anew, in Sigstore's format")
	for _, item := range items {
		w := wish{place: item.place(), name: oneLine(item.field("name").text()), never: refused}
		scopes, ok := item.field("registryScopes").texts()
		if !ok || len(scopes) == 0 {
			return fmt.Errorf("%s: no scopes: %w", item.place(), ErrSource)
		}
		for _, name := range scopes {
			switch {
			case name == "*":
				w.scopes = append(w.scopes, exactly(item.place(), name, everything))
			case readable(name) && !strings.Contains(name, "*"):
				w.scopes = append(w.scopes, exactly(item.place(), name, name))
			default:
				c.lose(item.place(), fmt.Sprintf("the scope %q", wording.Short(name)), "no image has such a name")
			}
		}
		c.notationStatement(item, &w)
		c.wishes = append(c.wishes, w)
	}
	return nil
}

func (c *converter) notationStatement(n node, w *wish) {
	const never = "nothing meets the statement"
	level := n.field("signatureVerification")
	override := level.field("override")
	mode := level.field("level")
	stores, storesOK := n.field("trustStores").texts()
	identities, identitiesOK := n.field("trustedIdentities").texts()
	for _, name := range []string{"verifyTimestamp"} {
		if one := level.field(name); one.there() {
			c.lose(one.place(), "when a signature needs a timestamp", "it always does")
		}
	}
	authenticity, revocation := "enforce", "enforce"
	switch mode.text() {
	case "strict":
	case "permissive":
		revocation = "log"
	case "audit":
		authenticity, revocation = "log", "log"
	case "skip":
		if !c.unknown(n, never) && !c.unknown(level, never) && !w.never && !override.there() {
			return // everything is allowed
		}
		w.never = true
		return
	default:
		c.lose(mode.place(), "the level "+mode.short(), never)
		w.never = true
		return
	}
	for name, target := range map[string]*string{"authenticity": &authenticity, "revocation": &revocation} {
		if one := override.field(name); one.there() {
			*target = one.text()
		}
	}
	if override.there() {
		override.ignore("expiry", "authenticTimestamp") // Hallmark's times are always checked
	}
	w.warn = authenticity == "log"
	if revocation == "enforce" {
		c.lose(mode.place(), "revocation that is looked up on the network (OCSP, CRL)", never+"; write a `crl` to the trust root by hand")
		w.never = true
	}
	if unknown := c.unknown(n, never); c.unknown(level, never) || c.unknown(override, never) || unknown {
		w.never, w.warn = true, false
	}
	if !storesOK || !identitiesOK {
		w.never = true
		return
	}
	if w.never {
		return
	}
	root, ok := c.trustStores(n, stores, w.name)
	if !ok {
		w.never = true
		return
	}
	one := clause{place: n.place(), need: 1}
	for _, identity := range identities {
		if identity != "*" {
			c.lose(n.field("trustedIdentities").place(), fmt.Sprintf("the distinguished name %q", wording.Short(identity)), "nobody signs in its place; Hallmark compares URIs, e-mail addresses and hosts")
			continue
		}
		one.parties = append(one.parties, c.anyoneOf(root, w.name)...)
	}
	if len(one.parties) == 0 {
		w.never = true
		return
	}
	w.signatures = []clause{one}
}

// anyoneOf are all whom an authority gave a certificate with a name.
func (c *converter) anyoneOf(root, name string) []party {
	any := []match{{regexp: ".*"}}
	var all []party
	for kind, s := range []subject{{URI: any}, {Email: any}, {DNS: any}} {
		all = append(all, party{
			name:    name + []string{"-uri", "-email", "-dns"}[kind],
			Keyless: &identity{Root: root, Subject: s, Anyone: true},
		})
	}
	return all
}

// trustStores makes one root of the certificates that a statement trusts: its
// authorities, and its timestamp authorities.
func (c *converter) trustStores(n node, stores []string, name string) (string, bool) {
	place := n.field("trustStores").place()
	var authorities, stamps strings.Builder
	for _, store := range stores {
		kind, of, _ := strings.Cut(store, ":")
		target := &authorities
		switch kind {
		case "ca":
		case "tsa":
			target = &stamps
		default:
			c.lose(place, fmt.Sprintf("the trust store %q", wording.Short(store)), "nobody signs in its place")
			continue
		}
		if c.options.TrustStore == nil {
			c.lose(place, fmt.Sprintf("the trust store %q, whose folder was not named", wording.Short(store)), "nobody signs in its place")
			return "", false
		}
		raw, err := c.options.TrustStore(kind, of)
		if err != nil {
			c.lose(place, fmt.Sprintf("the trust store %q (%v)", wording.Short(store), err), "nobody signs in its place")
			return "", false
		}
		target.WriteString(strings.TrimSpace(string(raw)) + "\n")
	}
	if authorities.Len() == 0 || stamps.Len() == 0 {
		c.lose(place, "certificates without a timestamp authority", "nothing meets the statement: without a trusted time a certificate proves nothing")
		return "", false
	}
	root := rootText{X509: &x509Text{Roots: authorities.String(), TimestampRoots: stamps.String()}}
	for known, other := range c.parties.roots {
		if other.X509 != nil && *other.X509 == *root.X509 {
			return known, true
		}
	}
	given := c.addRoot(nameFrom(name)+"-root", root)
	for _, p := range c.anyoneOf(given, name) {
		if err := c.accepted(p); err != nil {
			c.lose(place, fmt.Sprintf("certificates that Hallmark does not accept (%s)", firstLine(err)), "nobody signs in their place")
			return "", false
		}
	}
	return given, true
}
