package report_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
)

func located() *report.Report {
	i := &report.Image{Image: "registry.example/app:1", Decision: policy.Decision{Verdict: policy.Deny, Reason: "UNSIGNED"}, Locations: []report.Location{
		{File: "deploy/web.yaml", Line: 18, Column: 18, Path: "Deployment/web spec.template.spec.containers[0].image"},
		{File: "a b\x1b.yaml", Line: 2},
	}}
	return report.New(nil, time.Unix(0, 0), i)
}

// TestLocationsEverywhere: each format says which file and line asks for an image.
func TestLocationsEverywhere(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*report.Report, *bytes.Buffer) error{
		"text":     func(r *report.Report, b *bytes.Buffer) error { return r.WriteText(b, report.Style{}) },
		"Markdown": func(r *report.Report, b *bytes.Buffer) error { return r.WriteMarkdown(b) },
		"HTML":     func(r *report.Report, b *bytes.Buffer) error { return r.WriteHTML(b) },
		"JUnit":    func(r *report.Report, b *bytes.Buffer) error { return r.WriteJUnit(b) },
	} {
		var b bytes.Buffer
		if err := write(located(), &b); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "deploy/web.yaml:18 Deployment/web spec.template.spec.containers[0].image") {
			t.Errorf("%s does not name the place:\n%s", name, &b)
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s holds an escape", name)
		}
	}
}

func TestLocationsInSARIF(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := located().WriteSARIF(&b, "1"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Runs []struct {
			Results []struct {
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	all := log.Runs[0].Results[0].Locations
	if len(all) != 2 || all[0].PhysicalLocation.ArtifactLocation.URI != "deploy/web.yaml" || all[0].PhysicalLocation.Region.StartLine != 18 || all[0].PhysicalLocation.Region.StartColumn != 18 {
		t.Errorf("%+v", all)
	}
	if uri := all[1].PhysicalLocation.ArtifactLocation.URI; uri != "a%20b%5Cu%7B1b%7D.yaml" && !strings.HasPrefix(uri, "a%20b") {
		t.Errorf("the second file is %q", uri)
	}
}
