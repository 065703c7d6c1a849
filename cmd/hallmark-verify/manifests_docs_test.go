package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var docsBlock = regexp.MustCompile("(?s)```(yaml|dockerfile|console)\n(.*?)```")

// TestManifestsDocs runs docs/manifests.md from top to bottom: its files are written, its
// commands run, and each line of their output is there, in order.
func TestManifestsDocs(t *testing.T) { runDocs(t, "manifests", 7) }

// TestVerifierDocs runs docs/verifier.md.
func TestVerifierDocs(t *testing.T) { runDocs(t, "verifier", 6) }

// runDocs runs the commands of a page in a folder of its own.
func runDocs(t *testing.T, page string, want int) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page + ".md")
	if err != nil {
		t.Fatal(err)
	}
	w := newFileWorld(t)
	t.Chdir(w.dir)
	w.write("release.pub", w.read("keys/release.pub"))
	w.write("policy.yaml", w.read(w.policy))
	commands := 0
	for _, block := range docsBlock.FindAllStringSubmatch(string(text), -1) {
		body := strings.ReplaceAll(block[2], "registry.example", w.Host())
		if block[1] != "console" {
			// The name stays in the file, so that lines are counted as a reader counts them.
			first, _, _ := strings.Cut(body, "\n")
			w.write(strings.TrimPrefix(first, "# "), body)
			continue
		}
		for _, one := range strings.Split("\n"+body, "\n$ hallmark-verify ")[1:] {
			commands++
			command, output, _ := strings.Cut(one, "\n")
			w.docsCommand(strings.Fields(command), output)
		}
	}
	if commands != want {
		t.Errorf("%d commands, want %d", commands, want)
	}
}

// docsCommand runs a command and looks for the lines of its output.
func (w *fileWorld) docsCommand(args []string, output string) {
	w.t.Helper()
	lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
	want := 0
	if number, found := strings.CutPrefix(lines[0], "[exit "); found {
		want, _ = strconv.Atoi(strings.TrimSuffix(number, "]"))
		lines = lines[1:]
	}
	code, stdout, stderr := w.run("", args...)
	if code != want {
		w.t.Errorf("%q: exit %d, want %d\n%s%s", args, code, want, stdout, stderr)
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
			w.t.Errorf("%q: no line %q in\n%s%s", args, line, stdout, stderr)
		}
	}
}
