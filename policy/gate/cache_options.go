package gate

import "time"

// What a cache does where its options say nothing.
const (
	DefaultEntries = 4096             // the images of a large cluster
	DefaultBytes   = 32 << 20         // 8 kB a decision, which usually has 2
	DefaultMaxAge  = time.Hour        // how long new evidence against an image may be overlooked
	DefaultDenyAge = 10 * time.Second // a Pod that is refused is tried again at once, and then ever less often
	DefaultHeld    = 32 << 20         // a large SBOM; reading it takes several times as much
)

// CacheOptions bound what is kept, and for how long. The zero value takes the
// defaults, and resolves each tag each time.
type CacheOptions struct {
	// Entries and Bytes bound the decisions that are kept; zero is [DefaultEntries] and
	// [DefaultBytes]. The one that nobody asked for for longest goes first. Denials have a
	// quarter as much of their own.
	Entries int
	Bytes   int64
	// MaxAge bounds how long an image stays allowed without another look. What ends by
	// itself ends when it does; this bounds what nobody can foresee: an attestation that
	// was taken away, or a later one that says something worse. Zero is
	// [DefaultMaxAge]; a negative one keeps each decision until its own end.
	MaxAge time.Duration
	// DenyAge is how long a denial is kept, so that a signature that is attached after
	// it counts soon, and how long a decision is that was made although some place could
	// not be looked at. Zero is [DefaultDenyAge]; a negative one keeps none.
	DenyAge time.Duration
	// TagFreshness is how long a tag is taken to name what it named last; zero
	// resolves it each time. While it lasts, an image that moved is judged, and admitted,
	// by the digest that it had.
	TagFreshness time.Duration
	// HeldBytes bounds the evidence of more than 64 kB a piece that all looks together
	// hold at a time: a look waits for others, and a piece that is larger than all makes an
	// image Undetermined. A summary saves the looks at large pieces. Zero is [DefaultHeld].
	HeldBytes int64
}
