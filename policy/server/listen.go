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

// bounded is a listener that holds at most so many connections at a time, and of one
// address at most a part of them. More of all wait in the system's queue; more of one
// address are closed.
type bounded struct {
	net.Listener
	slots  chan struct{}
	shares *shares
	open   *atomic.Int64
	done   chan struct{}
	once   sync.Once
}

// listen takes an address.
func listen(address string, open *atomic.Int64) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("taking the address %s: %w", address, err)
	}
	return &bounded{
		Listener: l, slots: make(chan struct{}, maxConnections), shares: newShares(maxConnections, connectionParts), open: open, done: make(chan struct{}),
	}, nil
}

// Accept waits for a slot and then for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.done:
		return nil, net.ErrClosed
	}
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			<-b.slots
			return nil, err
		}
		client := clientOf(conn.RemoteAddr().String())
		if !b.shares.take(client, 1) {
			conn.Close() //nolint:errcheck // nothing was said
			continue
		}
		b.open.Add(1)
		return &counted{Conn: conn, release: sync.OnceFunc(func() {
			b.open.Add(-1)
			b.shares.give(client, 1)
			<-b.slots
		})}, nil
	}
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

// clientOf names the client behind an address and port. Of an IPv6 address it is the
// network of one customer (64 bits), since all of its addresses are in one hand.
func clientOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	host, _, _ = strings.Cut(host, "%")
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil && !ip.IsLoopback() {
		return ip.Mask(net.CIDRMask(64, 128)).String() + "/64"
	}
	return host
}

// quiet passes what net/http says about broken connections on as debug messages: any
// client can cause them.
func quiet(to *slog.Logger) *log.Logger { return log.New(debugWriter{to}, "", 0) }

type debugWriter struct{ to *slog.Logger }

// Write implements io.Writer.
func (w debugWriter) Write(line []byte) (int, error) {
	w.to.Debug("a connection failed", "error", report.Plain(strings.TrimSpace(string(line))))
	return len(line), nil
}
