package manifest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// compose reads a document of the Compose file format (compose-spec, 05-services):
// the images of its services, of their image volumes, and of what they build.
func (r *reader) compose(root *value) {
	if !root.mapping() {
		r.fault(root.node.Line, root.node.Column, "", "", "no Compose file: it is no mapping")
		return
	}
	if include := root.field("include"); include != nil {
		r.warn(include.node.Line, "include names other files, whose images are not looked at here")
	}
	if models := root.field("models"); models != nil {
		r.warn(models.node.Line, "models are pulled too, and are not looked at")
	}
	services := root.field("services")
	if services == nil {
		return
	}
	if !services.mapping() {
		r.wrongType(services, "services", "mapping")
		return
	}
	for _, key := range services.keys {
		service, path := services.fields[key.Value], "services."+wording.Short(key.Value)
		switch {
		case service.null():
		case !service.mapping():
			r.wrongType(service, path, "mapping")
		default:
			r.service(service, path, services)
		}
	}
}

func (r *reader) wrongType(v *value, path, want string) {
	r.fault(v.node.Line, v.node.Column, path, "", "it is no %s", want)
}

func (r *reader) service(service *value, path string, services *value) {
	build, image := service.field("build"), service.field("image")
	policy, _ := service.field("pull_policy").text()
	switch {
	case image == nil:
		r.extended(service, path, services)
	case build != nil && policy == "build":
	default:
		if build != nil {
			r.warn(image.node.Line, "%s is built here and may also be pulled; pull_policy: build forbids that", path)
		}
		r.composeImage(image, path+".image", KindService, build != nil, "")
	}
	if profiles := service.field("profiles"); profiles != nil && image != nil {
		r.warn(image.node.Line, "%s runs only with one of its profiles; it is looked at nevertheless", path)
	}
	if build != nil {
		r.build(build, path+".build")
	}
	volumes := service.field("volumes")
	if volumes == nil {
		return
	}
	if !volumes.list() {
		r.wrongType(volumes, path+".volumes", "list")
		return
	}
	for i, volume := range volumes.items {
		if kind, _ := volume.field("type").text(); kind == "image" {
			here := path + ".volumes[" + strconv.Itoa(i) + "].source"
			if source := volume.field("source"); source != nil {
				r.composeImage(source, here, KindService, false, "")
			} else {
				r.fault(volume.node.Line, volume.node.Column, here, "name the image", "an image volume without an image")
			}
		}
	}
}

// extended says where the image of a service without one comes from.
func (r *reader) extended(service *value, path string, services *value) {
	extends := service.field("extends")
	if extends == nil {
		return
	}
	from, isText := extends.text()
	if !isText {
		if file := extends.field("file"); file != nil {
			name, _ := file.text()
			r.warn(extends.node.Line, "%s takes its image from %s, which is not read here", path, quoted(name))
			return
		}
		from, _ = extends.field("service").text()
	}
	if services.field(from) == nil {
		r.fault(extends.node.Line, extends.node.Column, path+".extends", "", "there is no service %s", quoted(from))
	}
}

// build reads what a build asks for without the Dockerfile, which is a file of its own.
func (r *reader) build(build *value, path string) {
	if _, isText := build.text(); isText {
		return
	}
	if !build.mapping() {
		r.wrongType(build, path, "text or mapping")
		return
	}
	if inline := build.field("dockerfile_inline"); inline != nil {
		r.inlineDockerfile(inline, build.field("args"), path+".dockerfile_inline")
	}
	r.contexts(build.field("additional_contexts"), path+".additional_contexts")
}

// contexts reads named build contexts that are images: a mapping, or a list of
// NAME=VALUE.
func (r *reader) contexts(contexts *value, path string) {
	const scheme = "docker-image://"
	switch {
	case contexts == nil:
	case contexts.mapping():
		for _, key := range contexts.keys {
			here := path + "." + wording.Short(key.Value)
			context := contexts.fields[key.Value]
			if text, isText := context.text(); !isText {
				r.wrongType(context, here, "text")
			} else if strings.HasPrefix(text, scheme) || strings.Contains(text, "$") {
				r.composeImage(context, here, KindContext, false, scheme)
			}
		}
	case contexts.list():
		for i, item := range contexts.items {
			here := path + "[" + strconv.Itoa(i) + "]"
			text, isText := item.text()
			name, source, _ := strings.Cut(text, "=")
			if !isText {
				r.wrongType(item, here, "text")
			} else if strings.HasPrefix(source, scheme) || strings.Contains(source, "$") {
				r.composeImage(item, here, KindContext, false, name+"="+scheme)
			}
		}
	default:
		r.wrongType(contexts, path, "mapping")
	}
}

// composeImage takes the text of an image behind a prefix. A build context without
// that prefix is no image.
func (r *reader) composeImage(v *value, path, kind string, built bool, prefix string) {
	text, isText := v.text()
	if !isText {
		r.wrongType(v, path, "text")
		return
	}
	e := expander{dollar: true, lookup: func(name string) (string, bool) {
		value, set := r.file.options.Variables[name]
		return value, set
	}}
	reference, err := e.expand(text, 0)
	if err != nil {
		r.fault(v.node.Line, v.node.Column, path, variableHint(err, "give it its value with --variable NAME=VALUE, or a default, ${NAME:-value}"), "%s: %w", quoted(text), err)
		return
	}
	rest, behind := strings.CutPrefix(reference, prefix)
	if !behind {
		return
	}
	i := r.scalar(v, Image{Reference: rest, Kind: kind, Path: path, Built: built})
	switch written, same := strings.CutPrefix(text, prefix); {
	case rest != written || !same:
		i.Written, i.Start, i.End = text, 0, 0
		i.Fixed = "it is put together from variables"
	case i.End > 0:
		i.Start += len(prefix)
	}
	for _, name := range e.byDefault {
		r.warn(i.Line, "%s is looked at with the default of %s", path, quoted(name))
	}
	r.add(i)
}

func variableHint(err error, hint string) string {
	var missing *noValueError
	if errors.As(err, &missing) {
		return hint
	}
	return ""
}
