package policy

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// groups are lists of signers by name. They are a way of writing: in the canonical
// form their members stand in their place.
type groups struct {
	node
	list []group
}

type group struct {
	name    text
	members []text
}

func (g *groups) describe() string { return "mapping of names to lists of signers" }

func (g *groups) read(d decoder, n *yaml.Node, e entry, path string) {
	at := position{n.Line, n.Column}
	g.place(at, path)
	if n.Kind != yaml.MappingNode {
		d.addf(at, path, "", "%s where a mapping of names is wanted", kindOf(n))
		return
	}
	if !d.checkLength(len(n.Content)/2, at, path) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		one := group{}
		itemPath := join(path, key.Value)
		d.text(key, &one.name, e, itemPath)
		var members struct{ List []text }
		d.list(value, reflect.ValueOf(&members).Elem().Field(0), entry{name: e.name, limit: maxText}, itemPath)
		one.members = members.List
		g.list = append(g.list, one)
	}
}

func (g *groups) write() *yaml.Node {
	if len(g.list) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, one := range g.list {
		members := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, m := range one.members {
			members.Content = append(members.Content, textNode(m.value))
		}
		n.Content = append(n.Content, textNode(one.name.value), members)
	}
	return n
}

// allGroups checks the groups and keeps their members for [compiler.from].
func (c *compiler) allGroups(d *document) {
	c.groups = make(map[string][]text)
	for _, g := range d.Groups.list {
		name := g.name.value
		if !signerName.MatchString(name) {
			c.addf(g.name.at, g.name.path, "use letters, digits, '.', '_' and '-', at most 64", "%q is no name of a group", wording.Short(name))
		}
		if _, taken := c.signers[name]; taken {
			c.addf(g.name.at, g.name.path, "give the group another name", "a signer is called %q too", wording.Short(name))
		}
		for i, m := range g.members {
			switch _, found := c.signers[m.value]; {
			case slices.ContainsFunc(g.members[:i], func(t text) bool { return t.value == m.value }):
				c.addf(m.at, m.path, "keep one", "the signer %q stands twice in the group", wording.Short(m.value))
			case !found && slices.ContainsFunc(d.Groups.list, func(other group) bool { return other.name.value == m.value }):
				c.addf(m.at, m.path, "list its members", "%q is a group, and groups hold signers", wording.Short(m.value))
			case !found:
				c.unknownSigner(m)
			}
		}
		c.groups[name] = g.members
	}
	d.Groups.list = nil
}

// expand puts the members of groups in their place, and the list in order.
func (c *compiler) expand(list []text) []text {
	var all []text
	for _, name := range list {
		members, found := c.groups[name.value]
		if !found {
			all = append(all, name)
			c.names++
		}
		before := c.names
		if c.names += len(members); c.names > maxNames {
			if before > maxNames {
				return nil // which was said
			}
			c.addf(name.at, name.path, "name fewer, or split the policy", "the lists of the policy name more than %d signers", maxNames)
			return nil
		}
		for _, m := range members {
			all = append(all, text{node: name.node, value: m.value})
		}
	}
	return sortTexts(all)
}

// unknownSigner refuses a name that is no signer's.
func (c *compiler) unknownSigner(name text) {
	var known []string
	for k := range c.signers {
		known = append(known, k)
	}
	for k := range c.groups {
		known = append(known, k)
	}
	slices.SortFunc(known, cmp.Compare)
	hint := didYouMean(name.value, known)
	if hint == "" {
		hint = "known here: " + strings.Join(known, ", ")
	}
	c.addf(name.at, name.path, hint, "there is no signer %q", wording.Short(name.value))
}
