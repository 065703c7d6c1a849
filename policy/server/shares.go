package server

import "sync"

// shares divides something that there is so much of among clients, by address: no
// client can take more than its share, so that one that takes all it can does not lock
// the others out. Safe for concurrent use.
type shares struct {
	total, each int64

	mu    sync.Mutex
	taken int64
	by    map[string]int64
}

// newShares lets each client take one part of so many.
func newShares(total, parts int64) *shares {
	return &shares{total: total, each: max(total/parts, 1), by: make(map[string]int64)}
}

// take takes n for a client, or nothing.
func (s *shares) take(client string, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken+n > s.total || s.by[client]+n > s.each {
		return false
	}
	s.taken += n
	s.by[client] += n
	return true
}

// give gives n back.
func (s *shares) give(client string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= n
	if s.by[client] -= n; s.by[client] <= 0 {
		delete(s.by, client)
	}
}
