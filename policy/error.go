package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Errors that a caller of [Parse] may branch on.
var (
	// ErrInvalid is wrapped by every error of [Parse]: correct the file.
	ErrInvalid = errors.New("invalid policy")
	// ErrEmpty: the file, or a list in it, is empty where it would then demand
	// nothing.
	ErrEmpty = errors.New("policy demands nothing")
	// ErrUnsupported: the entry belongs to a later version of the language. Nothing
	// is ignored, so this version cannot use the policy.
	ErrUnsupported = errors.New("not supported by this version")
)

// maxErrors bounds the errors of one file; more help nobody.
const maxErrors = 50

// Error is one fault of a policy file.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 where no place can be named
	Path         string // the entry, such as "rules[0].require.sbom.format"
	Hint         string // what to do, or ""
	Err          error
}

// Error gives "file:line:column: path: cause; hint".
func (e *Error) Error() string {
	text := e.File
	if e.Line > 0 {
		text += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	if e.Path != "" {
		text += ": " + e.Path
	}
	text += ": " + e.Err.Error()
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalid holds every fault of a policy file, in the file's order. It is the
// error of [Parse]. errors.As finds the first *[Error] in it.
type Invalid struct{ Errors []*Error }

// Error gives one fault a line.
func (i *Invalid) Error() string {
	lines := make([]string, len(i.Errors))
	for n, e := range i.Errors {
		lines[n] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns [ErrInvalid] and the faults.
func (i *Invalid) Unwrap() []error {
	all := []error{}
	for _, e := range i.Errors {
		all = append(all, e)
	}
	return append(all, ErrInvalid)
}

// position is a place in the file, from 1.
type position struct{ line, column int }

// faults gathers the errors of one file.
type faults struct {
	file string
	// files are those of a policy in several, whose places are fileLines apart.
	files []string
	all   []*Error
}

// add records one fault.
func (f *faults) add(at position, path, hint string, cause error) {
	if len(f.all) < maxErrors {
		file := f.file
		if n := at.line / fileLines; n < len(f.files) {
			file, at.line = f.files[n], at.line%fileLines
		}
		f.all = append(f.all, &Error{File: file, Line: at.line, Column: at.column, Path: path, Hint: hint, Err: cause})
	}
}

// addf is add with a formatted cause; %w works.
func (f *faults) addf(at position, path, hint, format string, args ...any) {
	f.add(at, path, hint, fmt.Errorf(format, args...))
}

// err returns the faults in the file's order, or nil.
func (f *faults) err() error {
	if len(f.all) == 0 {
		return nil
	}
	slices.SortStableFunc(f.all, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(slices.Index(f.files, a.File), slices.Index(f.files, b.File)), a.Line-b.Line, a.Column-b.Column)
	})
	return &Invalid{Errors: f.all}
}

// didYouMean returns a hint that names the candidate nearest to word, or "".
func didYouMean(word string, candidates []string) string {
	if near, found := wording.Nearest(word, candidates); found {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}
