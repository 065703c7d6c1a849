// Package e2e tests hallmark's command against real counterparts: cosign, syft,
// skopeo and distribution. TestMain builds what it needs, once, into .cache/bin.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/e2e/stack"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// password encrypts every private key of these tests.
const password = "e2e-password"

var cache string

func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		fmt.Fprintln(os.Stderr, "entering the namespace:", enterNamespace(os.Args[1:]))
		os.Exit(1)
	}
	dir, err := filepath.Abs(".cache/bin")
	if err == nil {
		cache = dir
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "preparing the tests:", err)
		os.Exit(1)
	}
	// Ctrl-C ends what runs, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	forget := context.AfterFunc(ctx, func() {
		stopInstance()
		os.Exit(130)
	})
	code := m.Run()
	forget()
	stop()
	stopInstance()
	os.Exit(code)
}

// result is what a program did.
type result struct {
	code   int
	stdout string
	stderr string
}

// runIn runs a program in a folder with a small environment and no terminal.
func runIn(t testing.TB, dir, program string, args ...string) result {
	t.Helper()
	return runWith(t, nil, dir, program, args...)
}

// runWith is runIn with more of an environment.
func runWith(t testing.TB, environment []string, dir, program string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir(), "XDG_CACHE_HOME=" + filepath.Join(dir, "cache"),
		"HALLMARK_PASSWORD=" + password, "COSIGN_PASSWORD=" + password,
		// syft shall not ask a network whether it is current.
		"SYFT_CHECK_FOR_APP_UPDATE=false",
	}
	command.Env = append(command.Env, environment...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil && command.ProcessState == nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func hallmark(t testing.TB, dir string, args ...string) result {
	t.Helper()
	program := os.Getenv("HALLMARK")
	if program == "" {
		program = "../bin/hallmark"
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	return runIn(t, dir, program, args...)
}

func tool(t testing.TB, dir, name string, args ...string) result {
	t.Helper()
	return runIn(t, dir, filepath.Join(cache, name), args...)
}

// want fails the test unless the program ended with code.
func (r result) want(t testing.TB, code int, what string) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("%s ended with %d, want %d\n%s\n%s", what, r.code, code, r.stdout, r.stderr)
	}
	return r
}

// registry is a registry of one kind and a way to put images into it.
type registry struct {
	host string
	push func(repository string) (tagged string)
}

// registries are the kinds that everything is tried on.
var registries = map[string]func(t *testing.T) registry{
	"referrers API":    func(t *testing.T) registry { return inMemory(t, true) },
	"no referrers API": func(t *testing.T) registry { return inMemory(t, false) },
	"distribution":     distribution,
}

func inMemory(t *testing.T, referrers bool) registry {
	reg := registrytest.New(t, registrytest.WithReferrers(referrers))
	return registry{reg.Host(), func(repository string) string {
		return reg.PushImage(repository, "1", map[string]string{"name": repository}).TagRef()
	}}
}

// distribution starts distribution v3 on a folder.
func distribution(t *testing.T) registry {
	t.Helper()
	host, err := stack.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s}\nhttp: {addr: %s}\n", filepath.Join(dir, "data"), host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(cache, "registry"), "serve", config)
	command.Env = []string{"OTEL_TRACES_EXPORTER=none", "PATH=" + os.Getenv("PATH")}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	answers(t, host)
	return registry{host, func(repository string) string { return pushTo(t, host, repository) }}
}

// answers waits until the registry at host does.
func answers(t testing.TB, host string) {
	t.Helper()
	for range 200 {
		answer, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			answer.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("distribution did not start")
}

// contains fails the test unless text holds part.
func contains(t testing.TB, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("no %q in:\n%s", part, text)
	}
}
