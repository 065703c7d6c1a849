package oci

import (
	"context"
	"sync"
)

// once runs a step until it has succeeded once. Callers that come while it runs
// wait for it and share its outcome, so that a registry that is down is waited
// for once and not by one image after another. The zero value is ready.
type once struct {
	mu      sync.Mutex
	done    bool
	running *attempt
}

type attempt struct {
	finished  chan struct{}
	err       error
	abandoned bool // the one who ran it left; its failure says nothing
}

func (o *once) do(ctx context.Context, step func() error) error {
	for {
		o.mu.Lock()
		if o.done {
			o.mu.Unlock()
			return nil
		}
		current := o.running
		if current == nil {
			current = &attempt{finished: make(chan struct{})}
			o.running = current
			o.mu.Unlock()
			return o.run(ctx, current, step)
		}
		o.mu.Unlock()
		select {
		case <-current.finished:
		case <-ctx.Done():
			return classify(ctx.Err())
		}
		if current.err != nil && !current.abandoned {
			return current.err
		}
	}
}

func (o *once) run(ctx context.Context, current *attempt, step func() error) error {
	current.abandoned = true // should step panic
	defer func() {
		o.mu.Lock()
		o.running = nil
		o.mu.Unlock()
		close(current.finished)
	}()
	current.err = step()
	current.abandoned = ctx.Err() != nil
	if current.err == nil {
		o.mu.Lock()
		o.done = true
		o.mu.Unlock()
	}
	return current.err
}
