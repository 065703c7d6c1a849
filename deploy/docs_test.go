package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeText   = regexp.MustCompile("`([^`\n]+)`")
	valuePath  = regexp.MustCompile(`^[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)+`)
	metricName = regexp.MustCompile(`hallmark_[a-z_]+`)
	flagName   = regexp.MustCompile(`^--[a-z-]+`)
)

// TestGuideIsCurrent: the values, metrics and flags that docs/admission.md and the
// manifests' README name are there.
func TestGuideIsCurrent(t *testing.T) {
	t.Parallel()
	values := document(t, "helm/hallmark-verify/values.yaml")
	metrics := sources(t, "../policy/server/*.go") + sources(t, "../policy/telemetry/*.go")
	flags := sources(t, "../cmd/hallmark-verify/*.go") + sources(t, "../cmd/internal/cli/*.go")
	// Flags of helm, kubectl and the API server.
	others := map[string]bool{"--set-file": true, "--admission-control-config-file": true, "--pin": true, "--external-data-provider-response-cache-ttl": true}
	found := 0
	for _, path := range []string{"../docs/admission.md", "README.md"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(raw), -1) {
			found++
			if !strings.Contains(metrics, `"`+name+`"`) {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
		for _, match := range codeText.FindAllStringSubmatch(string(raw), -1) {
			if flag := flagName.FindString(match[1]); flag != "" && !others[flag] {
				found++
				if !strings.Contains(flags, `"`+strings.TrimPrefix(flag, "--")+`"`) {
					t.Errorf("%s: there is no flag %s", path, flag)
				}
			}
			text := valuePath.FindString(match[1])
			at, isValue := any(values), false
			for i, part := range strings.Split(text, ".") {
				folder, is := at.(object)
				next, is2 := folder[part]
				if i == 0 && (!is || !is2) {
					break // a file's name, a label's key
				}
				isValue = true
				if !is || !is2 {
					t.Errorf("%s: there is no value %s", path, text)
					break
				}
				at = next
			}
			if isValue {
				found++
			}
		}
	}
	if found < 20 {
		t.Errorf("looked at %d names only: is the guide still written this way?", found)
	}
}

// sources is the text of the files of a pattern.
func sources(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	return all.String()
}
