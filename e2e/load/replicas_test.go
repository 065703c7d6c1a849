package load_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer passes connections on to replicas in turn, and to the next one where a
// replica takes none: what a Service does, and a little more slowly.
type balancer struct {
	listener net.Listener
	next     atomic.Uint64
	wait     sync.WaitGroup

	mu       sync.Mutex
	replicas []string
}

func balance(t *testing.T, replicas ...string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, replicas: replicas}
	b.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.wait.Go(func() { b.pass(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); b.wait.Wait() })
	return b
}

func (b *balancer) pass(from net.Conn) {
	defer from.Close()
	b.mu.Lock()
	replicas := b.replicas
	b.mu.Unlock()
	first := b.next.Add(1)
	for i := range replicas {
		to, err := net.Dial("tcp", replicas[(int(first)+i)%len(replicas)])
		if err != nil {
			continue
		}
		var wait sync.WaitGroup
		wait.Go(func() { io.Copy(to, from); to.Close() })   //nolint:errcheck // one side has gone
		wait.Go(func() { io.Copy(from, to); from.Close() }) //nolint:errcheck // one side has gone
		wait.Wait()
		return
	}
}

// TestReplicas: three servers share nothing but the registry. One is killed under load:
// the requests that it had break, all others are answered, and nothing is wrong.
func TestReplicas(t *testing.T) {
	p := newPlace(t, 30)
	path := program(t)
	var servers []*server
	var addresses []string
	for range 3 {
		s := p.start(t, path)
		servers, addresses = append(servers, s), append(addresses, s.address)
	}
	b := balance(t, addresses...)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(time.Second)
		servers[1].command.Process.Kill() //nolint:errcheck // seen below
		<-servers[1].ended
	}()
	load := put(b.listener.Addr().String(), p.client(), connections, 3*time.Second, p.questions())
	<-killed
	check(t, load)
	t.Logf("one of three replicas killed: %s", load)
	// Each connection holds one request; those of the killed replica break, and one that
	// was being made may.
	if len(load.failed) > 2*connections {
		t.Errorf("%d connections broke: %v", len(load.failed), load.failed[:3])
	}
	last := put(b.listener.Addr().String(), p.client(), connections, 500*time.Millisecond, p.questions())
	check(t, last)
	if len(last.failed) > 0 {
		t.Errorf("after the kill: %v", last.failed[0])
	}
	for _, s := range []*server{servers[0], servers[2]} {
		if code := s.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, s.said())
		}
	}
}
