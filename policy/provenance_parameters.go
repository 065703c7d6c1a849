package policy

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// parameters are what builds must have been told, by dotted path.
type parameters struct {
	node
	list []parameter
}

// parameter is one path and the wanted texts.
type parameter struct {
	path text
	want matches
}

func (p *parameters) describe() string { return "mapping of paths to matches" }

func (p *parameters) read(d decoder, n *yaml.Node, e entry, path string) {
	at := position{n.Line, n.Column}
	p.place(at, path)
	if n.Kind != yaml.MappingNode {
		d.addf(at, path, "", "%s where a mapping of paths is wanted", kindOf(n))
		return
	}
	if !d.checkLength(len(n.Content)/2, at, path) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		one := parameter{}
		d.text(key, &one.path, e, path)
		one.want.read(d, value, e, join(path, key.Value))
		p.list = append(p.list, one)
	}
	slices.SortFunc(p.list, func(a, b parameter) int { return cmp.Compare(a.path.value, b.path.value) })
}

func (p *parameters) write() *yaml.Node {
	if len(p.list) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := range p.list {
		n.Content = append(n.Content, textNode(p.list[i].path.value), p.list[i].want.write())
	}
	return n
}

// refuse compares the parameters of a build; an empty reason accepts them. A
// parameter that is missing, null or empty matches nothing.
func (p *parameters) refuse(found map[string]string, only bool) (verify.Reason, string) {
	for i := range p.list {
		path, want := p.list[i].path.value, &p.list[i].want
		if value, there := found[path]; !there || !want.matches(value) {
			return ReasonPolicyDeny, fmt.Sprintf("the parameter %s is %s, not %s", path, stated(value, ""), want)
		}
	}
	if !only {
		return "", ""
	}
	var others []string
	for path := range found {
		if !slices.ContainsFunc(p.list, func(one parameter) bool { return one.path.value == path }) {
			others = append(others, path)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		return ReasonPolicyDeny, fmt.Sprintf("the parameter %s is not listed (%s)", wording.Short(others[0]), plural(len(others), "such parameter"))
	}
	return "", ""
}

// refuse compares what a build used; an empty reason accepts it.
func (e *materialsEntry) refuse(used []predicate.Dependency) (verify.Reason, string) {
	if e == nil {
		return "", ""
	}
	for i := range e.Include.list {
		want := &e.Include.list[i]
		if !slices.ContainsFunc(used, func(d predicate.Dependency) bool { return want.matches(d.URI) }) {
			return ReasonPolicyDeny, fmt.Sprintf("none of %s is %s", plural(len(used), "material"), want)
		}
	}
	for i := range e.Exclude.list {
		at := slices.IndexFunc(used, func(d predicate.Dependency) bool { return e.Exclude.list[i].matches(d.URI) })
		if at >= 0 {
			return ReasonPolicyDeny, fmt.Sprintf("the material %q is excluded", wording.Short(used[at].URI))
		}
	}
	return "", ""
}
