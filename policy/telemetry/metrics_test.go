package telemetry_test

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy/telemetry"
)

func textOf(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	var b strings.Builder
	if err := m.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	c := m.Counter("a_total", "Things,\nwith \\ two lines.", telemetry.Label{Name: "kind", Values: []string{"x", `q"\` + "\n"}}, telemetry.Label{Name: "code", Values: []string{"200"}})
	plain := m.Counter("b_total", "Plain.")
	m.Gauge("c", "Now.", func() float64 { return 1.5 })
	m.Gauge("d", "Not there.", math.NaN)
	m.Info("e_info", "Which.", [2]string{"version", "v1"})
	h := m.Histogram("f_seconds", "Time.", telemetry.Label{Name: "kind", Values: []string{"x"}}, time.Millisecond, time.Second)
	c.Add(2, "x", "200")
	c.Add(1, `q"\`+"\n", "404")
	c.Add(1)
	plain.Add(3)
	h.Observe(time.Millisecond, "x")
	h.Observe(2*time.Millisecond, "x")
	h.Observe(2*time.Second, "x")
	want := `# HELP a_total Things,\nwith \\ two lines.
# TYPE a_total counter
a_total{kind="x",code="200"} 2
a_total{kind="q\"\\\n",code="other"} 1
a_total{kind="other",code="other"} 1
# HELP b_total Plain.
# TYPE b_total counter
b_total 3
# HELP c Now.
# TYPE c gauge
c 1.5
# HELP e_info Which.
# TYPE e_info gauge
e_info{version="v1"} 1
# HELP f_seconds Time.
# TYPE f_seconds histogram
f_seconds_bucket{kind="x",le="0.001"} 1
f_seconds_bucket{kind="x",le="1"} 2
f_seconds_bucket{kind="x",le="+Inf"} 3
f_seconds_sum{kind="x"} 2.003
f_seconds_count{kind="x"} 3
`
	if got := textOf(t, m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestFixed, RE-07: values that nobody listed make no series.
func TestFixed(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	c := m.Counter("a_total", "Things.", telemetry.Label{Name: "kind", Values: []string{"x"}})
	h := m.Histogram("b_seconds", "Time.", telemetry.Label{Name: "kind", Values: []string{"x"}}, time.Second)
	for i := range 100_000 {
		c.Add(1, fmt.Sprint(i))
		h.Observe(time.Second, fmt.Sprint(i))
	}
	if got := textOf(t, m); strings.Count(got, "\n") != 9 || c.Value(telemetry.Other) != 100_000 || c.Value("anything") != 100_000 {
		t.Errorf("RE-07:\n%s", got)
	}
}

func TestParallel(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	c := m.Counter("a_total", "Things.", telemetry.Label{Name: "kind", Values: []string{"x", "y"}})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 1000 {
				c.Add(1, "y")
				textOf(t, m)
			}
		})
	}
	wait.Wait()
	if n := c.Value("y"); n != 8000 {
		t.Errorf("%d", n)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.Process(time.Unix(1000, 0))
	got := textOf(t, m)
	for _, want := range []string{`process_start_time_seconds 1000\n`, `go_goroutines [1-9]`} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
