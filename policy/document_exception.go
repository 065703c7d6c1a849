package policy

// exceptionEntry lets one image, by digest, go without some demands of a rule, for a
// time.
type exceptionEntry struct {
	node
	// Image is the image's name and digest. It has no wildcard: another image needs an
	// exception of its own.
	Image text `policy:"image,required" example:"registry.acme.example/prod/old@sha256:9f86…"`
	// Rule names the rule that governs the image.
	Rule text `policy:"rule,required" example:"production"`
	// Skip lists the demands that need not be met, as reports name them.
	Skip []text `policy:"skip,required" example:"provenance"`
	// Reason stands in reports.
	Reason text `policy:"reason,required" example:"built before provenance"`
	// Owner is who answers for it.
	Owner text `policy:"owner,required" example:"security@acme.example"`
	// Ticket is where it was decided.
	Ticket text `policy:"ticket,required" example:"SEC-12"`
	// Expires is from when on there is no exception. Reports say so for thirty days
	// before.
	Expires moment `policy:"expires,required" example:"2026-12-31"`
}
