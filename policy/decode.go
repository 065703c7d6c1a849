package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

const (
	maxText      = 4096 // one value; image names have at most 512 bytes, CEL conditions a few hundred
	maxMultiline = 64 << 10
	maxFileText  = 256 << 10 // a file's text: the public-good trusted root has 7 kB, a CRL of 1000 certificates 50 kB
	maxList      = 1000      // entries of one list
)

// node remembers where a mapping stands.
type node struct {
	at   position
	path string
}

func (n *node) place(at position, path string) { n.at, n.path = at, path }

// text is a string with its place; a text without a place was not written.
type text struct {
	node
	value string
}

func (t text) written() bool { return t.value != "" }

// number is a positive integer with its place.
type number struct {
	node
	value int
}

type placed interface {
	place(at position, path string)
}

// entry describes one field of the language.
type entry struct {
	index          int
	name           string
	required       bool
	oneof          []string
	limit          int // of a text, in bytes
	multiline, key bool
	byName         bool // a list that is written as a mapping of names
}

// entriesOf lists the fields of a mapping in their order, and the names that
// later versions will know.
func entriesOf(t reflect.Type) (entries []entry, later []string) {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			if names := field.Tag.Get("later"); names != "" {
				later = strings.Split(names, ",")
			}
			continue
		}
		name, option, _ := strings.Cut(field.Tag.Get("policy"), ",")
		e := entry{index: i, name: name, required: option == "required", key: option == "key", limit: maxText, byName: field.Tag.Get("map") != ""}
		switch field.Tag.Get("multiline") {
		case "":
		case "file":
			e.multiline, e.limit = true, maxFileText
		default:
			e.multiline, e.limit = true, maxMultiline
		}
		if allowed := field.Tag.Get("oneof"); allowed != "" {
			e.oneof = strings.Split(allowed, ",")
		}
		entries = append(entries, e)
	}
	return entries, later
}

// layouts keeps what entriesOf says of the types of one run.
type layouts map[reflect.Type]*layout

type layout struct {
	entries []entry
	later   []string
}

func (l layouts) of(t reflect.Type) *layout {
	known, found := l[t]
	if !found {
		known = &layout{}
		known.entries, known.later = entriesOf(t)
		l[t] = known
	}
	return known
}

// decoder fills the language's types from a scanned tree.
type decoder struct {
	*faults
	known layouts
	part  bool // of a policy in several files: it need not have signers and rules
}

func (d decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	at := position{n.Line, n.Column}
	v.Addr().Interface().(placed).place(at, path)
	if n.Kind != yaml.MappingNode {
		d.addf(at, path, "", "%s where a mapping is wanted", kindOf(n))
		return
	}
	entries, later := d.known.of(v.Type()).entries, d.known.of(v.Type()).later
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		seen[key.Value] = true
		known := slices.IndexFunc(entries, func(e entry) bool { return !e.key && e.name == key.Value })
		if known < 0 {
			d.unknown(key, entries, later, path)
			continue
		}
		d.value(n.Content[i+1], v.Field(entries[known].index), entries[known].byName, entries[known], join(path, key.Value))
	}
	for _, e := range entries {
		if e.required && !seen[e.name] && (path != "" || !d.part || !inOtherFile(e.name)) {
			d.addf(at, join(path, e.name), "", "it is missing")
		}
	}
}

// inOtherFile reports whether a required entry may stand in another file of the policy.
func inOtherFile(name string) bool { return name == "signers" || name == "rules" }

func (d decoder) unknown(key *yaml.Node, entries []entry, later []string, path string) {
	at := position{key.Line, key.Column}
	if slices.Contains(later, key.Value) {
		d.add(at, join(path, key.Value), "it is not ignored, so remove it or use a version that has it", ErrUnsupported)
		return
	}
	var names []string
	for _, e := range entries {
		if !e.key {
			names = append(names, e.name)
		}
	}
	hint := didYouMean(key.Value, names)
	if hint == "" {
		hint = "known here: " + strings.Join(names, ", ")
	}
	d.addf(at, path, hint, "unknown entry %q", wording.Short(key.Value))
}

// value fills one field, whatever its kind.
func (d decoder) value(n *yaml.Node, v reflect.Value, byName bool, e entry, path string) {
	at := position{n.Line, n.Column}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.add(at, path, "give it a value or remove it", ErrEmpty)
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *text:
		d.text(n, target, e, path)
		return
	case *number:
		d.number(n, target, path)
		return
	case leaf:
		target.read(d, n, e, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.mapping(n, v.Elem(), path)
	case reflect.Slice:
		if byName {
			d.named(n, v, path)
		} else {
			d.list(n, v, e, path)
		}
	}
}

func (d decoder) list(n *yaml.Node, v reflect.Value, e entry, path string) {
	at := position{n.Line, n.Column}
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = fmt.Sprintf("write [%s]", wording.Short(n.Value))
		}
		d.addf(at, path, hint, "%s where a list is wanted", kindOf(n))
		return
	}
	if !d.checkLength(len(n.Content), at, path) {
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		itemPath := path + "[" + strconv.Itoa(i) + "]"
		if list.Index(i).Kind() == reflect.Struct && list.Index(i).Type() != reflect.TypeFor[text]() {
			d.mapping(item, list.Index(i), itemPath)
		} else {
			d.value(item, list.Index(i), false, e, itemPath)
		}
	}
	v.Set(list)
}

// named fills a list from a mapping whose keys are the entries' names.
func (d decoder) named(n *yaml.Node, v reflect.Value, path string) {
	at := position{n.Line, n.Column}
	if n.Kind != yaml.MappingNode {
		d.addf(at, path, "", "%s where a mapping of names is wanted", kindOf(n))
		return
	}
	if !d.checkLength(len(n.Content)/2, at, path) {
		return
	}
	entries := d.known.of(v.Type().Elem()).entries
	list := reflect.MakeSlice(v.Type(), len(n.Content)/2, len(n.Content)/2)
	for i := range list.Len() {
		key, item := n.Content[2*i], list.Index(i)
		itemPath := join(path, key.Value)
		for _, e := range entries {
			if e.key {
				d.text(key, item.Field(e.index).Addr().Interface().(*text), e, itemPath)
			}
		}
		d.mapping(n.Content[2*i+1], item, itemPath)
	}
	v.Set(list)
}

func (d decoder) checkLength(length int, at position, path string) bool {
	switch {
	case length == 0:
		d.add(at, path, "list at least one, or remove the entry", fmt.Errorf("it is empty: %w", ErrEmpty))
		return false
	case length > maxList:
		d.addf(at, path, "", "%d entries, at most %d are read", length, maxList)
		return false
	}
	return true
}

func (d decoder) text(n *yaml.Node, t *text, e entry, path string) {
	at := position{n.Line, n.Column}
	t.place(at, path)
	if n.Kind != yaml.ScalarNode {
		d.addf(at, path, "", "%s where a text is wanted", kindOf(n))
		return
	}
	if n.ShortTag() != "!!str" {
		d.addf(at, path, "quote it", "%s where a text is wanted", kindOf(n))
		return
	}
	if err := checkText(n.Value, max(e.limit, maxText), e.multiline); err != nil {
		d.add(at, path, "", err)
		return
	}
	if e.oneof != nil && !slices.Contains(e.oneof, n.Value) {
		hint := didYouMean(n.Value, e.oneof)
		d.addf(at, path, hint, "%q is none of %s", wording.Short(n.Value), strings.Join(e.oneof, ", "))
		return
	}
	t.value = n.Value
}

// checkText refuses what is invisible to the reader of the file or of a report.
func checkText(s string, limit int, multiline bool) error {
	switch {
	case s == "":
		return fmt.Errorf("it is empty: %w", ErrEmpty)
	case len(s) > limit:
		return fmt.Errorf("%d bytes, at most %d are read", len(s), limit)
	case !utf8.ValidString(s):
		return errors.New("it is not UTF-8 text")
	case !multiline && strings.TrimSpace(s) != s:
		return errors.New("a space at its beginning or end")
	}
	for _, c := range s {
		if !unicode.IsPrint(c) && (!multiline || c != '\n' && c != '\t') {
			return fmt.Errorf("the character %U, which nobody can see", c)
		}
	}
	return nil
}

func (d decoder) number(n *yaml.Node, target *number, path string) {
	at := position{n.Line, n.Column}
	target.place(at, path)
	value, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		d.addf(at, path, "", "%s where a whole number is wanted", kindOf(n))
		return
	}
	if value < 1 {
		d.add(at, path, "demand at least 1, or remove the entry", fmt.Errorf("it is %d: %w", value, ErrEmpty))
		return
	}
	target.value = value
}

func join(path, name string) string {
	if path == "" {
		return wording.Short(name)
	}
	return path + "." + wording.Short(name)
}

// kindOf names what stands at a node, for people.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return fmt.Sprintf("the text %q", wording.Short(n.Value))
	case "!!int", "!!float":
		return "the number " + wording.Short(n.Value)
	case "!!null":
		return "nothing"
	case "!!bool":
		return "the truth value " + wording.Short(n.Value)
	case "!!timestamp":
		return "the date " + wording.Short(n.Value)
	}
	return "a value"
}
