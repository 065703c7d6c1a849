package report_test

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
)

// TestWhatDecidesNothing: of an image that is allowed nothing stands as a failure: no
// summary that nobody asked for, and nothing of a rule that only warns.
func TestWhatDecidesNothing(t *testing.T) {
	t.Parallel()
	alternative, warned := allowed(), allowed()
	refused := alternative.Demands[0]
	refused.Name, refused.Verdict, refused.Reason, refused.Alternative = "summary", policy.Deny, policy.ReasonTooOld, true
	alternative.Demands = append(alternative.Demands, refused)
	warned.Image, warned.Warned = "registry.example/warned:1", &policy.Warned{Verdict: policy.Deny, Reason: policy.ReasonTooOld}
	warned.Demands[0].Verdict, warned.Demands[0].Reason = policy.Deny, policy.ReasonTooOld
	r := report.New(nil, noon, alternative, warned)
	junit := written(t, r, (*report.Report).WriteJUnit)
	if !strings.Contains(junit, `tests="5" failures="0" errors="0" skipped="2"`) || strings.Count(junit, "<skipped ") != 2 || strings.Contains(junit, "<failure") {
		t.Error(junit)
	}
	for extension, want := range map[string]string{"sarif": `"kind": "informational"`, "html": "not asked for", "md": "not asked for"} {
		if out := written(t, r, formats[extension]); !strings.Contains(out, want) {
			t.Errorf("%s does not say %q:\n%s", extension, want, out)
		}
	}
}
