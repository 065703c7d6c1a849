package server_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy/gate"
)

// BenchmarkValidate is a review of three images with cached decisions, client and TLS
// included; e2e/load measures the server by itself.
func BenchmarkValidate(b *testing.B) {
	w := newWorld(b, func(_ *world, s *setup) {
		s.cache = &gate.CacheOptions{}
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { null.Close() })
		s.server.Decisions = null
	})
	body := review("a", w.signed, w.sign(w.push("team/app", "two")), w.sign(w.push("team/app", "three")))
	managed := make([]string, 100)
	for i := range managed {
		managed[i] = fmt.Sprintf(`"k:{\"name\":\"c%d\"}":{".":{},"f:image":{},"f:name":{}}`, i)
	}
	body = strings.Replace(body, `"metadata":{`, `"metadata":{"managedFields":[{"fieldsV1":{`+strings.Join(managed, ",")+`}}],`, 1)
	w.post("/validate", body)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, err := http.NewRequest(http.MethodPost, w.url+"/validate?timeout=10s", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			request.Header.Set("Content-Type", "application/json")
			response, err := w.client.Do(request)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
}
