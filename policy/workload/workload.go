// Package workload finds where images stand in Kubernetes objects: Pods, all that
// holds a template of Pods, known custom resources, and those that a caller
// names the paths of.
//
//	finder, err := workload.NewFinder(workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{"spec.template"}})
//	places, err := finder.Places(object)
//	for _, p := range places { fmt.Println(p.Path, p.Image) } // spec.initContainers[0].image registry.example/app:1.2
//
// It is pure and reads what it is given: JSON or YAML, decoded into maps, slices
// and strings. A field that is absent or null holds no image. A field of a wrong
// type is an error, since somebody else may read it as something.
//
// Non-goals: reading files, judging images, and text that other programs turn
// into images later, such as `$(params.image)` of Tekton, the `podSpecPatch` of
// Argo, or attributes of storage drivers. Verify the Pods that come of them.
package workload

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of this package.
var (
	// ErrUnknownKind: no image path is known for the object's kind. A server must
	// refuse it, a scan of files may pass it over.
	ErrUnknownKind = errors.New("unknown kind of object")
	// ErrMalformed: the object is not built as its kind says; refuse it.
	ErrMalformed = errors.New("malformed object")
	// ErrMany: more images, or lists in lists, than an object may hold; refuse it.
	ErrMany = errors.New("too many images")
)

// maxPlaces bounds the images of one object. An object of etcd has at most 1.5 MB,
// and the largest Pods have some dozens of containers.
const maxPlaces = 10_000

// Kinds of places.
const (
	KindContainer          = "container"
	KindInitContainer      = "initContainer"
	KindEphemeralContainer = "ephemeralContainer"
	KindImageVolume        = "imageVolume"
	KindCustom             = "custom"
)

// Place is one place of an object where an image stands.
type Place struct {
	// Path is for people: "spec.initContainers[0].image".
	Path string
	// Pointer is the same as a JSON pointer (RFC 6901): "/spec/initContainers/0/image".
	Pointer string
	// Image is the text as it stands there. It is untrusted, and may be empty.
	Image string
	// Kind is one of the Kind constants.
	Kind string
	// Name is the name of the container or volume, untrusted, "" where it has none.
	Name string
}

// Found is what [Finder.Find] finds in an object.
type Found struct {
	Places []Place
	// PullSecrets are the names of all imagePullSecrets, each once; ServiceAccounts
	// those of the service accounts that Pods will run as.
	PullSecrets, ServiceAccounts []string
}

// Finder finds images in objects. Safe for concurrent use.
type Finder struct {
	kinds map[groupKind][]path
	reads map[groupKind]reads
}

type groupKind struct{ group, kind string }

// NewFinder returns a finder of the built-in kinds and the given ones. A custom
// kind that is built in gets further paths; none is taken away. Errors name the
// path that cannot be read.
func NewFinder(custom ...Custom) (*Finder, error) {
	f := &Finder{kinds: make(map[groupKind][]path), reads: make(map[groupKind]reads)}
	if err := f.add(BuiltIn()); err != nil {
		return nil, err
	}
	if err := f.add(custom); err != nil {
		return nil, err
	}
	for key, paths := range f.kinds {
		f.reads[key] = readsOf(paths)
	}
	return f, nil
}

func (f *Finder) add(custom []Custom) error {
	if len(custom) > maxCustom {
		return fmt.Errorf("reading custom resources: %d are configured, not at most %d", len(custom), maxCustom)
	}
	for _, c := range custom {
		if c.Kind == "" || len(c.Paths) == 0 || len(c.Paths) > maxPaths {
			return fmt.Errorf("reading custom resource %q of group %q: it needs a kind and 1 to %d paths", c.Kind, c.Group, maxPaths)
		}
		key := groupKind{c.Group, c.Kind}
		for _, text := range c.Paths {
			p, err := parsePath(text)
			if err != nil {
				return fmt.Errorf("reading path %q of custom resource %s: %w", text, c.Kind, err)
			}
			f.kinds[key] = append(f.kinds[key], p)
		}
	}
	return nil
}

// Knows reports whether image paths are known for a kind of any version of a
// group; the group of Pod is "".
func (f *Finder) Knows(group, kind string) bool {
	_, known := f.kinds[groupKind{group, kind}]
	return known
}

// Reads reports whether [Finder.Find] looks at fields of a name, anywhere in objects of
// a kind that is no list. A decoder may leave out all others.
func (f *Finder) Reads(group, kind, field string) bool {
	r := f.reads[groupKind{group, kind}]
	return r.all || r.keys[field]
}

// Places is [Finder.Find] without the rest.
func (f *Finder) Places(object map[string]any) ([]Place, error) {
	found, err := f.Find(object)
	return found.Places, err
}

// Find returns where images stand in an object, by its apiVersion and kind, in
// the order of the object's lists. The items of a List, and of a list of a known
// kind such as PodList, are walked.
//
// Errors wrap [ErrUnknownKind], [ErrMalformed] or [ErrMany]. With
// ErrUnknownKind alone, what the other items of a list hold is returned too;
// with the others nothing is.
func (f *Finder) Find(object map[string]any) (Found, error) {
	apiVersion, kind, err := typeOf(object)
	if err != nil {
		return Found{}, err
	}
	w := walk{finder: f}
	w.object(object, apiVersion, kind, spot{}, 0)
	switch {
	case w.err != nil:
		return Found{}, w.err
	case w.unknown != nil:
		return w.found, w.unknown
	}
	return w.found, nil
}

func typeOf(object map[string]any) (apiVersion, kind string, err error) {
	apiVersion, isText := object["apiVersion"].(string)
	if !isText && object["apiVersion"] != nil {
		return "", "", fmt.Errorf("%w: apiVersion is no text", ErrMalformed)
	}
	kind, isText = object["kind"].(string)
	if !isText && object["kind"] != nil {
		return "", "", fmt.Errorf("%w: kind is no text", ErrMalformed)
	}
	return apiVersion, kind, nil
}

// Group returns the group of an apiVersion: "" of "v1", "apps" of "apps/v1".
func Group(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

func addOnce(all []string, text string) []string {
	if text == "" || slices.Contains(all, text) {
		return all
	}
	return append(all, text)
}
