package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify/trust"
)

func (c *compiler) allSigners(d *document) {
	c.signers, c.terms = make(map[string]*signer), make(map[string]terms)
	for i := range d.Signers {
		entry := &d.Signers[i]
		if !signerName.MatchString(entry.Name.value) {
			c.addf(entry.Name.at, entry.Name.path, "use letters, digits, '.', '_' and '-', at most 64", "%q is no name of a signer", wording.Short(entry.Name.value))
		}
		if len(entry.Keys) == 0 && entry.Keyless == nil {
			c.addf(entry.at, entry.path, "give it `keys` or `keyless`", "the signer is nobody: %w", ErrEmpty)
		}
		s := &signer{name: entry.Name.value}
		witnesses := c.timesFrom(entry)
		type listed struct {
			key   trust.Key
			entry keyEntry
		}
		var keys []listed
		for j := range entry.Keys {
			if key, ok := c.key(&entry.Keys[j]); ok {
				one := entry.Keys[j]
				key = c.setTerms(key, &one, witnesses)
				one.File, one.PEM = text{}, text{value: string(key.PEM())}
				keys = append(keys, listed{key, one})
			}
		}
		slices.SortStableFunc(keys, func(a, b listed) int { return cmp.Compare(a.key.ID(), b.key.ID()) })
		keys = slices.CompactFunc(keys, func(a, b listed) bool { return a.key.ID() == b.key.ID() })
		entry.Keys = nil
		for _, one := range keys {
			s.keys, entry.Keys = append(s.keys, one.key), append(entry.Keys, one.entry)
		}
		if entry.Keyless != nil {
			s.keyless = c.profile(entry.Keyless)
		}
		c.signers[s.name] = s
	}
}

func (c *compiler) key(entry *keyEntry) (trust.Key, bool) {
	if entry.File.written() == entry.PEM.written() {
		c.addf(entry.at, entry.path, "write one of them", "a key is a `file` or a `pem`")
		return trust.Key{}, false
	}
	where, raw := entry.PEM, []byte(entry.PEM.value)
	if entry.File.written() {
		where = entry.File
		if c.read == nil {
			c.addf(where.at, where.path, "write the key itself under `pem`", "key files cannot be read here")
			return trust.Key{}, false
		}
		var err error
		if raw, err = c.read(entry.File.value); err != nil {
			c.addf(where.at, where.path, "paths are relative to the policy's folder", "reading the key file: %w", err)
			return trust.Key{}, false
		}
	}
	key, err := trust.ParsePublicKey(raw)
	if err != nil {
		hint := "export it with `hallmark key public`"
		if strings.Contains(string(raw), "PRIVATE KEY") {
			hint = "this is a private key; name its public half, and keep this one away from policies"
		}
		c.add(where.at, where.path, hint, err)
		return trust.Key{}, false
	}
	return key, true
}

// timesFrom finds the root that vouches for the times of a signer's keys.
func (c *compiler) timesFrom(entry *signerEntry) *anchor {
	if !entry.TimesFrom.written() {
		return nil
	}
	if len(entry.Keys) == 0 {
		c.addf(entry.TimesFrom.at, entry.TimesFrom.path, "remove it; certificates have their times from their own `trustRoot`", "the signer has no keys")
	}
	root, found := c.roots[entry.TimesFrom.value]
	if !found {
		c.unknownRoot(entry.TimesFrom)
		return nil
	}
	return root
}
