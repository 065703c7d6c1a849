package policy

import "testing"

// TestWorse: Deny counts before Undetermined, and that before Allow.
func TestWorse(t *testing.T) {
	t.Parallel()
	order := []Verdict{Allow, Undetermined, Deny}
	for i, v := range order {
		for j, other := range order {
			if got := v.Worse(other); got != (i > j) {
				t.Errorf("%s before %s: %t", v, other, got)
			}
		}
	}
}
