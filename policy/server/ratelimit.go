package server

import (
	"sync"
	"time"
)

// maxClients bounds the table of clients: some megabytes. An IPv6 network has more
// addresses than fit in any table; see [limiter.evict].
const maxClients = 10_000

// limiter lets each client make so many requests a second: a bucket that fills at a
// rate and holds a burst. Safe for concurrent use.
type limiter struct {
	rate  float64
	burst float64

	mu      sync.Mutex
	clients map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(rate float64, burst int) *limiter {
	return &limiter{rate: rate, burst: float64(burst), clients: make(map[string]*bucket)}
}

// allow takes one token of a client. If there is none it says how long until there is.
func (l *limiter) allow(client string, now time.Time) (ok bool, wait time.Duration) {
	if l.rate < 0 {
		return true, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.clients[client]
	if b == nil {
		if len(l.clients) >= maxClients && !l.evict(now) {
			return false, time.Second
		}
		b = &bucket{tokens: l.burst, at: now}
		l.clients[client] = b
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(l.burst, b.tokens+passed.Seconds()*l.rate)
		b.at = now
	}
	if b.tokens < 1 {
		return false, time.Duration((1 - b.tokens) / l.rate * float64(time.Second))
	}
	b.tokens--
	return true, 0
}

// evict removes clients whose bucket is full again, which loses nothing. If there are
// none the table is full of busy clients, and a new one has to wait.
func (l *limiter) evict(now time.Time) bool {
	for name, b := range l.clients {
		if b.tokens+now.Sub(b.at).Seconds()*l.rate >= l.burst {
			delete(l.clients, name)
		}
	}
	return len(l.clients) < maxClients
}
