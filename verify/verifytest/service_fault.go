package verifytest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// Wrong is a lie that a service tells in an answer of the right form.
type Wrong string

// The lies.
const (
	CertificateOfAnotherKey  Wrong = "a certificate of another key"        // Fulcio
	CertificateOfAnotherCA   Wrong = "a certificate of another authority"  // Fulcio
	CertificateExpired       Wrong = "an expired certificate"              // Fulcio
	EntryOfAnotherSignature  Wrong = "an entry of another signature"       // logs
	EntryOfAnotherLog        Wrong = "an entry of a log nobody trusts"     // logs
	EntryOutsideOfTheTree    Wrong = "an entry with another one's proof"   // logs
	CheckpointOfBefore       Wrong = "a checkpoint without the last entry" // Rekor v2
	StampOfAnotherSignature  Wrong = "a timestamp over another signature"  // TSA
	StampOfAnotherAuthority  Wrong = "a timestamp of another authority"    // TSA
	StampAfterCertificateEnd Wrong = "a timestamp after the certificate"   // TSA
	NoContent                Wrong = "an empty answer"                     // all
)

// Fault makes a service fail. The zero values of its fields do nothing.
type Fault struct {
	// On is a part of the method and path that fail, such as "GET /api/v2/tile"; "" is all.
	On string
	// Times is how many requests fail; 0 is all of them.
	Times int
	// Status is answered, with RetryAfter in seconds if that is not 0, and Text.
	Status     int
	RetryAfter int
	Text       string
	// Hang answers nothing until the client leaves.
	Hang bool
	// Cut closes the connection before anything is done, Lose after it is done and
	// before it is answered.
	Cut, Lose bool
	// Huge answers with the status 200 or 201 and up to this many bytes of space.
	Huge int64
	// Redirect sends the client elsewhere, with the status 307, which keeps the body.
	Redirect string
	// Wrong lies.
	Wrong Wrong
}

// Fail adds a fault. Those that were added first fail first; a fault that is used up is
// out of the way.
func (s *Service) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal takes all faults away.
func (s *Service) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// next returns the fault that a request meets, or nil.
func (s *Service) next(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times < 0 || !strings.Contains(r.Method+" "+r.URL.Path, f.On) {
			continue
		}
		if f.Times == 1 {
			f.Times = -1 // used up
		} else if f.Times > 1 {
			f.Times--
		}
		return f
	}
	return nil
}

// Sent returns how many bytes of huge answers clients have taken, buffers included.
func (s *Service) Sent() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// fail answers as the fault says.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, body []byte, f *Fault) {
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
		panic(http.ErrAbortHandler)
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Lose:
		s.answer(httptest.NewRecorder(), r, body, "")
		panic(http.ErrAbortHandler)
	case f.Huge > 0:
		s.flood(w, r, f.Huge)
	case f.Redirect != "":
		http.Redirect(w, r, f.Redirect, http.StatusTemporaryRedirect)
	case f.Wrong == NoContent:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(success(s, r))
	case f.Wrong != "":
		s.answer(w, r, body, f.Wrong)
	default:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		http.Error(w, f.Text, f.Status)
	}
}

// success is the status that a service answers with when all is well.
func success(s *Service, r *http.Request) int {
	if s == s.of.Fulcio || r.Method == http.MethodGet {
		return http.StatusOK
	}
	return http.StatusCreated
}

func (s *Service) flood(w http.ResponseWriter, r *http.Request, n int64) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(success(s, r))
	spaces := []byte(strings.Repeat(" ", 64<<10))
	for sent := int64(0); sent < n; sent += int64(len(spaces)) {
		if _, err := w.Write(spaces); err != nil {
			return // the client has left
		}
		s.mu.Lock()
		s.sent += int64(len(spaces))
		s.mu.Unlock()
	}
}

// NewVictim starts a server that no one may contact: the test fails if someone does.
func NewVictim(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the victim was sent %s %s, authorization %q", r.Method, r.URL.Path, r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	return server.URL
}
