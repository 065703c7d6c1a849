package server

import (
	"fmt"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hallmark-project/hallmark/policy/report"
)

// bounded is a listener that holds at most so many connections at a time. More of them
// wait in the system's queue.
type bounded struct {
	net.Listener
	slots chan struct{}
	open  *atomic.Int64
	done  chan struct{}
	once  sync.Once
}

// listen takes an address.
func listen(address string, open *atomic.Int64) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("taking the address %s: %w", address, err)
	}
	return &bounded{Listener: l, slots: make(chan struct{}, maxConnections), open: open, done: make(chan struct{})}, nil
}

// Accept waits for a slot and then for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.done:
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	b.open.Add(1)
	return &counted{Conn: conn, release: sync.OnceFunc(func() { b.open.Add(-1); <-b.slots })}, nil
}

// Close stops accepting.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Listener.Close()
}

// counted gives its slot back when it is closed.
type counted struct {
	net.Conn
	release func()
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// budget is a number of bytes that may be held at a time. Safe for concurrent use.
type budget struct{ left atomic.Int64 }

// take takes n bytes, or none.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }

// quiet passes what net/http says about broken connections on as debug messages: any
// client can cause them.
func quiet(to *slog.Logger) *log.Logger { return log.New(debugWriter{to}, "", 0) }

type debugWriter struct{ to *slog.Logger }

// Write implements io.Writer.
func (w debugWriter) Write(line []byte) (int, error) {
	w.to.Debug("a connection failed", "error", report.Plain(strings.TrimSpace(string(line))))
	return len(line), nil
}
