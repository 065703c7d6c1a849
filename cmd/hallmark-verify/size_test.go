package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Budgets of the program, which only fall. The first is what it had on linux/amd64 when it
// was last set, and a little: no number above maxSize is ever written here.
const (
	maxSize    = 20_000_000
	sizeBudget = 19_900_000
	// packageBudget counts the packages that the program links, the standard library's too.
	packageBudget = 660
)

// forbidden are packages that the program must not link, by prefix: what signs, what makes
// SBOMs, what looks into layers, clients of clouds and clusters.
var forbidden = []string{
	"github.com/hallmark-project/hallmark/sign", "github.com/hallmark-project/hallmark/sbom",
	"github.com/hallmark-project/hallmark/policy/record", "github.com/hallmark-project/hallmark/policy/airgap",
	"github.com/sigstore/cosign", "github.com/anchore", "k8s.io/api", "k8s.io/apimachinery", "k8s.io/client-go", "sigs.k8s.io",
	"cloud.google.com", "github.com/aws", "github.com/Azure", "github.com/prometheus", "go.opentelemetry.io/otel/sdk", "html/template",
}

// linkedUnused are forbidden packages that come with another and of which the linker keeps
// nothing: no type and no function.
var linkedUnused = []string{"html/template"}

// flags are those of the Makefile.
func flags(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(raw), "\\\n", " ")
	found := regexp.MustCompile(`(?m)^VERIFIER_FLAGS := (.*)$`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("the Makefile says no VERIFIER_FLAGS")
	}
	return strings.Fields(found[1])
}

// tool runs the go command for linux/amd64.
func tool(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		t.Fatalf("go %s: %v\n%.2000s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String()
}

// TestSize builds the program as `make build` does. -dumpdep has the linker say what it
// keeps; a method that is looked up by its name while the program runs (ReflectMethod)
// would have it keep every method there is.
func TestSize(t *testing.T) {
	t.Parallel()
	if sizeBudget > maxSize {
		t.Errorf("the budget is %d bytes and may be %d", sizeBudget, maxSize)
	}
	program := filepath.Join(t.TempDir(), "hallmark-verify")
	args := append([]string{"build"}, flags(t)...)
	_, kept := tool(t, append(args, "-ldflags=-s -w -X main.version=v0.0.0 -dumpdep", "-o", program, ".")...)
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > sizeBudget {
		t.Errorf("the program has %d bytes, and its budget is %d: what has come to be linked?", info.Size(), sizeBudget)
	}
	if strings.Count(kept, "\n") < 10_000 {
		t.Fatalf("the linker said little: %.300s", kept)
	}
	for line := range strings.Lines(kept) {
		if strings.Contains(line, "<ReflectMethod>") {
			t.Errorf("every method is kept, because of: %s", strings.TrimSpace(line))
		}
		for _, name := range linkedUnused {
			if _, symbol, found := strings.Cut(line, " -> "); found && strings.HasPrefix(symbol, name+".(") {
				t.Errorf("%s is used: %s", name, strings.TrimSpace(line))
			}
		}
	}
}

// TestPackages: what the program links, as packages.
func TestPackages(t *testing.T) {
	t.Parallel()
	out, _ := tool(t, "list", "-deps", "-tags=grpcnotrace,nethttpomithttp2", ".")
	all := strings.Fields(out)
	t.Logf("%d packages", len(all))
	if len(all) > packageBudget {
		t.Errorf("the program links %d packages, and its budget is %d", len(all), packageBudget)
	}
	for _, name := range all {
		for _, prefix := range forbidden {
			if (name == prefix || strings.HasPrefix(name, prefix+"/")) && !slices.Contains(linkedUnused, name) {
				t.Errorf("it links %s", name)
			}
		}
	}
}
