package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxInline bounds a Dockerfile inside a Compose file.
const maxInline = 1 << 20

// inlineDockerfile reads the Dockerfile that stands in a Compose file.
func (r *reader) inlineDockerfile(v, arguments *value, path string) {
	text, isText := v.text()
	if !isText {
		r.wrongType(v, path, "text")
		return
	}
	given := make(map[string]string)
	e := expander{dollar: true, lookup: func(name string) (string, bool) {
		value, set := r.file.options.Variables[name]
		return value, set
	}}
	long := e
	long.limit = maxInline
	out, err := long.expand(text, 0)
	if err != nil {
		r.fault(v.node.Line, v.node.Column, path, variableHint(err, "write $$ for the Dockerfile's own variables"), "%w", err)
		return
	}
	if !r.buildArguments(arguments, given, &e, path) {
		return
	}
	for name, value := range r.file.options.BuildArgs {
		given[name] = value
	}
	inner := &reader{file: &File{Name: r.file.Name, data: []byte(out), options: r.file.options}}
	inner.file.options.BuildArgs = given
	inner.dockerfile()
	for _, f := range inner.faults {
		r.fault(r.inlineLine(v, f.Line), 1, path, f.Hint, "%w", f.Err)
	}
	for _, w := range inner.file.Warnings {
		r.warn(r.inlineLine(v, w.Line), "%s", w.Text)
	}
	for _, i := range inner.file.Images {
		i.Line, i.Column, i.Path = r.inlineLine(v, i.Line), 1, path+" "+i.Path
		i.Start, i.End, i.Fixed = 0, 0, "it stands in a Dockerfile inside a Compose file"
		r.add(i)
	}
}

// buildArguments reads the args of a Compose build: a mapping, or a list of
// NAME=VALUE. One without a value comes from the environment, which is not known.
func (r *reader) buildArguments(arguments *value, given map[string]string, e *expander, path string) bool {
	take := func(v *value, name, text string) bool {
		out, err := e.expand(text, 0)
		if err != nil {
			r.fault(v.node.Line, v.node.Column, path, variableHint(err, "give it its value with --variable NAME=VALUE, or a default, ${NAME:-value}"), "the argument %s: %w", quoted(wording.Short(name)), err)
			return false
		}
		given[name] = out
		return true
	}
	switch {
	case arguments == nil:
	case arguments.mapping():
		for _, key := range arguments.keys {
			v := arguments.fields[key.Value]
			if v.null() {
				continue
			}
			if v.foreign || v.node.Kind != yaml.ScalarNode {
				r.wrongType(v, path, "text")
				return false
			}
			if !take(v, key.Value, v.node.Value) {
				return false
			}
		}
	case arguments.list():
		for _, item := range arguments.items {
			text, isText := item.text()
			if !isText {
				r.wrongType(item, path, "text")
				return false
			}
			name, value, hasValue := strings.Cut(text, "=")
			if hasValue && !take(item, name, value) {
				return false
			}
		}
	default:
		r.wrongType(arguments, path, "mapping")
		return false
	}
	return true
}

// inlineLine is the line of the Compose file that a line of the Dockerfile inside it
// stands in, where that can be told.
func (r *reader) inlineLine(v *value, line int) int {
	if v.node.Style&yaml.LiteralStyle != 0 {
		return v.node.Line + line
	}
	return v.node.Line
}
