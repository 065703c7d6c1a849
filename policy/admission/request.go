package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy/workload"
)

// Limits of a request's outline; the API has 15 fields in a request and five in
// an object.
const (
	maxFields = 64
	maxUID    = 256 // a UUID has 36
	maxName   = 1024
)

var errMalformed = errors.New("malformed AdmissionReview")

// request is the part of an AdmissionRequest that is used. Everything in it was
// written or passed on by the API server, and what object and old hold by anybody.
type request struct {
	uid, operation       string
	group, version, kind string
	subResource          string
	namespace            string
	name, user           string
	dryRun               bool
	object, old          []byte // nil where absent
	// The objects' fields that can hold images; oldFields is nil where there is no old
	// object of the same type.
	objectFields, oldFields   []strictjson.Field
	objectVersion, objectKind string
}

// decodeRequest reads an AdmissionReview. On an error the uid is set if it could be
// read.
func decodeRequest(body []byte) (request, error) {
	var q request
	if err := strictjson.Check(body); err != nil {
		return q, err
	}
	outer, err := members(body)
	if err != nil {
		return q, err
	}
	var apiVersionText, kind string
	var raw []byte
	for _, f := range outer {
		switch f.Key {
		case "apiVersion":
			apiVersionText, err = strictjson.Text(f.Value)
		case "kind":
			kind, err = strictjson.Text(f.Value)
		case "request":
			raw = f.Value
		}
		if err != nil {
			return q, fmt.Errorf("reading %s: %w", f.Key, err)
		}
	}
	switch {
	case apiVersionText != apiVersion || kind != "AdmissionReview":
		return q, fmt.Errorf("%w: it is %q of %q, not AdmissionReview of %s", errMalformed, wording.Short(kind), wording.Short(apiVersionText), apiVersion)
	case raw == nil || strictjson.IsNull(raw):
		return q, fmt.Errorf("%w: it has no request", errMalformed)
	}
	fields, err := members(raw)
	if err != nil {
		return q, fmt.Errorf("reading the request: %w", err)
	}
	// The uid first, so that every other fault can be answered.
	for _, f := range fields {
		if f.Key == "uid" {
			if q.uid, err = strictjson.Text(f.Value); err != nil {
				return q, fmt.Errorf("reading the uid: %w", err)
			}
		}
	}
	if q.uid == "" || len(q.uid) > maxUID {
		q.uid = ""
		return q, fmt.Errorf("%w: it has no uid of at most %d bytes", errMalformed, maxUID)
	}
	for _, f := range fields {
		if err := q.field(f); err != nil {
			return q, fmt.Errorf("reading %s of the request: %w", wording.Short(f.Key), err)
		}
	}
	return q, q.check()
}

func (q *request) field(f strictjson.Field) (err error) {
	if strictjson.IsNull(f.Value) {
		return nil
	}
	switch f.Key {
	case "operation":
		q.operation, err = name(f.Value)
	case "subResource":
		q.subResource, err = name(f.Value)
	case "namespace":
		q.namespace, err = name(f.Value)
	case "name":
		q.name, err = name(f.Value)
	case "dryRun":
		err = json.Unmarshal(f.Value, &q.dryRun)
	case "object":
		q.object = f.Value
	case "oldObject":
		q.old = f.Value
	case "kind":
		return texts(f.Value, func(key string) *string {
			switch key {
			case "group":
				return &q.group
			case "version":
				return &q.version
			case "kind":
				return &q.kind
			}
			return nil
		})
	case "userInfo":
		return texts(f.Value, func(key string) *string {
			if key == "username" {
				return &q.user
			}
			return nil
		})
	}
	return err
}

// texts reads some fields of an object that are texts.
func texts(raw []byte, into func(key string) *string) error {
	fields, err := members(raw)
	if err != nil {
		return err
	}
	for _, f := range fields {
		if target := into(f.Key); target != nil {
			if *target, err = name(f.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func name(raw []byte) (string, error) {
	text, err := strictjson.Text(raw)
	if err == nil && len(text) > maxName {
		return "", fmt.Errorf("%w: it has %d bytes, not at most %d", errMalformed, len(text), maxName)
	}
	return text, err
}

// check reads the outline of the objects. That kind and object agree matters: the
// kind says where the images stand.
func (q *request) check() error {
	switch q.operation {
	case "CREATE", "UPDATE":
	case "DELETE", "CONNECT":
		return nil
	default:
		return fmt.Errorf("%w: operation %q", errMalformed, wording.Short(q.operation))
	}
	if q.kind == "" {
		return fmt.Errorf("%w: the request has no kind", errMalformed)
	}
	var err error
	if q.objectFields, q.objectVersion, q.objectKind, err = outline(q.object); err != nil {
		return fmt.Errorf("reading the object: %w", err)
	}
	want := q.version
	if q.group != "" {
		want = q.group + "/" + q.version
	}
	if q.objectVersion != want || q.objectKind != q.kind {
		return fmt.Errorf("%w: the object is %q of %q, but the request is about %q of %q", errMalformed,
			wording.Short(q.objectKind), wording.Short(q.objectVersion), wording.Short(q.kind), wording.Short(want))
	}
	if q.name == "" {
		q.name = nameIn(q.object)
	}
	if q.operation == "UPDATE" {
		old, oldVersion, oldKind, err := outline(q.old)
		if err == nil && oldVersion == q.objectVersion && oldKind == q.objectKind {
			q.oldFields = old // else everything is looked at
		}
	}
	return nil
}

// outline returns the fields of an object that can hold images, and its type.
func outline(raw []byte) (fields []strictjson.Field, apiVersion, kind string, err error) {
	if raw == nil || strictjson.IsNull(raw) {
		return nil, "", "", fmt.Errorf("%w: there is none", errMalformed)
	}
	all, err := members(raw)
	if err != nil {
		return nil, "", "", err
	}
	fields = all[:0]
	for _, f := range all {
		switch f.Key {
		case "apiVersion":
			apiVersion, err = name(f.Value)
		case "kind":
			kind, err = name(f.Value)
		case "metadata", "status":
			// No path of package workload leads there, and they are most of the bytes.
		default:
			fields = append(fields, f)
		}
		if err != nil {
			return nil, "", "", fmt.Errorf("reading %s: %w", f.Key, err)
		}
	}
	return fields, apiVersion, kind, nil
}

// nameIn returns the name in an object's metadata, or the start of the one that it will
// get; for the log alone. Who makes objects with generateName leaves the request's name
// empty.
func nameIn(object []byte) (found string) {
	fields, err := members(object)
	if err != nil {
		return ""
	}
	for _, f := range fields {
		if f.Key != "metadata" {
			continue
		}
		var start string
		_ = texts(f.Value, func(key string) *string { // what cannot be read is no name
			switch key {
			case "name":
				return &found
			case "generateName":
				return &start
			}
			return nil
		})
		if found == "" && start != "" {
			return start + "*"
		}
	}
	return found
}

// deleted reports whether an object that is stored is being deleted. Clients cannot
// write that field: in the new object it says nothing.
func deleted(stored []byte) bool {
	fields, err := members(stored)
	if err != nil {
		return false
	}
	for _, f := range fields {
		if f.Key != "metadata" {
			continue
		}
		var at string
		err = texts(f.Value, func(key string) *string {
			if key == "deletionTimestamp" {
				return &at
			}
			return nil
		})
		return err == nil && at != ""
	}
	return false
}

// same reports whether old and new object are alike to the byte, metadata and
// status aside.
func (q *request) same() bool {
	if q.oldFields == nil || len(q.oldFields) != len(q.objectFields) {
		return false
	}
	for i, f := range q.objectFields {
		if old := q.oldFields[i]; old.Key != f.Key || !bytes.Equal(old.Value, f.Value) {
			return false
		}
	}
	return true
}

// decodeObject makes of the fields what can lead to images.
func decodeObject(finder *workload.Finder, q *request, fields []strictjson.Field) (map[string]any, error) {
	wanted := func(key string) bool { return finder.Reads(q.group, q.kind, key) }
	object := make(map[string]any, len(fields)+2)
	for _, f := range fields {
		if !wanted(f.Key) {
			continue
		}
		c := cursor{raw: f.Value}
		value, err := c.value(wanted)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", wording.Short(f.Key), err)
		}
		object[f.Key] = value
	}
	object["apiVersion"], object["kind"] = q.objectVersion, q.objectKind
	return object, nil
}

// members returns the fields of an object; anything else is an error.
func members(raw []byte) ([]strictjson.Field, error) {
	c := cursor{raw: raw}
	if c.peek() != '{' {
		return nil, fmt.Errorf("%w: %.20q is no object", errMalformed, raw)
	}
	c.at++
	fields := make([]strictjson.Field, 0, 16)
	for c.more('}') {
		if len(fields) == maxFields {
			return nil, fmt.Errorf("%w: at most %d are read", strictjson.ErrMany, maxFields)
		}
		key, err := c.key()
		if err != nil {
			return nil, err
		}
		fields = append(fields, strictjson.Field{Key: key, Value: c.skip()})
	}
	return fields, nil
}
