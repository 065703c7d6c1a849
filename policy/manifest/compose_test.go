package manifest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy/manifest"
)

func TestCompose(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"V": "1", "EMPTY": "", "BASE": "b:2"}
	for name, tc := range map[string]struct {
		text     string
		want     []string
		warnings string
	}{
		"variables":        {"services: {a: {image: 'x:$V'}, b: {image: 'y:${V}.${V}'}, c: {image: 'z${EMPTY}'}}", []string{"x:1", "y:1.1", "z"}, ""},
		"defaults":         {"services: {a: {image: 'x:${N:-2}'}, b: {image: 'y:${EMPTY:-3}'}, c: {image: 'z${EMPTY-4}'}, d: {image: 'w:${N-${M:-5}}'}}", []string{"x:2", "y:3", "z", "w:5"}, `with the default of "N"`},
		"alternatives":     {"services: {a: {image: 'x${V:+:9}'}, b: {image: 'y${N:+:9}'}}", []string{"x:9", "y"}, ""},
		"demanded":         {"services: {a: {image: '${BASE:?no base}'}}", []string{"b:2"}, ""},
		"nothing there":    {"services: {a: null, b: {image: null, command: x}, c: {image: x}}", []string{"x"}, ""},
		"pull policy":      {"services: {a: {image: x, build: ., pull_policy: build}, b: {image: y}}", []string{"y"}, ""},
		"extends":          {"services: {a: {extends: b}, b: {image: x}, c: {extends: {service: b}}}", []string{"x"}, ""},
		"extends a file":   {"services: {a: {extends: {file: other.yaml, service: b}}, b: {image: x}}", []string{"x"}, `takes its image from "other.yaml"`},
		"includes":         {"include: [other.yaml]\nservices: {b: {image: x}}", []string{"x"}, "include names other files"},
		"models":           {"models: {m: {model: ai/m}}\nservices: {b: {image: x}}", []string{"x"}, "models are pulled too"},
		"context list":     {"services: {a: {build: {additional_contexts: ['x=docker-image://y:$V', 'z=../z', 'w=${N:-here}']}}}", []string{"y:1"}, ""},
		"context mapping":  {"services: {a: {build: {additional_contexts: {x: 'docker-image://y', z: ../z, w: '${D:-docker-image://v}'}}}}", []string{"y", "v"}, ""},
		"inline":           {"services: {a: {build: {dockerfile_inline: 'FROM x:$V'}}}", []string{"x:1"}, ""},
		"inline arguments": {"services:\n  a:\n    build:\n      args: {A: '${V}', N: 2, U: null}\n      dockerfile_inline: |\n        ARG A\n        ARG N\n        FROM x:$$A\n        FROM y:$${N}\n", []string{"x:1", "y:2"}, ""},
		"inline list":      {"services:\n  a:\n    build:\n      args: [A=7, U]\n      dockerfile_inline: |\n        ARG A=1\n        FROM x:$$A\n        RUN <<E\n        FROM no\n        E\n", []string{"x:7"}, ""},
		"inline default":   {"services:\n  a:\n    build:\n      dockerfile_inline: |\n        ARG A=1\n        FROM x:$$A\n", []string{"x:1"}, `x.yaml:6: stage 0 FROM is looked at with the default of "A"`},
		"image volume":     {"services: {a: {volumes: ['x:/y', {type: bind, source: z}, {type: image, source: 'w:$V'}]}}", []string{"w:1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := manifest.Read("x.yaml", []byte(tc.text), manifest.Options{Variables: variables})
			if err != nil {
				t.Fatal(err)
			}
			var got, warnings []string
			for _, i := range file.Images {
				got = append(got, i.Reference)
			}
			for _, w := range file.Warnings {
				warnings = append(warnings, w.String())
			}
			if !slices.Equal(got, tc.want) || !strings.Contains(strings.Join(warnings, "\n"), tc.warnings) {
				t.Errorf("%q, %q", got, warnings)
			}
		})
	}
}

func TestRefusedCompose(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, fault string }{
		"services as a list":       {"services: [a]", "services: it is no mapping"},
		"a service as a text":      {"services: {a: x}", "services.a: it is no mapping"},
		"image as a mapping":       {"services: {a: {image: {name: x}}}", "services.a.image: it is no text"},
		"reset":                    {"services: {a: {image: !reset null}}", "services.a.image: it is no text"},
		"override":                 {"services: !override {a: {image: x}}", "services: it is no mapping"},
		"no value":                 {"services: {a: {image: 'x:$V'}}", `the variable "V" has no value`},
		"demanded":                 {"services: {a: {image: 'x:${V:?say}'}}", `the variable "V" has no value`},
		"an open brace":            {"services: {a: {image: 'x:${V'}}", "does not close"},
		"a lone dollar":            {"services: {a: {image: 'x:$'}}", "is no variable"},
		"an empty name":            {"services: {a: {image: 'x:${}'}}", "is no variable"},
		"an operation":             {"services: {a: {image: 'x:${V!y}'}}", "an operation that is not known"},
		"two dollars":              {"services: {a: {image: 'x:$$V'}}", "holds a variable"},
		"empty alternative":        {"services: {a: {image: '${V:+x}'}}", "the image is empty"},
		"volumes as a text":        {"services: {a: {volumes: x}}", "services.a.volumes: it is no list"},
		"volume without an image":  {"services: {a: {volumes: [{type: image, target: /x}]}}", "an image volume without an image"},
		"build as a list":          {"services: {a: {build: [x]}}", "services.a.build: it is no text or mapping"},
		"contexts as a text":       {"services: {a: {build: {additional_contexts: x}}}", "it is no mapping"},
		"a context as a list":      {"services: {a: {build: {additional_contexts: {x: [y]}}}}", "additional_contexts.x: it is no text"},
		"a context as a mapping":   {"services: {a: {build: {additional_contexts: [{x: y}]}}}", "additional_contexts[0]: it is no text"},
		"inline as a list":         {"services: {a: {build: {dockerfile_inline: [x]}}}", "it is no text"},
		"inline variable":          {"services: {a: {build: {dockerfile_inline: 'FROM x:$V'}}}", `the variable "V" has no value`},
		"inline fault":             {"services:\n  a:\n    build:\n      dockerfile_inline: |\n        FROM x\n        FRM y\n", `x.yaml:6: services.a.build.dockerfile_inline: "FRM" is no instruction`},
		"inline image":             {"services: {a: {build: {dockerfile_inline: 'FROM {{x}}'}}}", "a template that was not rendered"},
		"arguments as a text":      {"services: {a: {build: {args: x, dockerfile_inline: 'FROM x'}}}", "it is no mapping"},
		"an argument as a list":    {"services: {a: {build: {args: {A: [x]}, dockerfile_inline: 'FROM x'}}}", "it is no text"},
		"an argument as a mapping": {"services: {a: {build: {args: [{A: x}], dockerfile_inline: 'FROM x'}}}", "it is no text"},
		"an argument of nothing":   {"services: {a: {build: {args: {A: $V}, dockerfile_inline: 'FROM x'}}}", `the argument "A": the variable "V" has no value`},
		"extends nobody":           {"services: {a: {extends: b}}", `there is no service "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := references(t, "x.yaml", tc.text, manifest.Options{})
			if got != nil || err == nil || !strings.Contains(err.Error(), tc.fault) || !strings.HasPrefix(err.Error(), "x.yaml:") {
				t.Errorf("%q, %v; want %q", got, err, tc.fault)
			}
		})
	}
	if _, err := references(t, "x.yaml", "[a]", manifest.Options{Format: manifest.FormatCompose}); err == nil || !strings.Contains(err.Error(), "no Compose file") {
		t.Errorf("a list: %v", err)
	}
}
