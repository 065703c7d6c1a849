package kubernetes

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReplicas: three servers behind one address, one of them killed and one ended under
// load. Nothing is wrongly allowed, what is asked of a dead server fails closed, and the
// others go on.
//
// It runs alone, as TestLoad does: they take all there is of the machine.
func TestReplicas(t *testing.T) {
	i := newImages(t)
	good, bad := i.signed("team/app", "1"), i.unsigned("team/bad", "1")
	first := prepare(t, i.policy(), settings{})
	replicas := []*verifier{first}
	for range 2 {
		// The same certificate, as the replicas of one Deployment have it.
		v := prepare(t, i.policy(), settings{})
		v.authority, v.client = first.authority, first.client
		v.authority.write(t, v.path("tls"))
		replicas = append(replicas, v)
	}
	var addresses []string
	for _, v := range replicas {
		v.start(settings{})
		addresses = append(addresses, v.address)
	}
	service := newBalancer(t, addresses...)
	namespace := namespace(t, "replicas")
	register(t, service.address, first.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")

	var allows, denials, failures, wrong atomic.Int64
	var lastFailure atomic.Value
	var load sync.WaitGroup
	end := make(chan struct{})
	for worker := range 8 {
		image := good.Ref()
		if worker%2 == 1 {
			image = bad.TagRef()
		}
		load.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				_, err := pods.try(pod("app", image))
				switch {
				case err == nil && worker%2 == 0:
					allows.Add(1)
				case err == nil:
					wrong.Add(1)
				case strings.Contains(err.Error(), "denied the request") && worker%2 == 1:
					denials.Add(1)
				default:
					failures.Add(1)
					lastFailure.Store(err.Error())
				}
			}
		})
	}
	progress := func(what string) {
		t.Helper()
		a, d := allows.Load(), denials.Load()
		first.eventually(what, func() bool { return allows.Load() > a+50 && denials.Load() > d+50 })
	}
	progress("three replicas answer")
	atStart := failures.Load()
	replicas[1].kill()
	progress("two replicas answer, one was killed")
	progress("they go on") // what failed with the dead one is behind us
	killed := failures.Load()
	service.remove(replicas[2].address)
	replicas[2].stop()
	progress("one replica answers")
	stopped := failures.Load()
	replicas[1].start(settings{})
	progress("one is back")
	close(end)
	load.Wait()

	t.Logf("%d allowed, %d denied; failed closed: %d before, %d by the kill, %d by the stop, %d after",
		allows.Load(), denials.Load(), atStart, killed-atStart, stopped-killed, failures.Load()-stopped)
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d unsigned images were allowed", n)
	}
	if atStart > 0 {
		t.Errorf("%d requests failed before anything was wrong: %v", atStart, lastFailure.Load())
	}
	// A connection that dies with its server fails what is on it, no more: each of the
	// eight workers once, with as many to spare. One that is asked to end drains first;
	// what is left is a request on a connection that is closed in that very moment.
	if n := killed - atStart; n > 16 {
		t.Errorf("%d requests failed by the kill, the last: %v", n, lastFailure.Load())
	}
	if n := failures.Load() - killed; n > 2 {
		t.Errorf("%d requests failed by the stop or after, the last: %v", n, lastFailure.Load())
	}
}

// TestLoad asks with many Pods at a time, signed and not, of one server that is cold: each
// answer is the right one (AD-25).
func TestLoad(t *testing.T) {
	i := newImages(t)
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "load")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	images := make(map[string]bool)
	for _, name := range []string{"a", "b", "c", "d"} {
		images[i.signed("team/"+name, "1").TagRef()] = true
		images[i.unsigned("bad/"+name, "1").TagRef()] = false
	}
	began := time.Now()
	var all sync.WaitGroup
	for range 25 {
		for image, signed := range images {
			all.Go(func() {
				_, err := pods.try(pod("app", image))
				if (err == nil) != signed {
					t.Errorf("AD-25 %s: %v", image, err)
				}
			})
		}
	}
	all.Wait()
	t.Logf("200 Pods at once in %v", time.Since(began).Round(time.Millisecond))
}
