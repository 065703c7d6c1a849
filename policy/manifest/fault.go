package manifest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Errors of this package.
var (
	// ErrNoImages: the file was read to its end and asks for no image. A caller that
	// was given just this file should say so and fail; one that walks a folder may
	// go on, and fails if no file had any.
	ErrNoImages = errors.New("it asks for no image")
	// ErrFormat: the file is none of the known formats. A caller that walks a folder
	// may name it and go on; one that was given the file fails.
	ErrFormat = errors.New("it holds no Kubernetes object, is no Compose file and no Dockerfile")
	// ErrTooLarge: the file exceeds a limit. Split it.
	ErrTooLarge = errors.New("the file is too large")
	// ErrPin: a reference cannot be pinned; nothing of the file is.
	ErrPin = errors.New("the image cannot be pinned")
)

// maxFaults bounds what is said about one file; more than that nobody reads.
const maxFaults = 50

// Fault is something in a file that cannot be read, and its place.
type Fault struct {
	File         string
	Line, Column int
	// Path says the place for people; "" where there is none.
	Path string
	// Hint says what to do.
	Hint string
	Err  error
}

// Error returns "file:line: path: what".
func (f *Fault) Error() string {
	text := f.File + ":" + strconv.Itoa(f.Line) + ": "
	if f.Path != "" {
		text += f.Path + ": "
	}
	return text + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Faults are all that was found in one file, never empty.
type Faults []*Fault

// Error returns a line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each fault.
func (f Faults) Unwrap() []error {
	all := make([]error, len(f))
	for i, one := range f {
		all[i] = one
	}
	return all
}

func (r *reader) fault(line, column int, path, hint, format string, arguments ...any) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, &Fault{r.file.Name, max(line, 1), max(column, 1), path, hint, fmt.Errorf(format, arguments...)})
	}
}

// quoted is a text of the file for people.
func quoted(text string) string { return strconv.Quote(wording.Short(text)) }
