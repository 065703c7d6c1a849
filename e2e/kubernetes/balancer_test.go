package kubernetes

import (
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer is a Service: one address, several servers behind it. Each new connection
// goes to the next server that takes it; a connection that stands stays where it is.
type balancer struct {
	address string
	next    atomic.Int64

	mu       sync.Mutex
	backends []string
}

// remove takes a server out, as Kubernetes does with one that is about to end.
func (b *balancer) remove(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.DeleteFunc(slices.Clone(b.backends), func(one string) bool { return one == backend })
}

func (b *balancer) servers() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.backends
}

func newBalancer(t testing.TB, backends ...string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{address: listener.Addr().String(), backends: backends}
	var open sync.Map
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(client, true)
			running.Go(func() {
				defer open.Delete(client)
				b.pass(client)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Range(func(client, _ any) bool {
			client.(net.Conn).Close()
			return true
		})
		running.Wait()
	})
	return b
}

// pass copies both ways until either side has ended.
func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	backends := b.servers()
	for range backends {
		n := int(b.next.Add(1)) % len(backends)
		server, err := net.DialTimeout("tcp", backends[n], time.Second)
		if err != nil {
			continue
		}
		defer server.Close()
		done := make(chan struct{})
		go func() {
			io.Copy(server, client)
			server.Close()
			close(done)
		}()
		io.Copy(client, server)
		client.Close()
		<-done
		return
	}
}
