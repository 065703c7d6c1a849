package manifest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy/manifest"
)

func load(t *testing.T, name string) []byte {
	t.Helper()
	return loadFile(t, name)
}

func loadFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shown is what a test compares of an image.
func shown(i manifest.Image) string {
	text := fmt.Sprintf("%d:%d %s %s = %s", i.Line, i.Column, i.Kind, i.Path, i.Reference)
	if i.Fixed != "" {
		text += " (" + i.Fixed + ")"
	}
	if i.Built {
		text += " (built)"
	}
	return text
}

func TestRealisticFiles(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		format           manifest.Format
		images, warnings []string
	}{
		"deployment.yaml": {manifest.FormatKubernetes, []string{
			"18:18 initContainer Deployment/web spec.template.spec.initContainers[0].image = registry.example/shop/migrate:2.3",
			"21:18 container Deployment/web spec.template.spec.containers[0].image = registry.example/shop/web:2.3",
			"24:32 container Deployment/web spec.template.spec.containers[1].image = registry.example/proxy@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			"28:24 imageVolume Deployment/web spec.template.spec.volumes[0].image.reference = registry.example/models/small:7",
		}, nil},
		"cronjob.yaml": {manifest.FormatKubernetes, []string{
			"14:20 container CronJob/report spec.jobTemplate.spec.template.spec.containers[0].image = registry.example/report:5",
		}, nil},
		"list.json": {manifest.FormatKubernetes, []string{
			"9:51 container Pod/one spec.containers[0].image = registry.example/one:1",
			"20:73 container StatefulSet/two spec.template.spec.containers[0].image = registry.example/two",
		}, nil},
		"chart.yaml": {manifest.FormatKubernetes, []string{
			"29:18 container Deployment/shop spec.template.spec.containers[0].image = registry.example/shop:1.4.0",
			"44:14 container Pod/shop-smoke spec.containers[0].image = busybox:1.36",
		}, []string{"chart.yaml:53: Farm/cows is of a kind whose images are not known, and spec.worker.image looks like one: it was not looked at"}},
		"compose.yaml": {manifest.FormatCompose, []string{
			"2:10 service services.app.image = registry.example/app:3",
			"2:10 service services.worker.image = registry.example/app:3",
			"2:10 service services.batch.image = registry.example/app:3",
			"16:12 service services.db.image = postgres:17",
			"20:17 service services.db.volumes[1].source = registry.example/seed:1",
			`26:1 base services.front.build.dockerfile_inline stage "build" FROM = registry.example/build:9 (it stands in a Dockerfile inside a Compose file)`,
			"31:17 buildContext services.front.build.additional_contexts.assets = registry.example/assets:2",
			"34:12 service services.cache.image = redis:7 (it is put together from variables)",
			"39:12 service services.own.image = registry.example/own:dev (built)",
		}, []string{
			"compose.yaml:2: services.batch runs only with one of its profiles; it is looked at nevertheless",
			`compose.yaml:34: services.cache.image is looked at with the default of "REDIS"`,
			"compose.yaml:39: services.own is built here and may also be pulled; pull_policy: build forbids that",
		}},
		"Dockerfile": {manifest.FormatDockerfile, []string{
			"1:10 frontend # syntax = docker/dockerfile:1.9",
			`7:32 base stage "build" FROM = registry.example/golang:1.26`,
			"12:28 mount stage 0 RUN --mount from = registry.example/tools:4",
			`21:6 base stage "base" FROM = registry.example/debian:12-slim (it is put together from variables)`,
			"24:25 copy stage 2 COPY --from = registry.example/certs:2026",
			"26:21 copy stage 2 COPY --from = registry.example/late:1",
		}, []string{
			`Dockerfile:7: stage "build" FROM is looked at with the default of "GO"`,
			`Dockerfile:21: stage "base" FROM is looked at with the default of "MIRROR"`,
			`Dockerfile:21: stage "base" FROM is looked at with the default of "DEBIAN"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := load(t, name)
			file, err := manifest.Read(name, data, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var images, warnings []string
			for _, i := range file.Images {
				images = append(images, shown(i))
				if i.End > 0 && string(data[i.Start:i.End]) != i.Reference {
					t.Errorf("%s: the bytes say %q", shown(i), data[i.Start:i.End])
				}
				if i.File != name || (i.End == 0) != (i.Fixed != "") {
					t.Errorf("%+v", i)
				}
			}
			for _, w := range file.Warnings {
				warnings = append(warnings, w.String())
			}
			if diff := cmp.Diff(want.images, images); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if file.Format != want.format {
				t.Errorf("the format is %q", file.Format)
			}
		})
	}
}

// references are those of a text.
func references(t *testing.T, name, text string, o manifest.Options) ([]string, error) {
	t.Helper()
	file, err := manifest.Read(name, []byte(text), o)
	if file == nil {
		return nil, err
	}
	var all []string
	for _, i := range file.Images {
		all = append(all, i.Reference)
	}
	return all, err
}

func pod(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: " + image + "\n"
}

// TestImageOddities: what can be no image is a fault with its line; what only a
// registry could refuse is left to the gate.
func TestImageOddities(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0a", 32)
	for name, tc := range map[string]struct{ image, fault string }{
		"AD-17 empty":              {`""`, "the image is empty"},
		"AD-17 null":               {`null`, ""},
		"AD-17 space":              {`"nginx "`, "U+0020"},
		"AD-17 space before":       {`" nginx"`, "U+0020"},
		"AD-17 newline":            {`"nginx\nevil"`, "U+000A"},
		"AD-17 block with newline": {"|\n      nginx:1", "U+000A"},
		"AD-17 escape":             {`"nginx\e[31m"`, "U+001B"},
		"AD-17 unicode":            {`"nginx\u0456"`, "U+0456"},
		"AD-17 right to left":      {`"nginx\u202E"`, "U+202E"},
		"AD-17 10 kB":              {strings.Repeat("a", 10_000), "10000 characters"},
		"AD-17 template":           {`"{{ .Values.image }}"`, "a template that was not rendered"},
		"AD-17 bare template":      {`{{ .Values.image }}`, ":7: "},
		"AD-17 shell variable":     {`"registry.example/app:${TAG}"`, "a variable"},
		"AD-17 object variable":    {`registry.example/app:$(TAG)`, "a variable"},
		"AD-17 number":             {`7`, "is no"},
		"AD-17 truth":              {`true`, "is no"},
		"AD-17 list":               {`[nginx]`, "is no"},
		"AD-17 binary":             {`!!binary bmdpbng=`, "is no"},
		"AD-17 own tag":            {`!image nginx`, "is no"},
		"AD-17 tag and digest":     {"nginx:1.27@sha256:" + hex, ""},
		"AD-17 two at":             {"nginx@sha256:" + hex + "@sha256:" + hex, ""},
		"AD-17 upper case":         {"Nginx:1", ""},
		"AD-17 IPv6":               {`"[::1]:5000/app:1"`, ""},
		"AD-17 plain tag":          {`!!str nginx`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := references(t, "pod.yaml", pod(tc.image), manifest.Options{})
			switch {
			case tc.fault == "" && err != nil && !errors.Is(err, manifest.ErrNoImages):
				t.Errorf("%v", err)
			case tc.fault == "" && name != "AD-17 null" && len(got) != 1:
				t.Errorf("found %q", got)
			case tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)):
				t.Errorf("%q, %v; want %q", got, err, tc.fault)
			case tc.fault != "" && !strings.HasPrefix(err.Error(), "pod.yaml:7: "):
				t.Errorf("no line: %v", err)
			case err != nil && len(err.Error()) > 1000:
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		})
	}
}

// TestRefusedYAML: what two programs could read differently, and what is too large.
func TestRefusedYAML(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x]\n"
	for i := 1; i < 30; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	for name, tc := range map[string]struct{ text, fault string }{
		"duplicate key":          {pod("a") + "    image: b\n", "pod.yaml:8: the key \"image\" stands twice, first in line 7"},
		"duplicate kind":         {pod("a") + "kind: ConfigMap\n", `the key "kind" stands twice`},
		"RE-02 alias bomb":       {pod("a") + bomb, "entries, with aliases written out"},
		"anchor in itself":       {pod("a") + "x: &x [*x]\n", "holds itself"},
		"merge behind":           {"x: &x {image: b}\n" + pod("a") + "    <<: *x\n", `the merge key stands behind "image"`},
		"merge of a text":        {pod("a") + "    <<: b\n", "no mapping"},
		"merge twice":            {"x: &x {y: b}\n" + pod("a") + "    <<: *x\n    <<: *x\n", "two merge keys"},
		"key with a tag":         {pod("a") + "    !!binary aW1hZ2U=: b\n", "a key that is no plain text"},
		"key that is a list":     {pod("a") + "[a]: b\n", "a key that is no plain text"},
		"RE-06 deep":             {pod("a") + "x: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "nested deeper"},
		"RE-06 brackets":         {pod("a") + "x: " + strings.Repeat("[", 100_000), "brackets are nested deeper"},
		"kubectl's separator":    {"apiVersion: v1\nkind: ConfigMap\n---x: \"\n" + pod("a") + "\"\n", "pod.yaml:3: kubectl takes this line"},
		"no object":              {"hello: world\n", "no Kubernetes object"},
		"a list":                 {"- a\n", "no Kubernetes object"},
		"a text":                 {"hello\n", "no Kubernetes object"},
		"empty":                  {"# nothing\n", "no Kubernetes object"},
		"kind without version":   {"kind: Pod\nspec: {containers: [{image: a}]}\n", "no Kubernetes object"},
		"second is no object":    {pod("a") + "---\nhello: world\n", "pod.yaml:9: this document holds no"},
		"two JSON values":        {`{"apiVersion":"v1","kind":"Pod"}{"apiVersion":"v1","kind":"Pod"}`, "reading YAML"},
		"RE-02 merge bomb":       {pod("a") + "x: &x {" + numbered(1000) + "}\ny: {<<: [" + strings.Repeat("*x,", 10_000) + "]}\n", "entries, with aliases written out"},
		"RE-02 many merges":      {pod("a") + "x: &x {" + numbered(10) + "}\ny: {" + numbered(1000) + ", <<: [" + strings.Repeat("*x,", 200_000) + "]}\n", "entries, with aliases written out"},
		"Latin-1":                {pod("a") + "# \xe9\n", "not UTF-8"},
		"UTF-16":                 {"\xff\xfea\x00", "not UTF-8"},
		"containers as a text":   {"apiVersion: v1\nkind: Pod\nspec:\n  containers: none\n", "pod.yaml:4: Pod: malformed object: spec.containers is no list"},
		"spec as a list":         {"apiVersion: v1\nkind: Pod\nspec: []\n", "pod.yaml:3: "},
		"unrendered chart":       {"apiVersion: v1\nkind: Pod\n{{- if .Values.x }}\nspec: {}\n{{- end }}\n", "reading YAML"},
		"item that is no object": {"apiVersion: v1\nkind: List\nitems: [a]\n", "malformed object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := references(t, "pod.yaml", tc.text, manifest.Options{})
			if got != nil || err == nil || !strings.Contains(err.Error(), tc.fault) || errors.Is(err, manifest.ErrNoImages) {
				t.Errorf("%q, %v; want %q", got, err, tc.fault)
			}
		})
	}
}

// numbered are the entries of a mapping.
func numbered(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("k%d: 1", i))
	}
	return strings.Join(all, ",")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if _, err := manifest.Read("a.yaml", make([]byte, manifest.MaxBytes+1), manifest.Options{}); !errors.Is(err, manifest.ErrTooLarge) {
		t.Errorf("too many bytes: %v", err)
	}
	if _, err := references(t, "a.yaml", strings.Repeat("#\n", 500_001), manifest.Options{}); err == nil || !strings.Contains(err.Error(), "lines and commas") {
		t.Errorf("too many lines: %v", err)
	}
	many := "services:\n"
	for i := range 10_001 {
		many += fmt.Sprintf("  s%d: {image: a}\n", i)
	}
	if _, err := references(t, "a.yaml", many, manifest.Options{}); err == nil || !strings.Contains(err.Error(), "more than 10000 images") {
		t.Errorf("too many images: %.200v", err)
	}
}

// TestNoImages: a file of nothing is told apart from one whose images are known.
func TestNoImages(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"service.yaml":  "apiVersion: v1\nkind: Service\n",
		"compose.yaml":  "services: {}\n",
		"override.yaml": "services:\n  a:\n    command: x\n",
		"build.yaml":    "services:\n  a:\n    build: .\n",
		"Dockerfile":    "FROM scratch\n",
		"pod.yaml":      "apiVersion: v1\nkind: Pod\n",
	} {
		file, err := manifest.Read(name, []byte(text), manifest.Options{})
		if !errors.Is(err, manifest.ErrNoImages) || file == nil || len(file.Images) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMergedAndAliased(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"own key above a merged one":  {"x: &x {image: b, name: c}\napiVersion: v1\nkind: Pod\nspec: {containers: [{<<: *x, image: a}]}\n", []string{"a"}},
		"first of a merged list":      {"x: &x {image: b}\ny: &y {image: c}\napiVersion: v1\nkind: Pod\nspec: {containers: [{<<: [*y, *x]}]}\n", []string{"c"}},
		"merged in a merged one":      {"x: &x {image: b}\ny: &y {<<: *x}\napiVersion: v1\nkind: Pod\nspec: {containers: [{<<: *y}]}\n", []string{"b"}},
		"aliased containers":          {"x: &x [{image: b}]\napiVersion: v1\nkind: Pod\nspec: {containers: *x, initContainers: *x}\n", []string{"b", "b"}},
		"an anchored image":           {pod("&i a") + "    x: *i\n", []string{"a"}},
		"an alias as key":             {"x: &x image\napiVersion: v1\nkind: Pod\nspec: {containers: [{*x : a}]}\n", []string{"a"}},
		"documents with comments":     {"# one\n---\n# two\n---\n" + pod("a") + "---\n---\n" + pod("b") + "...\n", []string{"a", "b"}},
		"byte order mark and CRLF":    {"\xef\xbb\xbf" + strings.ReplaceAll(pod("a")+"---\n"+pod("b"), "\n", "\r\n"), []string{"a", "b"}},
		"JSON with tabs and escapes":  {"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\", \"spec\": {\"containers\": [{\"image\": \"a\\u0062\"}]}}", []string{"ab"}},
		"Compose beside Kubernetes":   {"services: {a: {image: c}}\n---\n" + pod("a"), []string{"c", "a"}},
		"a list in a list of objects": {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: PodList, items: [{spec: {containers: [{image: a}]}}]}\n", []string{"a"}},
	} {
		got, err := references(t, "x.yaml", tc.text, manifest.Options{})
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestAD04HiddenLists: AD-04: a Pod behind items is applied by kubectl, whatever the
// object that has them says that it is.
func TestAD04HiddenLists(t *testing.T) {
	t.Parallel()
	const items = "items: [{apiVersion: v1, kind: Pod, spec: {containers: [{image: evil}]}}]\n"
	for _, head := range []string{"apiVersion: apps/v1\nkind: List\n", "apiVersion: v1\nkind: ConfigMap\n", "apiVersion: v1\nkind: ServiceList\n"} {
		if got, err := references(t, "x.yaml", head+items, manifest.Options{}); err != nil || !slices.Equal(got, []string{"evil"}) {
			t.Errorf("%q: %q, %v", head, got, err)
		}
	}
	head := "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {containers: [{image: good}]}}}\n"
	if got, err := references(t, "x.yaml", head+items, manifest.Options{}); err == nil || errors.Is(err, manifest.ErrNoImages) {
		t.Errorf("%q: %q, %v", head, got, err)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       manifest.Format
	}{
		{"Dockerfile", "FROM a", manifest.FormatDockerfile},
		{"build/Dockerfile.dev", "FROM a", manifest.FormatDockerfile},
		{"Containerfile", "FROM a", manifest.FormatDockerfile},
		{`C:\src\app.Dockerfile`, "FROM a", manifest.FormatDockerfile},
		{"-", "# a comment\n\nFROM a", manifest.FormatDockerfile},
		{"-", "arg X=1\nFROM a", manifest.FormatDockerfile},
		{"-", pod("a"), manifest.FormatKubernetes},
		{"-", "services: {a: {image: b}}", manifest.FormatCompose},
		{"dockerfile.yaml", pod("a"), manifest.FormatKubernetes},
		{"any", "from: x\nservices: {a: {image: b}}", manifest.FormatCompose},
	} {
		file, err := manifest.Read(tc.name, []byte(tc.text), manifest.Options{})
		if err != nil || file.Format != tc.want {
			t.Errorf("%s %q: %v", tc.name, tc.text, err)
		}
	}
	if _, err := manifest.Read("a", []byte("FROM a"), manifest.Options{Format: "helm"}); !errors.Is(err, manifest.ErrFormat) {
		t.Errorf("an unknown format: %v", err)
	}
	if _, err := manifest.Read("values.yaml", []byte("image: {repository: a}\n"), manifest.Options{}); !errors.Is(err, manifest.ErrFormat) {
		t.Errorf("values of a chart: %v", err)
	}
	// A folder's walker passes over what is no manifest, and never what holds one.
	for _, text := range []string{pod("a") + "---\nx: y\n", "x: y\n---\n" + pod("a"), "x: y\n---\nx: {{ y }\n", "x: y\n---\nservices: {a: {image: 7}}\n", strings.Replace(pod("a"), "Pod", "!!binary UG9k", 1), strings.Replace(pod("a"), "v1", "7", 1), "!x\n" + pod("a")} {
		if _, err := manifest.Read("x.yaml", []byte(text), manifest.Options{}); err == nil || errors.Is(err, manifest.ErrFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := manifest.Read("x.yaml", []byte("services: {a: {image: b}}"), manifest.Options{Format: manifest.FormatKubernetes}); err == nil {
		t.Error("a Compose file is taken for an object")
	}
}
