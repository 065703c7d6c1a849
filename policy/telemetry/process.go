package telemetry

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"
)

// Process adds what is true of every process: memory, files, goroutines and when it
// started. What the system does not tell is left out.
func (m *Metrics) Process(started time.Time) {
	m.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.", func() float64 {
		return ResidentBytes()
	})
	m.Gauge("process_open_fds", "Number of open file descriptors.", func() float64 { return OpenFiles() })
	m.Gauge("process_start_time_seconds", "Start time of the process since the Unix epoch in seconds.", func() float64 {
		return float64(started.UnixMilli()) / 1000
	})
	m.Gauge("go_goroutines", "Number of goroutines.", func() float64 { return float64(runtime.NumGoroutine()) })
}

// ResidentBytes is the resident memory of this process; NaN where it cannot be told.
func ResidentBytes() float64 {
	// proc(5): the second field of statm is the number of resident pages.
	raw, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(raw)
	if err != nil || len(fields) < 2 {
		return math.NaN()
	}
	pages, err := strconv.ParseFloat(string(fields[1]), 64)
	if err != nil {
		return math.NaN()
	}
	return pages * float64(os.Getpagesize())
}

// OpenFiles is the number of this process' open files; NaN where it cannot be told.
func OpenFiles() float64 {
	folder, err := os.Open("/proc/self/fd")
	if err != nil {
		return math.NaN()
	}
	defer folder.Close() //nolint:errcheck // it was only read
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return math.NaN()
	}
	return float64(len(names) - 1) // without the folder itself
}
