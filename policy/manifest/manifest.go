// Package manifest finds the images that files ask for, and pins them: Kubernetes
// objects and rendered charts in YAML or JSON, Compose files, Dockerfiles.
//
//	file, err := manifest.Read("deploy/web.yaml", data, manifest.Options{})
//	if err != nil { … } // a [Faults] with file and line, or ErrNoImages, or ErrFormat
//	for _, i := range file.Images { fmt.Println(i.Line, i.Path, i.Reference) }
//	pinned, changes, err := file.Pin(map[string]digest.Digest{"nginx:1.27": d})
//
// What cannot be read is an error and never "no images": a template that was not
// rendered, a variable without a value, a value of a wrong type, a key that stands
// twice. An image that nobody looked at would otherwise pass.
//
// It is pure: it reads no file, no variable and no registry. Non-goals: rendering
// charts, and judging images; a reference that no registry could have is found
// like any other, and the gate refuses it.
package manifest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy/workload"
)

// Limits of one file.
const (
	// MaxBytes bounds a file. The largest rendered charts have some megabytes, most
	// of them definitions of custom resources.
	MaxBytes = 16 << 20
	// maxImages bounds its images; a whole cluster has some thousands.
	maxImages = 10_000
	// maxReference bounds one image's text; the longest that a registry can have is
	// far shorter.
	maxReference = 1024
	// maxWarnings bounds the warnings of a file; more than that nobody reads.
	maxWarnings = 100
)

// Format is what a file is written in.
type Format string

// The formats. A YAML file may hold Kubernetes objects beside Compose documents;
// its format is that of its first document.
const (
	FormatAny        Format = "" // seen by name and content
	FormatKubernetes Format = "kubernetes"
	FormatCompose    Format = "compose"
	FormatDockerfile Format = "dockerfile"
)

// Kinds of images, beside those of package workload.
const (
	KindService  = "service"      // of Compose
	KindBase     = "base"         // FROM
	KindCopy     = "copy"         // COPY --from
	KindMount    = "mount"        // RUN --mount from
	KindFrontend = "frontend"     // # syntax=, the image that reads the Dockerfile
	KindContext  = "buildContext" // docker-image:// in a Compose build
)

// Options say how files are read. The zero value reads all that is known.
type Options struct {
	// Format is the format; FormatAny finds it out.
	Format Format
	// Finder knows where images stand in Kubernetes objects, those of custom
	// resources too. Nil knows the built-in kinds.
	Finder *workload.Finder
	// Variables are the values of a Compose file's variables. A variable that is
	// not here has its default, or the file is refused.
	Variables map[string]string
	// BuildArgs are the values of a Dockerfile's arguments, as docker build gets
	// them. One that is not here has its default, or the file is refused.
	BuildArgs map[string]string
}

// File is what was found in a file. It holds no image twice unless the file does.
type File struct {
	Name   string
	Format Format
	// Images are in the order of the file's documents.
	Images []Image
	// Warnings say what was not looked at, or what may come out otherwise.
	Warnings []Warning

	data    []byte
	options Options
}

// Image is one image that a file asks for.
type Image struct {
	// Reference is what will be pulled, as far as the file says. It is untrusted.
	Reference string
	// Written is the text as it stands in the file; it differs from Reference where
	// that is put together from variables.
	Written string
	// File, Line and Column say where it stands, from 1, columns in characters.
	File         string
	Line, Column int
	// Path says it for people: "Deployment/web spec.template.spec.containers[0].image".
	Path string
	// Kind is a Kind constant of this package or of package workload.
	Kind string
	// Start and End are the bytes of the text between its quotes. Both are zero where
	// it cannot be pinned in place; Fixed says why.
	Start, End int
	Fixed      string
	// Built tells that the file also builds this image and only names it. It may be
	// in no registry yet, and pinning leaves it.
	Built bool
}

// Warning is something that the reader of a file should know.
type Warning struct {
	File string
	Line int
	Text string
}

// String returns "file:line: text".
func (w Warning) String() string { return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Text) }

// Read finds the images of a file. The name is for messages and tells Dockerfiles;
// nothing is opened. The data must not be changed while the File is used.
//
// A File comes back with a nil error, or with one that wraps [ErrNoImages] where
// everything was read and no image found. All other errors, [Faults] or one that
// wraps [ErrFormat] or [ErrTooLarge], mean that the file asks for images that are
// not known.
func Read(name string, data []byte, o Options) (*File, error) {
	r := &reader{file: &File{Name: name, data: data, options: o}}
	switch {
	case len(data) > MaxBytes:
		return nil, fmt.Errorf("reading %s: %d bytes, at most %d are read: %w", name, len(data), MaxBytes, ErrTooLarge)
	case !utf8.Valid(data):
		return nil, fmt.Errorf("reading %s: it is not UTF-8 text: %w", name, ErrFormat)
	}
	if o.Finder == nil {
		finder, err := workload.NewFinder()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		r.file.options.Finder = finder
	}
	switch format := o.Format; {
	case format == FormatDockerfile, format == FormatAny && isDockerfile(name, data):
		r.file.Format = FormatDockerfile
		r.dockerfile()
	case format == FormatAny, format == FormatKubernetes, format == FormatCompose:
		r.yaml(format)
	default:
		return nil, fmt.Errorf("reading %s: the format %q: %w", name, string(format), ErrFormat)
	}
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	if len(r.file.Images) == 0 {
		return r.file, fmt.Errorf("reading %s: %w", name, ErrNoImages)
	}
	return r.file, nil
}

// reader collects what one file holds.
type reader struct {
	file   *File
	faults Faults
	starts []int // of lines
}

// add takes an image whose reference is complete.
func (r *reader) add(i Image) {
	i.File = r.file.Name
	if i.Written == "" {
		i.Written = i.Reference
	}
	if why, hint := unreadable(i.Reference); why != "" {
		r.fault(i.Line, i.Column, i.Path, hint, "%s", why)
		return
	}
	if len(r.file.Images) == maxImages {
		r.fault(i.Line, i.Column, i.Path, "split the file", "more than %d images", maxImages)
		return
	}
	r.file.Images = append(r.file.Images, i)
}

// unreadable says why a text is no image that anybody could look for.
func unreadable(reference string) (why, hint string) {
	switch {
	case reference == "":
		return "the image is empty", "name an image"
	case strings.Contains(reference, "{{"):
		return fmt.Sprintf("%s is a template that was not rendered", quoted(reference)), "render it first, for example with helm template"
	case strings.Contains(reference, "$"):
		return fmt.Sprintf("%s holds a variable whose value the file does not say", quoted(reference)), "write the image out, or give the variable's value"
	case len(reference) > maxReference:
		return fmt.Sprintf("%s has %d characters, at most %d are read", quoted(reference), len(reference), maxReference), "name an image"
	}
	for _, c := range reference {
		if c <= ' ' || c > '~' {
			return fmt.Sprintf("%s is no image: it holds the character %U", quoted(reference), c), "an image's name is ASCII without spaces"
		}
	}
	return "", ""
}

func (r *reader) warn(line int, format string, arguments ...any) {
	if len(r.file.Warnings) < maxWarnings {
		r.file.Warnings = append(r.file.Warnings, Warning{r.file.Name, line, fmt.Sprintf(format, arguments...)})
	}
}

// splitReference separates a reference into what stands before the digest and the
// digest's text.
func splitReference(reference string) (name, digestText string, pinned bool) {
	return strings.Cut(reference, "@")
}

// Pinned reports whether the reference has a digest, and which; the zero digest is
// one that cannot be read.
func (i Image) Pinned() (digest.Digest, bool) {
	_, text, pinned := splitReference(i.Reference)
	d, err := digest.Parse(text)
	if err != nil {
		return digest.Digest{}, pinned
	}
	return d, pinned
}
