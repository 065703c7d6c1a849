package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrOffline: a connection to a host that [Options.Reach] does not allow. It comes
// with [ErrUnreachable]: what is there is not known.
var ErrOffline = errors.New("refused by --offline")

// Reach says where a client may connect to.
type Reach uint8

// The reaches of a client.
const (
	// ReachAnywhere follows registries to their token servers and blob stores.
	ReachAnywhere Reach = iota
	// ReachRegistry allows the hosts of the references that the client is asked
	// about, and no other: no token server, blob store or proxy elsewhere.
	ReachRegistry
	// ReachNothing allows no connection at all.
	ReachNothing
)

// String returns the word of the flag --offline, or "" for anywhere.
func (r Reach) String() string {
	switch r {
	case ReachRegistry:
		return "registry"
	case ReachNothing:
		return "all"
	}
	return ""
}

// Set reads the word of the flag --offline.
func (r *Reach) Set(word string) error {
	switch word {
	case "registry":
		*r = ReachRegistry
	case "all":
		*r = ReachNothing
	default:
		return fmt.Errorf("%q is neither registry nor all", word)
	}
	return nil
}

// Type names the flag's value in a help text.
func (*Reach) Type() string { return "registry|all" }

// Refuse is the error for a connection to a host that this reach forbids. It wraps
// [ErrOffline] and [ErrUnreachable].
func (r Reach) Refuse(host string) error { return &refusedError{host: host, reach: r} }

// refusedError names the host and the flag.
type refusedError struct {
	host  string
	reach Reach
}

// Error implements error.
func (e *refusedError) Error() string {
	if e.reach == ReachNothing {
		return "connection to " + short(e.host) + " " + ErrOffline.Error() + "=all, which allows none"
	}
	return "connection to " + short(e.host) + " " + ErrOffline.Error() + ", which allows the registries of the named images only"
}

// Unwrap returns the two kinds of the error.
func (e *refusedError) Unwrap() []error { return []error{ErrOffline, ErrUnreachable} }

// border keeps one client inside its reach. It is asked twice: for each request,
// with the host of the URL, and for each connection, with the address, so that
// neither a redirect nor a proxy leads out.
type border struct {
	reach Reach
	mu    sync.Mutex
	hosts map[string]bool // hosts as they stand in URLs
}

func newBorder(reach Reach) *border { return &border{reach: reach, hosts: make(map[string]bool)} }

// admit notes the host of a reference that the client is asked about.
func (b *border) admit(host string) {
	if b.reach != ReachRegistry {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hosts[host] = true
}

// request checks the host of a URL.
func (b *border) request(host string) error {
	if b.reach == ReachAnywhere {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reach == ReachRegistry && b.hosts[host] {
		return nil
	}
	return b.reach.Refuse(host)
}

// connection checks the address of a connection, which always has a port.
func (b *border) connection(address string) error {
	if b.reach == ReachAnywhere || b.request(address) == nil {
		return nil
	}
	if host, port, err := net.SplitHostPort(address); err == nil && (port == "443" || port == "80") {
		for _, spelling := range []string{host, "[" + host + "]"} {
			if b.request(spelling) == nil {
				return nil
			}
		}
	}
	return b.reach.Refuse(address)
}

// dial connects inside the border. Names are looked up by a resolver of its own,
// after the check: a refused host costs no DNS query either.
func (b *border) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := b.connection(address); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if b.reach != ReachAnywhere {
		dialer.Resolver = &net.Resolver{}
	}
	return dialer.DialContext(ctx, network, address)
}
