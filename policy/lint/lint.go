// Package lint finds the faults of a trust policy, and its weak spots: what is
// valid, and may yet allow more than its author means.
//
//	for _, f := range lint.Check("policy.yaml", data, read, lint.Options{Now: now}) {
//		fmt.Println(f)
//	}
//
// A weak spot has a stable [ID]. Nothing here decides about an image: a policy
// without findings is not thereby a good one.
//
// Non-goals: changing policies, and reading files (the caller's read function does).
package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/policy"
)

// soon is how long before an end a warning comes: a month is enough to order,
// review and roll out a key.
const soon = 30 * 24 * time.Hour

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the policy is invalid, and allows nothing
	Warning Severity = "warning" // it may allow more than its author means, or stop working soon
	Note    Severity = "note"    // worth a look; often meant
)

// Finding is one fault or weak spot.
type Finding struct {
	ID       ID       `json:"id"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`   // from 1; 0 where no place can be named
	Column   int      `json:"column,omitempty"` // from 1
	Path     string   `json:"path,omitempty"`   // the entry, such as "rules[0].require"
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// String gives "file:line:column: severity: path: message; hint [id]".
func (f Finding) String() string {
	text := f.File
	if f.Line > 0 {
		text += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	text += ": " + string(f.Severity) + ": "
	if f.Path != "" {
		text += f.Path + ": "
	}
	text += f.Message
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return text + " [" + string(f.ID) + "]"
}

// Options say what a policy is looked at with.
type Options struct {
	// Now is when the policy is to be in force; zero leaves everything about dates out.
	Now time.Time
	// Images are names of images that are in use. Rules that govern none of them,
	// and images that no rule governs, are findings. None looks at neither.
	Images []string
}

// Check returns what is wrong with a policy, in the order of the file. It reads what
// [policy.Parse] reads, with the same read function. An invalid policy gives its
// faults and nothing else.
func Check(file string, data []byte, read func(path string) ([]byte, error), o Options) []Finding {
	return CheckFiles([]policy.File{{Name: file, Data: data}}, read, o)
}

// CheckFiles is [Check] for a policy in several files, such as those of a folder; see
// [policy.ParseFiles].
func CheckFiles(files []policy.File, read func(path string) ([]byte, error), o Options) []Finding {
	taken := make(map[string][]byte)
	p, err := policy.ParseFiles(files, func(path string) ([]byte, error) {
		if read == nil {
			return nil, errors.New("files are not read here")
		}
		raw, err := read(path)
		taken[path] = raw
		return raw, err
	})
	if err != nil {
		return faults(firstName(files), err)
	}
	l := &linter{policy: p, options: o}
	var ok bool
	if l.canonical, ok = open("", p.YAML()); !ok {
		return faults(firstName(files), errors.New("reading the policy again"))
	}
	all := slices.Clone(files)
	for _, file := range files {
		all = append(all, included(file.Name, file.Data, taken)...)
	}
	for i, one := range all {
		v, ok := open(one.Name, one.Data)
		if !ok || i > 2*maxIncluded {
			return faults(one.Name, errors.New("reading the policy again"))
		}
		l.written = append(l.written, v)
	}
	l.document()
	l.trustRoots()
	l.signers()
	l.groups()
	l.rules()
	l.patterns()
	l.exceptions()
	l.examples()
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(l.order(a.File)-l.order(b.File), a.Line-b.Line, a.Column-b.Column, cmp.Compare(a.ID, b.ID))
	})
	return l.found
}

// firstName names a policy whose faults name no file.
func firstName(files []policy.File) string {
	if len(files) == 0 {
		return "policy"
	}
	return files[0].Name
}

// maxIncluded bounds the files of a policy, as package policy does.
const maxIncluded = 100

// open reads a document that package policy has accepted.
func open(name string, data []byte) (view, bool) {
	var document yaml.Node
	if yaml.Unmarshal(data, &document) != nil || len(document.Content) != 1 {
		return view{}, false
	}
	return view{node: document.Content[0], file: name}, true
}

// included lists the files that a policy includes, as they were read.
func included(name string, data []byte, taken map[string][]byte) []policy.File {
	v, _ := open(name, data)
	var files []policy.File
	for _, e := range v.get("include").items() {
		if raw, was := taken[e.get("file").text()]; was {
			files = append(files, policy.File{Name: e.get("file").text(), Data: raw})
		}
	}
	return files
}

// faults gives the errors of a policy that cannot be used.
func faults(file string, err error) []Finding {
	var invalid *policy.Invalid
	if !errors.As(err, &invalid) {
		return []Finding{{ID: Invalid, Severity: Error, File: file, Message: err.Error()}}
	}
	var all []Finding
	for _, e := range invalid.Errors {
		all = append(all, Finding{
			ID: Invalid, Severity: Error, File: e.File, Line: e.Line, Column: e.Column,
			Path: e.Path, Message: e.Err.Error(), Hint: e.Hint,
		})
	}
	return all
}

// linter looks at one policy.
type linter struct {
	policy    *policy.Policy
	options   Options
	written   []view // the files as they were written, those that are included last
	canonical view   // all of it, with keys inline and defaults written out
	found     []Finding
}

// add records one finding at a place of the file.
func (l *linter) add(id ID, at view, hint, format string, args ...any) {
	f := Finding{ID: id, Severity: id.About().Severity, File: at.file, Path: at.path, Message: fmt.Sprintf(format, args...), Hint: hint}
	if at.node != nil {
		f.Line, f.Column = at.node.Line, at.node.Column
	}
	l.found = append(l.found, f)
}

// order is a file's place among those of the policy.
func (l *linter) order(file string) int {
	return slices.IndexFunc(l.written, func(v view) bool { return v.file == file })
}

// items lists the items of a list in all files.
func (l *linter) items(name string) (all []view) {
	for _, v := range l.written {
		all = append(all, v.get(name).items()...)
	}
	return all
}

// entries lists the entries of a mapping in all files.
func (l *linter) entries(name string) (all []named) {
	for _, v := range l.written {
		all = append(all, v.get(name).entries()...)
	}
	return all
}
