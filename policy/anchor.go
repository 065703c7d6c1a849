package policy

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxRoots bounds the trust roots of a policy, each of which takes some milliseconds to
// read. Who trusts many authorities has a dozen.
const maxRoots = 100

// anchor is one compiled entry of trustRoots.
type anchor struct {
	Anchor
	entry *rootEntry
}

// private reports whether the root is an authority without a log.
func (a *anchor) private() bool { return a.entry.X509 != nil }

// allRoots compiles the trust roots and puts their files inline.
func (c *compiler) allRoots(d *document) {
	c.roots = make(map[string]*anchor)
	if len(d.TrustRoots) > maxRoots {
		entry := &d.TrustRoots[maxRoots]
		c.addf(entry.at, entry.path, "split the policy", "%d trust roots, at most %d are read", len(d.TrustRoots), maxRoots)
		return
	}
	for i := range d.TrustRoots {
		entry := &d.TrustRoots[i]
		if !signerName.MatchString(entry.Name.value) {
			c.addf(entry.Name.at, entry.Name.path, "use letters, digits, '.', '_' and '-', at most 64", "%q is no name of a trust root", entry.Name.value)
		}
		option, ok := c.rootOption(entry)
		if !ok {
			continue
		}
		need := c.requirement(entry)
		root, err := trust.NewRoot(option)
		if err != nil {
			c.add(entry.at, entry.path, "", err)
			continue
		}
		c.reachable(entry, root, need)
		for _, other := range c.roots {
			if other.Root.Digest() == root.Digest() && other.Need != need {
				c.addf(entry.at, entry.path, "one root has one set of thresholds; where rules need different ones, write two policy files",
					"the same root as %q with other thresholds", other.Name)
			}
		}
		c.roots[entry.Name.value] = &anchor{Anchor{Name: entry.Name.value, Root: root, Need: need}, entry}
	}
}

// rootOption reads what an entry trusts.
func (c *compiler) rootOption(entry *rootEntry) (trust.Option, bool) {
	if entry.Sigstore.written() == (entry.X509 != nil) {
		c.addf(entry.at, entry.path, "write one of them", "a trust root is a `sigstore` or an `x509`")
		return nil, false
	}
	if entry.Sigstore.written() {
		content, ok := c.embed(&entry.Sigstore, "{", &entry.SHA256)
		entry.SHA256 = text{} // the text itself stands there now
		return trust.WithTrustedRoot(content), ok
	}
	if entry.SHA256.written() {
		c.addf(entry.SHA256.at, entry.SHA256.path, "write the certificates themselves", "it pins the file of a `sigstore` root")
	}
	x := entry.X509
	roots, first := c.embed(&x.Roots, "-----BEGIN ", nil)
	intermediates, second := c.embed(&x.Intermediates, "-----BEGIN ", nil)
	crl, third := c.embed(&x.CRL, "-----BEGIN ", nil)
	stamps, fourth := c.embed(&x.TimestampRoots, "-----BEGIN ", nil)
	authority := trust.Authority{Name: entry.Name.value, Roots: roots, Intermediates: intermediates, TimestampRoots: stamps}
	if crl != nil {
		authority.CRLs = [][]byte{crl}
	}
	return trust.WithAuthority(authority), first && second && third && fourth
}

// embed puts the text of a named file in the place of its name. What begins as the
// text itself does is the text. A pin is the SHA-256 that the file, or the text, must
// have.
func (c *compiler) embed(t *text, begin string, pin *text) ([]byte, bool) {
	if !t.written() {
		return nil, true
	}
	if strings.HasPrefix(t.value, begin) {
		return []byte(t.value), c.pinned([]byte(t.value), pin)
	}
	name := t.value
	if name == "public-good" {
		name = PublicGood
	} else if err := checkText(name, maxText, false); err != nil {
		c.addf(t.at, t.path, "write the path of a file, or text that begins with "+begin, "it is no path: %w", err)
		return nil, false
	}
	if c.read == nil {
		c.addf(t.at, t.path, "write the file's text itself", "files cannot be read here")
		return nil, false
	}
	raw, err := c.read(name)
	if err != nil {
		c.addf(t.at, t.path, "paths are relative to the policy's folder", "reading the file: %w", err)
		return nil, false
	}
	if !c.pinned(raw, pin) {
		return nil, false
	}
	if len(raw) > 0 && raw[0] == 0x30 && strings.HasSuffix(t.path, ".crl") { // DER: a SEQUENCE
		raw = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: raw})
	}
	raw = bytes.TrimSpace(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")))
	err = checkText(string(raw), maxFileText, true)
	if err == nil && !bytes.HasPrefix(raw, []byte(begin)) {
		err = errors.New("it does not begin with " + begin)
	}
	if err != nil {
		c.addf(t.at, t.path, "", "the file's text: %w", err)
		return nil, false
	}
	t.value = string(raw)
	return raw, true
}

// pinned compares content with the digest that a policy demands of it.
func (c *faults) pinned(raw []byte, pin *text) bool {
	if pin == nil || !pin.written() {
		return true
	}
	if !hexDigest.MatchString(pin.value) {
		c.addf(pin.at, pin.path, "write what sha256sum prints: 64 hexadecimal digits, lower case", "%q is no SHA-256", wording.Short(pin.value))
		return false
	}
	if got := digest.FromBytes(raw).Hex(); got != pin.value {
		c.addf(pin.at, pin.path, "look at what changed, and only then write the new one", "the content has the SHA-256 %s", got)
		return false
	}
	return true
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// requirement reads the thresholds and writes their defaults out.
func (c *compiler) requirement(entry *rootEntry) trust.Requirement {
	witnesses := 1
	if entry.X509 != nil {
		witnesses = 0
		for _, threshold := range []*count{&entry.Log, &entry.SCT} {
			if threshold.value > 0 {
				c.addf(threshold.at, threshold.path, "remove it; an authority with logs is a `sigstore` root", "an `x509` root has no logs, so this can never be met")
			}
		}
	}
	entry.Log.set(witnesses)
	entry.SCT.set(witnesses)
	entry.Timestamps.set(1)
	if entry.Timestamps.value < 1 {
		c.addf(entry.Timestamps.at, entry.Timestamps.path, "demand at least 1", "a certificate proves nothing without a trusted time")
	}
	return trust.Requirement{LogEntries: entry.Log.value, Timestamps: entry.Timestamps.value, SCTs: entry.SCT.value}
}

// reachable refuses thresholds that no evidence could meet.
func (c *compiler) reachable(entry *rootEntry, root *trust.Root, need trust.Requirement) {
	has := make(map[trust.Kind]int)
	for _, one := range root.Describe() {
		has[one.Kind]++
	}
	logs, sct := has[trust.KindTransparencyLog], has[trust.KindCertificateLog]
	for _, one := range []struct {
		threshold  *count
		name       string
		want, have int
	}{
		{&entry.Log, "log", need.LogEntries, logs},
		{&entry.Timestamps, "timestamps", need.Timestamps, has[trust.KindTimestampAuthority] + logs},
		{&entry.SCT, "sct", need.SCTs, sct},
	} {
		if one.want <= one.have {
			continue
		}
		at, path := one.threshold.at, one.threshold.path
		if path == "" {
			at, path = entry.at, join(entry.path, one.name)
		}
		c.addf(at, path, fmt.Sprintf("write %s: %d, or another root", one.name, one.have), "%d are wanted, and the root has %d", one.want, one.have)
	}
}

// anchors lists the trust roots by name.
func (c *compiler) anchors() []Anchor {
	var all []Anchor
	for _, a := range c.roots {
		all = append(all, a.Anchor)
	}
	slices.SortFunc(all, func(a, b Anchor) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// planRoots gathers what the evidence of some signers is checked with: their keys
// in one root, and each trust root once, whatever its names.
func (c *compiler) planRoots(all signers) []Anchor {
	var keys []trust.Key
	var keyless []Anchor
	for _, s := range all {
		keys = append(keys, s.keys...)
		if s.keyless != nil {
			keyless = append(keyless, s.keyless.anchor)
		}
	}
	slices.SortFunc(keyless, func(a, b Anchor) int {
		return cmp.Or(cmp.Compare(a.Root.Digest().String(), b.Root.Digest().String()), cmp.Compare(a.Name, b.Name))
	})
	keyless = slices.CompactFunc(keyless, func(a, b Anchor) bool { return a.Root.Digest() == b.Root.Digest() })
	slices.SortFunc(keyless, func(a, b Anchor) int { return cmp.Compare(a.Name, b.Name) })
	return append(c.keyAnchors(keys), keyless...)
}

// rootEnds are when the revocation lists of a root end: from then on, nothing can be
// said of its certificates.
func (c *compiler) rootEnds() map[digest.Digest]time.Time {
	ends := make(map[digest.Digest]time.Time)
	for _, a := range c.roots {
		for _, one := range a.Root.Describe() {
			if one.Kind == trust.KindRevocationList {
				ends[a.Root.Digest()] = earlier(ends[a.Root.Digest()], one.Until)
			}
		}
	}
	return ends
}
