package predicate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// Minimum is what an SBOM says of the minimum elements of the NTIA ("The Minimum
// Elements For a Software Bill of Materials", 2021, "data fields").
type Minimum struct {
	// Authors are the persons, organisations and tools that made the document.
	Authors []string
	// Created is zero where it is not stated or no RFC 3339 time.
	Created time.Time
	// Packages are those that [ReadSBOM] lists, without the root.
	Packages []MinimumPackage
}

// MinimumPackage is what the document says of one package.
type MinimumPackage struct {
	Name, Version string
	// Supplier is empty where it is not stated, or stated to be unknown.
	Supplier string
	// Identified tells that there is a package URL, a CPE or a SWID tag.
	Identified bool
	// Related tells that a relationship names the package.
	Related bool
}

// ReadMinimum reads the minimum elements of an SBOM of the type [TypeSPDX] or
// [TypeCycloneDX]. It refuses what [ReadSBOM] refuses, with the same errors.
func ReadMinimum(predicateType string, predicate []byte) (Minimum, error) {
	bom, err := ReadSBOM(predicateType, predicate)
	if err != nil {
		return Minimum{}, err
	}
	fields, err := strictjson.Object(predicate, maxSBOMFields)
	if err != nil {
		return Minimum{}, fmt.Errorf("reading an SBOM: %w", sbomError(err))
	}
	m := &minimumReader{Minimum: Minimum{Created: bom.Created}, at: make(map[string][]int)}
	switch bom.Format {
	case "spdx":
		err = m.spdx(fields)
	case "cyclonedx":
		err = m.cycloneDX(fields)
	default:
		err = fmt.Errorf("%w: the minimum elements of %q are not known", ErrUnknownType, bom.Format)
	}
	if err != nil {
		return Minimum{}, fmt.Errorf("reading the minimum elements of an SBOM: %w", sbomError(err))
	}
	return m.Minimum, nil
}

// Missing lists the elements that are missing, in the order of the NTIA's
// document, each in one sentence; none for a complete SBOM.
func (m Minimum) Missing() []string {
	var all []string
	each := func(what string, missing func(MinimumPackage) bool) {
		first, n := "", 0
		for _, p := range m.Packages {
			if missing(p) {
				if n == 0 {
					first = p.Name
				}
				n++
			}
		}
		switch {
		case n == 1:
			all = append(all, fmt.Sprintf("the %s of %s", what, wording.Short(first)))
		case n > 1:
			all = append(all, fmt.Sprintf("the %s of %d packages, such as %s", what, n, wording.Short(first)))
		}
	}
	each("supplier", func(p MinimumPackage) bool { return p.Supplier == "" })
	each("version", func(p MinimumPackage) bool { return p.Version == "" })
	each("unique identifier", func(p MinimumPackage) bool { return !p.Identified })
	each("dependency relationship", func(p MinimumPackage) bool { return !p.Related })
	if len(m.Authors) == 0 {
		all = append(all, "the author of the SBOM")
	}
	if m.Created.IsZero() {
		all = append(all, "the time at which the SBOM was made")
	}
	return all
}

// minimumReader collects the elements; at finds the packages of an identifier.
type minimumReader struct {
	Minimum
	at map[string][]int
}

func (m *minimumReader) add(id string, p MinimumPackage) {
	if id != "" {
		m.at[id] = append(m.at[id], len(m.Packages))
	}
	m.Packages = append(m.Packages, p)
}

func (m *minimumReader) relate(id string) {
	for _, i := range m.at[id] {
		m.Packages[i].Related = true
	}
}

// stated leaves away what says that nothing is known (SPDX 2.3, clause 7.5).
func stated(text string) string {
	_, name, kind := strings.Cut(text, ":")
	if !kind {
		name = text
	}
	switch strings.ToUpper(strings.TrimSpace(name)) {
	case "", "NOASSERTION", "NONE", "UNKNOWN":
		return ""
	}
	return text
}

func (m *minimumReader) spdx(document []strictjson.Field) error {
	creation, err := fieldsOf(value(document, "creationInfo"))
	if err != nil {
		return err
	}
	if raw := value(creation, "creators"); raw != nil {
		list, err := strictjson.Array(raw, maxSBOMItems)
		if err != nil {
			return err
		}
		for _, item := range list {
			if author, err := strictjson.Text(item); err == nil && stated(author) != "" {
				m.Authors = append(m.Authors, author)
			}
		}
	}
	described, err := spdxDescribed(document)
	if err != nil {
		return err
	}
	err = items(value(document, "packages"), func(fields []strictjson.Field) error {
		var p MinimumPackage
		var id, supplier, version string
		texts(fields, map[string]*string{"SPDXID": &id, "name": &p.Name, "versionInfo": &version, "supplier": &supplier})
		if len(described) == 1 && described[id] {
			return nil
		}
		p.Supplier, p.Version = stated(supplier), stated(version)
		err := items(value(fields, "externalRefs"), func(ref []strictjson.Field) error {
			var kind, locator string
			texts(ref, map[string]*string{"referenceType": &kind, "referenceLocator": &locator})
			known := []string{"purl", "cpe22Type", "cpe23Type", "swid", "swh", "gitoid"}
			p.Identified = p.Identified || locator != "" && slices.Contains(known, kind)
			return nil
		})
		m.add(id, p)
		return err
	})
	if err != nil {
		return err
	}
	return items(value(document, "relationships"), func(fields []strictjson.Field) error {
		var from, to string
		texts(fields, map[string]*string{"spdxElementId": &from, "relatedSpdxElement": &to})
		if stated(from) != "" && stated(to) != "" && from != to {
			m.relate(from)
			m.relate(to)
		}
		return nil
	})
}

func (m *minimumReader) cycloneDX(document []strictjson.Field) error {
	metadata, err := fieldsOf(value(document, "metadata"))
	if err != nil {
		return err
	}
	if err := m.cycloneDXAuthors(metadata); err != nil {
		return err
	}
	root, err := fieldsOf(value(metadata, "component"))
	if err != nil {
		return err
	}
	var name string
	texts(root, map[string]*string{"name": &name})
	if name != "" { // without a name it is no component
		if err := m.components(value(root, "components"), false); err != nil {
			return err
		}
	}
	if err := m.components(value(document, "components"), false); err != nil {
		return err
	}
	return items(value(document, "dependencies"), func(fields []strictjson.Field) error {
		var ref string
		texts(fields, map[string]*string{"ref": &ref})
		m.relate(ref) // a reference without dependencies says that there are none
		for _, key := range []string{"dependsOn", "provides"} {
			raw := value(fields, key)
			if raw == nil {
				continue
			}
			list, err := strictjson.Array(raw, maxSBOMItems)
			if err != nil {
				return err
			}
			for _, item := range list {
				if id, err := strictjson.Text(item); err == nil && id != ref {
					m.relate(id)
				}
			}
		}
		return nil
	})
}

// cycloneDXAuthors reads who made the document; tools are an object or, in older
// versions, a list.
func (m *minimumReader) cycloneDXAuthors(metadata []strictjson.Field) error {
	name := func(fields []strictjson.Field) error {
		var name, email string
		texts(fields, map[string]*string{"name": &name, "email": &email})
		for _, text := range []string{name, email} {
			if stated(text) != "" {
				m.Authors = append(m.Authors, text)
				break
			}
		}
		return nil
	}
	for _, key := range []string{"manufacturer", "manufacture", "supplier"} {
		fields, err := fieldsOf(value(metadata, key))
		if err != nil {
			return err
		}
		if err := name(fields); err != nil {
			return err
		}
	}
	if err := items(value(metadata, "authors"), name); err != nil {
		return err
	}
	tools := value(metadata, "tools")
	fields, err := strictjson.Object(tools, maxSBOMFields)
	if tools == nil || err != nil {
		return items(tools, name)
	}
	if err := items(value(fields, "components"), name); err != nil {
		return err
	}
	return items(value(fields, "services"), name)
}

// components adds a list of components and those nested in them; what is nested
// is related to what it is nested in.
func (m *minimumReader) components(raw []byte, nested bool) error {
	return items(raw, func(fields []strictjson.Field) error {
		id, p, kind, err := cycloneDXPackage(fields)
		if err != nil {
			return err
		}
		var publisher, cpe string
		texts(fields, map[string]*string{"publisher": &publisher, "cpe": &cpe})
		supplier, err := fieldsOf(value(fields, "supplier"))
		if err != nil {
			return err
		}
		var name string
		texts(supplier, map[string]*string{"name": &name})
		if stated(name) == "" {
			name = publisher
		}
		if isPackage(kind, p) {
			m.add(id, MinimumPackage{
				Name: p.Name, Version: stated(p.Version), Supplier: stated(name),
				Identified: p.PURL != "" || cpe != "" || value(fields, "swid") != nil, Related: nested,
			})
		}
		return m.components(value(fields, "components"), true)
	})
}
