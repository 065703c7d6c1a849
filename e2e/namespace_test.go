package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// insideVariable tells this test's program that it runs in a network namespace of its
// own and has to start the program that its arguments name.
const insideVariable = "E2E_NAMESPACE"

// enterNamespace turns this process into the program of its arguments, with the
// loopback interface up. It returns only with an error.
func enterNamespace(args []string) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bringing lo up: %w", err)
	}
	if len(args) == 0 {
		return errors.New("no program")
	}
	environment := []string{}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, insideVariable+"=") {
			environment = append(environment, pair)
		}
	}
	return syscall.Exec(args[0], args, environment)
}

// isolated runs a shell script in a network namespace that has a loopback interface
// and no route to anywhere, and returns what it did and how many packets it tried to
// send elsewhere.
func isolated(t *testing.T, dir, script string) (result, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The kernel counts per namespace what had no route.
	script += "\ncode=$?\ncat /proc/net/snmp > snmp\nexit $code\n"
	command := exec.CommandContext(ctx, self, "/bin/bash", "-c", script)
	command.Dir = dir
	command.Env = []string{insideVariable + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "HALLMARK=" + hallmarkPath(t), "REGISTRY=" + filepath.Join(cache, "registry"), "OTEL_TRACES_EXPORTER=none"}
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatalf("starting a network namespace: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "snmp"))
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}, withoutRoute(t, string(text))
}

// withoutRoute reads the counter OutNoRoutes of /proc/net/snmp.
func withoutRoute(t *testing.T, snmp string) int {
	t.Helper()
	var names []string
	for line := range strings.Lines(snmp) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Ip:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names {
			var count int
			if name != "OutNoRoutes" {
				continue
			}
			if _, err := fmt.Sscan(fields[i], &count); err != nil {
				t.Fatal(err)
			}
			return count
		}
	}
	t.Fatalf("no OutNoRoutes in\n%s", snmp)
	return 0
}

// TestNamespace: the namespace has no way out, and an attempt is seen.
func TestNamespace(t *testing.T) {
	t.Parallel()
	quiet, packets := isolated(t, t.TempDir(), "true")
	if quiet.want(t, 0, "true"); packets != 0 {
		t.Errorf("%d packets of a program that sends none", packets)
	}
	loud, packets := isolated(t, t.TempDir(), "exec 3<>/dev/tcp/192.0.2.1/443")
	if loud.fails(t, "a connection"); packets == 0 {
		t.Error("an attempt to connect was not counted")
	}
}
