package server_test

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// Clients that keep their connections, as API servers do, must not be on one of them
// when the server ends: while it drains, each answer ends its connection.
func TestDrainEndsConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, s *setup) { s.server.Drain = 2 * time.Second })
	ask := func() (code int, ends bool) {
		answer, err := w.client.Get(w.url + "/readyz")
		if err != nil {
			return 0, false
		}
		defer answer.Body.Close()
		io.Copy(io.Discard, answer.Body)
		return answer.StatusCode, answer.Close
	}
	if code, ends := ask(); code != http.StatusOK || ends {
		t.Fatalf("before: %d, the connection ends: %t", code, ends)
	}
	w.stop()
	eventually(t, "it drains", func() bool {
		code, ends := ask()
		if code == http.StatusServiceUnavailable && !ends {
			t.Error("the connection stays")
		}
		return code != http.StatusOK
	})
}
