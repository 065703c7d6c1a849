package load_test

import (
	"os"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// connections is how many an API server would keep busy.
const connections = 16

// questions are Pods of three images: mostly allowed, and now and then one that must be
// denied.
func (p *place) questions() []question {
	var all []question
	for i := range 20 {
		n := len(p.signed)
		all = append(all, question{review(p.signed[i%n], p.signed[(i+1)%n], p.signed[(i+2)%n]), true})
	}
	all[7] = question{review(p.signed[0], p.unsigned, p.signed[1]), false}
	return all
}

// TestLoad prints what a server does with cached decisions, and checks that every answer
// is right and nothing is left behind. It asserts no times.
func TestLoad(t *testing.T) {
	p := newPlace(t, 30)
	s := p.start(t, program(t))
	t.Logf("ready after %s; idle: %.1f MiB, %.0f files, %.0f goroutines", s.ready.Round(time.Millisecond), s.state().resident, s.state().files, s.state().goroutines)
	soak(t, p, s, 3*time.Second)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.said())
	}
}

// TestSoak is the long run: HALLMARK_SOAK says how long.
func TestSoak(t *testing.T) {
	during := time.Second
	if text := os.Getenv("HALLMARK_SOAK"); text != "" {
		var err error
		if during, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	p := newPlace(t, 30)
	s := p.start(t, program(t))
	soak(t, p, s, during)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.said())
	}
}

// TestFailing, RE-09: registries that do not answer, or with errors, leave nothing behind
// either, and nothing is allowed.
func TestFailing(t *testing.T) {
	p := newPlace(t, 3)
	p.registry.Inject(registrytest.Match{}, registrytest.Status(503))
	s := p.start(t, program(t))
	before := settled(s)
	questions := []question{
		{review("127.0.0.1:1/team/app:1", "127.0.0.1:2/team/app:1"), false},
		{review(p.signed[0], p.signed[1], p.signed[2]), false},
		{review("registry.invalid/team/app:1"), false},
		{review("no reference"), false},
	}
	load := put(s.address, p.client(), connections, 5*time.Second, questions)
	check(t, load)
	after := settled(s)
	t.Logf("%s; before %.1f MiB, %.0f files, %.0f goroutines; after %.1f MiB, %.0f files, %.0f goroutines",
		load, before.resident, before.files, before.goroutines, after.resident, after.files, after.goroutines)
	// Connections to the registry that stands are kept for a minute: two goroutines each.
	if after.files > before.files+16 || after.goroutines > before.goroutines+2*16+2 {
		t.Errorf("RE-09: before %+v, after %+v", before, after)
	}
}

// soak warms up, puts the server under load, and compares what it holds before and
// after.
func soak(t *testing.T, p *place, s *server, during time.Duration) {
	t.Helper()
	questions := p.questions()
	t.Logf("a review has %d bytes", len(questions[0].request))
	warm := put(s.address, p.client(), connections, time.Second, questions)
	check(t, warm)
	before := settled(s)
	load := put(s.address, p.client(), connections, during, questions)
	under := s.state()
	check(t, load)
	after := settled(s)
	each := (under.cpu - before.cpu) / time.Duration(max(len(load.times), 1))
	t.Logf("%s; %s of CPU each", load, each)
	t.Logf("before: %.1f MiB, %.0f files, %.0f goroutines", before.resident, before.files, before.goroutines)
	t.Logf("under load: %.1f MiB, %.0f files, %.0f goroutines", under.resident, under.files, under.goroutines)
	t.Logf("after: %.1f MiB, %.0f files, %.0f goroutines", after.resident, after.files, after.goroutines)
	t.Logf("lines of the decision log that were lost: %.0f", s.metric("hallmark_decision_log_lost_total"))
	if len(load.failed) > 0 {
		t.Errorf("%d connections broke: %v", len(load.failed), load.failed[0])
	}
	if after.files > before.files+2 || after.goroutines > before.goroutines+4 {
		t.Errorf("RE-09: before %+v, after %+v", before, after)
	}
	if max(under.resident, after.resident) > 120 {
		t.Errorf("RE-09: %.0f MiB under load, %.0f after it", under.resident, after.resident)
	}
}

// check reports wrong answers.
func check(t *testing.T, o *outcome) {
	t.Helper()
	for i, err := range o.wrong {
		if i < 3 {
			t.Errorf("a wrong answer: %v", err)
		}
	}
	if len(o.times) == 0 {
		t.Errorf("no answer at all: %v", o.failed)
	}
}

// settled waits until connections are closed and what ended is gone.
func settled(s *server) state {
	now := s.state()
	for range 100 {
		time.Sleep(50 * time.Millisecond)
		next := s.state()
		if next.files == now.files && next.goroutines == now.goroutines && s.metric("hallmark_connections") <= 1 {
			return next
		}
		now = next
	}
	return now
}
