package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/manifest"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/workload"
)

// maxFiles bounds the files of one run. A large repository of manifests has some
// thousands.
const maxFiles = 20_000

// stdinName is the file name that stands for standard input.
const stdinName = "-"

// fileFlags say which files ask for images, and whether they are pinned.
type fileFlags struct {
	files      []string
	format     string
	pin        bool
	buildArgs  []string
	variables  []string
	imagePaths []string
}

func (f *fileFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.files, "file", "f", nil, "judge every image of a file or folder: Kubernetes YAML or JSON, rendered charts, Compose files, Dockerfiles; - is standard input; may be repeated")
	flags.StringVar(&f.format, "file-format", "", "read the files as kubernetes, compose or dockerfile (default: seen by name and content)")
	flags.BoolVar(&f.pin, "pin", false, "if all images are allowed, write their digests into the files: name:tag@digest")
	flags.StringArrayVar(&f.buildArgs, "build-arg", nil, "the value of a Dockerfile's ARG, as NAME=VALUE; may be repeated")
	flags.StringArrayVar(&f.variables, "variable", nil, "the value of a Compose file's variable, as NAME=VALUE; may be repeated")
	flags.StringArrayVar(&f.imagePaths, "image-path", nil, "where images stand in a custom resource, as KIND.GROUP=PATH, such as Farm.example.com=spec.workers[*].image; may be repeated")
	cli.CompleteFlag(cmd, "file-format", string(manifest.FormatKubernetes), string(manifest.FormatCompose), string(manifest.FormatDockerfile))
}

// check refuses flags that say nothing without --file.
func (f *fileFlags) check(outputFile string) error {
	stdin := 0
	for _, name := range f.files {
		if name == stdinName {
			stdin++
		}
	}
	switch {
	case len(f.files) == 0 && (f.pin || f.format != "" || len(f.buildArgs)+len(f.variables)+len(f.imagePaths) > 0):
		return cli.Hint(cli.UsageError("--pin, --file-format, --build-arg, --variable and --image-path are for --file"), "give -f FILE")
	case stdin > 1:
		return cli.UsageError("standard input is read once, and -f - stands there twice")
	case stdin == 1 && f.pin && (outputFile == "" || outputFile == stdinName):
		return cli.Hint(cli.UsageError("the pinned text goes to standard output, and so does the report"), "give --output-file FILE for the report")
	}
	return nil
}

// options are how files are read.
func (f *fileFlags) options() (manifest.Options, error) {
	o := manifest.Options{Format: manifest.Format(f.format)}
	switch o.Format {
	case manifest.FormatAny, manifest.FormatKubernetes, manifest.FormatCompose, manifest.FormatDockerfile:
	default:
		return o, cli.UsageError("--file-format is kubernetes, compose or dockerfile, not %q", f.format)
	}
	var err error
	if o.BuildArgs, err = pairs("--build-arg", f.buildArgs); err != nil {
		return o, err
	}
	if o.Variables, err = pairs("--variable", f.variables); err != nil {
		return o, err
	}
	var custom []workload.Custom
	for _, text := range f.imagePaths {
		name, path, found := strings.Cut(text, "=")
		kind, group, _ := strings.Cut(name, ".")
		if !found || kind == "" || path == "" {
			return o, cli.Hint(cli.UsageError("--image-path is KIND.GROUP=PATH, not %q", text), "for example Farm.example.com=spec.workers[*].image")
		}
		custom = append(custom, workload.Custom{Group: group, Kind: kind, Paths: []string{path}})
	}
	if o.Finder, err = workload.NewFinder(custom...); err != nil {
		return o, cli.UsageError("--image-path: %s", err)
	}
	return o, nil
}

// pairs reads NAME=VALUE.
func pairs(flag string, texts []string) (map[string]string, error) {
	all := make(map[string]string, len(texts))
	for _, text := range texts {
		name, value, found := strings.Cut(text, "=")
		if !found || name == "" {
			return nil, cli.UsageError("%s is NAME=VALUE, not %q", flag, text)
		}
		all[name] = value
	}
	return all, nil
}

// manifestFile is one file that was read.
type manifestFile struct {
	*manifest.File
	data []byte
	mode fs.FileMode
}

// read reads all files. What a folder holds that is no manifest is named on standard
// error and passed over; what cannot be read is an error, with file and line.
func (f *fileFlags) read(a *cli.App) ([]manifestFile, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	names, walked, err := f.names(a)
	if err != nil {
		return nil, cli.Undetermined(err)
	}
	var all []manifestFile
	var faults []error
	for _, name := range names {
		s, err := readSource(a, name, o)
		if err == nil && f.pin && name != stdinName && !s.mode.IsRegular() {
			return nil, cli.Hint(cli.UsageError("--pin writes files, and %s is none", name), "give -f - and read from standard input")
		}
		switch {
		case err == nil:
			all = append(all, s)
		case walked[name] && errors.Is(err, manifest.ErrNoImages):
		case walked[name] && errors.Is(err, manifest.ErrFormat):
			fmt.Fprintf(a.Stderr, "%s: warning: passed over: %s\n", a.Name(), report.Plain(oneLine(err)))
		default:
			faults = append(faults, err)
		}
		if s.File != nil {
			for _, w := range s.Warnings {
				fmt.Fprintf(a.Stderr, "%s: warning: %s\n", a.Name(), report.Plain(w.String()))
			}
		}
	}
	if len(faults) > 0 {
		return nil, cli.Undetermined(hinted(errors.Join(faults...)))
	}
	if len(all) == 0 {
		return nil, cli.Undetermined(cli.Hint(errors.New("no file asks for an image"), "nothing was judged; name the files that do"))
	}
	return all, nil
}

func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// hinted gives an error the hint of its first fault.
func hinted(err error) error {
	var fault *manifest.Fault
	switch {
	case errors.As(err, &fault) && fault.Hint != "":
		return cli.Hint(err, "%s", fault.Hint)
	case errors.Is(err, manifest.ErrNoImages):
		return cli.Hint(err, "an empty answer would count as allowed; leave the file away, or name the folder that it is in")
	}
	return err
}

// pathless is an error of a file without the path, which the message has already.
func pathless(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// names lists the files, those of folders in order. walked are those that a folder
// has brought.
func (f *fileFlags) names(a *cli.App) (names []string, walked map[string]bool, err error) {
	walked = make(map[string]bool)
	given, named := make(map[string]bool), make(map[string]bool)
	for _, name := range f.files {
		named[filepath.Clean(name)] = true
	}
	passOver := func(path, why string) {
		fmt.Fprintf(a.Stderr, "%s: warning: passed over: %s: %s; name it to have it read\n", a.Name(), report.Plain(path), why)
	}
	for _, name := range f.files {
		info, err := os.Stat(name)
		if name == stdinName || err == nil && !info.IsDir() {
			if clean := filepath.Clean(name); !given[clean] {
				given[clean] = true
				names = append(names, name)
			}
			continue
		}
		if err != nil {
			return nil, nil, cli.Hint(fmt.Errorf("reading %s: %w", name, pathless(err)), "-f names a file or a folder; - is standard input")
		}
		err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			switch base := entry.Name(); {
			case err != nil:
				return err
			case entry.IsDir() && path != name && strings.HasPrefix(base, "."):
				if base != ".git" && !named[filepath.Clean(path)] {
					passOver(path, "a hidden folder")
				}
				return fs.SkipDir
			case entry.Type()&fs.ModeSymlink != 0 && looksLikeManifest(base) && !named[filepath.Clean(path)]:
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
					// kubectl applies what it leads to, which may be anywhere.
					return cli.Hint(fmt.Errorf("%s is a symbolic link to a file, and its images are not known", report.Plain(path)), "name it with -f to have it read, or take it away")
				}
				passOver(path, "a symbolic link to no file")
				return nil
			case !entry.Type().IsRegular() || !looksLikeManifest(base) || given[filepath.Clean(path)] || walked[path]:
				return nil
			case len(names) == maxFiles:
				return fmt.Errorf("reading the folder %s: more than %d files", name, maxFiles)
			}
			names, walked[path] = append(names, path), true
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return names, walked, nil
}

// looksLikeManifest tells by its name which file of a folder is read.
func looksLikeManifest(base string) bool {
	lower := strings.ToLower(base)
	switch filepath.Ext(lower) {
	case ".yaml", ".yml", ".json", ".dockerfile", ".containerfile":
		return true
	}
	return strings.HasPrefix(lower, "dockerfile") || strings.HasPrefix(lower, "containerfile")
}

func readSource(a *cli.App, name string, o manifest.Options) (s manifestFile, err error) {
	if name == stdinName {
		s.data, err = io.ReadAll(io.LimitReader(a.Stdin, manifest.MaxBytes+1))
	} else {
		s.data, s.mode, err = readFile(name)
	}
	if err != nil {
		return s, fmt.Errorf("reading %s: %w", name, err)
	}
	s.File, err = manifest.Read(name, s.data, o)
	return s, err
}

func readFile(name string) (data []byte, mode fs.FileMode, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err = io.ReadAll(io.LimitReader(file, manifest.MaxBytes+1))
	return data, info.Mode(), err
}

// verifyFiles judges what files ask for beside the images of the command line, each
// once, and pins the files if all are allowed.
func (f *fileFlags) verifyFiles(ctx context.Context, a *cli.App, v *cli.VerifyFlags, images []string) error {
	if err := f.check(v.OutputFile); err != nil {
		return err
	}
	if len(f.files) == 0 {
		return a.Verify(ctx, v, images, cli.Extras{})
	}
	v.HaveImages = true
	if err := v.Check(images); err != nil {
		return err
	}
	sources, err := f.read(a)
	if err != nil {
		return err
	}
	locations := make(map[string][]report.Location)
	for _, s := range sources {
		for _, i := range s.Images {
			if locations[i.Reference] == nil {
				v.References = append(v.References, i.Reference)
			}
			locations[i.Reference] = append(locations[i.Reference], report.Location{File: i.File, Line: i.Line, Column: i.Column, Path: i.Path})
		}
	}
	pins := make(map[string]digest.Digest)
	verifier := *a
	if f.pin && slices.Contains(f.files, stdinName) {
		verifier.Stdout = a.Stderr // standard output is the pinned text's
	}
	err = verifier.Verify(ctx, v, images, cli.Extras{Judged: func(_ context.Context, done *cli.Verification) error {
		for _, image := range done.Report.Images[len(images):] {
			image.Locations = locations[image.Image]
			if image.Verdict == policy.Allow {
				pins[image.Image] = image.Digest
			}
		}
		return nil
	}})
	if err != nil || !f.pin {
		return err // only a nil error is an allowance of all
	}
	return f.pinAll(a, sources, pins)
}

// pinAll works everything out before the first file is written.
func (f *fileFlags) pinAll(a *cli.App, sources []manifestFile, pins map[string]digest.Digest) error {
	const leave = "nothing was written; pin the image by hand, or leave the file away"
	texts := make([][]byte, len(sources))
	var changes []manifest.Change
	for n, s := range sources {
		text, made, err := s.Pin(pins)
		if err != nil {
			return cli.Undetermined(cli.Hint(err, leave))
		}
		texts[n] = text
		changes = append(changes, made...)
	}
	for n, s := range sources {
		if err := s.write(a, texts[n]); err != nil {
			return cli.Undetermined(err)
		}
	}
	for _, c := range changes {
		fmt.Fprintf(a.Stderr, "%s: pinned %s:%d %s\n", a.Name(), report.Plain(c.File), c.Line, report.Plain(c.New))
	}
	noun := "references"
	if len(changes) == 1 {
		noun = "reference"
	}
	fmt.Fprintf(a.Stderr, "%s: %d %s pinned\n", a.Name(), len(changes), noun)
	return nil
}

// write replaces a file that still holds what was judged. Behind a symbolic link it is
// the link's target that is replaced.
func (s manifestFile) write(a *cli.App, text []byte) error {
	if s.Name == stdinName {
		_, err := a.Stdout.Write(text)
		return err
	}
	if bytes.Equal(text, s.data) {
		return nil
	}
	path, err := filepath.EvalSymlinks(s.Name)
	if err != nil {
		return err
	}
	now, _, err := readFile(path)
	if err != nil {
		return fmt.Errorf("reading %s again: %w", s.Name, err)
	}
	if !bytes.Equal(now, s.data) {
		return fmt.Errorf("writing %s: it was changed while its images were judged", s.Name)
	}
	return wholefile.WriteBytes(path, s.mode.Perm(), text)
}
