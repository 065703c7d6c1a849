package workload

import (
	"errors"
	"slices"
	"strings"
)

// Limits of what a configuration names; far above any real one.
const (
	maxCustom   = 1000
	maxPaths    = 100
	maxSegments = 32
	maxSegment  = 253 // the longest key of a Kubernetes object
)

// Custom says where images stand in the objects of a custom resource.
type Custom struct {
	Group, Kind string
	// Paths lead to images: keys with dots between them, `[*]` for each item of a
	// list, `*` for each value of an object, such as `spec.workers[*].image`. None
	// starts in metadata or status.
	//
	// A path ends at the text of an image, a container, a list of either, a Pod
	// spec or a Pod template; which one is seen, and all that could be read is read.
	// A path may say which one it must be, behind a space: image, container,
	// containers, podSpec or podTemplate; see [Shape]. `spec.template podTemplate`.
	Paths []string
}

// Shape is what stands at the end of a path.
type Shape string

// The shapes.
const (
	ShapeAny         Shape = "" // seen by what is there
	ShapeImage       Shape = "image"
	ShapeContainer   Shape = "container"
	ShapeContainers  Shape = "containers"
	ShapePodSpec     Shape = "podSpec"
	ShapePodTemplate Shape = "podTemplate"
)

// path is a parsed path.
type path struct {
	segments []segment
	shape    Shape
}

// segment is a key, or all items of a list, or all values of an object.
type segment struct {
	key    string
	items  bool
	values bool
}

// parsePath reads a path; "$." in front, as in JSONPath, is passed over.
func parsePath(text string) (path, error) {
	where, shape, _ := strings.Cut(text, " ")
	p := path{shape: Shape(shape)}
	if !slices.Contains([]Shape{ShapeAny, ShapeImage, ShapeContainer, ShapeContainers, ShapePodSpec, ShapePodTemplate}, p.shape) {
		return path{}, errors.New("behind the space stands image, container, containers, podSpec or podTemplate")
	}
	where = strings.TrimPrefix(where, "$")
	for part := range strings.SplitSeq(strings.TrimPrefix(where, "."), ".") {
		key, lists := part, 0
		for strings.HasSuffix(key, "[*]") {
			key, lists = strings.TrimSuffix(key, "[*]"), lists+1
		}
		switch {
		case key == "" || strings.ContainsAny(key, "[]'\"$()?@,") || len(key) > maxSegment:
			return path{}, errors.New("keys stand between dots, and [*] for each item of a list")
		case key == "*":
			p.segments = append(p.segments, segment{values: true})
		case strings.Contains(key, "*"):
			return path{}, errors.New("a key holds no *, which stands alone for each value of an object")
		default:
			p.segments = append(p.segments, segment{key: key})
		}
		for range lists {
			p.segments = append(p.segments, segment{items: true})
		}
		if len(p.segments) > maxSegments {
			return path{}, errors.New("it is too long")
		}
	}
	switch first := p.segments[0]; {
	case first.values || first.items:
		return path{}, errors.New("it starts with a key")
	case first.key == "metadata", first.key == "status":
		return path{}, errors.New("no image that will run stands in " + first.key)
	}
	return p, nil
}

// reads are the keys that a walk along some paths looks at; all where a path takes the
// values of any key.
type reads struct {
	keys map[string]bool
	all  bool
}

func readsOf(paths []path) reads {
	r := reads{keys: make(map[string]bool)}
	add := func(keys ...string) {
		for _, key := range keys {
			r.keys[key] = true
		}
	}
	for _, p := range paths {
		for _, s := range p.segments {
			r.all = r.all || s.values
			if s.key != "" {
				add(s.key)
			}
		}
		if p.shape != ShapeImage {
			add("name", "image")
		}
		if p.shape != ShapeImage && p.shape != ShapeContainer && p.shape != ShapeContainers {
			add("spec", "initContainers", "containers", "ephemeralContainers", "volumes", "reference", "imagePullSecrets", "serviceAccountName")
		}
	}
	return r
}
