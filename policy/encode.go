package policy

import (
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// encode writes a document as YAML, entries in the language's order.
func encode(d *document) []byte {
	var out strings.Builder
	emit(&out, encoder{make(layouts)}.mapping(reflect.ValueOf(d).Elem()), 0)
	return []byte(out.String())
}

// encoder makes a tree of the language's types.
type encoder struct{ known layouts }

func (c encoder) mapping(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	entries := c.known.of(v.Type()).entries
	for _, e := range entries {
		if e.key {
			continue
		}
		if value := c.value(v.Field(e.index), e.byName); value != nil {
			n.Content = append(n.Content, textNode(e.name), value)
		}
	}
	return n
}

// value returns nil for what was not written.
func (c encoder) value(v reflect.Value, byName bool) *yaml.Node {
	switch value := v.Interface().(type) {
	case text:
		if !value.written() {
			return nil
		}
		return textNode(value.value)
	case number:
		if value.value == 0 {
			return nil
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(value.value)}
	}
	if v.CanAddr() {
		if value, isLeaf := v.Addr().Interface().(leaf); isLeaf {
			return value.write()
		}
	}
	switch {
	case v.Kind() == reflect.Struct:
		return c.mapping(v)
	case v.IsNil():
		return nil
	case v.Kind() == reflect.Pointer:
		return c.mapping(v.Elem())
	}
	if byName {
		return c.named(v)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for i := range v.Len() {
		n.Content = append(n.Content, c.value(v.Index(i), false))
	}
	return n
}

func (c encoder) named(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	entries := c.known.of(v.Type().Elem()).entries
	for i := range v.Len() {
		for _, e := range entries {
			if e.key {
				n.Content = append(n.Content, textNode(v.Index(i).Field(e.index).Interface().(text).value))
			}
		}
		n.Content = append(n.Content, c.mapping(v.Index(i)))
	}
	return n
}

func textNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case strings.HasPrefix(s, "-----BEGIN "):
		n.Style = yaml.LiteralStyle
	case strings.ContainsAny(s, "\n\t"):
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
