package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxLists bounds lists in lists: `kubectl get` prints one level.
const maxLists = 4

// spot is where the walk is, in both spellings.
type spot struct{ path, pointer string }

func (s spot) key(key string) spot {
	escaped := key
	if strings.ContainsAny(key, "~/") {
		escaped = strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
	}
	if s.path == "" {
		return spot{key, s.pointer + "/" + escaped}
	}
	return spot{s.path + "." + key, s.pointer + "/" + escaped}
}

func (s spot) item(index int) spot {
	number := strconv.Itoa(index)
	return spot{s.path + "[" + number + "]", s.pointer + "/" + number}
}

// walk is one walk through an object. It ends at the first error, but goes on
// behind an unknown kind.
type walk struct {
	finder       *Finder
	found        Found
	err, unknown error
}

func (w *walk) malformed(at spot, want string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s is no %s", ErrMalformed, wording.Short(at.path), want)
	}
}

func (w *walk) object(object map[string]any, apiVersion, kind string, at spot, depth int) {
	key := groupKind{Group(apiVersion), kind}
	if paths, known := w.finder.kinds[key]; known {
		if object["items"] != nil {
			// Whoever applies objects of files takes it for a list, whatever its kind.
			w.malformed(at.key("items"), "field of "+kind)
		}
		for _, p := range paths {
			w.follow(object, p.segments, p.shape, at)
		}
		return
	}
	item, isList := strings.CutSuffix(kind, "List")
	switch {
	case !isList || item != "" && !w.finder.Knows(key.group, item):
		if w.unknown == nil {
			w.unknown = fmt.Errorf("%w: kind %q of apiVersion %q", ErrUnknownKind, wording.Short(kind), wording.Short(apiVersion))
		}
		w.unknownList(object, at.key("items"), depth)
	case depth == maxLists:
		w.err = fmt.Errorf("%w: more than %d lists in lists", ErrMany, maxLists)
	default: // of one kind, or a List, which kubectl knows in every group
		w.list(object, apiVersion, item, at.key("items"), depth)
	}
}

// unknownList walks the items of an object of an unknown kind: programs apply each by
// the type that it has itself.
func (w *walk) unknownList(list map[string]any, at spot, depth int) {
	items, _ := list["items"].([]any)
	for i, item := range items {
		object, isObject := item.(map[string]any)
		if !isObject {
			continue
		}
		if depth == maxLists {
			w.err = fmt.Errorf("%w: more than %d lists in lists", ErrMany, maxLists)
		}
		apiVersion, kind, err := typeOf(object)
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("%s: %w", at.item(i).path, err)
		}
		if w.err != nil {
			return
		}
		if kind != "" {
			w.object(object, apiVersion, kind, at.item(i), depth+1)
		}
	}
}

// list walks the items of a list. Those of a list of one kind may leave their type
// away, and have no other.
func (w *walk) list(list map[string]any, apiVersion, kind string, at spot, depth int) {
	items := w.items(list["items"], at)
	for i, item := range items {
		here := at.item(i)
		object, isObject := item.(map[string]any)
		if !isObject {
			w.malformed(here, "object")
		}
		if w.err != nil {
			return
		}
		ownVersion, ownKind, err := typeOf(object)
		switch {
		case err != nil:
			w.err = fmt.Errorf("%s: %w", here.path, err)
			return
		case kind == "" || (ownVersion == apiVersion && ownKind == kind):
		case ownVersion == "" && ownKind == "":
			ownVersion, ownKind = apiVersion, kind
		default:
			w.malformed(here, kind+" of "+wording.Short(apiVersion))
			return
		}
		w.object(object, ownVersion, ownKind, here, depth+1)
	}
}

// follow goes along a path and reads what stands at its end.
func (w *walk) follow(value any, segments []segment, shape Shape, at spot) {
	if value == nil || w.err != nil {
		return
	}
	if len(segments) == 0 {
		w.shape(value, shape, at)
		return
	}
	next, rest := segments[0], segments[1:]
	if next.items {
		for i, item := range w.items(value, at) {
			w.follow(item, rest, shape, at.item(i))
		}
		return
	}
	object, isObject := value.(map[string]any)
	if !isObject {
		w.malformed(at, "object")
		return
	}
	if !next.values {
		w.follow(object[next.key], rest, shape, at.key(next.key))
		return
	}
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		w.follow(object[key], rest, shape, at.key(key))
	}
}

func (w *walk) shape(value any, shape Shape, at spot) {
	switch shape {
	case ShapeImage:
		w.image(value, KindCustom, "", at)
	case ShapeContainer:
		w.container(value, KindContainer, at)
	case ShapeContainers:
		w.containers(value, KindContainer, at)
	case ShapePodSpec:
		w.podSpec(value, at)
	case ShapePodTemplate:
		w.podTemplate(value, at)
	default:
		w.any(value, at, true)
	}
}

// any reads a value as everything that it could be.
func (w *walk) any(value any, at spot, lists bool) {
	switch v := value.(type) {
	case string:
		w.image(v, KindCustom, "", at)
	case []any:
		if !lists {
			w.malformed(at, "image or container")
			return
		}
		for i, item := range v {
			w.any(item, at.item(i), false)
		}
	case map[string]any:
		has := func(keys ...string) bool {
			return slices.ContainsFunc(keys, func(key string) bool { return v[key] != nil })
		}
		isTemplate, isContainer := has("spec"), has("image")
		isSpec := has("containers", "initContainers", "ephemeralContainers", "volumes")
		if isTemplate {
			w.podTemplate(v, at)
		}
		if isSpec {
			w.podSpec(v, at)
		}
		if isContainer {
			w.container(v, KindCustom, at)
		}
		if !isTemplate && !isSpec && !isContainer {
			w.malformed(at, "image, container, Pod spec or Pod template")
		}
	default:
		w.malformed(at, "image, container, Pod spec or Pod template")
	}
}

// items returns the items of a list; null is an empty one.
func (w *walk) items(value any, at spot) []any {
	items, isList := value.([]any)
	if !isList && value != nil {
		w.malformed(at, "list")
	}
	return items
}
