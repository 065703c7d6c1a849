// Package imagefields holds what package workload knows against the types of the
// Kubernetes API themselves. It needs no server.
package imagefields

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"

	core "k8s.io/api/core/v1"

	"github.com/hallmark-project/hallmark/policy/workload"
)

// noImages are types with a field that is called image, and is none that a node pulls
// for a container: Ceph's block devices, and what is told about nodes and containers.
var noImages = []reflect.Type{
	reflect.TypeFor[core.RBDVolumeSource](), reflect.TypeFor[core.RBDPersistentVolumeSource](),
	reflect.TypeFor[core.ContainerStatus](), reflect.TypeFor[core.ContainerImage](), reflect.TypeFor[core.ImageVolumeStatus](),
}

// filler fills a value with one item of everything, and each image with a text of its
// own.
type filler struct {
	images []string
	open   []reflect.Type
}

func (f *filler) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0))
	case reflect.Struct:
		if slices.Contains(f.open, v.Type()) {
			return
		}
		f.open = append(f.open, v.Type())
		defer func() { f.open = f.open[:len(f.open)-1] }()
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Name == "Status" || field.Name == "ObjectMeta" || field.Name == "TypeMeta" {
				continue
			}
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			lower := strings.ToLower(name)
			// Every text whose name has to do with images, and does not say how they are pulled.
			if field.Type.Kind() == reflect.String && !slices.Contains(noImages, v.Type()) && lower != "imagepullpolicy" &&
				(strings.Contains(lower, "image") || (lower == "reference" && strings.Contains(v.Type().Name(), "Image"))) {
				image := fmt.Sprintf("registry.example/image%d", len(f.images))
				f.images = append(f.images, image)
				v.Field(i).SetString(image)
				continue
			}
			f.fill(v.Field(i))
		}
	}
}

// TestAD04EveryImageOfTheAPI: AD-01, AD-02, AD-03, AD-04: in each kind of the API with
// everything in it, the finder finds every image, and there is no kind with one that it
// does not know.
func TestAD04EveryImageOfTheAPI(t *testing.T) {
	t.Parallel()
	finder, err := workload.NewFinder()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version == "__internal" || strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		value := reflect.New(typ)
		f := &filler{}
		f.fill(value.Elem())
		if len(f.images) == 0 {
			continue
		}
		kinds = append(kinds, gvk.GroupKind().String())
		raw, err := json.Marshal(value.Interface())
		if err != nil {
			t.Errorf("%s: %v", gvk, err)
			continue
		}
		var object map[string]any
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		object["apiVersion"], object["kind"] = gvk.GroupVersion().String(), gvk.Kind
		places, err := finder.Places(object)
		if err != nil {
			t.Errorf("%s holds %d images: %v", gvk, len(f.images), err)
			continue
		}
		var found []string
		for _, p := range places {
			found = append(found, p.Image)
		}
		slices.Sort(found)
		slices.Sort(f.images)
		if !slices.Equal(found, f.images) {
			t.Errorf("%s: found %v of %v", gvk, found, f.images)
		}
		// Image volumes, and three lists of containers.
		if len(f.images) != 4 {
			t.Errorf("%s holds %d images, not the four of a Pod spec", gvk, len(f.images))
		}
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	want := []string{
		"CronJob.batch", "DaemonSet.apps", "DaemonSet.extensions", "Deployment.apps", "Deployment.extensions", "Job.batch", "Pod", "PodTemplate",
		"ReplicaSet.apps", "ReplicaSet.extensions", "ReplicationController", "StatefulSet.apps",
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds with images: %v, want %v", kinds, want)
	}
}
