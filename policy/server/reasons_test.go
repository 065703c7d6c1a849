package server

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestEveryReasonHasASeries: a reason that is added to the policy or to the checks is
// added to the metric too.
func TestEveryReasonHasASeries(t *testing.T) {
	t.Parallel()
	known, found := reasons(), 0
	declared := regexp.MustCompile(`(?m)^\s*Reason[A-Za-z]+\s+(?:verify\.)?Reason\s*=\s*"([A-Z0-9_]+)"`)
	for _, file := range []string{"../decision.go", "../../verify/rejection.go"} {
		raw, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range declared.FindAllStringSubmatch(string(raw), -1) {
			found++
			if !slices.Contains(known, match[1]) {
				t.Errorf("no series for %s", match[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d reasons were found: the test has lost its grip", found)
	}
}
