//go:build !race

package policy

// poolSlack is more under the race detector.
const poolSlack = 0
