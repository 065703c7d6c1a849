package manifest

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy/workload"
)

// yaml reads a file of YAML or JSON documents.
func (r *reader) yaml(format Format) {
	var strangers []*value
	known := false
	r.documents(func(root *value) {
		found := formatOf(root, format)
		switch found {
		case FormatKubernetes:
			r.kubernetes(root)
		case FormatCompose:
			r.compose(root)
		default:
			strangers = append(strangers, root)
			return
		}
		if !known {
			r.file.Format = found
		}
		known = true
	})
	if len(r.faults) > 0 {
		known = true // it was meant to be one
	}
	for _, root := range strangers[:min(len(strangers), maxFaults)] {
		if known {
			r.fault(root.node.Line, root.node.Column, "", r.formatHint(), "this document holds no Kubernetes object and is no Compose file")
			continue
		}
		r.fault(root.node.Line, root.node.Column, "", r.formatHint(), "%w", ErrFormat)
	}
	if !known && len(strangers) == 0 {
		r.fault(1, 1, "", r.formatHint(), "%w", ErrFormat)
	}
}

// formatOf tells what a document is, where the caller does not.
func formatOf(root *value, format Format) Format {
	if format != FormatAny {
		return format
	}
	version, kind := root.field("apiVersion"), root.field("kind")
	switch {
	case version != nil && kind != nil: // texts or not: somebody may read them as texts
		return FormatKubernetes
	case version == nil && kind == nil && (root.field("services") != nil || root.field("include") != nil):
		return FormatCompose
	}
	return FormatAny
}

func (r *reader) formatHint() string {
	if strings.Contains(string(r.file.data), "{{") {
		return "render it first, for example with helm template"
	}
	return "give rendered Kubernetes objects, a Compose file or a Dockerfile"
}

// kubernetes reads an object, or a list of them.
func (r *reader) kubernetes(root *value) {
	if !root.mapping() {
		r.fault(root.node.Line, root.node.Column, "", "", "no Kubernetes object: it is no mapping")
		return
	}
	for _, name := range []string{"apiVersion", "kind"} {
		if _, isText := root.field(name).text(); !isText {
			r.fault(root.node.Line, root.node.Column, name, "", "no Kubernetes object: it has no such text")
			return
		}
	}
	object, _ := root.plain(make(map[*value]any)).(map[string]any)
	places, err := r.file.options.Finder.Places(object)
	switch {
	case errors.Is(err, workload.ErrUnknownKind) && !errors.Is(err, workload.ErrMalformed) && !errors.Is(err, workload.ErrMany):
		r.unknownObjects(root, 0)
	case err != nil:
		at := placeOf(root, err)
		r.fault(at.Line, at.Column, objectName(root), r.malformedHint(), "%w", err)
		return
	}
	for _, place := range places {
		v := root
		owner, path := root, place.Path
		for i, segment := range strings.Split(strings.TrimPrefix(place.Pointer, "/"), "/") {
			v = v.child(unescapePointer(segment))
			if _, isObject := v.field("kind").text(); isObject && i%2 == 1 && strings.HasPrefix(path, "items[") {
				if _, rest, cut := strings.Cut(path, "]."); cut {
					owner, path = v, rest
				}
			}
		}
		if v == nil {
			r.fault(root.node.Line, root.node.Column, objectName(root), "", "the image at %s is not found again", wording.Short(place.Path))
			continue
		}
		r.add(r.scalar(v, Image{Reference: place.Image, Kind: place.Kind, Path: objectName(owner) + " " + wording.Short(path)}))
	}
}

// scalar fills in where an image's text stands.
func (r *reader) scalar(v *value, i Image) Image {
	i.Line, i.Column = v.node.Line, v.node.Column
	start, end, why := r.span(v.node)
	if why != "" {
		i.Fixed = why
		return i
	}
	i.Start, i.End = start, end
	return i
}

func unescapePointer(segment string) string {
	return strings.ReplaceAll(strings.ReplaceAll(segment, "~1", "/"), "~0", "~")
}

// child returns a field of a mapping or an item of a list.
func (v *value) child(segment string) *value {
	if v.list() {
		index, err := strconv.Atoi(segment)
		if err != nil || index < 0 || index >= len(v.items) {
			return nil
		}
		return v.items[index]
	}
	return v.field(segment)
}

var malformedPath = regexp.MustCompile(`([^\s:]+) is no [a-zA-Z ,]+$`)

// placeOf returns the node that an error of the finder is about, as near as its
// text leads.
func placeOf(root *value, err error) *yaml.Node {
	found := malformedPath.FindStringSubmatch(err.Error())
	if found == nil {
		return root.node
	}
	at := root
	for _, segment := range strings.FieldsFunc(found[1], func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		next := at.child(segment)
		if next == nil {
			break
		}
		at = next
	}
	return at.node
}

func (r *reader) malformedHint() string {
	if strings.Contains(string(r.file.data), "{{") {
		return "render it first, for example with helm template"
	}
	return ""
}

// objectName is "Deployment/web".
func objectName(v *value) string {
	kind, _ := v.field("kind").text()
	metadata := v.field("metadata")
	name, _ := metadata.field("name").text()
	if name == "" {
		if name, _ = metadata.field("generateName").text(); name != "" {
			name += "*"
		}
	}
	if kind == "" {
		kind = "item"
	}
	if name == "" {
		return wording.Short(kind)
	}
	return wording.Short(kind) + "/" + wording.Short(name)
}

// unknownObjects warns of objects whose kind is unknown and that hold something that
// looks like an image.
func (r *reader) unknownObjects(root *value, depth int) {
	version, _ := root.field("apiVersion").text()
	kind, _ := root.field("kind").text()
	if strings.HasSuffix(kind, "List") && root.field("items").list() && depth < maxDepth {
		for _, item := range root.field("items").items {
			r.unknownObjects(item, depth+1)
		}
		return
	}
	if r.file.options.Finder.Knows(workload.Group(version), kind) || kind == "CustomResourceDefinition" {
		return
	}
	s := search{seen: make(map[*value]bool)}
	s.images(root, "", depth)
	if s.found != nil {
		r.warn(s.found.node.Line, "%s is of a kind whose images are not known, and %s looks like one: it was not looked at", objectName(root), wording.Short(s.path))
	}
}

// search finds the first text that looks like an image by its key.
type search struct {
	seen  map[*value]bool
	found *value
	path  string
}

func (s *search) images(v *value, path string, depth int) {
	if v == nil || s.found != nil || s.seen[v] || depth > 2*maxDepth {
		return
	}
	s.seen[v] = true
	for _, key := range v.keys {
		child, here := v.fields[key.Value], strings.TrimPrefix(path+"."+key.Value, ".")
		if text, isText := child.text(); isText && text != "" && s.found == nil {
			switch key.Value {
			case "image", "imageName", "containerImage", "baseImage":
				s.found, s.path = child, here
				return
			}
		}
		s.images(child, here, depth+1)
	}
	for i, item := range v.items {
		s.images(item, path+"["+strconv.Itoa(i)+"]", depth+1)
	}
}
