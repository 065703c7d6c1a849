package workload

import "fmt"

// podTemplate reads a PodTemplateSpec (Kubernetes API v1.37, core/v1).
func (w *walk) podTemplate(value any, at spot) {
	template, isObject := value.(map[string]any)
	if !isObject {
		w.malformed(at, "Pod template")
		return
	}
	if spec := template["spec"]; spec != nil {
		w.podSpec(spec, at.key("spec"))
	}
}

// podSpec reads a PodSpec: its three lists of containers, and its volumes. Of all
// fields of a PodSpec these alone hold an image that a node pulls.
func (w *walk) podSpec(value any, at spot) {
	spec, isObject := value.(map[string]any)
	if !isObject {
		w.malformed(at, "Pod spec")
		return
	}
	w.containers(spec["initContainers"], KindInitContainer, at.key("initContainers"))
	w.containers(spec["containers"], KindContainer, at.key("containers"))
	w.containers(spec["ephemeralContainers"], KindEphemeralContainer, at.key("ephemeralContainers"))
	w.volumes(spec["volumes"], at.key("volumes"))
	w.credentials(spec, at)
}

func (w *walk) containers(value any, kind string, at spot) {
	for i, item := range w.items(value, at) {
		w.container(item, kind, at.item(i))
	}
}

// container reads a Container, or an EphemeralContainer. One without an image
// gets it from elsewhere, or never runs.
func (w *walk) container(value any, kind string, at spot) {
	container, isObject := value.(map[string]any)
	if !isObject {
		w.malformed(at, "container")
		return
	}
	if image := container["image"]; image != nil {
		w.image(image, kind, w.text(container["name"], at, "name"), at.key("image"))
	}
}

// volumes reads the image of each volume (KEP-4639).
func (w *walk) volumes(value any, at spot) {
	for i, item := range w.items(value, at) {
		volume, isObject := item.(map[string]any)
		if !isObject {
			w.malformed(at.item(i), "volume")
			return
		}
		if volume["image"] == nil {
			continue
		}
		here := at.item(i).key("image")
		source, isObject := volume["image"].(map[string]any)
		if !isObject {
			w.malformed(here, "image volume")
			return
		}
		if reference := source["reference"]; reference != nil {
			w.image(reference, KindImageVolume, w.text(volume["name"], at.item(i), "name"), here.key("reference"))
		}
	}
}

func (w *walk) image(value any, kind, name string, at spot) {
	text, isText := value.(string)
	switch {
	case !isText:
		w.malformed(at, "text")
	case w.err != nil:
	case len(w.found.Places) == maxPlaces:
		w.err = fmt.Errorf("%w: more than %d", ErrMany, maxPlaces)
	default:
		w.found.Places = append(w.found.Places, Place{Path: at.path, Pointer: at.pointer, Image: text, Kind: kind, Name: name})
	}
}

// credentials notes what a Pod would pull its images with.
func (w *walk) credentials(spec map[string]any, at spot) {
	here := at.key("imagePullSecrets")
	for i, item := range w.items(spec["imagePullSecrets"], here) {
		secret, isObject := item.(map[string]any)
		if !isObject || i == maxPlaces {
			w.malformed(here.item(i), "secret's name")
			return
		}
		w.found.PullSecrets = addOnce(w.found.PullSecrets, w.text(secret["name"], here.item(i), "name"))
	}
	w.found.ServiceAccounts = addOnce(w.found.ServiceAccounts, w.text(spec["serviceAccountName"], at, "serviceAccountName"))
}

func (w *walk) text(value any, at spot, key string) string {
	text, isText := value.(string)
	if !isText && value != nil {
		w.malformed(at.key(key), "text")
	}
	return text
}
