package evidence

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// Limits of a pool.
const (
	// smallBytes is what is not counted: the evidence of an image in honest use, but for
	// SBOMs and scans, is smaller.
	smallBytes = 64 << 10
	// poolWait bounds the wait for others: two that each hold what the other waits for
	// both end.
	poolWait = 10 * time.Second
)

// Pool bounds the bytes of large evidence that all searches of a process hold at a time.
// A webhook has little memory, and whoever may push to a registry can attach much to many
// images. Safe for concurrent use.
type Pool struct {
	bytes int64
	free  *semaphore.Weighted
}

// NewPool returns a pool of so many bytes. A piece that is larger is not looked at.
func NewPool(bytes int64) *Pool { return &Pool{bytes, semaphore.NewWeighted(bytes)} }

// Budget bounds the bytes of evidence that the searches about one image fetch
// together, so that an index of many platforms costs no more memory than one
// image. Safe for concurrent use.
type Budget struct {
	pool *Pool
	mu   sync.Mutex
	left int64
	held int64 // of the pool
}

// NewBudget returns a full budget, which also takes what is large from a pool; nil is
// none. With one, call [Budget.Release] at the end.
func NewBudget(pool *Pool) *Budget { return &Budget{pool: pool, left: maxTotalBytes} }

// Release gives back what was taken from the pool.
func (b *Budget) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held > 0 {
		b.pool.free.Release(b.held)
		b.held = 0
	}
}

// take takes n bytes, or nothing when fewer are left. It waits for those that others
// hold.
func (b *Budget) take(ctx context.Context, n int64) error {
	b.mu.Lock()
	if n > b.left {
		b.mu.Unlock()
		return fmt.Errorf("%w: more than %d bytes of evidence about one image", oci.ErrLimit, maxTotalBytes)
	}
	b.left -= n
	b.mu.Unlock()
	if b.pool == nil || n <= smallBytes {
		return nil
	}
	if n > b.pool.bytes {
		return fmt.Errorf("%w: %d bytes, at most %d are held at a time", oci.ErrLimit, n, b.pool.bytes)
	}
	ctx, cancel := context.WithTimeout(ctx, poolWait)
	defer cancel()
	if err := b.pool.free.Acquire(ctx, n); err != nil {
		return fmt.Errorf("%w: waiting until other images' evidence leaves room for %d bytes: %w", oci.ErrLimit, n, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += n
	return nil
}
