package stack

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
)

// startRekorFront gives a Rekor v2 one URL for both sides, as a deployment has it: what
// adds entries goes to the server, what reads them to the folder that it writes.
func (s *Stack) startRekorFront(a rekor2Addresses, data string) error {
	files, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() { files.Close() })
	read := http.StripPrefix("/api/v2", http.FileServerFS(files.FS()))
	write := reverseProxy("http://" + a.http)
	return s.serve(a.front, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && (r.URL.Path == "/api/v2/checkpoint" || strings.HasPrefix(r.URL.Path, "/api/v2/tile/")) {
			w.Header().Set("Cache-Control", "no-cache")
			read.ServeHTTP(w, r)
			return
		}
		write.ServeHTTP(w, r)
	}))
}

func reverseProxy(target string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if to, err := url.Parse(target); err == nil {
				r.SetURL(to)
			}
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// Counter stands before a service, counts what it is asked, and can be made to fail.
// It is safe for concurrent use.
type Counter struct {
	// URL is where the service is found through the counter.
	URL string

	server *httptest.Server
	mu     sync.Mutex
	counts map[string]int
	status int
}

// NewCounter starts a counter before the service at target.
func NewCounter(target string) *Counter {
	c := &Counter{counts: map[string]int{}}
	proxy := reverseProxy(target)
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.counts[r.Method+" "+r.URL.Path]++
		status := c.status
		c.mu.Unlock()
		if status != 0 {
			http.Error(w, `{"code":`+http.StatusText(status)+`}`, status)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	c.URL = c.server.URL
	return c
}

// Fail makes every later request end with a status; 0 ends that.
func (c *Counter) Fail(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// Count is how many requests had a method and a part in their path.
func (c *Counter) Count(method, part string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for request, n := range c.counts {
		if strings.HasPrefix(request, method+" ") && strings.Contains(request, part) {
			sum += n
		}
	}
	return sum
}

// Requests is all that was asked, by method and path.
func (c *Counter) Requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := map[string]int{}
	for request, n := range c.counts {
		copied[request] = n
	}
	return copied
}

// Close ends the counter.
func (c *Counter) Close() { c.server.Close() }
