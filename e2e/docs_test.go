package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// TestKeylessGuide runs docs/keyless.md: every console line, in order, with the files
// that stand between them, against the private instance.
func TestKeylessGuide(t *testing.T) {
	t.Parallel()
	s := instance(t)
	raw, err := os.ReadFile("../docs/keyless.md")
	if err != nil {
		t.Fatal(err)
	}
	reg := inMemory(t, true)
	image := reg.push("app")
	dir := t.TempDir()
	for name, from := range map[string]string{"fulcio-chain.pem": "fulcio-chain.pem", "rekor.pub": "rekor2-0.pub", "ct.pub": "ct.pub", "tsa-chain.pem": "tsa0-chain.pem"} {
		content, err := os.ReadFile(filepath.Join(s.Dir, from))
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, name, content)
	}
	token, err := s.Issuer.Token(stack.Email(), nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "token.jwt", []byte(token))
	put(t, dir, "root.json", s.TUF.Root)
	put(t, dir, "review.json", []byte(`{"reviewer": "security@acme.example"}`))
	services := s.Services()
	text := strings.NewReplacer(
		"127.0.0.1:5000/app:1.0", image, "127.0.0.1:5000", reg.host,
		"https://fulcio.acme.example", services.Fulcio, "https://rekor.acme.example", services.RekorV2[0],
		"https://tsa.acme.example", services.TSA[0],
		"https://login.acme.example", s.Issuer.URLOf(stack.Email()), "https://ci.acme.example", s.Issuer.URLOf(stack.GitHub()),
		"https://tuf.acme.example", s.TUF.URL, "alice@acme.example", stack.Email().Identity,
	).Replace(string(raw))
	commands, kind, name := 0, "", ""
	var block []string
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "<!-- file: "):
			name = strings.TrimSuffix(strings.TrimPrefix(line, "<!-- file: "), " -->")
		case kind == "" && strings.HasPrefix(line, "```"):
			kind, block = strings.TrimPrefix(line, "```"), nil
		case kind != "" && line == "```":
			if name != "" {
				put(t, dir, name, []byte(strings.Join(block, "\n")+"\n"))
			}
			if kind == "console" {
				for _, command := range block {
					commands++
					if r := hallmark(t, dir, strings.Fields(command)[1:]...); r.code != 0 || r.stdout == "" {
						t.Fatalf("%s\nended with %d\n%s%s", command, r.code, r.stdout, r.stderr)
					}
				}
			}
			kind, name = "", ""
		default:
			block = append(block, line)
		}
	}
	if commands < 12 {
		t.Errorf("only %d commands: the guide has lost its lines", commands)
	}
}
