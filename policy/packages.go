package policy

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// deniedPackage is one entry of deny.packages.
type deniedPackage struct {
	text            string
	kind, ns, name  string
	exact           string  // one version; "" for a range or every version
	bounds          []bound // all must hold; empty without a range
	compareVersions comparer
}

type bound struct {
	operator, version string
}

var (
	operatorText = regexp.MustCompile(`^(<=|>=|<|>|=)\s*([^<>=,\s]+)$`)
	dashes       = regexp.MustCompile(`[-_.]+`)
)

// parseDenied reads a package URL (purl-spec) with an optional version or range
// behind "@". Qualifiers and subpaths are refused: an SBOM may leave them away.
func parseDenied(s string) (deniedPackage, error) {
	base, version := s, ""
	if at := strings.LastIndexByte(s, '@'); at > strings.LastIndexByte(s, '/') {
		base, version = s[:at], s[at+1:]
		if version == "" {
			return deniedPackage{}, errors.New("nothing stands behind the last @")
		}
	}
	if strings.ContainsAny(s, "?#*") {
		return deniedPackage{}, errors.New("qualifiers, subpaths and wildcards are not understood here")
	}
	parsed, err := packageurl.FromString(base)
	if err != nil {
		return deniedPackage{}, fmt.Errorf("not a package URL: %w", err)
	}
	d := deniedPackage{text: s, compareVersions: comparerOf(parsed.Type)}
	d.kind, d.ns, d.name = identity(parsed)
	if !strings.ContainsAny(version, "<>=,") {
		if d.exact, err = url.PathUnescape(version); err != nil {
			return deniedPackage{}, fmt.Errorf("the version %q: %w", version, err)
		}
		return d, nil
	}
	if d.compareVersions == nil {
		return deniedPackage{}, fmt.Errorf("versions of the type %q cannot be put in order; list them one by one", parsed.Type)
	}
	for _, part := range strings.Split(version, ",") {
		m := operatorText.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return deniedPackage{}, fmt.Errorf("the range %q: write <, <=, >, >= or = and a version, with commas between", version)
		}
		if _, ok := d.compareVersions(m[2], m[2]); !ok {
			return deniedPackage{}, fmt.Errorf("the range %q: %q is no version of the type %q", version, m[2], parsed.Type)
		}
		d.bounds = append(d.bounds, bound{m[1], m[2]})
	}
	return d, nil
}

// identity returns the parts that name a package, in the form in which they are
// compared. PyPI takes runs of "-", "_" and "." for one (PEP 503).
func identity(p packageurl.PackageURL) (kind, ns, name string) {
	if p.Type == "pypi" {
		return p.Type, p.Namespace, dashes.ReplaceAllString(strings.ToLower(p.Name), "-")
	}
	switch p.Type {
	case "nuget", "npm", "hex":
		return p.Type, strings.ToLower(p.Namespace), strings.ToLower(p.Name)
	case "cargo": // crates.io takes no second crate that differs in these
		return p.Type, p.Namespace, strings.ReplaceAll(strings.ToLower(p.Name), "_", "-")
	}
	return p.Type, p.Namespace, p.Name
}

// listed is one package as an SBOM lists it, its package URL read once.
type listed struct {
	purl, name, version string
	kind, ns, ownName   string // of the package URL; empty where it cannot be read
}

func list(purl, name, version string) listed {
	l := listed{purl: purl, name: name, version: version}
	if parsed, err := packageurl.FromString(purl); err == nil {
		l.kind, l.ns, l.ownName = identity(parsed)
		if parsed.Version != "" {
			l.version = parsed.Version
		}
		if l.kind == "rpm" {
			l.version = withEpoch(l.version, parsed.Qualifiers.Map()["epoch"])
		}
	}
	return l
}

// withEpoch returns the version of an RPM with its epoch, which package URLs state
// beside it.
func withEpoch(version, epoch string) string {
	if epoch != "" && version != "" && !strings.Contains(version, ":") {
		return epoch + ":" + version
	}
	return version
}

func (l listed) String() string {
	if l.purl != "" {
		return wording.Short(l.purl)
	}
	return wording.Short(l.name + "@" + l.version)
}

// denies reports whether a listed package is the denied one. What cannot be
// ruled out counts: a missing version, one that cannot be compared, and a
// package without a readable package URL that bears the name.
func (d deniedPackage) denies(p listed) bool {
	if p.kind == "" {
		return d.bears(p.name) && d.takes(p.version)
	}
	return p.kind == d.kind && p.ns == d.ns && p.ownName == d.name && d.takes(p.version)
}

// bears reports whether a bare name is one of the ways to write the package's.
func (d deniedPackage) bears(name string) bool {
	name = strings.ToLower(name)
	bare := strings.ToLower(d.name)
	if name == bare || (d.kind == "pypi" || d.kind == "cargo") && dashes.ReplaceAllString(name, "-") == bare {
		return true
	}
	ns := strings.ToLower(d.ns)
	return ns != "" && (name == ns+"/"+bare || name == ns+":"+bare || name == ns+"."+bare)
}

// comparable leaves the epoch of an RPM away where the entry states none, as package
// URLs do not in their version.
func (d deniedPackage) comparable(version, entry string) string {
	if d.kind == "rpm" && !strings.Contains(entry, ":") {
		if _, rest, found := strings.Cut(version, ":"); found {
			return rest
		}
	}
	return version
}

func (d deniedPackage) takes(version string) bool {
	switch {
	case version == "" || d.exact == "" && len(d.bounds) == 0:
		return true
	case d.exact != "":
		if version = d.comparable(version, d.exact); version == d.exact {
			return true
		}
		if d.compareVersions == nil {
			return false
		}
		order, ok := d.compareVersions(version, d.exact)
		return ok && order == 0
	}
	for _, b := range d.bounds {
		order, ok := d.compareVersions(d.comparable(version, b.version), b.version)
		if !ok {
			return true
		}
		holds := false
		switch b.operator {
		case "<":
			holds = order < 0
		case "<=":
			holds = order <= 0
		case ">":
			holds = order > 0
		case ">=":
			holds = order >= 0
		case "=":
			holds = order == 0
		}
		if !holds {
			return false
		}
	}
	return true
}
