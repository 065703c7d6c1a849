package policy

// vulnerabilitiesEntry demands a scan that found nothing worse than the rule
// accepts, but for what a signed VEX document excuses; see Vulnerabilities.
type vulnerabilitiesEntry struct {
	node
	// From names the signers whose scan counts.
	From []text `policy:"from,required" example:"scanner"`
	// MaxSeverity is the worst severity that is accepted. An unknown severity counts
	// as worse than all.
	MaxSeverity text `policy:"maxSeverity,required" oneof:"none,low,medium,high" example:"medium"`
	// Which says how several scans are combined: `latest`: the one with the latest
	// trusted time must meet the demand; `all`: each must; `any`: one is enough, so
	// that an old scan may hide what a newer one has found.
	Which text `policy:"which" default:"latest" oneof:"any,all,latest" example:"latest"`
	// MaxAge is how long ago it may have been signed, by its trusted time.
	MaxAge span `policy:"maxAge" default:"any age" example:"24h"`
	// VEX names the signers whose OpenVEX documents may say that a vulnerability does
	// not matter here. Without it there is no excuse.
	VEX []text `policy:"vex" default:"none" example:"release"`
}
