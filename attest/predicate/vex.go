package predicate

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// Limits on a VEX document: one product has some thousand statements, and a
// statement a few dozen products.
const (
	maxVEXStatements = 50_000
	maxVEXProducts   = 250_000 // of all statements together
)

// VEXStatus is what a VEX statement says of a vulnerability in a product.
type VEXStatus string

// The statuses of OpenVEX ("Status Labels").
const (
	VEXNotAffected        VEXStatus = "not_affected"
	VEXAffected           VEXStatus = "affected"
	VEXFixed              VEXStatus = "fixed"
	VEXUnderInvestigation VEXStatus = "under_investigation"
)

// Excuses reports whether a vulnerability with the status need not be counted.
func (s VEXStatus) Excuses() bool { return s == VEXNotAffected || s == VEXFixed }

// VEXStatement is one statement of an OpenVEX document.
type VEXStatement struct {
	// Vulnerabilities are the names that the statement gives to one vulnerability.
	Vulnerabilities []string
	Status          VEXStatus
	// Time is when the signer says to have made it, or the document's own time; zero
	// where neither is stated. It only orders the statements of one document.
	Time     time.Time
	Products []VEXProduct
}

// VEXProduct is a product, or a component of it, that a statement is about. Where
// neither PURLs nor Digests say what it is, it is nothing.
type VEXProduct struct {
	PURLs   []string
	Digests []digest.Digest
	// Components are the parts of the product that the statement is about; none is
	// the whole product.
	Components []VEXProduct
}

// ReadVEX reads the statements of an OpenVEX document (OpenVEX 0.2.0, and the
// older spelling of vulnerabilities and products as texts). The type is
// [TypeOpenVEX], or that with a version behind it. A statement without a
// vulnerability, with another status than the four, or with "not_affected" and
// neither justification nor impact statement makes the document malformed. Errors
// wrap [ErrUnknownType], [ErrContradiction], [ErrMalformed] or [attest.ErrLimit].
func ReadVEX(predicateType string, predicate []byte) ([]VEXStatement, error) {
	if predicateType != TypeOpenVEX && !strings.HasPrefix(predicateType, TypeOpenVEX+"/") {
		return nil, fmt.Errorf("reading a VEX document: %w: %q is not OpenVEX's", ErrUnknownType, wording.Short(predicateType))
	}
	if len(predicate) > attest.MaxStatementBytes {
		return nil, fmt.Errorf("reading a VEX document of %d bytes: %w (%d)", len(predicate), attest.ErrLimit, attest.MaxStatementBytes)
	}
	if err := attest.CheckJSON(predicate); err != nil {
		return nil, fmt.Errorf("reading a VEX document: %w: %w", ErrMalformed, err)
	}
	if err := CheckType(predicateType, predicate); err != nil {
		return nil, fmt.Errorf("reading a VEX document: %w", err)
	}
	reader := &vexReader{}
	if err := reader.read(predicate); err != nil {
		return nil, fmt.Errorf("reading a VEX document: %w", sbomError(err))
	}
	return reader.statements, nil
}

type vexReader struct {
	statements []VEXStatement
	products   int
}

func (r *vexReader) read(predicate []byte) error {
	document, err := strictjson.Object(predicate, maxSBOMFields)
	if err != nil {
		return err
	}
	var timestamp, updated string
	texts(document, map[string]*string{"timestamp": &timestamp, "last_updated": &updated})
	made := moment(timestamp)
	if later := moment(updated); later.After(made) {
		made = later
	}
	if value(document, "statements") == nil {
		return fmt.Errorf("%w: it has no statements", ErrMalformed)
	}
	return items(value(document, "statements"), func(fields []strictjson.Field) error { return r.statement(fields, made) })
}

func (r *vexReader) statement(fields []strictjson.Field, made time.Time) error {
	if len(r.statements) == maxVEXStatements {
		return fmt.Errorf("%w: more than %d statements", attest.ErrLimit, maxVEXStatements)
	}
	s := VEXStatement{Time: made}
	var status, timestamp, updated, justification, impact string
	texts(fields, map[string]*string{
		"status": &status, "timestamp": &timestamp, "last_updated": &updated, "justification": &justification, "impact_statement": &impact,
	})
	if own := moment(timestamp); !own.IsZero() {
		s.Time = own
	}
	if later := moment(updated); later.After(s.Time) {
		s.Time = later
	}
	switch s.Status = VEXStatus(status); s.Status {
	case VEXNotAffected:
		if justification == "" && impact == "" {
			return fmt.Errorf("%w: statement %d says not_affected and not why", ErrMalformed, len(r.statements))
		}
	case VEXAffected, VEXFixed, VEXUnderInvestigation:
	default:
		return fmt.Errorf("%w: the status %q", ErrMalformed, wording.Short(status))
	}
	s.Vulnerabilities = vexVulnerability(value(fields, "vulnerability"))
	if len(s.Vulnerabilities) == 0 {
		return fmt.Errorf("%w: statement %d names no vulnerability", ErrMalformed, len(r.statements))
	}
	var err error
	if s.Products, err = r.list(value(fields, "products"), true); err != nil {
		return err
	}
	// The older form has the components beside the products.
	components, err := r.list(value(fields, "subcomponents"), false)
	if err != nil {
		return err
	}
	for i := range s.Products {
		if len(s.Products[i].Components) == 0 {
			s.Products[i].Components = components
		}
	}
	r.statements = append(r.statements, s)
	return nil
}

// vexVulnerability returns the names of a vulnerability: an object, or a text in
// the older form.
func vexVulnerability(raw []byte) []string {
	if raw == nil {
		return nil
	}
	if name, err := strictjson.Text(raw); err == nil {
		if name == "" {
			return nil
		}
		return []string{name}
	}
	fields, err := strictjson.Object(raw, maxSBOMFields)
	if err != nil {
		return nil
	}
	var name string
	texts(fields, map[string]*string{"name": &name})
	if name == "" {
		return nil
	}
	return append([]string{name}, textList(value(fields, "aliases"))...)
}

// list reads products or components: objects, or texts in the older form.
func (r *vexReader) list(raw []byte, nested bool) ([]VEXProduct, error) {
	if raw == nil {
		return nil, nil
	}
	list, err := strictjson.Array(raw, maxSBOMItems)
	if err != nil {
		return nil, err
	}
	if r.products += len(list); r.products > maxVEXProducts {
		return nil, fmt.Errorf("%w: more than %d products", attest.ErrLimit, maxVEXProducts)
	}
	var all []VEXProduct
	for _, item := range list {
		var p VEXProduct
		if id, err := strictjson.Text(item); err == nil {
			p.name(id)
		} else if err := r.product(item, &p, nested); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (r *vexReader) product(raw []byte, p *VEXProduct, nested bool) error {
	fields, err := strictjson.Object(raw, maxSBOMFields)
	if err != nil {
		return err
	}
	var id, purl string
	texts(fields, map[string]*string{"@id": &id})
	identifiers, err := fieldsOf(value(fields, "identifiers"))
	if err != nil {
		return err
	}
	texts(identifiers, map[string]*string{"purl": &purl})
	p.name(id)
	p.name(purl)
	hashes, err := fieldsOf(value(fields, "hashes"))
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		text, err := strictjson.Text(hash.Value)
		if _, hexErr := hex.DecodeString(text); err == nil && hexErr == nil {
			p.Digests = addDigest(p.Digests, strings.Replace(hash.Key, "sha-", "sha", 1)+":"+text)
		}
	}
	if nested {
		p.Components, err = r.list(value(fields, "subcomponents"), false)
	}
	return err
}

// name keeps an identifier that is a package URL, and the digest of an image's.
func (p *VEXProduct) name(id string) {
	if !strings.HasPrefix(id, "pkg:") {
		p.Digests = addDigest(p.Digests, id)
		return
	}
	for _, known := range p.PURLs {
		if known == id {
			return
		}
	}
	p.PURLs = append(p.PURLs, id)
	p.Digests = purlDigest(p.Digests, id)
}
