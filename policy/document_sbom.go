package policy

// sbomEntry demands one SBOM that meets every field.
type sbomEntry struct {
	node
	// From names the signers whose SBOM counts.
	From []text `policy:"from,required" example:"release"`
	// Format lists the accepted formats: `spdx`, `cyclonedx`.
	Format []text `policy:"format" default:"spdx, cyclonedx" oneof:"spdx,cyclonedx" example:"spdx"`
	// Which says how several are combined: `any`: one that meets the demand is
	// enough; `all`: each must; `latest`: the one with the latest trusted time must.
	Which text `policy:"which" default:"any" oneof:"any,all,latest" example:"latest"`
	// MaxAge is how long ago it may have been signed, by its trusted time.
	MaxAge span `policy:"maxAge" default:"any age" example:"90d"`
	// Complete demands the minimum elements of the NTIA: supplier, version, unique
	// identifier and a relationship of each package, author and time of the SBOM.
	Complete text `policy:"complete" default:"not asked" oneof:"ntia" example:"ntia"`
	// MinPackages is how many packages it must list.
	MinPackages number `policy:"minPackages" default:"1" example:"40"`
	// MatchesContent demands that it lists the packages that are in the image: they
	// are found again in the image's layers, and compared; see SBOMs.
	MatchesContent consent `policy:"matchesContent" default:"not asked" example:"true"`
	// Tolerance is how many packages may differ with `matchesContent`.
	Tolerance *toleranceEntry `policy:"tolerance"`
	// Deny lists what the SBOM must not contain.
	Deny *denyEntry `policy:"deny"`
}

// toleranceEntry is how far an SBOM may differ from the image's content.
type toleranceEntry struct {
	node
	// Missing is how many packages of the image the SBOM may leave out.
	Missing count `policy:"missing" default:"0" example:"2"`
	// Extra is how many packages the SBOM may list that the image has not.
	Extra count `policy:"extra" default:"0" example:"2"`
}

// denyEntry lists what an SBOM must not contain: packages, licenses, or both.
type denyEntry struct {
	node
	// Packages are package URLs: with `@version`, with a range such as `@<2.17.1` or
	// `@>=2.0,<2.17.1`, or without either, which means every version. A package
	// whose version is missing, or cannot be compared, counts as denied.
	Packages []text `policy:"packages" default:"none" example:"pkg:maven/org.apache.logging.log4j/log4j-core@<2.17.1"`
	// Licenses are identifiers of the SPDX license list, or `name:` and a text that
	// stands in the SBOM in place of one. A package is denied if each way to meet its
	// license expression takes one of them; see Licenses.
	Licenses []text `policy:"licenses" default:"none" example:"AGPL-3.0-only"`
}
