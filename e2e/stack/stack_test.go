package stack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// TestStartFails: the error of a start that failed holds the log of the server that
// ended, and nothing is left running.
func TestStartFails(t *testing.T) {
	t.Parallel()
	programs, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"localtrillian", "localtsa", "rekor1", "rekor2", "fulcio"} {
		script := "#!/bin/sh\necho $$ >> " + filepath.Join(dir, "started") + "\nexec sleep 60\n"
		if name == "localtrillian" {
			script = "#!/bin/sh\necho no memory left\nexit 1\n"
		}
		if err := os.WriteFile(filepath.Join(programs, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, err := stack.Start(t.Context(), stack.Options{Programs: programs, Dir: dir})
	if err == nil {
		t.Fatal("started")
	}
	if text := err.Error(); !strings.Contains(text, "localtrillian ended") || !strings.Contains(text, "no memory left") {
		t.Error(text)
	}
	started, err := os.ReadFile(filepath.Join(dir, "started"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(started)) {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s is left", pid)
		}
	}
}
