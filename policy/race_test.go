//go:build race

package policy

// poolSlack: the race detector drops a part of what is given to a sync.Pool, at random.
const poolSlack = 80
