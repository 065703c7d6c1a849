package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Change is one text that was replaced.
type Change struct {
	File string
	Line int
	// Path is that of the first image that the text stands for.
	Path string
	// Old and New are the references.
	Old, New string
}

// edit is a change with its bytes.
type edit struct {
	Change
	start, end int
}

// Pin returns the file with each reference's digest behind it, and what it changed:
// "nginx:1.27" becomes "nginx:1.27@sha256:…", and a reference without a tag gets
// none. The digests are found by [Image.Reference]. Every other byte stays as it
// is: comments, quotes, the ends of lines, a byte order mark. A text that several
// aliases stand for is changed once.
//
// A reference that has a digest already is left; the digests may say the same of it
// or nothing. Images that the file builds itself are left. Pinning a pinned file
// changes nothing.
//
// Errors wrap [ErrPin], and nothing is pinned: a reference without a digest here or
// with another one, or one that does not stand in the file as it is. The result is
// read again before it is returned, and holds the same images and values but for
// the changes.
func (f *File) Pin(pins map[string]digest.Digest) ([]byte, []Change, error) {
	edits, err := f.edits(pins)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	at := 0
	changes := make([]Change, len(edits))
	for i, e := range edits {
		out.Write(f.data[at:e.start])
		out.WriteString(e.New)
		at, changes[i] = e.end, e.Change
	}
	out.Write(f.data[at:])
	if err := f.prove(out.Bytes(), changes); err != nil {
		return nil, nil, fmt.Errorf("pinning the images of %s: %w: %w", f.Name, ErrPin, err)
	}
	return out.Bytes(), changes, nil
}

// edits finds what is to be changed, in the file's order, each place once.
func (f *File) edits(pins map[string]digest.Digest) ([]edit, error) {
	var all []edit
	for _, i := range f.Images {
		refuse := func(format string, arguments ...any) error {
			return fmt.Errorf("pinning %s:%d: %s: %w: %w", f.Name, i.Line, i.Path, ErrPin, fmt.Errorf(format, arguments...))
		}
		to, known := pins[i.Reference]
		known = known && !to.IsZero()
		if has, pinned := i.Pinned(); pinned {
			if known && has != to {
				return nil, refuse("%s was judged as %s", quoted(i.Reference), to)
			}
			continue
		}
		if i.Built {
			continue
		}
		switch {
		case !known:
			return nil, refuse("no digest is known for %s", quoted(i.Reference))
		case i.End == 0:
			return nil, refuse("%s is not replaced: %s", quoted(i.Written), i.Fixed)
		case i.Start < 0 || i.End > len(f.data) || string(f.data[i.Start:i.End]) != i.Reference:
			return nil, refuse("%s does not stand where it was read", quoted(i.Reference))
		}
		all = append(all, edit{Change{f.Name, i.Line, i.Path, i.Reference, i.Reference + "@" + to.String()}, i.Start, i.End})
	}
	slices.SortStableFunc(all, func(a, b edit) int { return a.start - b.start })
	all = slices.CompactFunc(all, func(a, b edit) bool { return a.start == b.start && a.end == b.end && a.New == b.New })
	for n := 1; n < len(all); n++ {
		if all[n].start < all[n-1].end {
			return nil, fmt.Errorf("pinning %s:%d: %w: two images stand in one text", f.Name, all[n].Line, ErrPin)
		}
	}
	return all, nil
}

// prove reads the result and compares it with the file.
func (f *File) prove(out []byte, changes []Change) error {
	becomes := make(map[string]string, len(changes))
	for _, c := range changes {
		becomes[c.Old] = c.New
	}
	again, err := Read(f.Name, out, f.options)
	if err != nil && !errors.Is(err, ErrNoImages) {
		return fmt.Errorf("reading the result: %w", err)
	}
	if len(again.Images) != len(f.Images) || again.Format != f.Format {
		return fmt.Errorf("the result has %d images, not %d", len(again.Images), len(f.Images))
	}
	for n, was := range f.Images {
		is, want := again.Images[n], was.Reference
		if _, pinned := was.Pinned(); !pinned && !was.Built {
			want = becomes[was.Reference]
		}
		if is.Reference != want || is.Path != was.Path || is.Kind != was.Kind || is.Line != was.Line {
			return fmt.Errorf("line %d of the result holds %s, not %s", is.Line, quoted(is.Reference), quoted(want))
		}
	}
	if f.Format == FormatDockerfile {
		return nil
	}
	return sameValues(f.data, out, becomes)
}

// sameValues compares two YAML files value by value.
func sameValues(before, after []byte, becomes map[string]string) error {
	old, now := yaml.NewDecoder(bytes.NewReader(before)), yaml.NewDecoder(bytes.NewReader(after))
	for {
		var a, b yaml.Node
		errOld, errNow := old.Decode(&a), now.Decode(&b)
		if errors.Is(errOld, io.EOF) && errors.Is(errNow, io.EOF) {
			return nil
		}
		if errOld != nil || errNow != nil {
			return errors.New("the result has other documents")
		}
		if err := sameNode(&a, &b, becomes); err != nil {
			return err
		}
	}
}

func sameNode(a, b *yaml.Node, becomes map[string]string) error {
	value := a.Value
	if replaced, found := becomes[value]; found && a.Kind == yaml.ScalarNode && value != b.Value {
		value = replaced
	}
	other := a.Kind != b.Kind || a.Style != b.Style || a.Tag != b.Tag || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) || a.Line != b.Line ||
		a.HeadComment != b.HeadComment || a.LineComment != b.LineComment || a.FootComment != b.FootComment
	if other || value != b.Value && !lastLine(value, b.Value, becomes) {
		return fmt.Errorf("line %d of the result has another value than the file", b.Line)
	}
	for i := range a.Content { // an alias has no content
		if err := sameNode(a.Content[i], b.Content[i], becomes); err != nil {
			return err
		}
	}
	return nil
}

// lastLine reports whether a text is a replaced one with something around it that
// stayed: a build context, or the line's end of a block.
func lastLine(before, after string, becomes map[string]string) bool {
	for old, now := range becomes {
		if n := len(before) - len(old); n > 0 && len(after) == len(now)+n {
			for at := range n + 1 {
				if before[at:at+len(old)] == old && after == before[:at]+now+before[at+len(old):] {
					return true
				}
			}
		}
	}
	return false
}
