package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// lookout runs looks that end when the test says so.
type lookout struct {
	t     *testing.T
	cache *Cache
	begun chan context.Context
	end   chan outcome
	looks atomic.Int32
}

func newLookout(t *testing.T) *lookout {
	l := &lookout{t: t, cache: NewCache(CacheOptions{}), begun: make(chan context.Context, 100), end: make(chan outcome)}
	t.Cleanup(l.cache.Close)
	return l
}

func (l *lookout) look(ctx context.Context, s *step) outcome {
	l.looks.Add(1)
	s.set("looking")
	l.begun <- ctx
	select {
	case o := <-l.end:
		if o.message == "panic" {
			panic("a fault of the test")
		}
		return o
	case <-ctx.Done():
		return outcome{failure: ctx.Err()}
	}
}

// ask joins in the background.
func (l *lookout) ask(ctx context.Context, key string, timeout time.Duration) <-chan outcome {
	answer := make(chan outcome, 1)
	before := l.cache.Stats()
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				answer <- outcome{failure: fmt.Errorf("%v", fault), message: "panic"}
			}
		}()
		answer <- l.cache.join(ctx, flightKey{decisionKey: decisionKey{name: key}}, terms{timeout, time.Now}, l.look)
	}()
	for { // until it waits
		if s := l.cache.Stats(); s.Misses+s.Joined > before.Misses+before.Joined {
			return answer
		}
		time.Sleep(100 * time.Microsecond)
	}
}

var allowed = outcome{decision: policy.Decision{Verdict: policy.Allow}}

func TestCallersJoin(t *testing.T) {
	t.Parallel()
	t.Run("one look for all", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		var answers []<-chan outcome
		for range 20 {
			answers = append(answers, l.ask(t.Context(), "a", 0))
		}
		l.end <- allowed
		for _, answer := range answers {
			if o := <-answer; o.decision.Verdict != policy.Allow {
				t.Errorf("%+v", o)
			}
		}
		if s := l.cache.Stats(); l.looks.Load() != 1 || s.Joined != 19 || s.Misses != 1 || s.Running != 0 {
			t.Errorf("%d looks, %+v", l.looks.Load(), s)
		}
	})
	t.Run("two questions, two looks", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		a, b := l.ask(t.Context(), "a", 0), l.ask(t.Context(), "b", 0)
		l.end <- allowed
		l.end <- allowed
		<-a
		<-b
		if l.looks.Load() != 2 {
			t.Errorf("%d looks", l.looks.Load())
		}
	})
	t.Run("the first leaves, and nobody else does", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		ctx, cancel := context.WithCancel(t.Context())
		first := l.ask(ctx, "a", 0)
		second := l.ask(t.Context(), "a", 0)
		cancel()
		var late *lateError
		if o := <-first; !errors.As(o.failure, &late) || late.step != "looking" || !errors.Is(o.failure, context.Canceled) {
			t.Errorf("the first got %+v", o)
		}
		l.end <- allowed
		if o := <-second; o.decision.Verdict != policy.Allow || l.looks.Load() != 1 {
			t.Errorf("the second got %+v after %d looks", o, l.looks.Load())
		}
	})
	t.Run("the last leaves, and the look ends", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := l.ask(ctx, "a", 0), l.ask(ctx, "a", 0)
		own := <-l.begun
		cancel()
		<-first
		<-second
		<-own.Done()
		third := l.ask(t.Context(), "a", 0) // is not given what ended
		l.end <- allowed
		if o := <-third; o.decision.Verdict != policy.Allow {
			t.Errorf("%+v", o)
		}
	})
	t.Run("a look with a time of its own goes on, and is found", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		ctx, cancel := context.WithCancel(t.Context())
		first := l.ask(ctx, "a", time.Hour)
		own := <-l.begun
		cancel()
		<-first
		if own.Err() != nil {
			t.Fatal("it ended")
		}
		second := l.ask(t.Context(), "a", time.Hour)
		l.end <- allowed
		if o := <-second; o.decision.Verdict != policy.Allow || l.looks.Load() != 1 || l.cache.adrift != 0 {
			t.Errorf("%+v after %d looks, %d adrift", o, l.looks.Load(), l.cache.adrift)
		}
	})
	t.Run("RE-13 so many and no more go on", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		ctx, cancel := context.WithCancel(t.Context())
		var answers []<-chan outcome
		for i := range maxAdrift + 10 {
			answers = append(answers, l.ask(ctx, fmt.Sprintf("r%d.example/app", i), time.Hour))
		}
		cancel()
		for _, answer := range answers {
			<-answer
		}
		if s := l.cache.Stats(); s.Running != maxAdrift || l.cache.adrift != maxAdrift {
			t.Errorf("RE-13 %d go on, %d adrift", s.Running, l.cache.adrift)
		}
		for range maxAdrift {
			l.end <- allowed
		}
		l.cache.Close()
		if s := l.cache.Stats(); s.Running != 0 || l.cache.adrift != 0 || len(l.cache.adriftAt) != 0 {
			t.Errorf("RE-13 at the end %d go on, %d adrift", s.Running, l.cache.adrift)
		}
	})
	t.Run("RE-13 fewer at one registry", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		ctx, cancel := context.WithCancel(t.Context())
		var answers []<-chan outcome
		for i := range maxAdriftHost + 5 {
			answers = append(answers, l.ask(ctx, fmt.Sprintf("r.example/app%d", i), time.Hour))
		}
		answers = append(answers, l.ask(ctx, "other.example/app", time.Hour))
		cancel()
		for _, answer := range answers {
			<-answer
		}
		if s := l.cache.Stats(); s.Running != maxAdriftHost+1 || l.cache.adriftAt["r.example"] != maxAdriftHost || l.cache.adriftAt["other.example"] != 1 {
			t.Errorf("RE-13 %d go on, %v", s.Running, l.cache.adriftAt)
		}
	})
	t.Run("the time of the first is up, and that of the second is not", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		first := l.ask(ctx, "a", 0)
		second := l.ask(t.Context(), "a", 0)
		<-l.begun
		if o := <-first; !errors.Is(o.failure, context.DeadlineExceeded) {
			t.Errorf("the first got %+v", o)
		}
		own := <-l.begun // looked again
		if _, has := own.Deadline(); has {
			t.Error("the second look has the time of the first")
		}
		l.end <- allowed
		if o := <-second; o.decision.Verdict != policy.Allow {
			t.Errorf("the second got %+v", o)
		}
	})
	t.Run("a fault is a fault for all", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		first, second := l.ask(t.Context(), "a", 0), l.ask(t.Context(), "a", 0)
		l.end <- outcome{message: "panic"}
		for _, answer := range []<-chan outcome{first, second} {
			if o := <-answer; o.message != "panic" || o.decision.Verdict != policy.Undetermined {
				t.Errorf("%+v", o)
			}
		}
		third := l.ask(t.Context(), "a", 0)
		l.end <- allowed
		if o := <-third; o.decision.Verdict != policy.Allow {
			t.Errorf("the fault was kept: %+v", o)
		}
	})
	t.Run("the end", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		answer := l.ask(t.Context(), "a", time.Hour)
		<-l.begun
		l.cache.Close()
		if o := <-answer; !errors.Is(o.failure, context.Canceled) || o.decision.Verdict != policy.Undetermined {
			t.Errorf("%+v", o)
		}
		if o := l.cache.join(t.Context(), flightKey{}, terms{0, time.Now}, l.look); o.failure == nil || l.looks.Load() != 1 {
			t.Errorf("after the end: %+v", o)
		}
	})
	t.Run("who waits together writes apart", func(t *testing.T) {
		t.Parallel()
		l := newLookout(t)
		first, second := l.ask(t.Context(), "a", 0), l.ask(t.Context(), "a", 0)
		l.end <- outcome{decision: policy.Decision{Verdict: policy.Deny, Warnings: []string{"x"}}}
		a, b := <-first, <-second
		a.decision.Warnings[0] = "y"
		if b.decision.Warnings[0] != "x" {
			t.Error("they share memory")
		}
	})
}

// TestFlightKeys: what must not be answered together is not.
func TestFlightKeys(t *testing.T) {
	t.Parallel()
	a, b := oci.NewClient(oci.Options{}), oci.NewClient(oci.Options{})
	base := flightKey{decisionKey: decisionKey{name: "n", roots: "r"}, source: a}
	for name, change := range map[string]func(*flightKey){
		"another source, and so other credentials": func(k *flightKey) { k.source = b },
		"another tag":      func(k *flightKey) { k.tag = "t" },
		"another name":     func(k *flightKey) { k.name = "m" },
		"another platform": func(k *flightKey) { k.platform = "linux/arm64" },
		"other roots":      func(k *flightKey) { k.roots = "s" },
	} {
		other := base
		change(&other)
		if other == base {
			t.Error(name)
		}
	}
}

// TestLRU: the one that was not used for longest goes, and a large one goes nowhere.
func TestLRU(t *testing.T) {
	t.Parallel()
	l := newLRU[int, string](3, 160)
	for i := range 3 {
		l.put(i, fmt.Sprint(i), 10)
	}
	l.get(0)
	l.put(3, "3", 10)
	if l.get(1) != nil || l.get(0) == nil || l.get(2) == nil || l.get(3) == nil || l.len() != 3 || l.used != 30 {
		t.Errorf("%d entries, %d bytes", l.len(), l.used)
	}
	l.put(0, "large", 11)
	if l.get(0) != nil || l.used != 20 {
		t.Errorf("a large one is kept, or the one before it: %d bytes", l.used)
	}
	l.put(2, "again", 5)
	if got := l.get(2); got == nil || *got != "again" || l.used != 15 || l.len() != 2 {
		t.Errorf("%v, %d bytes", got, l.used)
	}
	l.clear()
	if l.len() != 0 || l.used != 0 || l.get(2) != nil {
		t.Error("it is not empty")
	}
	few := newLRU[int, int](100, 160)
	for i := range 100 {
		few.put(i, i, 10)
	}
	if few.len() != 16 || few.used != 160 {
		t.Errorf("%d entries, %d bytes", few.len(), few.used)
	}
}

// TestConcurrentCache: many callers, few questions, some that leave.
func TestConcurrentCache(t *testing.T) {
	t.Parallel()
	cache := NewCache(CacheOptions{Entries: 4, DenyAge: -1})
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			for n := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if n%7 == i%7 {
					cancel()
				}
				name := fmt.Sprint(n % 8)
				wanted := policy.Allow
				if n%2 == 0 {
					wanted = policy.Deny
				}
				o := cache.join(ctx, flightKey{decisionKey: decisionKey{name: name}}, terms{time.Duration(n%3) * time.Hour, time.Now}, func(_ context.Context, s *step) outcome {
					o := outcome{decision: policy.Decision{Verdict: wanted}, at: time.Now()}
					cache.keep(flightKey{decisionKey: decisionKey{name: name}}, o, time.Now)
					return o
				})
				cancel()
				if o.failure == nil && o.decision.Verdict != wanted {
					t.Errorf("%s got %s", name, o.decision.Verdict)
				}
			}
		})
	}
	group.Wait()
	cache.Close()
	if s := cache.Stats(); s.Running != 0 || s.Entries > 4 || cache.adrift != 0 {
		t.Errorf("%+v, %d adrift", s, cache.adrift)
	}
}
