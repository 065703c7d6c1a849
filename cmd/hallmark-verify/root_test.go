package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// TestNamesOfCommands: CL-01. An image whose name is that of a command is never passed
// over with exit code 0, and behind -- it is judged as any other.
func TestNamesOfCommands(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	names := []string{"__complete", "__completeNoDesc", "--help", "--print-policy", "-h"}
	var out bytes.Buffer
	for _, cmd := range newRootCommand(&cli.App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}).Commands() {
		names = append(names, cmd.Name())
	}
	for _, name := range append(names, "help", "completion") {
		if !strings.HasPrefix(name, "-") {
			if code, stdout, stderr := w.verify("", name, w.bare.Ref()); code != cli.ExitUsage {
				t.Errorf("CL-01 %s: exit code %d\n%s%s", name, code, stdout, stderr)
			}
		}
		code, stdout, stderr := w.verify("", "--offline=all", "--", name)
		if code != cli.ExitUndetermined || !strings.Contains(stdout, "UNDETERMINED") {
			t.Errorf("CL-01 -- %s: exit code %d\n%s%s", name, code, stdout, stderr)
		}
	}
}

// TestMessages: the program calls itself by its own name, also in hints.
func TestMessages(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	for name, test := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"no image":        {[]string{"--policy", w.policy}, cli.ExitUsage, []string{"hallmark-verify: error: no image was named", "hallmark-verify: hint: hallmark-verify IMAGE… --policy FILE"}},
		"no flag":         {[]string{"--nope"}, cli.ExitUsage, []string{"hallmark-verify --help lists the flags"}},
		"no flag, below":  {[]string{"version", "--nope"}, cli.ExitUsage, []string{"hallmark-verify version --help lists the flags"}},
		"an argument":     {[]string{"version", "x"}, cli.ExitUsage, []string{"hallmark-verify version takes no argument"}},
		"version":         {[]string{"version"}, cli.ExitAllow, []string{"hallmark-verify dev ("}},
		"a verb of habit": {[]string{"verify", w.bare.Ref(), "--policy", w.policy, "--offline=all"}, cli.ExitUndetermined, []string{"hallmark-verify: warning: verify is no command here"}},
		"--version":       {[]string{"--version"}, cli.ExitUsage, []string{"hallmark-verify version prints it"}},
		"no such shell":   {[]string{"completion", "ksh"}, cli.ExitUsage, []string{"there is no command \"ksh\""}},
		"which shells":    {[]string{"completion"}, cli.ExitAllow, []string{"powershell"}},
		"completion":      {[]string{"completion", "bash"}, cli.ExitAllow, []string{"__start_hallmark-verify"}},
		"help of serve":   {[]string{"serve", "--help"}, cli.ExitAllow, []string{"--trust-dir string ", "address could not be used"}},
		"help":            {[]string{"--help"}, cli.ExitAllow, []string{"Exit codes: 0 all allowed", "serve"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := w.run("", test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.says {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("does not say %q:\n%s%s", want, stdout, stderr)
				}
			}
			if strings.Contains(stderr, "hallmark: ") || strings.Count(stderr, "error:") > 1 {
				t.Errorf("%s", stderr)
			}
		})
	}
}
