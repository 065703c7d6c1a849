package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxFiles bounds the files of one policy, those that it includes among them.
const maxFiles = 100

// fileLines is how far apart the line numbers of two files of one policy are, so
// that a place in any of them is one number. A file has at most maxParts lines.
const fileLines = 1 << 20

// File is one file of a policy.
type File struct {
	Name string // stands in errors
	Data []byte
}

// ParseFiles reads one policy that stands in several files, such as those of a
// folder. Each is a whole document of at most [MaxBytes] with the same
// metadata.name; together they must be a policy, as if all stood in one file: each
// must be valid, names are unique, and no two rules of whatever files may govern one
// image with equal right. What `unmatched` says must be the same wherever it stands.
// The order of the files does not matter. read and the error are those of [Parse].
func ParseFiles(files []File, read func(path string) ([]byte, error)) (*Policy, error) {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	f := &faults{file: "policy"}
	if len(files) > 0 {
		f.file = files[0].Name
	}
	r := &reader{faults: f, read: read}
	d := r.all(files)
	if err := f.err(); err != nil {
		return nil, err
	}
	c := &compiler{faults: f, read: read}
	p := c.policy(d)
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// reader reads the files of one policy into one document.
type reader struct {
	*faults
	read  func(string) ([]byte, error)
	bytes int // read so far
}

func (r *reader) all(files []File) *document {
	start := position{1, 1}
	switch {
	case len(files) == 0:
		r.add(start, "", "write at least one file", ErrEmpty)
		return nil
	case len(files) > maxFiles:
		r.addf(start, "", "split the policy", "%d files, at most %d are read", len(files), maxFiles)
		return nil
	}
	joint := &document{}
	for i, file := range files {
		d := r.document(file, len(files) > 1)
		if d == nil {
			continue
		}
		if i == 0 {
			*joint = *d
		} else {
			r.merge(joint, d)
		}
		for n := range d.Include {
			r.include(joint, &d.Include[n])
		}
	}
	joint.Include = nil
	if len(r.faults.all) == 0 {
		for name, length := range map[string]int{"signers": len(joint.Signers), "rules": len(joint.Rules)} {
			if length == 0 {
				r.addf(start, name, "", "it is missing")
			}
		}
	}
	return joint
}

// document reads one file. A part of a policy need not have signers and rules.
func (r *reader) document(file File, part bool) *document {
	r.files = append(r.files, file.Name)
	own := &faults{file: file.Name}
	var tree *yaml.Node
	if r.bytes += len(file.Data); r.bytes > MaxBytes && len(r.files) > 1 {
		own.addf(position{1, 1}, "", "split the policy", "its files have more than %d bytes together", MaxBytes)
	} else {
		tree = parseYAML(file.Data, own)
	}
	r.faults.all = append(r.faults.all, own.all...)
	if tree == nil {
		return nil
	}
	shift(tree, (len(r.files)-1)*fileLines)
	if !part && tree.Kind == yaml.MappingNode {
		part = slices.ContainsFunc(tree.Content, func(n *yaml.Node) bool { return n.Value == "include" })
	}
	d := &document{}
	before := len(r.faults.all)
	decoder{r.faults, make(layouts), part}.mapping(tree, reflect.ValueOf(d).Elem(), "")
	if len(r.faults.all) > before {
		return nil
	}
	return d
}

// shift moves the lines of a tree to those of its file.
func shift(n *yaml.Node, by int) {
	n.Line += by
	for _, child := range n.Content {
		shift(child, by)
	}
}

// include reads a file that a policy names.
func (r *reader) include(joint *document, entry *includeEntry) {
	where := entry.File
	switch {
	case r.read == nil:
		r.addf(where.at, where.path, "write its entries here", "files cannot be read here")
		return
	case len(r.files) >= maxFiles:
		r.addf(where.at, where.path, "", "more than %d files", maxFiles)
		return
	}
	raw, err := r.read(where.value)
	if err != nil {
		r.addf(where.at, where.path, "paths are relative to the policy's folder", "reading the file: %w", err)
		return
	}
	if !r.pinned(raw, &entry.SHA256) {
		return
	}
	d := r.document(File{where.value, raw}, true)
	if d == nil {
		return
	}
	if len(d.Include) > 0 {
		r.addf(d.Include[0].at, d.Include[0].path, "include the other file in the policy itself", "an included file includes another")
	}
	if d.Unmatched.written() {
		r.addf(d.Unmatched.at, d.Unmatched.path, "say it in the policy itself", "it stands in an included file")
	}
	d.Metadata, d.Unmatched, d.Include = joint.Metadata, text{}, nil
	r.merge(joint, d)
}

// merge adds a document to another. Lists are joined; what is said once for the
// whole policy must be the same in both.
func (r *reader) merge(into, from *document) {
	a, b := reflect.ValueOf(into).Elem(), reflect.ValueOf(from).Elem()
	entries, _ := entriesOf(a.Type())
	for _, e := range entries {
		target, more := a.Field(e.index), b.Field(e.index)
		switch t := target.Addr().Interface().(type) {
		case *text:
			r.same(e.name, t, more.Addr().Interface().(*text))
		case **metadata:
			if *t == nil { // the first file could not be read
				*t = *more.Addr().Interface().(**metadata)
				continue
			}
			r.same("metadata.name", &(*t).Name, &(*more.Addr().Interface().(**metadata)).Name)
		case *groups:
			r.mergeGroups(t, more.Addr().Interface().(*groups))
		default:
			if target.Kind() != reflect.Slice {
				continue
			}
			if e.byName {
				r.distinct(target, more)
			}
			target.Set(reflect.AppendSlice(target, more))
		}
	}
}

// same demands that two files say one thing.
func (r *reader) same(name string, into, from *text) {
	switch {
	case !into.written():
		*into = *from
	case from.written() && from.value != into.value:
		r.addf(from.at, from.path, "write the same in each file of the policy", "%s is %q here and %q in another file", name, wording.Short(from.value), wording.Short(into.value))
	}
}

// distinct refuses a name that stands in two files.
func (r *reader) distinct(into, from reflect.Value) {
	entries, _ := entriesOf(from.Type().Elem())
	key := slices.IndexFunc(entries, func(e entry) bool { return e.key })
	for i := range from.Len() {
		name := from.Index(i).Field(entries[key].index).Interface().(text)
		for j := range into.Len() {
			if into.Index(j).Field(entries[key].index).Interface().(text).value == name.value {
				r.twice(name)
			}
		}
	}
}

func (r *reader) mergeGroups(into, from *groups) {
	for _, g := range from.list {
		if slices.ContainsFunc(into.list, func(other group) bool { return other.name.value == g.name.value }) {
			r.twice(g.name)
		}
	}
	into.list = append(into.list, from.list...)
}

func (r *reader) twice(name text) {
	r.add(name.at, name.path, "give it another name", fmt.Errorf("%q stands in another file of the policy too", wording.Short(name.value)))
}
