package verifytest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxServiceRequest bounds what a service reads: more than the largest envelope that
// is sent to a Rekor v1.
const maxServiceRequest = 64 << 20

// Services are an [Instance] as HTTP servers on the loopback interface, which sign for
// whoever shows [Services.Token]: Fulcio, two logs of Rekor v1 and two of v2, and two
// timestamp authorities. Each counts what it is asked and can be made to fail with
// [Service.Fail]. They end with the test. Safe for concurrent use.
//
//	s := verifytest.NewServices(t)
//	s.Fulcio.Fail(verifytest.Fault{Status: 503, Times: 1})
type Services struct {
	// Instance holds the keys; its trusted root names the servers' addresses.
	Instance *Instance

	Fulcio                             *Service
	Rekor1, SecondV1, Rekor2, SecondV2 *Service
	TSA, SecondTSA                     *Service
	// Token is the only identity token that the Fulcio takes. A test fails if any other
	// service is sent it.
	Token string

	t     testing.TB
	mu    sync.Mutex
	shift time.Duration
	leaf  Leaf
}

// Service is one server of [Services].
type Service struct {
	// URL is what a client is given: whole for a timestamp authority, a base otherwise.
	URL string

	name   string
	of     *Services
	answer answerFunc
	done   chan struct{}

	mu     sync.Mutex
	faults []*Fault
	counts map[string]int
	conns  int
	sent   int64
}

// answerFunc answers a request whose body was read.
type answerFunc func(w http.ResponseWriter, r *http.Request, body []byte, wrong Wrong)

// NewServices starts an instance of the real present.
func NewServices(t testing.TB) *Services {
	t.Helper()
	s := &Services{Instance: NewInstanceAt(t, time.Now().Truncate(time.Second)), t: t}
	claims := encodeJSON(t, map[string]any{
		"iss": DefaultIssuer, "sub": "repo:example/app:ref:refs/heads/main", "aud": "sigstore",
		"exp": s.Instance.Now.Add(time.Hour).Unix(), "jti": serial().String(),
	})
	s.Token = strings.Join([]string{
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)), base64.RawURLEncoding.EncodeToString(claims),
		base64.RawURLEncoding.EncodeToString(serial().Bytes()),
	}, ".")
	in := s.Instance
	s.Fulcio = s.start("fulcio", "", s.fulcio(in))
	in.CA.URI = s.Fulcio.URL
	for _, one := range []struct {
		service **Service
		log     *Log
		name    string
		make    func(*Log) answerFunc
	}{
		{&s.Rekor1, in.Rekor1, "rekor v1", s.rekorV1},
		{&s.SecondV1, in.SecondV1, "second rekor v1", s.rekorV1},
		{&s.Rekor2, in.Rekor2, "rekor v2", s.rekorV2},
		{&s.SecondV2, in.SecondV2, "second rekor v2", s.rekorV2},
	} {
		*one.service = s.start(one.name, "", one.make(one.log))
		one.log.moveTo(t, (*one.service).URL)
	}
	for _, one := range []struct {
		service **Service
		tsa     *TSA
		name    string
	}{{&s.TSA, in.TSA, "tsa"}, {&s.SecondTSA, in.SecondTSA, "second tsa"}} {
		*one.service = s.start(one.name, "/api/v1/timestamp", s.timestamps(one.tsa))
		one.tsa.URI = (*one.service).URL
	}
	return s
}

// moveTo gives a log another address, and with it another ID where that has a part in it.
func (l *Log) moveTo(t testing.TB, address string) {
	t.Helper()
	l.URL = address
	if public, is := l.key.Public().(ed25519.PublicKey); is {
		id := sha256.Sum256(slices.Concat([]byte(l.Host(t)+"\n\x01"), public))
		l.ID = id[:]
	}
}

// start starts one server.
func (s *Services) start(name, path string, answer answerFunc) *Service {
	service := &Service{name: name, of: s, answer: answer, done: make(chan struct{}), counts: make(map[string]int)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(service.serve))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = service.connected
	server.Start()
	s.t.Cleanup(func() {
		close(service.done)
		server.CloseClientConnections()
		server.Close()
	})
	service.URL = server.URL + path
	return service
}

// serve counts, looks for the token where it has no place, and answers or fails.
func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxServiceRequest))
	if err != nil {
		return // the client went away
	}
	s.mu.Lock()
	s.counts[r.Method+" "+r.URL.Path]++
	s.mu.Unlock()
	if s != s.of.Fulcio && (strings.Contains(headerText(r.Header), s.of.Token) || bytes.Contains(body, []byte(s.of.Token))) {
		s.of.t.Errorf("the identity token was sent to %s", s.name)
	}
	fault := s.next(r)
	if fault == nil {
		s.answer(w, r, body, "")
		return
	}
	s.fail(w, r, body, fault)
}

func headerText(h http.Header) string {
	var text bytes.Buffer
	_ = h.Write(&text) // a buffer takes everything
	return text.String()
}

// Requests returns how many requests came so far.
func (s *Service) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, count := range s.counts {
		n += count
	}
	return n
}

// Connections returns how many connections were opened so far.
func (s *Service) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func (s *Service) connected(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
	}
}

// Count returns how many requests came for a method and path, such as
// "POST /api/v2/log/entries".
func (s *Service) Count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

// Requests returns how many requests came to all services together.
func (s *Services) Requests() int {
	n := 0
	for _, one := range []*Service{s.Fulcio, s.Rekor1, s.SecondV1, s.Rekor2, s.SecondV2, s.TSA, s.SecondTSA} {
		n += one.Requests()
	}
	return n
}

// Now is the services' clock, in whole seconds: the real one, and what [Services.Forward]
// added.
func (s *Services) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.shift).Truncate(time.Second)
}

// Forward sets the clock of all services forward.
func (s *Services) Forward(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shift += by
}

// Certify says what stands in the certificates that are issued from now on. Valid counts
// as it is; CT is one SCT of the instance's first CT log unless it is empty, not nil.
func (s *Services) Certify(leaf Leaf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaf = leaf
}

// refuse answers with a status and a reason.
func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%d,"message":%q}`, status, reason) // the client may have gone
}
