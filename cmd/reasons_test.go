package cmd_test

import (
	"go/ast"
	"go/token"
	"os"
	"strings"
	"testing"
)

// TestEveryReasonIsExplained: docs/reasons.md lists every reason code.
func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, dir := range []string{"../verify", "../policy", "../policy/admission"} {
		for _, file := range parseFolder(t, token.NewFileSet(), dir) {
			ast.Inspect(file, func(node ast.Node) bool {
				spec, isValue := node.(*ast.ValueSpec)
				if !isValue || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
					return true
				}
				literal, isLiteral := spec.Values[0].(*ast.BasicLit)
				if !isLiteral || literal.Kind != token.STRING {
					return true
				}
				found++
				code := strings.Trim(literal.Value, `"`)
				if !strings.Contains(string(raw), "| `"+code+"` |") {
					t.Errorf("docs/reasons.md does not explain %s", code)
				}
				return true
			})
		}
	}
	if found < 30 {
		t.Errorf("only %d reasons were found: the test has lost its grip", found)
	}
}
