package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// leaf is a field that reads itself: neither a mapping of the language nor a
// plain text or number.
type leaf interface {
	placed
	// read fills the field, or records a fault.
	read(d decoder, n *yaml.Node, e entry, path string)
	// write gives the canonical form; nil for what was not written.
	write() *yaml.Node
	// describe names the type for docs/policy.md.
	describe() string
}

// count is a whole number that may be zero, with its place.
type count struct {
	node
	value int
	given bool
}

func (c *count) describe() string { return "whole number" }

func (c *count) read(d decoder, n *yaml.Node, _ entry, path string) {
	at := position{n.Line, n.Column}
	c.place(at, path)
	value, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		d.addf(at, path, "", "%s where a whole number is wanted", kindOf(n))
		return
	}
	if value < 0 || value > maxList {
		d.addf(at, path, "", "%d where a number from 0 to %d is wanted", value, maxList)
		return
	}
	c.value, c.given = value, true
}

func (c *count) write() *yaml.Node {
	if !c.given {
		return nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(c.value)}
}

// set gives a count that was not written its default.
func (c *count) set(value int) {
	if !c.given {
		c.value, c.given = value, true
	}
}

// consent is an entry whose only value is `true`: leave it away for no.
type consent struct {
	node
	given bool
}

func (c *consent) describe() string { return "`true`" }

func (c *consent) read(d decoder, n *yaml.Node, _ entry, path string) {
	at := position{n.Line, n.Column}
	c.place(at, path)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" {
		d.addf(at, path, "write true or remove the entry", "%s where true is wanted", kindOf(n))
		return
	}
	c.given = true
}

func (c *consent) write() *yaml.Node {
	if !c.given {
		return nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}
}

// claims are certificate extensions by their OID, each with what it must say.
type claims struct {
	node
	list []claim
}

// claim is one extension and the wanted texts.
type claim struct {
	oid  text
	want matches
}

func (c *claims) describe() string { return "mapping of OIDs to matches" }

var dottedOID = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]{0,17})){2,30}$`)

func (c *claims) read(d decoder, n *yaml.Node, e entry, path string) {
	at := position{n.Line, n.Column}
	c.place(at, path)
	if n.Kind != yaml.MappingNode {
		d.addf(at, path, "", "%s where a mapping of OIDs is wanted", kindOf(n))
		return
	}
	if !d.checkLength(len(n.Content)/2, at, path) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		one := claim{oid: text{value: key.Value}}
		one.oid.place(position{key.Line, key.Column}, path)
		if !dottedOID.MatchString(key.Value) {
			d.addf(one.oid.at, path, `quote an OID in dots, such as "1.3.6.1.4.1.57264.1.20"`, "%q is no OID", wording.Short(key.Value))
			continue
		}
		if strings.HasPrefix(key.Value, "2.5.29.") || key.Value == "1.3.6.1.4.1.11129.2.4.2" {
			d.addf(one.oid.at, path, "name an extension that holds a claim", "%s is no claim of an issuer, but a part of X.509", key.Value)
			continue
		}
		one.want.read(d, value, e, path+"["+key.Value+"]")
		c.list = append(c.list, one)
	}
	slices.SortFunc(c.list, func(a, b claim) int { return cmp.Compare(a.oid.value, b.oid.value) })
}

func (c *claims) write() *yaml.Node {
	if len(c.list) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := range c.list {
		n.Content = append(n.Content, textNode(c.list[i].oid.value), c.list[i].want.write())
	}
	return n
}

func (c claim) String() string { return fmt.Sprintf("extension %s %s", c.oid.value, &c.want) }
