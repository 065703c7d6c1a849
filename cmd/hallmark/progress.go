package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// progressPause is how often a line of progress is drawn.
const progressPause = 200 * time.Millisecond

// progress draws how much was done on one line of a terminal; elsewhere it is nil
// and nothing is drawn. finish wipes the line away.
func (a *app) progress(what string) (draw func(done, all int64), finish func()) {
	if !cli.Terminal(a.Stderr) {
		return nil, func() {}
	}
	var mu sync.Mutex
	var last time.Time
	drawn := false
	draw = func(done, all int64) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); all > 0 && now.Sub(last) >= progressPause {
			last, drawn = now, true
			fmt.Fprintf(a.Stderr, "\r\x1b[Khallmark: %s: %s of %s", what, bytesText(done), bytesText(all))
		}
	}
	return draw, func() {
		mu.Lock()
		defer mu.Unlock()
		if drawn {
			fmt.Fprint(a.Stderr, "\r\x1b[K")
		}
	}
}
