package registrytest

import (
	"io"
	"net/http"
)

// countingBody counts the request body's bytes.
type countingBody struct {
	io.ReadCloser
	n int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

// countingWriter notes status and body bytes as they are written, so that a
// test can look while an endless answer still runs.
type countingWriter struct {
	http.ResponseWriter
	counters *counters
	request  *Request
}

func (w *countingWriter) WriteHeader(status int) {
	w.note(status, 0)
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	if w.request.Method == http.MethodHead {
		n = 0 // net/http drops it
	}
	w.note(http.StatusOK, n)
	if w.request.Method == http.MethodHead {
		return len(p), err
	}
	return n, err
}

func (w *countingWriter) note(status, written int) {
	w.counters.mu.Lock()
	defer w.counters.mu.Unlock()
	if w.request.Status == 0 {
		w.request.Status = status
	}
	w.request.BytesOut += int64(written)
}

// Unwrap serves http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// held is an answer kept back so that a fault can change it.
type held struct {
	header http.Header
	status int
	body   []byte
}

func (h *held) Header() http.Header { return h.header }

func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *held) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	h.body = append(h.body, p...)
	return len(p), nil
}

// hold runs next and keeps its answer.
func hold(next http.Handler, req *http.Request) *held {
	h := &held{header: make(http.Header)}
	next.ServeHTTP(h, req)
	h.WriteHeader(http.StatusOK)
	return h
}

// send writes the answer as it stands now.
func (h *held) send(w http.ResponseWriter) {
	for key, values := range h.header {
		w.Header()[key] = values
	}
	w.WriteHeader(h.status)
	w.Write(h.body) //nolint:errcheck // a client that left is the test's business
}
