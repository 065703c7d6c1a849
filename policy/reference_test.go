package policy

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/policy.md")

// TestReference: docs/policy.md is what the types and their comments say.
func TestReference(t *testing.T) {
	t.Parallel()
	template, err := os.ReadFile("testdata/policy.md.in")
	if err != nil {
		t.Fatal(err)
	}
	var tables strings.Builder
	writeTables(t, &tables, comments(t), reflect.TypeFor[document](), "", make(map[string]bool))
	got := strings.NewReplacer(
		"{{example}}", strings.TrimSpace(strings.NewReplacer("a.pub", "keys/release.pub", "b.pub", "keys/ops-2026.pub", "c.pub", "keys/ops-2025.pub").Replace(full)),
		"{{tables}}", tables.String(),
		"{{content}}", strings.TrimSpace(strings.ReplaceAll(contentExample, "a.pub", "keys/release.pub")),
		"{{keyless}}", strings.TrimSpace(strings.NewReplacer("other.json", "roots/acme.json", "corp.pem", "corp-root.pem", "issuing.pem", "corp-issuing.pem").Replace(identities)),
		"{{combinations}}", fmt.Sprint(maxCombinations),
		"{{cost}}", fmt.Sprint(maxConditionCost),
		"{{bytes}}", fmt.Sprint(maxConditionStatement>>20),
	).Replace(string(template))
	const file = "../docs/policy.md"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/policy.md is out of date; -update writes it (-file +types):\n%s", diff)
	}
}

// comments returns the comment of every type ("document") and field
// ("document.APIVersion") in the files of the language.
func comments(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	var declarations []ast.Decl
	files, err := filepath.Glob("document*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		declarations = append(declarations, file.Decls...)
	}
	for _, declaration := range declarations {
		general, isGeneral := declaration.(*ast.GenDecl)
		if !isGeneral || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			named := spec.(*ast.TypeSpec)
			all[named.Name.Name] = oneLine(general.Doc.Text())
			for _, field := range named.Type.(*ast.StructType).Fields.List {
				for _, name := range field.Names {
					all[named.Name.Name+"."+name.Name] = oneLine(field.Doc.Text())
				}
			}
		}
	}
	return all
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// writeTables writes one table a mapping, depth first.
func writeTables(t *testing.T, out *strings.Builder, doc map[string]string, of reflect.Type, path string, done map[string]bool) {
	t.Helper()
	entries, later := entriesOf(of)
	title := "The file"
	if path != "" {
		title = "`" + path + "`"
	}
	fmt.Fprintf(out, "## %s\n\n%s\n\n| entry | type | default | meaning | example |\n|---|---|---|---|---|\n", title, sentence(of.Name(), doc[of.Name()]))
	type below struct {
		of   reflect.Type
		path string
	}
	var next []below
	for _, e := range entries {
		field := of.Field(e.index)
		comment := doc[of.Name()+"."+field.Name]
		if comment == "" {
			t.Errorf("%s.%s has no comment", of.Name(), field.Name)
		}
		name, missing := "`"+e.name+"`", field.Tag.Get("default")
		switch {
		case e.key:
			name, missing = "NAME", "required"
		case e.required:
			missing = "required"
		case missing == "":
			missing = "none"
		case missing == "any":
		default:
			missing = "`" + missing + "`"
		}
		example := field.Tag.Get("example")
		if example != "" {
			example = "`" + example + "`"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", name, typeName(field, e), missing, sentence(field.Name, comment), example)
		element, deeper := field.Type, join(path, e.name)
		for element.Kind() == reflect.Pointer || element.Kind() == reflect.Slice {
			if element.Kind() == reflect.Slice {
				deeper += "[]"
			}
			element = element.Elem()
		}
		if field.Tag.Get("map") != "" {
			deeper = join(path, e.name) + ".NAME"
		}
		if !isLeaf(element) {
			next = append(next, below{element, deeper})
		}
	}
	if len(later) > 0 {
		fmt.Fprintf(out, "\nRefused here, for a later version: `%s`.\n", strings.Join(later, "`, `"))
	}
	out.WriteString("\n")
	for _, b := range next {
		if !done[b.path] {
			done[b.path] = true
			writeTables(t, out, doc, b.of, b.path, done)
		}
	}
}

// sentence leaves the Go name away with which a comment begins.
func sentence(name, comment string) string {
	rest, found := strings.CutPrefix(comment, name+" ")
	if !found {
		return comment
	}
	for _, verb := range []string{"is ", "are "} {
		rest = strings.TrimPrefix(rest, verb)
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

// isLeaf reports whether a field is no mapping of the language.
func isLeaf(t reflect.Type) bool {
	_, own := reflect.New(t).Interface().(leaf)
	return own || t == reflect.TypeFor[text]() || t == reflect.TypeFor[number]()
}

func typeName(field reflect.StructField, e entry) string {
	element, list := field.Type, ""
	if own, isOwn := reflect.New(element).Interface().(leaf); isOwn {
		return own.describe()
	}
	switch {
	case field.Tag.Get("map") != "":
		return "mapping of names"
	case element.Kind() == reflect.Slice:
		list, element = "list of ", element.Elem()
	case element.Kind() == reflect.Pointer:
		element = element.Elem()
	}
	kind := "mapping"
	switch element {
	case reflect.TypeFor[text]():
		kind = "text"
		if e.oneof != nil {
			kind = "`" + strings.Join(e.oneof, "` or `") + "`"
		}
	case reflect.TypeFor[number]():
		kind = "whole number, at least 1"
	}
	if list != "" && kind == "mapping" {
		kind = "mappings"
	} else if list != "" && kind == "text" {
		kind = "texts"
	}
	return list + kind
}
