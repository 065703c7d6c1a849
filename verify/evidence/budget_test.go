package evidence

import (
	"context"
	"errors"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// TestPool: RE-01. Searches share the memory for large pieces: who comes later waits for
// room, and what is small waits for nobody.
func TestPool(t *testing.T) {
	t.Parallel()
	pool := NewPool(1 << 20)
	first, second := NewBudget(pool), NewBudget(pool)
	if err := first.take(t.Context(), 900<<10); err != nil {
		t.Fatal(err)
	}
	if err := second.take(t.Context(), 1<<20+1); !errors.Is(err, oci.ErrLimit) {
		t.Errorf("RE-01 more than all: %v", err)
	}
	if err := second.take(t.Context(), smallBytes); err != nil {
		t.Errorf("a small one: %v", err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.take(late, 200<<10); !errors.Is(err, oci.ErrLimit) || !errors.Is(err, context.Canceled) {
		t.Errorf("RE-01 without room or time: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- second.take(t.Context(), 200<<10) }()
	first.Release()
	if err := <-waited; err != nil {
		t.Errorf("after the first gave back: %v", err)
	}
	first.Release() // gives nothing back twice
	second.Release()
	all := NewBudget(pool)
	if err := all.take(t.Context(), 1<<20); err != nil {
		t.Errorf("what was given back is gone: %v", err)
	}
	all.Release()
	own := NewBudget(nil)
	if err := own.take(t.Context(), maxTotalBytes); err != nil {
		t.Error(err)
	}
	if err := own.take(t.Context(), 1); !errors.Is(err, oci.ErrLimit) {
		t.Errorf("more than one image may have: %v", err)
	}
	own.Release()
}
