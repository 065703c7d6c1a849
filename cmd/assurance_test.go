package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// group is a run of rows of the attack catalogue that must be accounted for.
type group struct {
	name        string
	first, last int
}

// promised are the rows that docs/assurance.md must list, each with a test that
// names it, or with the reason why it has none yet.
var promised = []group{
	{"SB", 1, 31}, {"CI", 1, 26}, {"DS", 1, 27}, {"OC", 1, 45}, {"PO", 1, 24}, {"TR", 1, 18}, {"TI", 1, 12}, {"KE", 1, 17}, {"BM", 1, 12}, {"CL", 1, 8}, {"AD", 1, 27}, {"RE", 1, 13},
}

var assuranceRow = regexp.MustCompile(`^\| ([A-Z]{2}-[0-9]{2}) \| (.+?) \|$`)

var testName = regexp.MustCompile("`([^`]+\\.go):((?:Test|Fuzz|Example)[A-Za-z0-9_]*)`")

// TestAssuranceListIsTrue: every promised row is listed, every listed test exists
// and names the row's id, and a row without a test says why.
func TestAssuranceListIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/assurance.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]string)
	for _, line := range strings.Split(string(raw), "\n") {
		row := assuranceRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		if _, twice := listed[row[1]]; twice {
			t.Errorf("%s is listed twice", row[1])
		}
		listed[row[1]] = row[2]
	}
	for _, g := range promised {
		for n := g.first; n <= g.last; n++ {
			id := fmt.Sprintf("%s-%02d", g.name, n)
			if _, found := listed[id]; !found {
				t.Errorf("%s is not listed", id)
			}
		}
	}
	for id, cell := range listed {
		tests := testName.FindAllStringSubmatch(cell, -1)
		if len(tests) == 0 && !strings.HasPrefix(cell, "no test: ") {
			t.Errorf("%s names neither a test nor a reason: %q", id, cell)
		}
		for _, test := range tests {
			source, err := os.ReadFile(filepath.Join("..", test[1]))
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			if !strings.Contains(string(source), "func "+test[2]+"(") {
				t.Errorf("%s: %s has no %s", id, test[1], test[2])
			}
			if !strings.Contains(string(source), id) && !strings.Contains(string(source), strings.ReplaceAll(id, "-", "")) {
				t.Errorf("%s: %s does not name it", id, test[1])
			}
		}
	}
}
