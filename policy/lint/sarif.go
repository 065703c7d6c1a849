package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
)

// Schema names the JSON form of findings.
const Schema = "hallmark.dev/lint/v1"

// WriteJSON writes findings as one JSON document.
func WriteJSON(w io.Writer, found []Finding) error {
	if found == nil {
		found = []Finding{}
	}
	return writeJSON(w, struct {
		Schema   string    `json:"schema"`
		Findings []Finding `json:"findings"`
	}{Schema, found})
}

// The parts of SARIF 2.1.0 that findings need (section numbers of the OASIS standard).
type (
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct { // 3.49
		ID            string    `json:"id"`
		Description   sarifText `json:"shortDescription"`
		Configuration struct {
			Level Severity `json:"level"`
		} `json:"defaultConfiguration"`
	}
	sarifRegion struct { // 3.30
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifPhysical struct { // 3.29
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifLocation struct { // 3.28
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifResult struct { // 3.27
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     Severity        `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifDriver struct { // 3.19
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRun struct { // 3.14
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifLog struct { // 3.13
		Version string     `json:"version"`
		Schema  string     `json:"$schema"`
		Runs    []sarifRun `json:"runs"`
	}
)

// WriteSARIF writes findings as SARIF 2.1.0, which code hosts show beside the lines.
// version is that of the tool.
func WriteSARIF(w io.Writer, found []Finding, version string) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "hallmark policy lint", Version: version}
	index := make(map[ID]int)
	for i, about := range All() {
		rule := sarifRule{ID: string(about.ID), Description: sarifText{about.Text}}
		rule.Configuration.Level = about.Severity
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
		index[about.ID] = i
	}
	for _, f := range found {
		message := f.Message
		if f.Path != "" {
			message = f.Path + ": " + message
		}
		if f.Hint != "" {
			message += "; " + f.Hint
		}
		result := sarifResult{RuleID: string(f.ID), RuleIndex: index[f.ID], Level: f.Severity, Message: sarifText{message}}
		location := sarifLocation{}
		location.Physical.Artifact.URI = filepath.ToSlash(f.File)
		if f.Line > 0 {
			location.Physical.Region = &sarifRegion{f.Line, f.Column}
		}
		result.Locations = append(result.Locations, location)
		run.Results = append(run.Results, result)
	}
	return writeJSON(w, sarifLog{Version: "2.1.0", Schema: "https://json.schemastore.org/sarif-2.1.0.json", Runs: []sarifRun{run}})
}

func writeJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(true)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("writing findings: %w", err)
	}
	return nil
}
