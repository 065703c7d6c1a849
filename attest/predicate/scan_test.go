package predicate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

// scanOf wraps a report in cosign's predicate.
func scanOf(report string) string {
	return `{"invocation":{"uri":"https://ci.example/1"},"scanner":{"uri":"pkg:github/acme/scanner","version":"1.2","db":{},"result":` + report +
		`},"metadata":{"scanStartedOn":"2026-01-02T03:04:05Z","scanFinishedOn":"2026-01-02T03:04:06Z"}}`
}

const (
	grypeReport = `{"matches":[{"vulnerability":{"id":"GHSA-aaaa-bbbb-cccc","severity":"High"},"relatedVulnerabilities":[{"id":"CVE-2026-1"}],
	"artifact":{"name":"left-pad","version":"1.3.0","purl":"pkg:npm/left-pad@1.3.0"}}],"ignoredMatches":[],"source":{}}`
	trivyReport = `{"SchemaVersion":2,"ArtifactName":"app","Results":[{"Target":"app","Class":"os-pkgs"},{"Target":"x","Vulnerabilities":[
	{"VulnerabilityID":"CVE-2026-1","VendorIDs":["DSA-1"],"PkgName":"left-pad","InstalledVersion":"1.3.0","PkgIdentifier":{"PURL":"pkg:npm/left-pad@1.3.0"},"Severity":"MEDIUM"}]}]}`
	sarifReport = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Grype","rules":[{"id":"CVE-2026-1000-left-pad","properties":{"security-severity":"9.8","purls":["pkg:npm/left-pad@1.3.0"]}},
	{"id":"OTHER-1","defaultConfiguration":{"level":"note"}}]}},
	"results":[{"ruleId":"CVE-2026-1000-left-pad","level":"error"},{"ruleId":"OTHER-1"},{"ruleId":"OTHER-1","level":"error"},{"ruleId":"NONE-1"},{"ruleId":"OTHER-1","kind":"pass"}]}]}`
	listReport = `[{"id":"CVE-2026-1","severity":[{"method":"CVSS_V2","score":"5.0"},{"method":"CVSS_V3","score":"7.5"},{"method":"vector","score":"CVSS:3.1/AV:N"}]},{"id":"X-1","severity":[]}]`
	otherList  = `{"vulnerabilities":[{"id":"CVE-2026-1","severity":9.1,"package":{"name":"left-pad","version":"1.3.0","purl":"pkg:npm/left-pad@1.3.0"},"aliases":["GHSA-aaaa-bbbb-cccc"]},
	{"id":"CVE-2026-2","ratings":[{"severity":"low","score":3.1}]}]}`
)

func TestReadScan(t *testing.T) {
	t.Parallel()
	purls := []string{"pkg:npm/left-pad@1.3.0"}
	for name, row := range map[string]struct {
		uri, report, format string
		want                []predicate.Finding
	}{
		"Grype": {predicate.TypeVuln, grypeReport, "grype", []predicate.Finding{
			{IDs: []string{"GHSA-aaaa-bbbb-cccc", "CVE-2026-1"}, Severity: predicate.SeverityHigh, PURLs: purls, Name: "left-pad", Version: "1.3.0"},
		}},
		"Grype, nothing found": {predicate.TypeVuln, `{"matches":null}`, "grype", nil},
		"Trivy": {predicate.TypeVuln, trivyReport, "trivy", []predicate.Finding{
			{IDs: []string{"CVE-2026-1", "DSA-1"}, Severity: predicate.SeverityMedium, PURLs: purls, Name: "left-pad", Version: "1.3.0"},
		}},
		"Trivy, nothing found": {predicate.TypeVuln, `{"SchemaVersion":2,"ArtifactName":"app"}`, "trivy", nil},
		"SARIF": {predicate.TypeVuln, sarifReport, "sarif", []predicate.Finding{
			{IDs: []string{"CVE-2026-1000-left-pad", "CVE-2026-1000"}, Severity: predicate.SeverityCritical, PURLs: purls},
			{IDs: []string{"OTHER-1"}, Severity: predicate.SeverityLow},
			{IDs: []string{"OTHER-1"}, Severity: predicate.SeverityCritical},
			{IDs: []string{"NONE-1"}, Severity: predicate.SeverityUnknown},
		}},
		"in-toto": {predicate.TypeVulnsV02, listReport, "list", []predicate.Finding{
			{IDs: []string{"CVE-2026-1"}, Severity: predicate.SeverityHigh},
			{IDs: []string{"X-1"}},
		}},
		"another list": {predicate.TypeVuln, otherList, "list", []predicate.Finding{
			{IDs: []string{"CVE-2026-1", "GHSA-aaaa-bbbb-cccc"}, Severity: predicate.SeverityCritical, PURLs: purls, Name: "left-pad", Version: "1.3.0"},
			{IDs: []string{"CVE-2026-2"}, Severity: predicate.SeverityLow},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := predicate.ReadScan(row.uri, []byte(scanOf(row.report)))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got.Findings {
				if len(got.Findings[i].PURLs) == 0 {
					got.Findings[i].PURLs = nil
				}
			}
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			want := predicate.Scan{Scanner: "pkg:github/acme/scanner", Version: "1.2", Format: row.format, Started: at, Finished: at.Add(time.Second), Findings: row.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestScanRefused: what is no report never passes for one that found nothing.
func TestScanRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		uri, body string
		want      error
	}{
		"DS-20 an empty result":             {predicate.TypeVuln, scanOf(`{}`), predicate.ErrMalformed},
		"DS-12 a text":                      {predicate.TypeVuln, scanOf(`"none"`), predicate.ErrMalformed},
		"no result":                         {predicate.TypeVuln, scanOf(`null`), predicate.ErrMalformed},
		"misspelt":                          {predicate.TypeVuln, scanOf(`{"Matches":[]}`), predicate.ErrMalformed},
		"SARIF without a run":               {predicate.TypeVuln, scanOf(`{"runs":[]}`), predicate.ErrMalformed},
		"SARIF whose runs are null":         {predicate.TypeVuln, scanOf(`{"runs":null}`), predicate.ErrMalformed},
		"SARIF without results":             {predicate.TypeVuln, scanOf(`{"runs":[{"tool":{"driver":{"name":"x"}}}]}`), predicate.ErrMalformed},
		"two kinds of report":               {predicate.TypeVuln, scanOf(`{"matches":[],"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-2026-1","Severity":"HIGH"}]}]}`), predicate.ErrMalformed},
		"a nameless vulnerability":          {predicate.TypeVuln, scanOf(`[{"severity":"low"}]`), predicate.ErrMalformed},
		"a rule with two severities":        {predicate.TypeVuln, scanOf(strings.Replace(sarifReport, `"id":"OTHER-1"`, `"id":"CVE-2026-1000-left-pad"`, 1)), predicate.ErrMalformed},
		"a list of something else":          {predicate.TypeVuln, scanOf(`["CVE-2026-1"]`), predicate.ErrMalformed},
		"DS-11 a field twice":               {predicate.TypeVuln, scanOf(`{"matches":[],"matches":[]}`), predicate.ErrMalformed},
		"BM-05 an SBOM under a scan's type": {predicate.TypeVuln, cycloneDX, predicate.ErrContradiction},
		"an unknown type":                   {predicate.TypeOpenVEX, scanOf(grypeReport), predicate.ErrUnknownType},
	} {
		if _, err := predicate.ReadScan(row.uri, []byte(row.body)); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, expected %v", name, err, row.want)
		}
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]predicate.Severity{
		"CRITICAL": predicate.SeverityCritical, "Important": predicate.SeverityHigh, "Negligible": predicate.SeverityLow, "none": predicate.SeverityNone,
		"10": predicate.SeverityCritical, "9.0": predicate.SeverityCritical, "8.9": predicate.SeverityHigh, "4": predicate.SeverityMedium, "3.9": predicate.SeverityLow, "0.0": predicate.SeverityNone,
		"": 0, "Unknown": 0, "11": 0, "-1": 0, "1e1": 0, "NaN": 0, "0x1": 0, "CVSS:3.1/AV:N": 0, "9.8.1": 0,
	} {
		if got := predicate.ParseSeverity(text); got != want {
			t.Errorf("%q is %s, expected %s", text, got, want)
		}
	}
	if !predicate.SeverityUnknown.Exceeds(predicate.SeverityHigh) || predicate.SeverityHigh.Exceeds(predicate.SeverityHigh) || !predicate.SeverityCritical.Exceeds(predicate.SeverityHigh) {
		t.Error("the order of severities is wrong")
	}
}

// FuzzReadScan: what is read has names, and of a report that is read with one more
// vulnerability there is one more finding.
func FuzzReadScan(f *testing.F) {
	for _, report := range []string{grypeReport, trivyReport, sarifReport, listReport, otherList} {
		f.Add([]byte(report))
	}
	f.Fuzz(func(t *testing.T, report []byte) {
		scan, err := predicate.ReadScan(predicate.TypeVuln, []byte(scanOf(string(report))))
		if err != nil {
			return
		}
		for _, finding := range scan.Findings {
			if len(finding.IDs) == 0 || finding.IDs[0] == "" {
				t.Errorf("a finding without a name: %+v", finding)
			}
		}
		if scan.Format != "list" || report[0] != '[' || len(scan.Findings) == 0 {
			return
		}
		end := strings.LastIndex(string(report), "]")
		more, err := predicate.ReadScan(predicate.TypeVuln, []byte(scanOf(fmt.Sprintf(`%s,{"id":"CVE-2026-7","severity":"high"}]`, report[:end]))))
		if err != nil || len(more.Findings) != len(scan.Findings)+1 {
			t.Errorf("with one more: %d findings, %v", len(more.Findings), err)
		}
	})
}
