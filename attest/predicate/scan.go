package predicate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// TypeVulnsV02 is the newer version of [TypeVulnsV01].
const TypeVulnsV02 = "https://in-toto.io/attestation/vulns/v0.2"

// maxFindings bounds the vulnerabilities of one scan; the worst images have some
// twenty thousand.
const maxFindings = 250_000

// Scan is the report of a vulnerability scanner. Every field is the claim of
// whoever signed the statement.
type Scan struct {
	Scanner string // its URI
	Version string
	Format  string // "sarif", "grype", "trivy" or "list"
	// Started and Finished are zero where they are not stated or no RFC 3339 time.
	// They are the signer's own words: an age is counted from trusted times alone.
	Started, Finished time.Time
	// Findings are what was found, in the order of the report. What the scanner was
	// told to ignore is not among them, unless the report lists it as a result.
	Findings []Finding
}

// Finding is one vulnerability of one package.
type Finding struct {
	// IDs are the names of the vulnerability; the first is the scanner's own. There
	// is always one.
	IDs      []string
	Severity Severity
	// PURLs name the package; empty where the report does not.
	PURLs []string
	// Name and Version name the package for people.
	Name, Version string
}

// ReadScan reads a scan of the type [TypeVuln], [TypeVulnsV01] or [TypeVulnsV02].
// The report in it is SARIF 2.1, Grype's JSON, Trivy's JSON, the list of in-toto's
// type, or an object with a list called "vulnerabilities". A report of another
// shape is refused, so that it never passes for one that found nothing. Errors wrap
// [ErrUnknownType], [ErrContradiction], [ErrMalformed] or [attest.ErrLimit].
func ReadScan(predicateType string, predicate []byte) (Scan, error) {
	if !slices.Contains([]string{TypeVuln, TypeVulnsV01, TypeVulnsV02}, predicateType) {
		return Scan{}, fmt.Errorf("reading a scan: %w: %q is no scan's", ErrUnknownType, wording.Short(predicateType))
	}
	if len(predicate) > attest.MaxStatementBytes {
		return Scan{}, fmt.Errorf("reading a scan of %d bytes: %w (%d)", len(predicate), attest.ErrLimit, attest.MaxStatementBytes)
	}
	if err := attest.CheckJSON(predicate); err != nil {
		return Scan{}, fmt.Errorf("reading a scan: %w: %w", ErrMalformed, err)
	}
	if err := CheckType(predicateType, predicate); err != nil {
		return Scan{}, fmt.Errorf("reading a scan: %w", err)
	}
	reader := &scanReader{}
	if err := reader.read(predicate); err != nil {
		return Scan{}, fmt.Errorf("reading a scan: %w", sbomError(err))
	}
	return reader.Scan, nil
}

// scanReader collects findings.
type scanReader struct{ Scan }

func (r *scanReader) read(predicate []byte) error {
	document, err := strictjson.Object(predicate, maxSBOMFields)
	if err != nil {
		return err
	}
	metadata, err := fieldsOf(value(document, "metadata"))
	if err != nil {
		return err
	}
	var started, finished string
	texts(metadata, map[string]*string{"scanStartedOn": &started, "scanFinishedOn": &finished})
	r.Started, r.Finished = moment(started), moment(finished)
	scanner, err := fieldsOf(value(document, "scanner"))
	if err != nil {
		return err
	}
	texts(scanner, map[string]*string{"uri": &r.Scanner, "version": &r.Version})
	raw := value(scanner, "result")
	if raw == nil {
		return fmt.Errorf("%w: it has no result", ErrMalformed)
	}
	if report, err := strictjson.Object(raw, maxSBOMFields); err == nil {
		return r.report(report)
	}
	r.Format = "list"
	return r.list(raw)
}

// report reads the scanner's own document, which is known by its fields. One with
// the fields of two kinds is refused: a reader may take it for either.
func (r *scanReader) report(report []strictjson.Field) error {
	readers := map[string]struct {
		format string
		read   func([]byte) error
	}{
		"runs": {"sarif", r.sarif}, "matches": {"grype", r.grype}, "Results": {"trivy", r.trivy}, "vulnerabilities": {"list", r.list},
	}
	var list []byte
	var read func([]byte) error
	for _, field := range report {
		shape, known := readers[field.Key]
		if !known {
			continue
		}
		if read != nil {
			return fmt.Errorf("%w: the result has the fields of two kinds of report", ErrMalformed)
		}
		r.Format, read, list = shape.format, shape.read, field.Value
	}
	switch {
	case read != nil && strictjson.IsNull(list) && r.Format != "sarif":
		return nil // Go writes an empty list like this
	case read != nil:
		return read(list)
	}
	var artifact string
	texts(report, map[string]*string{"ArtifactName": &artifact})
	if artifact != "" && value(report, "SchemaVersion") != nil {
		r.Format = "trivy" // which leaves an empty list away
		return nil
	}
	return fmt.Errorf("%w: the result is neither SARIF, Grype's, Trivy's, nor a list of vulnerabilities", ErrMalformed)
}

// identifier finds the names of vulnerabilities in the name of a rule.
var identifier = regexp.MustCompile(`CVE-[0-9]{4}-[0-9]{4,19}|GHSA(-[0-9a-z]{4}){3}`)

// add keeps a finding under its names, each once.
func (r *scanReader) add(f Finding, names ...string) error {
	for _, name := range names {
		if name != "" && !slices.Contains(f.IDs, name) {
			f.IDs = append(f.IDs, name)
		}
	}
	switch {
	case len(f.IDs) == 0:
		return fmt.Errorf("%w: vulnerability %d has no name", ErrMalformed, len(r.Findings))
	case len(r.Findings) == maxFindings:
		return fmt.Errorf("%w: more than %d vulnerabilities", attest.ErrLimit, maxFindings)
	}
	f.PURLs = slices.DeleteFunc(f.PURLs, func(purl string) bool { return purl == "" })
	r.Findings = append(r.Findings, f)
	return nil
}

// score reads a severity that is a text or a number.
func score(raw []byte) Severity {
	if raw == nil {
		return SeverityUnknown
	}
	text, err := strictjson.Text(raw)
	if err != nil {
		text = strings.TrimSpace(string(raw))
	}
	return ParseSeverity(text)
}

// textList returns the texts of a list; none where it is missing or another kind
// of value.
func textList(raw []byte) []string {
	if raw == nil {
		return nil
	}
	list, err := strictjson.Array(raw, maxSBOMFields)
	if err != nil {
		return nil
	}
	var all []string
	for _, item := range list {
		if text, err := strictjson.Text(item); err == nil && text != "" {
			all = append(all, text)
		}
	}
	return all
}
