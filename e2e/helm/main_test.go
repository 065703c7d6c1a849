// Package helm tests the chart in deploy/helm with helm itself: it lints and renders it
// over many values, and holds deploy/manifests to what the chart renders.
package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	// version is the one in go.mod; the program's name in the cache holds it.
	version = "v4.3.1"
	chart   = "../../deploy/helm/hallmark-verify"
	release = "hallmark-verify"
	// namespace is where the tests install.
	namespace = "hallmark-system"
)

// helm and verifier are the programs.
var helm, verifier string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hallmark-e2e-helm-")
	if err == nil {
		helm, err = build()
	}
	if err == nil {
		verifier, err = buildVerifier(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "preparing the tests:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// buildVerifier takes the program that the Makefile has built, or builds it.
func buildVerifier(dir string) (string, error) {
	if path := os.Getenv("HALLMARK_VERIFY"); path != "" {
		return path, nil
	}
	path := filepath.Join(dir, "hallmark-verify")
	command := exec.Command("go", "build", "-C", "../..", "-trimpath", "-tags", "grpcnotrace,nethttpomithttp2", "-o", path, "./cmd/hallmark-verify")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	return path, command.Run()
}

// build builds helm once and keeps it in the user's cache. Helm's own package is heavy:
// minutes on a small machine.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "hallmark", "e2e")
	path := filepath.Join(dir, "helm-"+version+"-"+runtime.GOOS+"-"+runtime.GOARCH)
	pinned, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "helm.sh/helm/v4").Output()
	if err != nil {
		return "", err
	}
	if got := strings.TrimSpace(string(pinned)); got != version {
		return "", fmt.Errorf("go.mod has helm %s, the tests want %s", got, version)
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// A file that was cut short must never count.
	partial, err := os.MkdirTemp(dir, "helm-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(partial, "helm"), "helm.sh/helm/v4/cmd/helm")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return "", err
	}
	return path, os.Rename(filepath.Join(partial, "helm"), path)
}

// run runs helm without the user's own settings.
func run(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	home := t.TempDir()
	command := exec.Command(helm, args...)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home, "KUBECONFIG=" + filepath.Join(home, "none"),
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	return stdout.String(), stderr.String(), err
}

// object is one rendered object.
type object map[string]any

// at walks into an object: at("spec", "template"), at("webhooks", 0).
func (o object) at(path ...any) any {
	var value any = map[string]any(o)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

// rendered are the objects of one rendering by kind and name.
type rendered map[string]object

// render renders the chart with the values, each a YAML text that is laid over the
// one before.
func render(t *testing.T, values ...string) rendered {
	t.Helper()
	text, err := renderText(t, values...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

func renderText(t *testing.T, values ...string) (string, error) {
	t.Helper()
	stdout, stderr, err := run(t, append([]string{"template", release, chart, "--namespace", namespace}, valueFlags(t, values)...)...)
	if err != nil {
		return "", errors.New(stderr)
	}
	return stdout, nil
}

func valueFlags(t *testing.T, values []string) []string {
	t.Helper()
	dir := t.TempDir()
	var flags []string
	for i, text := range values {
		path := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--values", path)
	}
	return flags
}

func parse(t *testing.T, text string) rendered {
	t.Helper()
	all := make(rendered)
	for _, document := range strings.Split("\n"+text, "\n---") {
		var o object
		if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(o) == 0 {
			continue
		}
		key := fmt.Sprintf("%v %v", o["kind"], o.at("metadata", "name"))
		if of := o.at("metadata", "namespace"); of != nil && of != namespace {
			key += fmt.Sprintf(" in %v", of)
		}
		if all[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		all[key] = o
	}
	return all
}

func (r rendered) get(t *testing.T, key string) object {
	t.Helper()
	o := r[key]
	if o == nil {
		var keys []string
		for k := range r {
			keys = append(keys, k)
		}
		t.Fatalf("no %s; there are %s", key, strings.Join(keys, ", "))
	}
	return o
}

func read(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
