package publish

import (
	"io"
	"sync"
	"sync/atomic"
)

// watchedBuffer is how much of a stream is looked at a time.
const watchedBuffer = 128 << 10

// watched passes a checked stream on to an upload. It counts what passes, keeps
// the source's own error, and holds the last byte back until the source has ended
// well: an upload of wrong content never gets as long as it was announced.
type watched struct {
	from io.Reader
	done *atomic.Int64

	mu         sync.Mutex // the transport may read on while its caller goes on
	buffer     []byte
	start, end int // what is read and not passed on
	ended      bool
	stopped    bool
	failure    error
	counted    int64
}

func newWatched(from io.Reader, done *atomic.Int64) *watched {
	return &watched{from: from, done: done, buffer: make([]byte, watchedBuffer)}
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	for w.failure == nil && !w.stopped && !w.ended && w.end-w.start < 2 {
		w.fill()
	}
	switch {
	case w.failure != nil:
		return 0, w.failure
	case w.stopped:
		return 0, io.ErrClosedPipe
	}
	ready := w.buffer[w.start:w.end]
	if !w.ended {
		ready = ready[:len(ready)-1]
	} else if len(ready) == 0 {
		return 0, io.EOF
	}
	n := copy(b, ready)
	w.start += n
	return n, nil
}

// fill reads once from the source.
func (w *watched) fill() {
	w.end = copy(w.buffer, w.buffer[w.start:w.end])
	w.start = 0
	n, err := w.from.Read(w.buffer[w.end:])
	w.end += n
	w.counted += int64(n)
	w.done.Add(int64(n))
	if err == io.EOF {
		w.ended = true
	} else if err != nil {
		w.failure = err
	}
}

// stop ends the stream and returns the source's error.
func (w *watched) stop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	return w.failure
}

// forget takes back what a failed upload has counted.
func (w *watched) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done.Add(-w.counted)
	w.counted = 0
}
