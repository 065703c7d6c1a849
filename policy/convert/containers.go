package convert

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxScope is longer than every scope: an image's name has at most 1024 bytes.
const maxScope = 4096

// otherTransports are the places of images that are no registry.
var otherTransports = []string{"atomic", "containers-storage", "dir", "docker-archive", "docker-daemon", "oci", "oci-archive", "ostree", "sif", "tarball"}

// scoped is a scope of policy.json and the requirements below it.
type scoped struct {
	name, tag    string // "" is the transport's default
	requirements node
}

// containers reads a policy.json of containers/image. The requirements of the most
// specific scope hold, all of them.
func (c *converter) containers(n node) error {
	c.specific = true
	if c.name == "" {
		c.name = "containers"
	}
	byDefault := n.field("default")
	transports := n.field("transports")
	docker := transports.field("docker")
	refused := false
	for _, other := range transports.unknown() {
		if name := strings.TrimPrefix(other.path, transports.path+"."); !slices.Contains(otherTransports, name) {
			c.lose(other.place(), "something that the converter does not know", "no image is allowed by default")
			refused = true
			continue
		}
		c.lose(other.place(), "images that come from another place than a registry", "nothing is said of them")
	}
	var all []scoped
	for _, name := range docker.names() {
		if name == "" {
			byDefault = docker.field(name)
			continue
		}
		one := scoped{name: name, requirements: docker.field(name)}
		if strings.Contains(name, "/") { // without it, what stands behind a colon is a port
			one.name, one.tag = splitTag(name)
		}
		all = append(all, one)
	}
	refused = c.unknown(n, "no image is allowed by default") || refused
	fallback, err := c.requirements(byDefault, "default")
	if err != nil {
		return err
	}
	fallback.never = fallback.never || refused
	made := make(map[string]*wish)
	for _, one := range all {
		w, err := c.requirements(one.requirements, one.name+one.tag)
		if err != nil {
			return err
		}
		made[one.name+one.tag] = &w
	}
	c.scopes(all, made, fallback)
	return nil
}

// scopes turns the prefixes of names into patterns.
func (c *converter) scopes(all []scoped, made map[string]*wish, fallback wish) {
	var wide []wish // what also holds for hosts that no pattern names
	for _, one := range all {
		w := *made[one.name+one.tag]
		if one.tag != "" {
			c.tagged(one, w, all, made, fallback)
			continue
		}
		patterns := prefixPatterns(one.name)
		if len(patterns) == 0 {
			c.lose(one.requirements.place(), fmt.Sprintf("the scope %q", wording.Short(one.name)), "what is asked holds for every image without a scope")
			wide = append(wide, w)
			continue
		}
		if strings.HasPrefix(one.name, "*.") {
			wide = append(wide, w)
			if !fallback.rejects() {
				c.lose(one.requirements.place(), "every host below, however deep", "what is asked holds for every image without a scope too")
			}
		}
		w.scopes = []scope{exactly(w.place, one.name, patterns...)}
		c.wishes = append(c.wishes, w)
	}
	if fallback.rejects() {
		return // as unmatched images are
	}
	fallback.scopes = []scope{exactly(fallback.place, "default", everything)}
	c.wishes = append(c.wishes, fallback)
	for _, w := range wide {
		w.scopes = fallback.scopes
		c.wishes = append(c.wishes, w)
	}
}

// rejects tells that the default is a plain refusal.
func (w *wish) rejects() bool { return w.never }

// tagged makes what is asked of one tag or digest hold for the whole repository, with
// what is asked there anyway.
func (c *converter) tagged(one scoped, w wish, all []scoped, made map[string]*wish, fallback wish) {
	c.lose(one.requirements.place(), "one tag or digest", "what is asked of it holds for the whole repository, with what is asked of that")
	if !readable(one.name) {
		return // no image has such a name
	}
	here := exactly(w.place, one.name, one.name)
	w.scopes = []scope{here}
	c.wishes = append(c.wishes, w)
	covering, best := fallback, -1
	for _, other := range all {
		host, _, _ := strings.Cut(one.name, "/")
		rank := len(other.name)
		if below, wild := strings.CutPrefix(other.name, "*"); !wild {
			rank += maxScope // every name is more specific than a wildcard
			if other.name != one.name && !strings.HasPrefix(one.name, other.name+"/") {
				continue
			}
		} else if !strings.HasSuffix(host, below) {
			continue
		}
		if other.tag == "" && rank > best {
			covering, best = *made[other.name], rank
		}
	}
	covering.scopes = []scope{here}
	c.wishes = append(c.wishes, covering)
}

// prefixPatterns are the names that a scope is a prefix of.
func prefixPatterns(name string) []string {
	patterns := []string{name, name + "/**"}
	segments := strings.Split(name, "/")
	if len(segments) == 1 || segments[0] == "docker.io" && len(segments) == 2 {
		patterns = patterns[1:] // a host, or what Docker Hub calls an account
	}
	if !slices.ContainsFunc(patterns, func(pattern string) bool { return !readable(pattern) }) {
		return patterns
	}
	return nil
}

// requirements reads a list, all of which must be met.
func (c *converter) requirements(n node, name string) (wish, error) {
	w := wish{place: n.place(), name: oneLine(name)}
	items, ok := n.items()
	if !ok || len(items) == 0 {
		return w, fmt.Errorf("%s: no list of requirements: %w", n.place(), ErrSource)
	}
	for _, item := range items {
		c.requirement(item, &w)
	}
	return w, nil
}

func (c *converter) requirement(n node, w *wish) {
	const never = "nothing meets it"
	switch kind := n.field("type"); kind.text() {
	case "insecureAcceptAnything":
	case "reject":
		w.never = true
	case "sigstoreSigned":
		c.sigstoreSigned(n, w)
	case "signedBy":
		n.ignore("keyType", "keyPath", "keyPaths", "keyData", "signedIdentity")
		c.lose(n.place(), "a signature of GnuPG (simple signing)", never+"; sign with a key that Hallmark reads")
		w.never = true
	default:
		c.lose(n.place(), "the requirement "+kind.short(), never)
		w.never = true
		return
	}
	w.never = c.unknown(n, never) || w.never
}

// sigstoreSigned wants a signature by any key of one list, or by one identity.
func (c *converter) sigstoreSigned(n node, w *wish) {
	const never = "nothing meets it"
	one := clause{place: n.place(), need: 1}
	times, ok := c.rekor(n, n.field("fulcio"), w.name)
	if !ok {
		w.never = true
	}
	for _, key := range c.keyTexts(n, w.name) {
		if p, ok := c.key(n.place(), key.name, key.text, times); ok {
			one.parties = append(one.parties, p)
		}
	}
	if fulcio := n.field("fulcio"); fulcio.there() {
		root := times
		who := who{place: fulcio.place(), name: w.name, root: root, issuer: fulcio.field("oidcIssuer").text(), subject: fulcio.field("subjectEmail").text()}
		fulcio.ignore("caPath", "caData")
		if !c.unknown(fulcio, never) && root != "" && strings.Contains(who.subject, "@") {
			if p, ok := c.identity(who); ok {
				one.parties = append(one.parties, p)
			}
		}
	}
	if pki := n.field("pki"); pki.there() {
		c.lose(pki.place(), "certificates of an own authority without trusted times", never)
	}
	c.signedIdentity(n.field("signedIdentity"), n, w)
	if len(one.parties) == 0 {
		w.never = true
		return
	}
	w.signatures = append(w.signatures, one)
}

// signedIdentity is the image name that a signature was made for. Hallmark does not
// look at it: what is signed is the digest.
func (c *converter) signedIdentity(n, requirement node, w *wish) {
	place, kind := n.place(), n.field("type").text()
	if !n.there() {
		place, kind = requirement.place(), "matchRepoDigestOrExact (the default)"
	}
	meant := "signatures that were made for the name of the image: " + wording.Short(kind)
	if c.options.InsecureAnyName {
		c.lose(place, meant, "a signature counts whatever name it was made for, as was asked")
		return
	}
	c.lose(place, meant, "nothing meets it; Hallmark looks at the digest alone, which can be accepted by --insecure-any-name")
	w.never = true
}

// namedKey is the text of a key, and what to call it.
type namedKey struct{ name, text string }

// keyTexts reads keyPath, keyPaths, keyData and keyDatas.
func (c *converter) keyTexts(n node, name string) (all []namedKey) {
	paths, _ := n.field("keyPaths").texts()
	datas, _ := n.field("keyDatas").texts()
	for _, path := range append([]string{n.field("keyPath").text()}, paths...) {
		if path == "" {
			continue
		}
		if raw, ok := c.file(n.place(), path); ok {
			all = append(all, namedKey{fileName(path), string(raw)})
		}
	}
	for _, data := range append([]string{n.field("keyData").text()}, datas...) {
		if data == "" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			c.lose(n.place(), "key data that is no base64", "nobody signs in its place")
			continue
		}
		all = append(all, namedKey{name, string(raw)})
	}
	return all
}

// fileName is what a key's file is called, without what stands behind the dot.
func fileName(path string) string {
	name, _, _ := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], ".")
	return nameFrom(name)
}

// file reads a file that a source names.
func (c *converter) file(place, path string) ([]byte, bool) {
	if c.options.Read == nil {
		c.lose(place, fmt.Sprintf("the file %q, which cannot be read here", wording.Short(path)), "nobody signs in its place")
		return nil, false
	}
	raw, err := c.options.Read(path)
	if err != nil {
		c.lose(place, fmt.Sprintf("the file %q (%v)", wording.Short(path), err), "nobody signs in its place")
		return nil, false
	}
	return raw, true
}
