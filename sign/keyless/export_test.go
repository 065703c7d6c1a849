package keyless

import "time"

// Hurry makes the pauses between attempts as short as tests need them.
func (s *Source) Hurry() { s.firstWait = time.Millisecond }
