package report

import (
	"encoding/xml"
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestPut(t *testing.T) {
	t.Parallel()
	hostile := `"><script>'&+{}` + "\n\x1b\u202e"
	p := &page{}
	p.put(`<a title="{}">{}</a>`, hostile, "{}")
	p.putIf("", "<b>{}</b>")
	p.putIf("x", "<i>{}</i>")
	p.lines([]string{"<one>", "{}"})
	const want = `<a title="&#34;&gt;&lt;script&gt;&#39;&amp;&#43;{}\u{a}\u{1b}\u{202e}">{}</a><i>x</i>` + "\n&lt;one&gt;\n{}"
	if got := p.buffer.String(); got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}

// FuzzPut: whatever the texts are, a reader sees one element with one attribute and one
// text, as they were given.
func FuzzPut(f *testing.F) {
	f.Add(`" onload="x`, "</p><script>")
	f.Add("{}", "&#60;")
	f.Fuzz(func(t *testing.T, attribute, text string) {
		p := &page{}
		p.put(`<p title="{}">{}</p>`, attribute, text)
		var element struct {
			XMLName xml.Name   `xml:"p"`
			All     []xml.Attr `xml:",any,attr"`
			Text    string     `xml:",chardata"`
			Inner   string     `xml:",innerxml"`
		}
		d := xml.NewDecoder(&p.buffer)
		if err := d.Decode(&element); err != nil {
			t.Fatal(err)
		}
		if len(element.All) != 1 || element.All[0].Value != Plain(attribute) || element.Text != Plain(text) || strings.Contains(element.Inner, "<") {
			t.Fatalf("%q and %q became %+v", attribute, text, element)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("something follows: %v", err)
		}
	})
}

// TestMarkupIsWrittenHere reads the source: no string becomes markup, nothing goes
// around put, every hole has its text, and every hole in a tag stands in quotes.
func TestMarkupIsWrittenHere(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, is := node.(*ast.CallExpr)
			if !is {
				return true
			}
			if function, is := call.Fun.(*ast.Ident); is && function.Name == "markup" && name != "markup.go" {
				t.Errorf("%s: a string becomes markup", files.Position(call.Pos()))
			}
			method, is := call.Fun.(*ast.SelectorExpr)
			if !is {
				return true
			}
			if inner, is := method.X.(*ast.SelectorExpr); is && inner.Sel.Name == "buffer" && strings.HasPrefix(method.Sel.Name, "Write") {
				if owner, is := inner.X.(*ast.Ident); is && owner.Name == "p" && name != "markup.go" {
					t.Errorf("%s: it goes around put", files.Position(call.Pos()))
				}
			}
			if method.Sel.Name != "put" && method.Sel.Name != "putIf" {
				return true
			}
			calls++
			at, texts := 0, len(call.Args)-1
			if method.Sel.Name == "putIf" {
				at, texts = 1, 1
			}
			source, literal := literalOf(call.Args[at])
			if !literal {
				return true // a variable of type markup, which holds literals alone
			}
			if got := strings.Count(source, hole); got != texts {
				t.Errorf("%s: %d holes and %d texts", files.Position(call.Pos()), got, texts)
			}
			checkQuotes(t, files.Position(call.Pos()), source)
			return true
		})
	}
	if calls < 50 {
		t.Errorf("only %d calls: the test looks at nothing", calls)
	}
}

// literalOf returns a string literal, or the sum of several.
func literalOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.StringVal(constant.MakeFromLiteral(e.Value, e.Kind, 0)), true
	case *ast.BinaryExpr:
		left, isLeft := literalOf(e.X)
		right, isRight := literalOf(e.Y)
		return left + right, isLeft && isRight
	}
	return "", false
}

// checkQuotes fails where a hole stands in a tag but not in a quoted attribute.
func checkQuotes(t *testing.T, at token.Position, source string) {
	t.Helper()
	// A piece that begins with an attribute is in a tag.
	inTag, quoted := strings.HasPrefix(source, " ") && strings.Contains(source, `="`) && !strings.Contains(source, "<"), false
	for i, c := range source {
		switch {
		case c == '"' && inTag:
			quoted = !quoted
		case c == '<' && !quoted:
			inTag = true
		case c == '>' && !quoted:
			inTag = false
		case strings.HasPrefix(source[i:], hole) && inTag && !quoted:
			t.Errorf("%s: a text in a tag without quotes: %s", at, source)
		}
	}
}
