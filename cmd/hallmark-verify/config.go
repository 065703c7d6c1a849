package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy/workload"
)

const (
	// maxConfigBytes bounds the configuration; one with a thousand exemptions has some
	// hundred kilobytes.
	maxConfigBytes = 1 << 20
	// maxConfigDepth is far more than an entry needs.
	maxConfigDepth = 8
)

var errConfig = errors.New("the configuration cannot be used")

// readConfig reads --config: each entry is a flag in camelCase, or one of those that
// have no flag. Nothing is ignored: an unknown entry, one that stands twice, an anchor or
// a second document is an error. What the command line says wins.
func (f *serveFlags) readConfig(flags *pflag.FlagSet) error {
	raw, err := wholefile.ReadRegular(f.config, maxConfigBytes)
	if err != nil {
		return fmt.Errorf("reading --config: %w", err)
	}
	root, err := parseConfig(raw)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errConfig, f.config, err)
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := f.entry(flags, key, value, seen); err != nil {
			return fmt.Errorf("%w: %s:%d: %s: %w", errConfig, f.config, key.Line, wording.Short(key.Value), err)
		}
	}
	return nil
}

// parseConfig returns the one mapping of a file.
func parseConfig(raw []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	var document, more yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, err
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document in it")
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no mapping of entries")
	}
	return document.Content[0], plainYAML(document.Content[0], 0)
}

// plainYAML refuses what makes one text mean another: anchors, aliases, tags, keys that
// stand twice, and depth without end.
func plainYAML(n *yaml.Node, depth int) error {
	if depth > maxConfigDepth {
		return fmt.Errorf("line %d: nested too deep", n.Line)
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return fmt.Errorf("line %d: anchors, aliases and tags are not read; write the text itself", n.Line)
	}
	keys := make(map[string]bool)
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if keys[child.Value] {
				return fmt.Errorf("line %d: %q stands there twice", child.Line, wording.Short(child.Value))
			}
			keys[child.Value] = true
		}
		if err := plainYAML(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// entry takes one entry.
func (f *serveFlags) entry(flags *pflag.FlagSet, key, value *yaml.Node, seen map[string]bool) error {
	switch key.Value {
	case "exemptions":
		return decodeEntry(value, &f.exemptions)
	case "customResources":
		var all []struct {
			Group string   `json:"group"`
			Kind  string   `json:"kind"`
			Paths []string `json:"paths"`
		}
		if err := decodeEntry(value, &all); err != nil {
			return err
		}
		for _, one := range all {
			f.custom = append(f.custom, workload.Custom{Group: one.Group, Kind: one.Kind, Paths: one.Paths})
		}
		return nil
	}
	flag := flags.Lookup(kebab(key.Value))
	if flag == nil || flag.Name == "config" || flag.Name == "help" || camel(flag.Name) != key.Value {
		return unknownEntry(flags, key.Value)
	}
	if flag.Changed && !seen[flag.Name] {
		return nil // the command line wins
	}
	seen[flag.Name] = true
	values := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		if _, list := flag.Value.(pflag.SliceValue); !list {
			return errors.New("one value stands here, and no list")
		}
		values = value.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			return errors.New("a plain value stands here")
		}
		if err := flags.Set(flag.Name, v.Value); err != nil {
			return err
		}
	}
	return nil
}

func unknownEntry(flags *pflag.FlagSet, name string) error {
	known := []string{"exemptions", "customResources"}
	flags.VisitAll(func(flag *pflag.Flag) { known = append(known, camel(flag.Name)) })
	if near, found := wording.Nearest(name, known); found {
		return fmt.Errorf("there is no such entry; did you mean %q?", near)
	}
	return errors.New("there is no such entry")
}

// decodeEntry reads an entry as if it were JSON, with its strictness.
func decodeEntry(value *yaml.Node, into any) error {
	var plain any
	if err := value.Decode(&plain); err != nil {
		return err
	}
	raw, err := json.Marshal(plain)
	if err != nil {
		return errors.New("it holds what JSON cannot say")
	}
	return strictjson.Decode(raw, into)
}

// kebab makes "tlsCert" "tls-cert".
func kebab(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// camel makes "tls-cert" "tlsCert".
func camel(name string) string {
	parts := strings.Split(name, "-")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}
