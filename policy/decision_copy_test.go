package policy

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestClone: a copy of a decision is equal, and no field of it, now or later, is memory
// of the original that could be written to.
func TestClone(t *testing.T) {
	t.Parallel()
	var d Decision
	fill(reflect.ValueOf(&d).Elem())
	own := d.Clone()
	if diff := cmp.Diff(d, own, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Fatalf("the copy differs: %s", diff)
	}
	apart(t, "Decision", reflect.ValueOf(d), reflect.ValueOf(own))
	if !reflect.DeepEqual(Decision{}.Clone(), Decision{}) {
		t.Error("the copy of nothing is something")
	}
}

// fill gives every field a value that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Int64, reflect.Int:
		v.SetInt(1)
	}
}

// apart finds memory that two values share.
func apart(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer, reflect.Slice:
		if a.IsNil() || a.Kind() == reflect.Slice && a.Len() == 0 {
			t.Errorf("%s was not filled: the test does not look at it", path)
			return
		}
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		if a.Kind() == reflect.Pointer {
			apart(t, path, a.Elem(), b.Elem())
			return
		}
		apart(t, path+"[0]", a.Index(0), b.Index(0))
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range a.NumField() {
			apart(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Map, reflect.Interface, reflect.Chan, reflect.Func:
		t.Errorf("%s: Clone knows nothing of %s", path, a.Kind())
	}
}
