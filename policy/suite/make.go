package suite

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
)

// Expected is what a case of this outcome would expect: the verdict, its reason, its
// rule and what became of each demand.
func Expected(image *report.Image) Expect {
	e := Expect{Verdict: image.Verdict.String(), Rule: image.Rule, Reason: image.Reason}
	if image.Verdict == policy.Allow {
		e.Reason = ""
	}
	for _, d := range image.Demands {
		if e.Demands == nil {
			e.Demands = make(map[string]string)
		}
		e.Demands[d.Name], _ = outcome(image, d.Name)
	}
	return e
}

// Format writes a file of cases. policy may be "".
func Format(policyPath string, cases ...Case) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(file{APIVersion: policy.APIVersion, Kind: Kind, Policy: policyPath, Cases: cases})
	if err == nil {
		err = encoder.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("writing cases: %w", err)
	}
	return out.Bytes(), nil
}
