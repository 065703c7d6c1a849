package convert

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxParties bounds the signers of a result; policy reads no more in one list.
const maxParties = 1000

// party is one entry of signers, as it is written.
type party struct {
	name    string    // what the source calls it
	id      string    // what text returns, if it has been made
	Keys    []keyText `yaml:"keys,omitempty"`
	Times   string    `yaml:"timesFrom,omitempty"`
	Keyless *identity `yaml:"keyless,omitempty"`
}

type keyText struct {
	PEM string `yaml:"pem"`
}

// identity is a keyless entry, as it is written.
type identity struct {
	Root       string            `yaml:"trustRoot"`
	Issuer     []match           `yaml:"issuer,omitempty"`
	Subject    subject           `yaml:"subject,omitempty"`
	Extensions map[string]string `yaml:"extensions,omitempty"`
	Anyone     bool              `yaml:"insecureAnyone,omitempty"`
}

type subject struct {
	URI   []match `yaml:"uri,omitempty"`
	Email []match `yaml:"email,omitempty"`
	DNS   []match `yaml:"dns,omitempty"`
}

// match is a text, or a regular expression.
type match struct{ text, regexp string }

// MarshalYAML writes a match as the policy language does.
func (m match) MarshalYAML() (any, error) {
	if m.regexp != "" {
		return map[string]string{"regexp": m.regexp}, nil
	}
	return m.text, nil
}

// parties gives signers their names.
type parties struct {
	names []string
	known map[string]party // by name
	roots map[string]rootText
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// nameFrom makes a name of what a source calls something.
func nameFrom(text string) string {
	name := strings.Trim(notInName.ReplaceAllString(text, "-"), ".-_")
	return strings.Trim(name[:min(len(name), 48)], ".-_")
}

// add returns the name of a party; equal ones have one.
func (ps *parties) add(p party) string {
	name := nameFrom(p.name)
	if name == "" {
		name = "signer"
	}
	for n, try := 2, name; ; n++ {
		other, taken := ps.known[try]
		if !taken {
			if ps.known == nil {
				ps.known = make(map[string]party)
			}
			ps.known[try] = p
			ps.names = append(ps.names, try)
			return try
		}
		if p.text() == other.text() {
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

// text is equal for equal parties, whatever they are called.
func (p party) text() string {
	if p.id != "" {
		return p.id
	}
	raw, err := yaml.Marshal(p)
	if err != nil {
		return p.name
	}
	return string(raw)
}

// nobody is a signer whose private key nobody has: its public key is the hash of a
// sentence. What only nobody may sign is refused.
func nobody() party {
	point := sha256.Sum256([]byte("Nobody has the private half of this key."))
	// RFC 8410, section 4: the SubjectPublicKeyInfo of an Ed25519 key.
	der := append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, point[:]...)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return party{name: "nobody", Keys: []keyText{{string(text)}}}
}

// key makes a party of one public key in PEM.
func (c *converter) key(place, name, text, times string) (party, bool) {
	key, err := trust.ParsePublicKey([]byte(strings.TrimSpace(text) + "\n"))
	if err != nil {
		c.lose(place, fmt.Sprintf("a key that Hallmark does not read (%v)", err), "nobody signs in its place")
		return party{}, false
	}
	p := party{name: name, Keys: []keyText{{string(key.PEM())}}, Times: times}
	p.id = p.text()
	return p, true
}

// accepted reports whether Hallmark reads a party.
func (c *converter) accepted(p party) error {
	_, err := policy.Parse("signer", c.page([]string{"it"}, map[string]party{"it": p}, []ruleText{{
		Name: "it", Images: []string{"**"}, Require: requireText{Signatures: &signaturesText{From: []string{"it"}}},
	}}, nil), c.read)
	return err
}

// read serves a root in the place of the public one; everything else stands in the
// result.
func (c *converter) read(path string) ([]byte, error) {
	if path != policy.PublicGood {
		return nil, fmt.Errorf("there is no file %q", wording.Short(path))
	}
	return standIn()
}

// union makes one signer of alternatives: its keys, and one identity. more says that
// some had to be left out.
func union(all []party) (one party, more bool) {
	var names []string
	for _, p := range all {
		if p.Keyless != nil {
			if one.Keyless != nil && !one.Keyless.join(p.Keyless) {
				more = true
				continue
			}
			if one.Keyless == nil {
				copied := *p.Keyless
				one.Keyless = &copied
			}
		}
		names = append(names, p.name)
		for _, key := range p.Keys {
			if !slices.Contains(one.Keys, key) {
				one.Keys = append(one.Keys, key)
			}
		}
		if p.Times != "" {
			one.Times = p.Times
		}
	}
	one.name = strings.Join(names, "-or-")
	return one, more
}

// join adds the subjects of an identity that differs in nothing else: issuers and
// subjects that both have alternatives would be mixed.
func (i *identity) join(other *identity) bool {
	a, b := *i, *other
	a.Subject, b.Subject = subject{}, subject{}
	if (party{Keyless: &a}).text() != (party{Keyless: &b}).text() {
		return false
	}
	s, o := i.Subject, other.Subject
	if (len(s.URI) > 0) != (len(o.URI) > 0) || (len(s.Email) > 0) != (len(o.Email) > 0) || (len(s.DNS) > 0) != (len(o.DNS) > 0) {
		return false
	}
	i.Subject = subject{URI: slices.Concat(s.URI, o.URI), Email: slices.Concat(s.Email, o.Email), DNS: slices.Concat(s.DNS, o.DNS)}
	return true
}
