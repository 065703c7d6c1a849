package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	kubernetesVersion = "v1.37.2" // as in controlplane/go.mod
	versionPackage    = "k8s.io/component-base/version"
)

// buildFlags are always the same ones: with others, Go would compile all of Kubernetes anew.
func buildFlags() []string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return []string{"-trimpath", "-ldflags", fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s",
		versionPackage, kubernetesVersion, major, minor)}
}

// controlPlane returns the paths of kube-apiserver and kubectl. What is missing in the
// cache is built, which takes some 20 CPU minutes from an empty build cache.
func controlPlane(ctx context.Context) (map[string]string, error) {
	caches, err := os.UserCacheDir() // $XDG_CACHE_HOME, or ~/.cache
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(caches, "hallmark", "e2e")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	key, err := buildKey()
	if err != nil {
		return nil, err
	}
	programs := make(map[string]string)
	// One after another: each build takes all cores.
	for _, name := range []string{"kube-apiserver", "kubectl"} {
		path := filepath.Join(folder, name+"-"+kubernetesVersion+"-"+key)
		if _, err := os.Stat(path); err != nil {
			if err := buildProgram(ctx, "k8s.io/kubernetes/cmd/"+name, path); err != nil {
				return nil, err
			}
		}
		programs[name] = path
	}
	return programs, nil
}

// buildProgram writes the program under another name and renames it, so that a build
// that was cut short leaves nothing that looks like one.
func buildProgram(ctx context.Context, path, output string) error {
	fmt.Fprintln(os.Stderr, "building", path, "(once)")
	half := fmt.Sprintf("%s.%d.tmp", output, os.Getpid())
	defer os.Remove(half)
	command := exec.CommandContext(ctx, "go", append(append([]string{"build", "-mod=readonly"}, buildFlags()...), "-o", half, path)...)
	command.Dir = "controlplane"
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOTOOLCHAIN=local")
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("building %s: %w", path, err)
	}
	return os.Rename(half, output)
}

// buildKey stands for everything that a build depends on: the modules' sums, the
// flags, the compiler and the machine.
func buildKey() (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH, buildFlags())
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join("controlplane", name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}
