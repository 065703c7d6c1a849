package predicate

import (
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// readSPDX reads an SPDX 2 document (SPDX 2.3, clauses 6, 7 and 11, JSON form).
func readSPDX(document []strictjson.Field) (SBOM, error) {
	bom := SBOM{Format: "spdx"}
	var version string
	texts(document, map[string]*string{"spdxVersion": &version})
	var isTwo bool
	if bom.SpecVersion, isTwo = strings.CutPrefix(version, "SPDX-"); !isTwo || !strings.HasPrefix(bom.SpecVersion, "2.") {
		return SBOM{}, fmt.Errorf("%w: spdxVersion is %q, and only version 2 is read", ErrMalformed, wording.Short(version))
	}
	creation, err := fieldsOf(value(document, "creationInfo"))
	if err != nil {
		return SBOM{}, err
	}
	var created string
	texts(creation, map[string]*string{"created": &created})
	bom.Created = moment(created)
	described, err := spdxDescribed(document)
	if err != nil {
		return SBOM{}, err
	}
	reader := &sbomReader{}
	err = items(value(document, "packages"), func(fields []strictjson.Field) error {
		var p Package
		var id, concluded, declared string
		texts(fields, map[string]*string{
			"SPDXID": &id, "name": &p.Name, "versionInfo": &p.Version,
			"licenseConcluded": &concluded, "licenseDeclared": &declared,
		})
		if id == "" {
			return fmt.Errorf("%w: package %q has no SPDXID", ErrMalformed, wording.Short(p.Name))
		}
		for _, license := range []string{concluded, declared} {
			if license != "" && license != "NOASSERTION" && license != "NONE" && (len(p.Licenses) == 0 || p.Licenses[0] != license) {
				p.Licenses = append(p.Licenses, license)
			}
		}
		err := items(value(fields, "externalRefs"), func(ref []strictjson.Field) error {
			var kind, locator string
			texts(ref, map[string]*string{"referenceType": &kind, "referenceLocator": &locator})
			if kind == "purl" && p.PURL == "" {
				p.PURL = locator
			}
			return nil
		})
		if err != nil {
			return err
		}
		// A document that describes many packages has no root: they are its content.
		if p.Root = len(described) == 1 && described[id]; p.Root {
			if bom.Subjects, err = spdxSubjects(fields, p.PURL); err != nil {
				return err
			}
		}
		return reader.add(id, p)
	})
	bom.Packages = reader.packages
	return bom, err
}

// spdxDescribed returns the identifiers of what the document describes: by a
// relationship or by the older field (SPDX 2.3, clause 11.1 and its JSON schema).
func spdxDescribed(document []strictjson.Field) (map[string]bool, error) {
	described := make(map[string]bool)
	if raw := value(document, "documentDescribes"); raw != nil {
		list, err := strictjson.Array(raw, maxSBOMItems)
		if err != nil {
			return nil, err
		}
		for _, item := range list {
			id, err := strictjson.Text(item)
			if err != nil {
				return nil, err
			}
			described[id] = true
		}
	}
	err := items(value(document, "relationships"), func(fields []strictjson.Field) error {
		var from, kind, to string
		texts(fields, map[string]*string{"spdxElementId": &from, "relationshipType": &kind, "relatedSpdxElement": &to})
		switch {
		case from == "SPDXRef-DOCUMENT" && kind == "DESCRIBES":
			described[to] = true
		case to == "SPDXRef-DOCUMENT" && kind == "DESCRIBED_BY":
			described[from] = true
		}
		return nil
	})
	return described, err
}

// spdxSubjects returns the root package's checksums and its OCI digest.
func spdxSubjects(fields []strictjson.Field, purl string) ([]digest.Digest, error) {
	all := purlDigest(nil, purl)
	err := items(value(fields, "checksums"), func(sum []strictjson.Field) error {
		var algorithm, hex string
		texts(sum, map[string]*string{"algorithm": &algorithm, "checksumValue": &hex})
		all = addDigest(all, strings.ToLower(algorithm)+":"+hex)
		return nil
	})
	return all, err
}

// purlDigest appends the digest of an OCI package URL (purl-spec, type oci).
func purlDigest(all []digest.Digest, purl string) []digest.Digest {
	rest, isOCI := strings.CutPrefix(purl, "pkg:oci/")
	if !isOCI {
		return all
	}
	rest, _, _ = strings.Cut(rest, "?")
	_, version, _ := strings.Cut(rest, "@")
	return addDigest(all, strings.Replace(strings.ReplaceAll(version, "%3A", ":"), "%3a", ":", 1))
}

// readCycloneDX reads a CycloneDX 1 document (CycloneDX 1.6, JSON).
func readCycloneDX(document []strictjson.Field) (SBOM, error) {
	bom := SBOM{Format: "cyclonedx"}
	texts(document, map[string]*string{"specVersion": &bom.SpecVersion})
	if !strings.HasPrefix(bom.SpecVersion, "1.") {
		return SBOM{}, fmt.Errorf("%w: specVersion is %q, and only version 1 is read", ErrMalformed, wording.Short(bom.SpecVersion))
	}
	metadata, err := fieldsOf(value(document, "metadata"))
	if err != nil {
		return SBOM{}, err
	}
	var timestamp string
	texts(metadata, map[string]*string{"timestamp": &timestamp})
	bom.Created = moment(timestamp)
	reader := &sbomReader{}
	root, err := fieldsOf(value(metadata, "component"))
	if err != nil {
		return SBOM{}, err
	}
	if root != nil {
		if bom.Subjects, err = reader.root(root); err != nil {
			return SBOM{}, err
		}
	}
	err = reader.components(value(document, "components"))
	bom.Packages = reader.packages
	return bom, err
}

// root adds the component that the document is about, if it has a name.
func (r *sbomReader) root(fields []strictjson.Field) ([]digest.Digest, error) {
	_, p, _, err := cycloneDXPackage(fields)
	if err != nil {
		return nil, err
	}
	all := addDigest(purlDigest(nil, p.PURL), p.Version)
	err = items(value(fields, "hashes"), func(sum []strictjson.Field) error {
		var algorithm, hex string
		texts(sum, map[string]*string{"alg": &algorithm, "content": &hex})
		all = addDigest(all, strings.ToLower(strings.Replace(algorithm, "-", "", 1))+":"+hex)
		return nil
	})
	if err != nil || p.Name == "" {
		return all, err
	}
	p.Root = true
	// The root may be listed among the components again, so its identifier is free.
	if err := r.add("", p); err != nil {
		return nil, err
	}
	return all, r.components(value(fields, "components"))
}

// components adds a list of components and those nested in them. The depth of
// any JSON document is bounded by [attest.CheckJSON].
func (r *sbomReader) components(raw []byte) error {
	return items(raw, func(fields []strictjson.Field) error {
		id, p, kind, err := cycloneDXPackage(fields)
		if err != nil {
			return err
		}
		if isPackage(kind, p) {
			if err := r.add(id, p); err != nil {
				return err
			}
		}
		return r.components(value(fields, "components"))
	})
}

// isPackage reports whether a component is a package: files and operating systems are
// none, unless a package URL says otherwise.
func isPackage(kind string, p Package) bool {
	return kind != "file" && kind != "operating-system" || p.PURL != ""
}

func cycloneDXPackage(fields []strictjson.Field) (id string, p Package, kind string, err error) {
	var group string
	texts(fields, map[string]*string{
		"bom-ref": &id, "type": &kind, "group": &group, "name": &p.Name, "version": &p.Version, "purl": &p.PURL,
	})
	if group != "" && p.Name != "" {
		p.Name = group + "/" + p.Name
	}
	err = items(value(fields, "licenses"), func(choice []strictjson.Field) error {
		var expression, identifier, name string
		texts(choice, map[string]*string{"expression": &expression})
		license, err := fieldsOf(value(choice, "license"))
		if err != nil {
			return err
		}
		texts(license, map[string]*string{"id": &identifier, "name": &name})
		for _, text := range []string{expression, identifier, name} {
			if text != "" {
				p.Licenses = append(p.Licenses, text)
				break
			}
		}
		return nil
	})
	return id, p, kind, err
}

// readSyft reads syft's own JSON.
func readSyft(document []strictjson.Field) (SBOM, error) {
	bom := SBOM{Format: "syft"}
	schema, err := fieldsOf(value(document, "schema"))
	if err != nil {
		return SBOM{}, err
	}
	texts(schema, map[string]*string{"version": &bom.SpecVersion})
	if bom.SpecVersion == "" || value(document, "artifacts") == nil {
		return SBOM{}, fmt.Errorf("%w: it has no schema version or no artifacts", ErrMalformed)
	}
	source, err := fieldsOf(value(document, "source"))
	if err != nil {
		return SBOM{}, err
	}
	metadata, err := fieldsOf(value(source, "metadata"))
	if err != nil {
		return SBOM{}, err
	}
	var manifest string
	texts(metadata, map[string]*string{"manifestDigest": &manifest})
	bom.Subjects = addDigest(nil, manifest)
	reader := &sbomReader{}
	err = items(value(document, "artifacts"), func(fields []strictjson.Field) error {
		var p Package
		var id string
		texts(fields, map[string]*string{"id": &id, "name": &p.Name, "version": &p.Version, "type": &p.Type, "purl": &p.PURL})
		if p.Licenses, err = syftLicenses(value(fields, "licenses")); err != nil {
			return err
		}
		return reader.add(id, p)
	})
	bom.Packages = reader.packages
	return bom, err
}

// syftLicenses reads both shapes that syft's schema had: texts and objects.
func syftLicenses(raw []byte) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	list, err := strictjson.Array(raw, maxSBOMFields)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, item := range list {
		text, err := strictjson.Text(item)
		if err != nil {
			fields, err := strictjson.Object(item, maxSBOMFields)
			if err != nil {
				return nil, err
			}
			var expression string
			texts(fields, map[string]*string{"value": &text, "spdxExpression": &expression})
			if expression != "" {
				text = expression
			}
		}
		if text != "" {
			all = append(all, text)
		}
	}
	return all, nil
}
