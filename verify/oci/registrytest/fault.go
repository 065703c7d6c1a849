package registrytest

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Delay answers d later.
func Delay(d time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if wait(req, d) {
				next.ServeHTTP(w, req)
			}
		})
	}
}

// Hang accepts the request and never answers; it ends when the client leaves.
func Hang() Fault {
	return replace(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
}

// Drop cuts the connection without an answer. On a connection that was used
// before, net/http's client asks once more by itself: give it no Times limit.
func Drop() Fault {
	return replace(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// Status answers with an OCI error body and does not reach the registry.
func Status(code int) Fault {
	return replace(func(w http.ResponseWriter, _ *http.Request) { writeError(w, code, "INJECTED") })
}

// TooManyRequests answers 429 with a Retry-After of so many seconds.
func TooManyRequests(retryAfterSeconds int) Fault {
	return replace(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
		writeError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS")
	})
}

// Answer answers with exactly this status, Content-Type and body.
func Answer(code int, contentType string, body []byte) Fault {
	return replace(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		w.Write(body) //nolint:errcheck // see held.send
	})
}

// HTML answers 200 with a web page, as a captive portal or a login page does.
func HTML() Fault {
	return Answer(http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>Sign in</title>"))
}

// Redirect answers with code and a Location that may point anywhere.
func Redirect(code int, location string) Fault {
	return replace(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(code)
	})
}

// Challenge answers 401 and asks for a token at realm, which may be foreign.
// Parameters beyond the realm, such as `service="x",scope="y"`, may follow.
func Challenge(realm, parameters string) Fault {
	return replace(func(w http.ResponseWriter, _ *http.Request) {
		header := fmt.Sprintf("Bearer realm=%q", realm)
		if parameters != "" {
			header += "," + parameters
		}
		w.Header().Set("WWW-Authenticate", header)
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED")
	})
}

// CutBody announces the whole body and sends its first n bytes.
func CutBody(n int) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			h := hold(next, req)
			h.header.Set("Content-Length", strconv.Itoa(len(h.body)))
			h.body = h.body[:min(n, len(h.body))]
			h.send(w)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
			panic(http.ErrAbortHandler)
		})
	}
}

// RewriteBody answers with another body and the same headers, except that the
// Content-Length fits.
func RewriteBody(change func([]byte) []byte) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			h := hold(next, req)
			if len(h.body) > 0 {
				h.body = change(bytes.Clone(h.body))
				h.header.Set("Content-Length", strconv.Itoa(len(h.body)))
			}
			h.send(w)
		})
	}
}

// FlipByte changes one bit of the body's byte i, counted from the end when i
// is negative.
func FlipByte(i int) Fault {
	return RewriteBody(func(body []byte) []byte {
		at := i
		if at < 0 {
			at += len(body)
		}
		if at >= 0 && at < len(body) {
			body[at] ^= 1
		}
		return body
	})
}

// Append adds bytes behind the body.
func Append(extra []byte) Fault {
	return RewriteBody(func(body []byte) []byte { return append(body, extra...) })
}

// Pad grows a JSON body with white space to n bytes: the same document, huge.
func Pad(n int) Fault {
	return RewriteBody(func(body []byte) []byte {
		return append(body, bytes.Repeat([]byte{' '}, max(0, n-len(body)))...)
	})
}

// SetHeader replaces a header of the answer, or removes it when value is "".
// It can lie about Docker-Content-Digest, Content-Type and Link.
func SetHeader(key, value string) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			h := hold(next, req)
			if value == "" {
				h.header.Del(key)
			} else {
				h.header.Set(key, value)
			}
			h.send(w)
		})
	}
}

// Endless answers with a body that does not end: first, then white space until
// the client closes the connection.
func Endless(code int, contentType, first string) Fault {
	return replace(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		if _, err := w.Write([]byte(first)); err != nil {
			return
		}
		chunk := bytes.Repeat([]byte{' '}, 64<<10)
		for req.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
}

// SlowBody sends the right body one byte each interval.
func SlowBody(interval time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			h := hold(next, req)
			for key, values := range h.header {
				w.Header()[key] = values
			}
			w.WriteHeader(h.status)
			flusher := http.NewResponseController(w)
			for i := range h.body {
				if _, err := w.Write(h.body[i : i+1]); err != nil || flusher.Flush() != nil || !wait(req, interval) {
					return
				}
			}
		})
	}
}

// Handle answers with handler, for what no other fault does.
func Handle(handler http.HandlerFunc) Fault { return replace(handler) }

func replace(handler http.HandlerFunc) Fault {
	return func(http.Handler) http.Handler { return handler }
}

func writeError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"registrytest"}]}`, code)
}
