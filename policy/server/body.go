package server

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
)

// firstBytes is what a body is given room for at first, whatever length it announces:
// a client that announces much and sends little holds little.
const firstBytes = 64 << 10

var errBusy = errors.New("too many bytes at a time")

// body reads the whole body. If it cannot, it has answered. done must be called when
// the body is not used any more.
func (s *Server) body(x *exchange, limit int64) (body []byte, done func(), ok bool) {
	kind, _, err := mime.ParseMediaType(x.request.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		x.fail(http.StatusUnsupportedMediaType, "the content type must be application/json", "")
		return nil, nil, false
	}
	length := x.request.ContentLength
	if length > limit {
		s.tooLarge(x, limit)
		return nil, nil, false
	}
	if length < 0 {
		length = limit
	}
	body, held, err := s.gather(x.remote, http.MaxBytesReader(x.ResponseWriter, x.request.Body, limit), length)
	done = func() { s.bodies.give(x.remote, held) }
	if err == nil {
		return body, done, true
	}
	done()
	var large *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &large):
		s.tooLarge(x, limit)
	case errors.Is(err, errBusy):
		s.options.Metrics.limited.Add(1, "busy")
		x.Header().Set("Connection", "close")
		x.busy(errBusy.Error())
	case errors.As(err, &timeout) && timeout.Timeout():
		x.fail(http.StatusRequestTimeout, "the body did not come in time", "")
	default:
		x.fail(http.StatusBadRequest, "the body ended early, or cannot be read", "")
	}
	return nil, nil, false
}

// gather reads to the end and takes room as bytes come. held is what was taken, also
// where there is an error. length is the most that there can be.
func (s *Server) gather(client string, from io.Reader, length int64) (body []byte, held int64, err error) {
	grow := func(to int64) bool {
		to = min(to, length) + 1 // one more, to see the end without growing
		if !s.bodies.take(client, to-held) {
			return false
		}
		held = to
		body = slices.Grow(body, int(to)-len(body))[:len(body):to]
		return true
	}
	if !grow(firstBytes) {
		return nil, held, errBusy
	}
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return body, held, nil
		case err != nil:
			return nil, held, err
		case len(body) == cap(body) && int64(len(body)) > length:
			return nil, held, io.ErrUnexpectedEOF // more than was announced: net/http does not let it happen
		case len(body) == cap(body) && !grow(2*int64(len(body))):
			return nil, held, errBusy
		}
	}
}

func (s *Server) tooLarge(x *exchange, limit int64) {
	s.options.Metrics.limited.Add(1, "body")
	x.Header().Set("Connection", "close")
	x.fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes; nothing was decided", limit), "")
}

// begin reads the body and then takes a slot, in that order: a body that comes slowly
// holds none. If it cannot, it has answered. done gives both back.
func (s *Server) begin(x *exchange, limit int64) (body []byte, done func(), ok bool) {
	body, release, ok := s.body(x, limit)
	if !ok {
		return nil, nil, false
	}
	free, ok := s.slot(x)
	if !ok {
		release()
		return nil, nil, false
	}
	return body, func() { free(); release() }, true
}
