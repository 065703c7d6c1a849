package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Other is the label value of everything that is not in a label's list.
const Other = "other"

// Label is the name of a label and all values that it can have.
type Label struct {
	Name   string
	Values []string
}

// Metrics is a set of metrics, in the order in which they were made. Making one is not
// safe for concurrent use and belongs to the start of a program; all else is.
type Metrics struct {
	all []metric
}

// metric writes its own lines.
type metric interface{ write(b *bytes.Buffer) }

// NewMetrics returns an empty set.
func NewMetrics() *Metrics { return &Metrics{} }

// WriteText writes all metrics in Prometheus' text format, version 0.0.4.
func (m *Metrics) WriteText(w io.Writer) error {
	var b bytes.Buffer
	for _, one := range m.all {
		one.write(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// ContentType is that of [Metrics.WriteText].
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// head is what every metric begins with.
type head struct{ name, help, kind string }

func (h head) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", h.name, escapeHelp(h.help), h.name, h.kind)
}

// Counter counts events by labels. Safe for concurrent use.
type Counter struct {
	head
	labels []Label
	index  []map[string]int
	cells  []atomic.Uint64
}

// Counter makes a counter; its name ends in _total. There is one series for each
// combination of the labels' values and [Other].
func (m *Metrics) Counter(name, help string, labels ...Label) *Counter {
	c := &Counter{head: head{name, help, "counter"}}
	size := 1
	for _, l := range labels {
		l.Values = append(slices.Clone(l.Values), Other)
		index := make(map[string]int, len(l.Values))
		for i, v := range l.Values {
			index[v] = i
		}
		c.labels, c.index = append(c.labels, l), append(c.index, index)
		size *= len(l.Values)
	}
	c.cells = make([]atomic.Uint64, size)
	m.all = append(m.all, c)
	return c
}

// Add counts n events with one value for each label, in the order of the labels.
func (c *Counter) Add(n uint64, values ...string) { c.cells[c.cell(values)].Add(n) }

// Value returns a series' count.
func (c *Counter) Value(values ...string) uint64 { return c.cells[c.cell(values)].Load() }

// cell finds a series. A missing value is [Other].
func (c *Counter) cell(values []string) int {
	at := 0
	for i, index := range c.index {
		n := len(index) - 1
		if i < len(values) {
			if known, found := index[values[i]]; found {
				n = known
			}
		}
		at = at*len(index) + n
	}
	return at
}

// write leaves out series that never counted, unless there is only one.
func (c *Counter) write(b *bytes.Buffer) {
	c.head.write(b)
	for i := range c.cells {
		count := c.cells[i].Load()
		if count == 0 && len(c.labels) > 0 {
			continue
		}
		b.WriteString(c.name)
		rest, texts := i, make([]string, len(c.labels))
		for n := len(c.labels) - 1; n >= 0; n-- {
			l := c.labels[n]
			texts[n] = l.Name + `="` + escapeLabel(l.Values[rest%len(l.Values)]) + `"`
			rest /= len(l.Values)
		}
		if len(texts) > 0 {
			b.WriteString("{" + strings.Join(texts, ",") + "}")
		}
		fmt.Fprintf(b, " %d\n", count)
	}
}

// gauge is a number that is asked for when it is written.
type gauge struct {
	head
	labels string
	value  func() float64
}

// Gauge makes a metric whose value is asked for at each scrape; a NaN is left out.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.all = append(m.all, &gauge{head{name, help, "gauge"}, "", value})
}

// CounterFunc is [Metrics.Gauge] for a number that only grows.
func (m *Metrics) CounterFunc(name, help string, value func() float64) {
	m.all = append(m.all, &gauge{head{name, help, "counter"}, "", value})
}

// Info makes a gauge that is 1 and says something in its labels, such as a version.
func (m *Metrics) Info(name, help string, labels ...[2]string) {
	var texts []string
	for _, l := range labels {
		texts = append(texts, l[0]+`="`+escapeLabel(l[1])+`"`)
	}
	m.all = append(m.all, &gauge{head{name, help, "gauge"}, "{" + strings.Join(texts, ",") + "}", func() float64 { return 1 }})
}

func (g *gauge) write(b *bytes.Buffer) {
	value := g.value()
	if math.IsNaN(value) {
		return
	}
	g.head.write(b)
	fmt.Fprintf(b, "%s%s %s\n", g.name, g.labels, number(value))
}

// Histogram counts durations in fixed buckets, by one label. Safe for concurrent use.
type Histogram struct {
	head
	label   Label
	index   map[string]int
	bounds  []time.Duration
	buckets []atomic.Uint64 // by label, then by bound, the last without one
	sums    []atomic.Int64  // nanoseconds, by label
}

// Histogram makes a histogram; its name ends in _seconds, and bounds rise.
func (m *Metrics) Histogram(name, help string, label Label, bounds ...time.Duration) *Histogram {
	label.Values = append(slices.Clone(label.Values), Other)
	h := &Histogram{head: head{name, help, "histogram"}, label: label, index: make(map[string]int), bounds: bounds}
	for i, v := range label.Values {
		h.index[v] = i
	}
	h.buckets = make([]atomic.Uint64, len(label.Values)*(len(bounds)+1))
	h.sums = make([]atomic.Int64, len(label.Values))
	m.all = append(m.all, h)
	return h
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration, value string) {
	n, found := h.index[value]
	if !found {
		n = len(h.label.Values) - 1
	}
	bucket, _ := slices.BinarySearch(h.bounds, d)
	h.buckets[n*(len(h.bounds)+1)+bucket].Add(1)
	h.sums[n].Add(int64(d))
}

func (h *Histogram) write(b *bytes.Buffer) {
	h.head.write(b)
	for n, value := range h.label.Values {
		own := h.buckets[n*(len(h.bounds)+1) : (n+1)*(len(h.bounds)+1)]
		label := h.label.Name + `="` + escapeLabel(value) + `"`
		var lines strings.Builder
		count := uint64(0)
		for i := range own {
			count += own[i].Load()
			bound := "+Inf"
			if i < len(h.bounds) {
				bound = number(h.bounds[i].Seconds())
			}
			fmt.Fprintf(&lines, "%s_bucket{%s,le=\"%s\"} %d\n", h.name, label, bound, count)
		}
		if count == 0 {
			continue
		}
		b.WriteString(lines.String())
		fmt.Fprintf(b, "%s_sum{%s} %s\n%s_count{%s} %d\n", h.name, label, number(time.Duration(h.sums[n].Load()).Seconds()), h.name, label, count)
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func escapeHelp(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(text)
}

func escapeLabel(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(text)
}
