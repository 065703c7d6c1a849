package predicate

import (
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// grype reads the matches of Grype's JSON.
func (r *scanReader) grype(matches []byte) error {
	return items(matches, func(match []strictjson.Field) error {
		vulnerability, err := fieldsOf(value(match, "vulnerability"))
		if err != nil {
			return err
		}
		artifact, err := fieldsOf(value(match, "artifact"))
		if err != nil {
			return err
		}
		f := Finding{Severity: score(value(vulnerability, "severity"))}
		var id, purl string
		texts(vulnerability, map[string]*string{"id": &id})
		texts(artifact, map[string]*string{"name": &f.Name, "version": &f.Version, "purl": &purl})
		f.PURLs = []string{purl}
		names := []string{id}
		err = items(value(match, "relatedVulnerabilities"), func(related []strictjson.Field) error {
			var id string
			texts(related, map[string]*string{"id": &id})
			names = append(names, id)
			return nil
		})
		if err != nil {
			return err
		}
		if id == "" {
			return fmt.Errorf("%w: match %d has no vulnerability", ErrMalformed, len(r.Findings))
		}
		return r.add(f, names...)
	})
}

// trivy reads the results of Trivy's JSON. Secrets and misconfigurations are no
// vulnerabilities.
func (r *scanReader) trivy(results []byte) error {
	return items(results, func(result []strictjson.Field) error {
		return items(value(result, "Vulnerabilities"), func(v []strictjson.Field) error {
			f := Finding{Severity: score(value(v, "Severity"))}
			var id, purl string
			texts(v, map[string]*string{"VulnerabilityID": &id, "PkgName": &f.Name, "InstalledVersion": &f.Version})
			of, err := fieldsOf(value(v, "PkgIdentifier"))
			if err != nil {
				return err
			}
			texts(of, map[string]*string{"PURL": &purl})
			f.PURLs = []string{purl}
			return r.add(f, append([]string{id}, textList(value(v, "VendorIDs"))...)...)
		})
	})
}

// list reads in-toto's list of vulnerabilities, and others that look like it:
// "severity" is a text, a number or a list of scores, and "ratings", as CycloneDX
// has them, may stand in its place.
func (r *scanReader) list(raw []byte) error {
	return items(raw, func(v []strictjson.Field) error {
		var f Finding
		var id, purl string
		texts(v, map[string]*string{"id": &id, "name": &f.Name, "version": &f.Version, "purl": &purl})
		of, err := fieldsOf(value(v, "package"))
		if err != nil && !errors.Is(err, strictjson.ErrMalformed) {
			return err
		}
		texts(of, map[string]*string{"name": &f.Name, "version": &f.Version, "purl": &purl})
		f.PURLs = []string{purl}
		for _, key := range []string{"severity", "ratings"} {
			if f.Severity, err = severities(value(v, key)); err != nil || f.Severity != SeverityUnknown {
				break
			}
		}
		if err != nil {
			return err
		}
		return r.add(f, append([]string{id}, textList(value(v, "aliases"))...)...)
	})
}

// severities reads one severity, or the worst of a list of them.
func severities(raw []byte) (Severity, error) {
	if raw == nil {
		return SeverityUnknown, nil
	}
	if _, err := strictjson.Array(raw, maxSBOMFields); err != nil {
		return score(raw), nil
	}
	var all []Severity
	err := items(raw, func(one []strictjson.Field) error {
		all = append(all, score(value(one, "score")), score(value(one, "severity")))
		return nil
	})
	return worst(all), err
}

// sarifRule is what a rule says of the results that it gives.
type sarifRule struct {
	id, level string
	severity  Severity
	purls     []string
}

// sarif reads the runs of a SARIF log (SARIF 2.1.0, section 3.13). A log without a
// run says nothing. Suppressed results count: only a VEX statement is an excuse.
func (r *scanReader) sarif(raw []byte) error {
	runs := 0
	err := items(raw, func(run []strictjson.Field) error {
		runs++
		rules, err := sarifRules(run)
		if err != nil {
			return err
		}
		if value(run, "results") == nil {
			return fmt.Errorf("%w: a run of the SARIF log has no results", ErrMalformed)
		}
		return items(value(run, "results"), func(result []strictjson.Field) error { return r.sarifResult(result, rules) })
	})
	if err == nil && runs == 0 {
		return fmt.Errorf("%w: the SARIF log has no run", ErrMalformed)
	}
	return err
}

// sarifResult reads one result (section 3.27). What passed or does not apply is no
// finding.
func (r *scanReader) sarifResult(result []strictjson.Field, rules map[string]sarifRule) error {
	var id, level, kind string
	texts(result, map[string]*string{"ruleId": &id, "level": &level, "kind": &kind})
	if kind == "pass" || kind == "notApplicable" {
		return nil
	}
	of, err := fieldsOf(value(result, "rule"))
	if err != nil {
		return err
	}
	if id == "" {
		texts(of, map[string]*string{"id": &id})
	}
	rule := rules[id]
	properties, err := fieldsOf(value(result, "properties"))
	if err != nil {
		return err
	}
	f := Finding{Severity: score(value(properties, "security-severity")), PURLs: rule.purls}
	if f.Severity == SeverityUnknown {
		f.Severity = rule.severity
	}
	if level == "" {
		level = rule.level
	}
	if f.Severity == SeverityUnknown {
		f.Severity = levelSeverity(level)
	}
	return r.add(f, append([]string{id}, identifier.FindAllString(id, 10)...)...)
}

// sarifRules reads the rules of a run's tool and its extensions (section 3.19).
func sarifRules(run []strictjson.Field) (map[string]sarifRule, error) {
	rules := make(map[string]sarifRule)
	tool, err := fieldsOf(value(run, "tool"))
	if err != nil {
		return nil, err
	}
	component := func(component []strictjson.Field) error {
		return items(value(component, "rules"), func(rule []strictjson.Field) error {
			var one sarifRule
			texts(rule, map[string]*string{"id": &one.id})
			configuration, err := fieldsOf(value(rule, "defaultConfiguration"))
			if err != nil {
				return err
			}
			texts(configuration, map[string]*string{"level": &one.level})
			properties, err := fieldsOf(value(rule, "properties"))
			if err != nil {
				return err
			}
			one.severity = score(value(properties, "security-severity"))
			one.purls = textList(value(properties, "purls"))
			if known, twice := rules[one.id]; twice && (known.severity != one.severity || known.level != one.level) {
				return fmt.Errorf("%w: two rules of the SARIF log have one name", ErrMalformed)
			}
			rules[one.id] = one
			return nil
		})
	}
	driver, err := fieldsOf(value(tool, "driver"))
	if err != nil {
		return nil, err
	}
	if err := component(driver); err != nil {
		return nil, err
	}
	return rules, items(value(tool, "extensions"), component)
}
