package manifest

import (
	"slices"
	"strconv"
	"strings"
)

// build is what is known of a Dockerfile's build so far.
type build struct {
	*reader
	escape    byte
	stopped   bool // after a fault: what follows may be misread
	count     int  // stages so far
	stages    map[string]int
	arguments map[string]argument
	newlines  []int
}

// argument is the value of an ARG before the first FROM.
type argument struct {
	text string
	set  bool
	// why says that the value cannot be told.
	why string
	// start and end are where the value stands in the file; zero where it is not
	// written there as it is.
	start, end int
}

// instructions are those of the reference; any other refuses the file.
var instructions = []string{
	"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL",
	"USER", "VOLUME", "WORKDIR",
}

// platformArguments have a value without an ARG. What it is depends on the builder.
var platformArguments = []string{
	"BUILDPLATFORM", "BUILDOS", "BUILDOSVERSION", "BUILDARCH", "BUILDVARIANT",
	"TARGETPLATFORM", "TARGETOS", "TARGETOSVERSION", "TARGETARCH", "TARGETVARIANT", "TARGETSTAGE",
}

// run reads an instruction from a byte on, or what ONBUILD puts off.
func (b *build) run(i *instruction, at int, onBuild bool) {
	name, start, rest := keyword(i.text, at)
	switch {
	case !slices.Contains(instructions, name):
		b.refuse(i, start, "", "%s is no instruction", quoted(shortKeyword(name)))
	case b.count == 0 && name != "ARG" && name != "FROM":
		b.refuse(i, start, "", "%s stands before the first FROM", name)
	case onBuild && (name == "FROM" || name == "ONBUILD"):
		b.refuse(i, start, "", "ONBUILD cannot put off %s", name)
	case name == "ARG":
		if b.count == 0 {
			b.argument(i, rest)
		}
	case name == "FROM":
		b.from(i, rest)
	case name == "COPY", name == "ADD":
		b.copyFrom(i, rest)
	case name == "RUN":
		b.mounts(i, rest)
	case name == "ONBUILD":
		b.run(i, rest, true)
	}
}

// argument reads ARG NAME or NAME=VALUE, one or several, before the first FROM.
func (b *build) argument(i *instruction, at int) {
	for _, w := range argumentWords(i.text, at, b.escape) {
		name, value, hasValue := strings.Cut(w.text, "=")
		known := b.arguments[name]
		given, isGiven := b.file.options.BuildArgs[name]
		switch {
		case isGiven:
			known = argument{text: given, set: true}
		case hasValue:
			start := w.start + len(name) + 1
			known = b.argumentValue(i, value, start)
		}
		b.arguments[name] = known
	}
}

// argumentValue takes off quotes and replaces variables.
func (b *build) argumentValue(i *instruction, value string, start int) argument {
	a := argument{text: value, set: true}
	end := start + len(value)
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		a.text, start, end = value[1:n-1], start+1, end-1
		if value[0] == '\'' && !strings.Contains(a.text, "'") {
			return b.placed(a, i, start, end)
		}
	}
	if strings.ContainsAny(a.text, `'"`) || strings.IndexByte(a.text, b.escape) >= 0 {
		return argument{why: "its value has quotes or escapes inside"}
	}
	if strings.Contains(a.text, "$") {
		text, _, err := b.expand(a.text)
		if err != nil {
			return argument{why: err.Error()}
		}
		return argument{text: text, set: true}
	}
	return b.placed(a, i, start, end)
}

func (b *build) placed(a argument, i *instruction, start, end int) argument {
	if i.whole(start, end) {
		a.start, a.end = i.offset(start), i.offset(end-1)+1
	}
	return a
}

// argumentWords splits at spaces outside of quotes, which it keeps.
func argumentWords(text string, at int, escape byte) (all []word) {
	for at < len(text) {
		if strings.IndexByte(" \t\v\f\r\n", text[at]) >= 0 {
			at++
			continue
		}
		start, quote := at, byte(0)
		for ; at < len(text) && (quote != 0 || strings.IndexByte(" \t\v\f\r\n", text[at]) < 0); at++ {
			switch c := text[at]; {
			case c == escape && quote != '\'':
				at++
			case c == quote:
				quote = 0
			case quote == 0 && (c == '\'' || c == '"'):
				quote = c
			}
		}
		at = min(at, len(text))
		all = append(all, word{text: text[start:at], start: start, end: at})
	}
	return all
}

// expand replaces the build's arguments in a text.
func (b *build) expand(text string) (string, *expander, error) {
	var unclear string
	e := &expander{escape: b.escape}
	e.lookup = func(name string) (string, bool) {
		if given, set := b.file.options.BuildArgs[name]; set && slices.Contains(platformArguments, name) {
			return given, true
		}
		a := b.arguments[name]
		if a.why != "" {
			unclear = a.why
		}
		return a.text, a.set
	}
	out, err := e.expand(text, 0)
	if err != nil && unclear != "" {
		err = &unclearError{unclear, err}
	}
	return out, e, err
}

// unclearError says why an argument has no value.
type unclearError struct {
	why string
	err error
}

func (e *unclearError) Error() string { return e.err.Error() + " (" + e.why + ")" }
func (e *unclearError) Unwrap() error { return e.err }

// from reads FROM [--platform=…] IMAGE [AS NAME].
func (b *build) from(i *instruction, at int) {
	_, rest := b.flags(i.text, at)
	all := words(i.text, rest)
	name := ""
	switch {
	case len(all) == 1:
	case len(all) == 3 && strings.EqualFold(all[1].text, "AS"):
		name = strings.ToLower(all[2].text)
	default:
		b.refuse(i, at, "write FROM IMAGE, or FROM IMAGE AS NAME", "FROM with %d words", len(all))
		return
	}
	base := all[0]
	number := b.count
	b.count++
	if strings.ContainsAny(base.text, `'"`) {
		b.refuse(i, base.start, "leave the quotes away", "%s has quotes", quoted(base.text))
		return
	}
	reference, e, err := b.expand(base.text)
	if err != nil {
		b.fromFault(i, base, err)
		return
	}
	_, isStage := b.stages[reference]
	if !isStage && reference != "scratch" {
		path := "stage " + strconv.Itoa(number) + " FROM"
		if name != "" {
			path = "stage " + quoted(name) + " FROM"
		}
		b.based(i, base, reference, e, path)
	}
	if name != "" {
		b.stages[name] = number
	}
}

func (b *build) fromFault(i *instruction, base word, err error) {
	b.refuse(i, base.start, variableHint(err, "give it its value with --build-arg NAME=VALUE, or a default with ARG before the first FROM"), "%s: %w", quoted(base.text), err)
}

// based takes the image of a FROM.
func (b *build) based(i *instruction, base word, reference string, e *expander, path string) {
	found := Image{Reference: reference, Written: base.text, Kind: KindBase, Path: path}
	at := i.offset(base.start)
	if reference == base.text {
		b.imageWord(i, found, base.start, base.end)
		return
	}
	for _, name := range append(e.used, e.byDefault...) {
		if _, given := b.file.options.BuildArgs[name]; !given {
			line, _ := b.lineOf(at)
			b.warn(line, "%s is looked at with the default of %s", path, quoted(name))
		}
	}
	found.Fixed = "it is put together from variables"
	only := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(base.text, "$"), "{"), "}")
	a := b.arguments[only]
	if (base.text == "$"+only || base.text == "${"+only+"}") && a.end > 0 {
		found.Fixed = ""
		b.image(found, at, a.start, a.end)
		return
	}
	b.image(found, at, 0, 0)
}

// imageWord takes an image that stands in an instruction's text as it is.
func (b *build) imageWord(i *instruction, found Image, start, end int) {
	if !i.whole(start, end) {
		found.Fixed = "it is written over several lines"
		b.image(found, i.offset(start), 0, 0)
		return
	}
	b.image(found, i.offset(start), i.offset(start), i.offset(end-1)+1)
}

// image takes an image that is used at a byte of the file and written at others.
func (b *build) image(found Image, at, start, end int) {
	found.Line, found.Column = b.lineOf(at)
	found.Start, found.End = start, end
	if start == 0 { // nothing that is pinned stands at the file's first byte
		found.End = 0
		if found.Fixed == "" {
			found.Fixed = "it does not stand in the file"
		}
	}
	before := len(b.faults)
	b.add(found)
	b.stopped = b.stopped || len(b.faults) > before
}

// copyFrom reads COPY --from=STAGE or IMAGE.
func (b *build) copyFrom(i *instruction, at int) {
	flags, _ := b.flags(i.text, at)
	seen := false
	for _, flag := range flags {
		from, isFrom := strings.CutPrefix(flag.text, "--from=")
		if !isFrom {
			continue
		}
		if seen || !flag.plain || strings.Contains(from, "$") {
			b.refuse(i, flag.start, "write the stage or image out, once and without quotes", "%s is no plain stage or image", quoted(from))
			return
		}
		seen = true
		if _, isStage := b.stages[strings.ToLower(from)]; isStage || from == "scratch" || from == "" {
			continue
		}
		if index, err := strconv.Atoi(from); err == nil {
			if index < 0 || index >= b.count {
				b.refuse(i, flag.start, "", "there is no stage %d before this one", index)
				return
			}
			continue
		}
		b.imageWord(i, Image{Reference: from, Kind: KindCopy, Path: b.path("COPY --from")}, flag.end-len(from), flag.end)
	}
}

func (b *build) path(what string) string { return "stage " + strconv.Itoa(b.count-1) + " " + what }

// mounts reads RUN --mount=…,from=STAGE or IMAGE,….
func (b *build) mounts(i *instruction, at int) {
	flags, _ := b.flags(i.text, at)
	for _, flag := range flags {
		mount, isMount := strings.CutPrefix(flag.text, "--mount=")
		if !isMount || !strings.Contains(strings.ToLower(mount), "from") {
			continue
		}
		if !flag.plain || strings.Contains(mount, `"`) {
			b.refuse(i, flag.start, "write the mount without quotes", "%s has quotes or escapes", quoted(mount))
			return
		}
		start, seen := flag.end-len(mount), false
		for field := range strings.SplitSeq(mount, ",") {
			key, from, _ := strings.Cut(field, "=")
			end := start + len(field)
			start = end + 1
			if strings.ToLower(key) != "from" {
				continue
			}
			if seen || strings.Contains(from, "$") {
				b.refuse(i, flag.start, "write the stage or image out, once", "%s is no plain stage or image", quoted(from))
				return
			}
			seen = true
			if _, isStage := b.stages[strings.ToLower(from)]; isStage || from == "scratch" || from == "" {
				continue
			}
			b.imageWord(i, Image{Reference: from, Kind: KindMount, Path: b.path("RUN --mount from")}, end-len(from), end)
		}
	}
}
