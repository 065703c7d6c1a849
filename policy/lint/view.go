package lint

import (
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// view is an entry of a valid policy: the reader of package policy has refused
// everything that would make two readings of it possible. The zero view is an
// entry that is not there.
type view struct {
	node *yaml.Node
	path string
	file string // where it stands
}

func (v view) there() bool { return v.node != nil }

// get follows names; what is not there is the zero view.
func (v view) get(names ...string) view {
	for _, name := range names {
		next := view{}
		for _, e := range v.entries() {
			if e.name == name {
				next = e.view
			}
		}
		v = next
	}
	return v
}

// named is an entry with its name.
type named struct {
	name string
	view
}

// entries lists the entries of a mapping.
func (v view) entries() []named {
	if v.node == nil || v.node.Kind != yaml.MappingNode {
		return nil
	}
	var all []named
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		name := v.node.Content[i].Value
		path := name
		if v.path != "" {
			path = v.path + "." + name
		}
		all = append(all, named{name, view{v.node.Content[i+1], path, v.file}})
	}
	return all
}

// items lists the items of a list.
func (v view) items() []view {
	if v.node == nil || v.node.Kind != yaml.SequenceNode {
		return nil
	}
	var all []view
	for i, n := range v.node.Content {
		all = append(all, view{n, v.path + "[" + strconv.Itoa(i) + "]", v.file})
	}
	return all
}

// text returns a scalar's text, "" for anything else.
func (v view) text() string {
	if v.node == nil || v.node.Kind != yaml.ScalarNode {
		return ""
	}
	return v.node.Value
}

// texts returns the texts of a list, or a single text as a list.
func (v view) texts() []string {
	if text := v.text(); text != "" {
		return []string{text}
	}
	var all []string
	for _, item := range v.items() {
		all = append(all, item.text())
	}
	return all
}

// moment reads a date or a time; ok is false for what is neither.
func (v view) moment() (at time.Time, ok bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, v.text()); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
