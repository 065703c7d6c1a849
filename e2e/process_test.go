package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// usage is what one process took.
type usage struct {
	wall, cpu time.Duration
	// resident counts the pages of the program file too, of which the kernel maps
	// as many as it likes around each fault; private is what the process allocated.
	resident, private float64 // MB, at most
}

// measure runs a program that must succeed.
func measure(t testing.TB, dir, program string, args ...string) usage {
	t.Helper()
	command := exec.CommandContext(context.Background(), program, args...)
	command.Dir = dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "HALLMARK_PASSWORD=" + password, "COSIGN_PASSWORD=" + password}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	started := time.Now()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended, memory := make(chan struct{}), make(chan usage, 1)
	go func() { memory <- watchMemory(command.Process.Pid, ended) }()
	err := command.Wait()
	wall := time.Since(started)
	close(ended)
	u := <-memory
	u.wall, u.cpu = wall, command.ProcessState.UserTime()+command.ProcessState.SystemTime()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out.Bytes())
	}
	return u
}

// watchMemory reads a process's resident memory until it has ended. What wait4 tells
// is of no use: a child inherits the peak of this test's process.
func watchMemory(pid int, ended <-chan struct{}) usage {
	var u usage
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	own, _ := os.Readlink("/proc/self/exe")
	for {
		select {
		case <-ended:
			return u
		case <-tick.C:
		}
		// Before exec it still is this program.
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || exe == own {
			continue
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		u.resident = max(u.resident, megabytes(status, "VmHWM:"))
		u.private = max(u.private, megabytes(status, "RssAnon:"))
	}
}

// megabytes reads one field of a process's status.
func megabytes(status []byte, field string) float64 {
	_, rest, _ := bytes.Cut(status, []byte(field))
	var kilobytes float64
	if _, err := fmt.Sscanf(string(rest), "%f kB", &kilobytes); err != nil {
		return 0 // the process is ending
	}
	return kilobytes / 1024
}

// hallmarkPath is the program under test.
func hallmarkPath(t testing.TB) string {
	t.Helper()
	program := os.Getenv("HALLMARK")
	if program == "" {
		program = "../bin/hallmark"
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	return program
}
