// Package cmd_test holds the checks of the house itself: which package may import
// which, what a pure package may touch, and that docs/assurance.md is true.
package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hallmark-project/hallmark"

// rule is one line of the dependency table in docs/architecture.md.
type rule struct {
	pkg string
	// own are the only packages of this module that pkg may import directly; a
	// trailing /... takes what lies below too.
	own []string
	// never are import paths, by prefix, that pkg must not link at all.
	never []string
}

var cloud = []string{"cloud.google.com/", "github.com/aws/", "github.com/Azure/", "k8s.io/client-go"}

var rules = []rule{
	{"attest/digest", nil, []string{"net/http"}},
	{"attest/strictjson", nil, []string{"net/http"}},
	{"attest/wording", nil, []string{"net/http"}},
	{"attest/wholefile", nil, []string{"net/http"}},
	{"attest", []string{"attest/digest", "attest/strictjson", "attest/wording"}, []string{"net/http"}},
	{"attest/bundle", []string{"attest", "attest/digest", "attest/strictjson"}, []string{"net/http"}},
	{"attest/predicate", []string{"attest", "attest/digest", "attest/strictjson", "attest/wording"}, []string{"net/http"}},
	{"attest/provenance", []string{"attest", "attest/digest", "attest/predicate"}, cloud},
	{"verify", []string{"attest", "attest/digest", "attest/bundle", "attest/wording", "verify/trust", "verify/internal/..."}, append([]string{module + "/sign", module + "/sbom", module + "/policy", "github.com/anchore/", "github.com/sigstore/cosign"}, cloud...)},
	{"verify/trust", []string{"attest/digest", "verify/internal/..."}, append([]string{module + "/sign", module + "/policy"}, cloud...)},
	{"verify/trust/tuf", []string{"attest/digest", "attest/strictjson", "attest/wholefile", "verify/trust"}, append([]string{module + "/sign", module + "/policy", module + "/verify/oci"}, cloud...)},
	{"verify/oci", []string{"attest/digest", "attest/strictjson"}, append([]string{"github.com/sigstore/", "github.com/anchore/"}, cloud...)},
	{"verify/evidence", []string{"attest", "attest/digest", "attest/bundle", "verify", "verify/oci"}, append([]string{module + "/sign", module + "/policy"}, cloud...)},
	{"policy/license", []string{"attest/wording"}, []string{"net/http"}},
	{"policy", []string{"attest", "attest/digest", "attest/predicate", "attest/wording", "policy/license", "verify", "verify/trust"}, append([]string{module + "/verify/oci", module + "/sign", module + "/sbom"}, cloud...)},
	{"policy/report", []string{"attest/digest", "policy", "verify"}, append([]string{module + "/verify/oci", module + "/sign", module + "/sbom"}, cloud...)},
	{"policy/gate", []string{"attest/digest", "attest/predicate", "policy", "policy/report", "verify", "verify/trust", "verify/evidence", "verify/oci"}, append([]string{module + "/sign", module + "/sbom", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/airgap", []string{"attest/digest", "attest/strictjson", "policy", "policy/gate", "policy/report", "verify", "verify/oci", "verify/trust"}, append([]string{module + "/sign", module + "/sbom", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/lint", []string{"policy"}, append([]string{module + "/verify/oci", module + "/sign", module + "/sbom"}, cloud...)},
	{"policy/record", []string{"attest/digest", "attest/predicate", "attest/strictjson", "attest/wording", "policy", "policy/gate", "policy/report", "verify", "verify/evidence", "verify/oci"}, append([]string{module + "/sign", module + "/sbom", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/suite", []string{"policy", "policy/record", "policy/report", "verify"}, append([]string{module + "/sign", module + "/sbom", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/learn", []string{"attest/predicate", "policy", "policy/gate", "verify", "verify/evidence", "verify/oci", "verify/trust"}, append([]string{module + "/sign", module + "/sbom", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/workload", []string{"attest/wording"}, append([]string{"net/http", module + "/verify", module + "/sign", module + "/sbom", "k8s.io/"}, cloud...)},
	{"policy/admission", []string{"attest/strictjson", "attest/wording", "policy", "policy/report", "policy/workload", "verify", "verify/oci"}, append([]string{module + "/policy/gate", module + "/sign", module + "/sbom", "k8s.io/api", "k8s.io/apimachinery", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/telemetry", nil, append([]string{module, "go.opentelemetry.io/otel/sdk", "github.com/prometheus/"}, cloud...)},
	{"policy/live", []string{"attest/digest", "attest/wholefile", "policy", "policy/credentials", "policy/gate", "policy/report", "policy/source", "verify", "verify/trust", "verify/trust/tuf"}, append([]string{module + "/sign", module + "/sbom", "k8s.io/api", "k8s.io/apimachinery", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/server", []string{"attest/digest", "attest/strictjson", "attest/wholefile", "policy", "policy/admission", "policy/gate", "policy/live", "policy/report", "policy/telemetry", "verify", "verify/oci"}, append([]string{module + "/sign", module + "/sbom", "k8s.io/api", "k8s.io/apimachinery", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"policy/manifest", []string{"attest/digest", "attest/wording", "policy/workload"}, append([]string{"net/http", module + "/verify", module + "/sign", module + "/sbom"}, cloud...)},
	{"policy/credentials", []string{"attest/strictjson", "attest/wholefile", "attest/wording"}, append([]string{module + "/verify", module + "/sign", module + "/sbom", "github.com/anchore/", "k8s.io"}, cloud...)},
	{"policy/source", []string{"attest/digest", "attest/wholefile", "policy", "policy/gate", "verify/oci"}, append([]string{module + "/sign", module + "/sbom", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
	{"sbom", []string{"attest", "attest/digest", "attest/strictjson", "attest/wholefile", "attest/predicate", "verify/oci"}, []string{module + "/sign", module + "/policy"}},
	{"sign", []string{"attest", "attest/digest", "attest/bundle", "verify", "verify/trust"}, append([]string{module + "/sbom", module + "/policy", "github.com/anchore/"}, cloud...)},
	{"sign/keys", []string{"attest/digest", "attest/wholefile", "sign", "verify/trust"}, append([]string{module + "/sbom", module + "/policy", "github.com/anchore/"}, cloud...)},
	{"sign/keyless", []string{"attest", "attest/digest", "attest/wording", "sign", "verify", "verify/trust"}, append([]string{module + "/sbom", module + "/policy", "github.com/anchore/", "github.com/sigstore/cosign"}, cloud...)},
	{"sign/identity", []string{"attest/strictjson", "attest/wording"}, append([]string{module + "/sbom", module + "/policy", "github.com/anchore/", "github.com/sigstore/cosign"}, cloud...)},
	{"sign/publish", []string{"attest", "attest/digest", "attest/bundle", "sign", "verify", "verify/trust", "verify/oci", "verify/evidence"}, append([]string{module + "/sbom", module + "/policy", "github.com/anchore/"}, cloud...)},
	{"cmd/internal/cli", []string{"attest/wholefile", "policy", "policy/gate", "policy/report", "policy/source", "verify", "verify/oci", "verify/trust", "verify/trust/tuf"}, append([]string{module + "/sign", module + "/sbom", module + "/policy/record", module + "/policy/airgap", "github.com/sigstore/cosign", "github.com/anchore/"}, cloud...)},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestDependencyRule(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	for _, r := range rules {
		t.Run(r.pkg, func(t *testing.T) {
			t.Parallel()
			p, found := packages[module+"/"+r.pkg]
			if !found {
				t.Fatalf("the table names a package that does not exist")
			}
			for _, imported := range p.Imports {
				name, own := strings.CutPrefix(imported, module+"/")
				if own && !slices.ContainsFunc(r.own, func(allowed string) bool { return matches(allowed, name) }) {
					t.Errorf("%s imports %s", r.pkg, name)
				}
			}
			for _, dep := range p.Deps {
				for _, never := range r.never {
					if dep == never || strings.HasPrefix(dep, strings.TrimSuffix(never, "/")+"/") {
						t.Errorf("%s links %s: %s", r.pkg, dep, strings.Join(importPath(packages, p.ImportPath, dep), " -> "))
					}
				}
			}
		})
	}
	for path := range packages {
		name, own := strings.CutPrefix(path, module+"/")
		if !own || strings.HasPrefix(name, "cmd") || strings.Contains(name, "internal") || strings.HasSuffix(name, "test") || strings.HasPrefix(name, "testdata") {
			continue
		}
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.pkg == name }) {
			t.Errorf("package %s has no line in the dependency table", name)
		}
	}
}

func matches(allowed, name string) bool {
	if root, below := strings.CutSuffix(allowed, "/..."); below {
		return name == root || strings.HasPrefix(name, root+"/")
	}
	return allowed == name
}

func listPackages(t *testing.T) map[string]goPackage {
	t.Helper()
	// The full command is left out: it may link everything, and listing it takes seconds.
	args := []string{"list", "-deps", "-json=ImportPath,Imports,Deps"}
	for _, r := range rules {
		args = append(args, module+"/"+r.pkg)
	}
	command := exec.Command("go", args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("listing the packages: %v", err)
	}
	packages := make(map[string]goPackage)
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// importPath finds the shortest chain of imports from one package to another.
func importPath(packages map[string]goPackage, from, to string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range packages[queue[0]].Imports {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = queue[0]
			if next == to {
				var chain []string
				for at := to; at != ""; at = before[at] {
					chain = append([]string{at}, chain...)
				}
				return chain
			}
			queue = append(queue, next)
		}
	}
	return []string{from, "…", to}
}

// TestPurePackagesTouchNothing: no clock, environment, fresh context, init or
// mutable package variable where evidence is judged.
func TestPurePackagesTouchNothing(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"attest", "attest/digest", "attest/strictjson", "attest/wording", "attest/bundle", "attest/predicate", "verify", "verify/trust", "policy", "policy/workload", "policy/manifest"} {
		files := token.NewFileSet()
		for _, file := range parseFolder(t, files, filepath.Join("..", dir)) {
			checkPure(t, files, file)
		}
	}
}

// parseFolder parses the Go files of a folder that are no tests.
func parseFolder(t *testing.T, files *token.FileSet, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var all []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, file)
	}
	return all
}

func checkPure(t *testing.T, files *token.FileSet, file *ast.File) {
	t.Helper()
	banned := map[string]string{"time": "Now", "os": "", "context": "Background"}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				t.Errorf("%s: an init function", files.Position(n.Pos()))
			}
		case *ast.SelectorExpr:
			if left, isName := n.X.(*ast.Ident); isName {
				name, known := banned[left.Name]
				if known && (name == "" || name == n.Sel.Name) {
					t.Errorf("%s: %s.%s", files.Position(n.Pos()), left.Name, n.Sel.Name)
				}
			}
		}
		return true
	})
	for _, declaration := range file.Decls {
		general, isGeneral := declaration.(*ast.GenDecl)
		if !isGeneral || general.Tok != token.VAR {
			continue
		}
		for _, spec := range general.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if assigned := assignedIn(file, name.Name); assigned.IsValid() {
					t.Errorf("%s: package variable %s is assigned", files.Position(assigned), name.Name)
				}
			}
		}
	}
}

// assignedIn returns where a package variable is assigned inside a function.
func assignedIn(file *ast.File, name string) token.Pos {
	var at token.Pos
	for _, declaration := range file.Decls {
		function, isFunction := declaration.(*ast.FuncDecl)
		if !isFunction {
			continue
		}
		ast.Inspect(function, func(node ast.Node) bool {
			assign, isAssign := node.(*ast.AssignStmt)
			if isAssign && assign.Tok == token.ASSIGN {
				for _, left := range assign.Lhs {
					if ident, isIdent := left.(*ast.Ident); isIdent && ident.Name == name {
						at = ident.Pos()
					}
				}
			}
			return true
		})
	}
	return at
}

// TestFilesHaveOneNoun: no file of the product is longer than 500 lines.
func TestFilesHaveOneNoun(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == ".cache" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if lines := bytes.Count(raw, []byte("\n")); lines > 500 {
				t.Errorf("%s has %d lines", path, lines)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
