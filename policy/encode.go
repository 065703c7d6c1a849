package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// encode writes a document as YAML, entries in the language's order.
func encode(d *document) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(mappingNode(reflect.ValueOf(d).Elem())); err != nil {
		return nil, fmt.Errorf("writing a policy: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("writing a policy: %w", err)
	}
	return out.Bytes(), nil
}

func mappingNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	entries, _ := entriesOf(v.Type())
	for _, e := range entries {
		if e.key {
			continue
		}
		byName := v.Type().Field(e.index).Tag.Get("map") != ""
		if value := valueNode(v.Field(e.index), byName); value != nil {
			n.Content = append(n.Content, textNode(e.name), value)
		}
	}
	return n
}

// valueNode returns nil for what was not written.
func valueNode(v reflect.Value, byName bool) *yaml.Node {
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
		return mappingNode(v)
	case v.IsNil():
		return nil
	case v.Kind() == reflect.Pointer:
		return mappingNode(v.Elem())
	}
	if byName {
		return namedNode(v)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for i := range v.Len() {
		n.Content = append(n.Content, valueNode(v.Index(i), false))
	}
	return n
}

func namedNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	entries, _ := entriesOf(v.Type().Elem())
	for i := range v.Len() {
		for _, e := range entries {
			if e.key {
				n.Content = append(n.Content, textNode(v.Index(i).Field(e.index).Interface().(text).value))
			}
		}
		n.Content = append(n.Content, mappingNode(v.Index(i)))
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
