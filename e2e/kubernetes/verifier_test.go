package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// verifier is one process of hallmark-verify serve and the folder that it reads.
type verifier struct {
	t         testing.TB
	folder    string // policy/, namespaces/, tls/
	address   string
	authority *authority
	command   *exec.Cmd
	ended     chan struct{}
	client    *http.Client

	mu  sync.Mutex
	log bytes.Buffer // standard output and error
}

// settings are what a test changes about a server.
type settings struct {
	flags  []string
	config string            // a --config file
	files  map[string]string // further files below the folder
	env    []string
}

// program returns the path of a program under test: what the variable says, or bin/.
func program(t testing.TB, variable, name string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join("..", "..", "bin", name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("finding %s: %v (make build makes it)", name, err)
	}
	return path
}

// serve starts hallmark-verify with a policy and waits until it is ready. It ends with
// the test.
func serve(t testing.TB, policy string, s settings) *verifier {
	t.Helper()
	v := prepare(t, policy, s)
	v.start(s)
	return v
}

// prepare writes what the server reads and chooses its address.
func prepare(t testing.TB, policy string, s settings) *verifier {
	t.Helper()
	v := &verifier{t: t, folder: t.TempDir(), address: freeAddress(t), authority: newAuthority(t, "webhooks")}
	replace(t, v.path("policy/policy.yaml"), []byte(policy))
	replace(t, v.path("policy/release.pub"), []byte(releaseKey(t).public))
	for name, content := range s.files {
		replace(t, v.path(name), []byte(content))
	}
	v.authority.write(t, v.path("tls"))
	roots := x509.NewCertPool()
	roots.AddCert(v.authority.certificate)
	v.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(v.client.CloseIdleConnections)
	return v
}

func (v *verifier) path(name string) string { return filepath.Join(v.folder, filepath.FromSlash(name)) }

// start runs the process; after stop or kill it may be called again.
func (v *verifier) start(s settings) {
	v.t.Helper()
	arguments := []string{
		"serve", "--policy", v.path("policy/policy.yaml"), "--listen", v.address,
		"--tls-cert", v.path("tls/tls.crt"), "--tls-key", v.path("tls/tls.key"), "--reload", "100ms",
	}
	if s.config != "" {
		replace(v.t, v.path("config/config.yaml"), []byte(s.config))
		arguments = append(arguments, "--config", v.path("config/config.yaml"))
	}
	for _, flag := range s.flags {
		arguments = append(arguments, strings.ReplaceAll(flag, "FOLDER", v.folder))
	}
	v.command = exec.Command(program(v.t, "HALLMARK_VERIFY", "hallmark-verify"), arguments...)
	v.command.Dir = v.folder
	v.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + v.folder, "XDG_CACHE_HOME=" + v.path("cache"), "TMPDIR=" + os.TempDir()}, s.env...)
	v.command.Stdout, v.command.Stderr = v, v
	v.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := v.command.Start(); err != nil {
		v.t.Fatalf("starting hallmark-verify: %v", err)
	}
	v.ended = make(chan struct{})
	go func(command *exec.Cmd, ended chan struct{}) {
		command.Wait()
		close(ended)
	}(v.command, v.ended)
	v.t.Cleanup(v.kill)
	v.eventually("the server is ready", func() bool {
		select {
		case <-v.ended:
			v.t.Fatalf("hallmark-verify ended at once:\n%s", v.last())
		default:
		}
		status, _, err := v.get("/readyz")
		return err == nil && status == http.StatusOK
	})
}

// kill ends the process at once, as a node that is lost does.
func (v *verifier) kill() {
	if v.command == nil || v.command.Process == nil {
		return
	}
	v.command.Process.Kill()
	<-v.ended
}

// stop asks the process to end and waits for it.
func (v *verifier) stop() {
	v.t.Helper()
	v.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.ended:
	case <-time.After(time.Minute):
		v.t.Fatalf("hallmark-verify did not end on SIGTERM:\n%s", v.last())
	}
}

// Write keeps what the process says.
func (v *verifier) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.log.Write(p)
}

func (v *verifier) output() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.log.String()
}

// last is the end of the output, for a test's failure message.
func (v *verifier) last() string {
	const most = 4000
	said := v.output()
	return said[max(0, len(said)-most):]
}

// decisions returns the lines of the decision log that hold all of parts.
func (v *verifier) decisions(parts ...string) []map[string]any {
	var lines []map[string]any
next:
	for line := range strings.Lines(v.output()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil {
			lines = append(lines, fields)
		}
	}
	return lines
}

// get asks the server itself.
func (v *verifier) get(path string) (status int, body string, err error) {
	answer, err := v.client.Get("https://" + v.address + path)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, string(raw), err
}

// eventually waits for what happens in another process, and shows what the server said
// if it does not.
func (v *verifier) eventually(what string, holds func() bool) {
	v.t.Helper()
	defer func() {
		if v.t.Failed() {
			v.t.Log(v.last())
		}
	}()
	eventually(v.t, what, holds)
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// runProgram runs a program to its end and returns its output and exit code.
func runProgram(t testing.TB, folder, path string, env []string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, path, arguments...)
	command.Dir = folder
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + os.TempDir()}, env...)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(fmt.Errorf("starting %s: %w", path, err))
	}
	return out.String(), problems.String(), command.ProcessState.ExitCode()
}
