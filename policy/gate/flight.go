package gate

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hallmark-project/hallmark/policy"
)

// Limits on the looks that go on although nobody waits for them any more.
const (
	maxAdrift     = 64
	maxAdriftHost = 8 // at one registry, half of the connections that a client makes to it
)

// flightKey names a look that several callers can share: the same question to the same
// source, with the same tag beside the digest, which a warning may be about.
type flightKey struct {
	decisionKey
	source Source
	tag    string
}

// flight is one look that runs for all who wait for its outcome.
type flight struct {
	done    chan struct{} // closed at its end; the next three are written before
	result  outcome
	fault   any  // it panicked
	expired bool // its own time was up, which says nothing of those who have more
	step    step

	deadline time.Time // zero is none
	cancel   context.CancelFunc
	waiting  int  // guarded by the cache's lock, as the next two are
	lingers  bool // it goes on for its own time after the last waiter left
	adrift   bool
}

// step is what is being done, for those who stop waiting.
type step struct{ text atomic.Pointer[string] }

func (s *step) set(text string) {
	if s != nil {
		s.text.Store(&text)
	}
}

func (s *step) String() string {
	if text := s.text.Load(); text != nil {
		return *text
	}
	return "beginning"
}

// terms say how long a look may take.
type terms struct {
	// timeout is the time of one look. It then goes on without those who leave, so that
	// who comes back finds its outcome. Zero: as long as the one who began it has, and
	// somebody waits.
	timeout time.Duration
	clock   func() time.Time
}

// join answers from the cache, or with others who ask the same, or by a look of its
// own. run gets a context that is not ended by any one caller's leaving; it must end
// soon when that context does. Each caller leaves when his own context ends, with an
// outcome that says what was waited for. A panic of run is raised in each.
func (c *Cache) join(ctx context.Context, key flightKey, t terms, run func(context.Context, *step) outcome) outcome {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return outcome{failure: &lateError{step: "the program ends", cause: context.Canceled}}
		}
		if found, ok := c.find(key, t.clock); ok {
			c.mu.Unlock()
			return found.clone()
		}
		f := c.flights[key]
		if f == nil {
			c.stats.Misses++
			f = c.begin(ctx, key, t, run)
		} else {
			c.stats.Joined++
		}
		f.waiting++
		c.drift(key, f, false)
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			if c.leave(key, f) {
				return outcome{failure: &lateError{step: f.step.String(), cause: context.Cause(ctx)}}
			}
		}
		if f.fault != nil {
			panic(f.fault)
		}
		if !f.expired {
			return f.result.clone()
		}
		if ctx.Err() != nil {
			return outcome{failure: &lateError{step: f.step.String(), cause: context.Cause(ctx)}}
		}
		if deadline, has := ctx.Deadline(); has && !f.deadline.IsZero() && !deadline.After(f.deadline) {
			return outcome{failure: &lateError{step: f.step.String(), cause: context.DeadlineExceeded}}
		}
	}
}

// begin starts a look; the lock is held.
func (c *Cache) begin(ctx context.Context, key flightKey, t terms, run func(context.Context, *step) outcome) *flight {
	f := &flight{done: make(chan struct{}), lingers: t.timeout > 0}
	own := context.WithoutCancel(ctx)
	if deadline, has := ctx.Deadline(); t.timeout > 0 {
		own, f.cancel = context.WithTimeout(own, t.timeout)
	} else if has {
		own, f.cancel = context.WithDeadline(own, deadline)
	} else {
		own, f.cancel = context.WithCancel(own)
	}
	f.deadline, _ = own.Deadline()
	c.flights[key] = f
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		defer f.cancel()
		defer func() {
			f.fault = recover()
			f.expired = own.Err() != nil && (f.result.failure != nil || f.result.decision.Verdict == policy.Undetermined)
			c.land(key, f)
		}()
		f.result = run(own, &f.step)
	}()
	return f
}

// land ends a flight.
func (c *Cache) land(key flightKey, f *flight) {
	c.mu.Lock()
	if c.flights[key] == f {
		delete(c.flights, key)
	}
	c.drift(key, f, false)
	close(f.done)
	c.mu.Unlock()
}

// leave takes one waiter off; false says that there is an outcome after all. The last
// one to leave ends the look, unless it has a time of its own, and there are not too
// many of those.
func (c *Cache) leave(key flightKey, f *flight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-f.done:
		return false
	default:
	}
	f.waiting--
	if f.waiting > 0 || c.flights[key] != f {
		return true
	}
	if f.lingers && c.adrift < maxAdrift && c.adriftAt[hostOf(key.name)] < maxAdriftHost {
		c.drift(key, f, true)
		return true
	}
	delete(c.flights, key) // who comes now must not wait for something that ends
	f.cancel()
	return true
}

// drift notes whether nobody waits for a look; the lock is held.
func (c *Cache) drift(key flightKey, f *flight, adrift bool) {
	if f.adrift == adrift {
		return
	}
	f.adrift = adrift
	host, n := hostOf(key.name), 1
	if !adrift {
		n = -1
	}
	c.adrift += n
	if c.adriftAt[host] += n; c.adriftAt[host] == 0 {
		delete(c.adriftAt, host)
	}
}

// hostOf returns the registry of a canonical name.
func hostOf(name string) string {
	host, _, _ := strings.Cut(name, "/")
	return host
}

// Close ends all looks and returns when they have ended. Callers who wait, and those
// who come later, get an answer: that it could not be checked.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	for _, f := range c.flights {
		f.cancel()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// lateError says that a caller's time was up, and what was being done.
type lateError struct {
	step  string
	cause error
}

// Error implements error.
func (e *lateError) Error() string { return fmt.Sprintf("time is up while %s: %v", e.step, e.cause) }

// Unwrap returns why the caller's time was up.
func (e *lateError) Unwrap() error { return e.cause }
