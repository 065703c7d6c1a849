package kubernetes

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer is a Service: one address, several servers behind it. Each new connection
// goes to the next server that takes it.
type balancer struct {
	address  string
	backends []string
	next     atomic.Int64
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
	for range b.backends {
		n := int(b.next.Add(1)) % len(b.backends)
		server, err := net.DialTimeout("tcp", b.backends[n], time.Second)
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
