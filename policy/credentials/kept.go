package credentials

import (
	"context"
	"errors"
	"sync"
	"time"
)

// kept remembers answers for a short time, and asks once where several want the same.
// Errors are not kept.
type kept[T any] struct {
	now   func() time.Time
	fresh time.Duration

	mu      sync.Mutex
	answers map[string]*answer[T]
}

// errUnanswered stands until there is an answer.
var errUnanswered = errors.New("the question was given up")

// answer is one question's, complete when done is closed.
type answer[T any] struct {
	done  chan struct{}
	value T
	err   error
	until time.Time
}

func newKept[T any](now func() time.Time, fresh time.Duration) *kept[T] {
	return &kept[T]{now: now, fresh: fresh, answers: make(map[string]*answer[T])}
}

// get returns what is kept under a key, or asks. One who waits for another's question
// and sees it fail asks for itself: that one's deadline may just have been shorter.
func (k *kept[T]) get(ctx context.Context, key string, ask func(context.Context) (T, error)) (T, error) {
	k.mu.Lock()
	known, found := k.answers[key]
	if found {
		select {
		case <-known.done:
			if known.err == nil && k.now().Before(known.until) {
				k.mu.Unlock()
				return known.value, nil
			}
			found = false
		default:
		}
	}
	if found {
		k.mu.Unlock()
		select {
		case <-known.done:
			if known.err == nil {
				return known.value, nil
			}
			return ask(ctx)
		case <-ctx.Done():
			var zero T
			return zero, ctx.Err()
		}
	}
	if len(k.answers) >= maxKept {
		clear(k.answers)
	}
	mine := &answer[T]{done: make(chan struct{}), err: errUnanswered}
	k.answers[key] = mine
	k.mu.Unlock()
	defer close(mine.done)
	mine.value, mine.err = ask(ctx)
	mine.until = k.now().Add(k.fresh)
	return mine.value, mine.err
}
