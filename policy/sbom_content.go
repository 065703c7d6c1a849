package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// Content is what was found in the layers of one image.
type Content struct {
	// Packages are all packages of the image, as an SBOM that was made from it lists
	// them.
	Packages []predicate.Package
	// Err says why they could not be found out; nil if they were.
	Err error
}

// tolerance is how many packages may differ.
type tolerance struct{ missing, extra int }

// compare says how an SBOM differs from the content. Packages are one if type,
// namespace, name and version of their package URLs are. Of the qualifiers only
// the architecture and the distribution count, and only where both sides state
// them. A package without a package URL is one with any of its name and version.
func (t tolerance) compare(bom predicate.SBOM, content *Content) (verify.Reason, string) {
	switch {
	case content == nil:
		return ReasonContentUnchecked, "the image's content is not looked at here, and the SBOM is compared with it"
	case content.Err != nil:
		return ReasonContentUnchecked, "the image's content could not be looked at: " + content.Err.Error()
	}
	written, real := inventoryOf(bom.Packages), inventoryOf(content.Packages)
	missing, extra := real.without(written), written.without(real)
	detail := fmt.Sprintf("%s in the image", plural(len(real.all), "package"))
	if len(missing) > t.missing {
		detail += fmt.Sprintf("; missing in the SBOM: %s", firstOf(missing))
	}
	if len(extra) > t.extra {
		detail += fmt.Sprintf("; not in the image: %s", firstOf(extra))
	}
	if len(missing) > t.missing || len(extra) > t.extra {
		return ReasonSBOMMismatch, detail
	}
	return "", ""
}

// shownPackages bounds a list in a report.
const shownPackages = 5

// firstOf lists the first of sorted texts and counts the others.
func firstOf(all []string) string {
	if len(all) <= shownPackages {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:shownPackages], ", "), len(all)-shownPackages)
}

// packageKey is what makes two packages one; kind is empty without a package URL.
type packageKey struct{ kind, ns, name, version string }

// item is one package of an inventory.
type item struct {
	packageKey
	bare         packageKey // name and version alone
	arch, distro string
	text         string
}

// inventory is a set of packages.
type inventory struct {
	all   []item
	byKey map[packageKey][]item
	named map[packageKey]bool // all, by name and version alone
	bare  map[packageKey]bool // those without a package URL
}

func inventoryOf(packages []predicate.Package) *inventory {
	type place struct {
		packageKey
		arch, distro string
	}
	seen := make(map[place]bool)
	inv := &inventory{byKey: make(map[packageKey][]item), named: make(map[packageKey]bool), bare: make(map[packageKey]bool)}
	for _, p := range packages {
		if p.Root {
			continue
		}
		one := itemOf(p)
		at := place{one.packageKey, one.arch, one.distro}
		if seen[at] {
			continue // found in two places
		}
		seen[at] = true
		inv.all = append(inv.all, one)
		inv.byKey[one.packageKey] = append(inv.byKey[one.packageKey], one)
		inv.named[one.bare] = true
		if one.kind == "" {
			inv.bare[one.bare] = true
		}
	}
	return inv
}

func itemOf(p predicate.Package) item {
	one := item{bare: packageKey{name: strings.ToLower(p.Name), version: p.Version}, text: list(p.PURL, p.Name, p.Version).String()}
	parsed, err := packageurl.FromString(p.PURL)
	if err != nil {
		one.packageKey = one.bare
		return one
	}
	one.kind, one.ns, one.name = identity(parsed)
	one.version = parsed.Version
	if one.version == "" {
		one.version = p.Version
	}
	qualifiers := parsed.Qualifiers.Map()
	switch one.kind {
	case "rpm": // the epoch stands in the version or beside it
		one.version = strings.TrimPrefix(withEpoch(one.version, qualifiers["epoch"]), "0:")
	case "golang":
		one.version = strings.TrimPrefix(one.version, "v")
	}
	one.arch, one.distro = qualifiers["arch"], qualifiers["distro"]
	return one
}

// without returns what stands in inv and not in other, sorted.
func (inv *inventory) without(other *inventory) []string {
	var all []string
	for _, one := range inv.all {
		if !other.has(one) {
			all = append(all, wording.Short(one.text))
		}
	}
	slices.Sort(all)
	return all
}

func (inv *inventory) has(one item) bool {
	if one.kind == "" {
		return inv.named[one.bare]
	}
	return inv.bare[one.bare] || slices.ContainsFunc(inv.byKey[one.packageKey], func(other item) bool {
		return fits(one.arch, other.arch, "") && fits(one.distro, other.distro, ".")
	})
}

// fits reports whether two qualifiers do not contradict each other: one may be
// missing, or be the beginning of the other, as "debian-12" is of "debian-12.5".
func fits(a, b, separator string) bool {
	if a == "" || b == "" || a == b {
		return true
	}
	return separator != "" && (strings.HasPrefix(a, b+separator) || strings.HasPrefix(b, a+separator))
}

// contentHint says what to do about an SBOM or a scan that is not as wanted; "" for
// any other reason.
func contentHint(reason verify.Reason) string {
	switch reason {
	case ReasonSBOMOtherSubject:
		return "make the SBOM from the image that is deployed, by its digest: `hallmark sbom --attest`"
	case ReasonSBOMIncomplete:
		return "have the SBOM state what it lacks, and attest it again"
	case ReasonSBOMMismatch:
		return "make the SBOM from the image itself with `hallmark sbom --attest`, or state a `tolerance`"
	case ReasonContentUnchecked:
		return "judge the image with `hallmark verify`, which looks into its layers"
	case ReasonVulnerable:
		return "update the packages and scan again, or have a signer under `vex` sign why they do not matter"
	}
	return ""
}
