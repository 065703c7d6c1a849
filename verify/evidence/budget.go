package evidence

import "sync"

// Budget bounds the bytes of evidence that the searches about one image fetch
// together, so that an index of many platforms costs no more memory than one
// image. Safe for concurrent use.
type Budget struct {
	mu   sync.Mutex
	left int64
}

// NewBudget returns a full budget.
func NewBudget() *Budget { return &Budget{left: maxTotalBytes} }

// take takes n bytes, or nothing when fewer are left.
func (b *Budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}
