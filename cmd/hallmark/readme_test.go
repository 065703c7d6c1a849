package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestREADME runs the tour: every console block, in order, with the files that
// stand between them, against a registry in the place of 127.0.0.1:5000.
func TestREADME(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	small := smallVerifier(t)
	t.Chdir(t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	reg := registrytest.New(t)
	reg.PushV1Index("app", "1.0", demoIndex(t))
	commands, files := 0, 0
	var block []string
	kind, name := "", ""
	for _, line := range strings.Split(strings.ReplaceAll(string(raw), "127.0.0.1:5000", reg.Host()), "\n") {
		switch {
		case strings.HasPrefix(line, "<!-- file: "):
			name = strings.TrimSuffix(strings.TrimPrefix(line, "<!-- file: "), " -->")
		case kind == "" && strings.HasPrefix(line, "```"):
			kind, block = strings.TrimPrefix(line, "```"), nil
		case kind != "" && line == "```":
			if name != "" {
				if err := os.WriteFile(name, []byte(strings.Join(block, "\n")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				files++
			}
			if kind == "console" {
				for _, command := range block {
					runTour(t, small, command)
					commands++
				}
			}
			kind, name = "", ""
		default:
			block = append(block, line)
		}
	}
	if commands < 10 || files != 2 {
		t.Errorf("%d commands and %d files: the README has lost its tour", commands, files)
	}
}

// runTour runs one line of the tour, which must succeed and say something.
func runTour(t *testing.T, small func(...string) (int, string, string), command string) {
	t.Helper()
	words := strings.Fields(command)
	if words[0] == "hallmark-verify" {
		if code, stdout, stderr := small(words[1:]...); code != cli.ExitAllow || stdout == "" {
			t.Errorf("%s\nended with %d\n%s%s", command, code, stdout, stderr)
		}
		return
	}
	if len(words) < 2 || words[0] != "hallmark" {
		t.Fatalf("not a hallmark command: %q", command)
	}
	var stdout, stderr bytes.Buffer
	a := &app{App: cli.App{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
		return map[string]string{"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME")}[name]
	}}}
	if code := run(t.Context(), a, words[1:]); code != cli.ExitAllow {
		t.Errorf("%s\nended with %d\n%s%s", command, code, stdout.String(), stderr.String())
	}
	if stdout.Len() == 0 {
		t.Errorf("%s\nsays nothing", command)
	}
}
