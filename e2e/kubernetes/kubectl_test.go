package kubernetes

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// kubectl runs the real one as an administrator, with input on standard input.
func kubectl(t testing.TB, input string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), started.kubectl, arguments...)
	home := t.TempDir() // for its discovery cache
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "KUBECONFIG=" + started.kubeconfig}
	command.Dir = home
	command.Stdin = bytes.NewReader([]byte(input))
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatalf("starting kubectl: %v", err)
	}
	return out.String(), problems.String(), command.ProcessState.ExitCode()
}
