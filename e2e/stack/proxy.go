package stack

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// startProxy starts an HTTPS proxy that never dials: it ends each CONNECT itself, with a
// certificate for the host that was asked for, and answers with handler. Fulcio, which
// is given this proxy and its authority, thereby finds real issuer URLs on this machine.
func (s *Stack) startProxy(handler http.Handler) error {
	key := s.keys.tlsKey
	var mu sync.Mutex
	issued := map[string]*tls.Certificate{}
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if known := issued[hello.ServerName]; known != nil {
			return known, nil
		}
		leaf, err := issue(&x509.Certificate{
			Subject: pkix.Name{CommonName: hello.ServerName}, DNSNames: []string{hello.ServerName}, NotBefore: s.keys.created,
			NotAfter: s.keys.created.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}, s.keys.tls, key.Public(), key)
		if err != nil {
			return nil, err
		}
		issued[hello.ServerName] = &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
		return issued[hello.ServerName], nil
	}
	taken := &connections{waiting: make(chan net.Conn), closed: make(chan struct{})}
	inner := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go inner.Serve(tls.NewListener(taken, &tls.Config{GetCertificate: certificate, MinVersion: tls.VersionTLS12}))
	s.closers = append(s.closers, func() { inner.Close() })
	return s.serve(s.addresses.connect, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if r.Method != http.MethodConnect || !ok {
			http.Error(w, "this proxy takes CONNECT alone", http.StatusMethodNotAllowed)
			return
		}
		connection, _, err := hijacker.Hijack()
		if err != nil {
			return
		}
		if _, err := io.WriteString(connection, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			connection.Close()
			return
		}
		taken.add(connection)
	}))
}

// connections is a listener of connections that are there already.
type connections struct {
	waiting chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (c *connections) add(connection net.Conn) {
	select {
	case c.waiting <- connection:
	case <-c.closed:
		connection.Close()
	}
}

func (c *connections) Accept() (net.Conn, error) {
	select {
	case connection := <-c.waiting:
		return connection, nil
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

func (c *connections) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *connections) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
