package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy/lint"
)

var (
	docsBlock = regexp.MustCompile("(?s)```(yaml|console)\n(.*?)```")
	docsWord  = regexp.MustCompile(`"([^"]*)"|(\S+)`)
)

// TestPolicyToolsDocs runs docs/policy-tools.md from top to bottom: its files are
// written, its commands run, and each line of their output is there, in order.
func TestPolicyToolsDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy-tools.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newVerifyWorld(t)
	t.Chdir(w.dir)
	if err := os.Remove(w.policyFile); err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, block := range docsBlock.FindAllStringSubmatch(string(text), -1) {
		body := strings.ReplaceAll(block[2], "registry.example", w.Host())
		if block[1] == "yaml" {
			w.docsFile(body)
			continue
		}
		for _, one := range strings.Split("\n"+body, "\n$ hallmark ")[1:] {
			commands++
			command, output, _ := strings.Cut(one, "\n")
			w.docsCommand(command, output)
		}
	}
	for _, about := range lint.All() {
		if !strings.Contains(string(text), "\n"+string(about.ID)+" ") {
			t.Errorf("the list of lint lacks %s", about.ID)
		}
	}
	if commands < 10 {
		t.Errorf("%d commands", commands)
	}
}

// docsFile writes a file whose first line is its name, or compares it.
func (w *verifyWorld) docsFile(body string) {
	w.t.Helper()
	first, content, _ := strings.Cut(body, "\n")
	name, written := strings.CutSuffix(strings.TrimPrefix(first, "# "), ", as it was written")
	if !written {
		// The name stays in the file, so that its lines are counted as a reader counts them.
		w.file(name, body)
		return
	}
	if got, err := os.ReadFile(filepath.FromSlash(name)); err != nil || string(got) != content {
		w.t.Errorf("%s: %v\n%s", name, err, got)
	}
}

// docsCommand runs a command and looks for the lines of its output.
func (w *verifyWorld) docsCommand(command, output string) {
	w.t.Helper()
	var args []string
	for _, m := range docsWord.FindAllStringSubmatch(command, -1) {
		args = append(args, m[1]+m[2])
	}
	want := 0
	lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
	if number, found := strings.CutPrefix(lines[0], "[exit "); found {
		want, _ = strconv.Atoi(strings.TrimSuffix(number, "]"))
		lines = lines[1:]
	}
	code, stdout, stderr := w.hallmark(args...)
	if code != want {
		w.t.Errorf("%s: exit %d, want %d\n%s%s", command, code, want, stdout, stderr)
	}
	all := strings.Split(stdout+stderr, "\n")
	for _, line := range lines {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + "$")
		found := false
		for i, got := range all {
			if pattern.MatchString(got) {
				all, found = all[i+1:], true
				break
			}
		}
		if !found {
			w.t.Errorf("%s: no line %q in\n%s%s", command, line, stdout, stderr)
		}
	}
}

// TestPolicyRegistryDocs runs docs/policy-registry.md from top to bottom.
func TestPolicyRegistryDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy-registry.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newVerifyWorld(t)
	t.Chdir(w.dir)
	commands := 0
	for _, block := range docsBlock.FindAllStringSubmatch(string(text), -1) {
		body := strings.ReplaceAll(block[2], "registry.example", w.Host())
		if block[1] == "yaml" {
			w.docsFile(body)
			continue
		}
		for _, one := range strings.Split("\n"+body, "\n$ hallmark ")[1:] {
			commands++
			command, output, _ := strings.Cut(one, "\n")
			if output == "" {
				output = "…"
			}
			w.docsCommand(command, output)
		}
	}
	if commands != 6 {
		t.Errorf("%d commands", commands)
	}
}
