package policy

// includeEntry is another file whose roots, signers, groups, rules, exceptions and
// revocations count as if they stood here. It cannot include files of its own, nor
// say what happens to unmatched images.
type includeEntry struct {
	node
	// File is its path, relative to the policy's folder.
	File text `policy:"file,required" example:"shared/signers.yaml"`
	// SHA256 is what the file must hash to, in hexadecimal.
	SHA256 text `policy:"sha256,required" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
}
