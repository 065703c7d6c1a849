package load_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestHuge: as many of the largest reviews as clients can send do not take more memory
// than there is, AD-16, RE-11. Those that are answered are answered right.
func TestHuge(t *testing.T) {
	p := newPlace(t, 3)
	s := p.start(t, program(t))
	padded := func(filler string) []byte {
		small := review(p.signed[0], p.unsigned, p.signed[1])
		_, body, _ := bytes.Cut(small, []byte("\r\n\r\n"))
		pad := strings.Repeat(filler, (2900<<10-len(body))/len(filler))
		body = bytes.Replace(body, []byte(`"annotations":{`), []byte(`"annotations":{"pad":"`+pad+`",`), 1)
		return post(body)
	}
	deep := strings.Repeat(`[`, 1<<20)
	questions := []question{
		{padded("x"), false},
		{padded(`\u0061`), false},
		{post([]byte(`{"request":{"uid":"1","object":` + deep)), false},
		{post([]byte(`{"request":{"uid":"1","object":{` + strings.Repeat(`"a":{},`, 400_000))), false},
		{post(append([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","object":{"spec":{"containers":[`), bytes.Repeat([]byte("{},"), 900_000)...)), false},
		{review(p.signed[0]), true},
	}
	o := put(s.address, p.client(), 64, 5*time.Second, questions)
	for i, err := range o.wrong {
		if i < 3 {
			t.Errorf("a wrong answer: %v", err)
		}
	}
	now := s.state()
	t.Logf("%s; then %.1f MiB, most %.1f MiB", o, now.resident, s.most())
	if most := s.most(); most > 200 {
		t.Errorf("AD-16: %.0f MiB", most)
	}
	last := put(s.address, p.client(), 4, time.Second, []question{{review(p.signed[0], p.signed[1], p.signed[2]), true}})
	check(t, last)
	if len(last.failed) > 0 {
		t.Errorf("AD-16: afterwards: %v", last.failed[0])
	}
	t.Logf("afterwards: %s, %.1f MiB", last, s.state().resident)
}
