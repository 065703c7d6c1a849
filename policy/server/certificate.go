package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hallmark-project/hallmark/attest/wholefile"
)

// maxPEMBytes bounds a file of certificates or a key: a chain has some kilobytes.
const maxPEMBytes = 1 << 20

// ErrCertificate is what [New] returns when certificate and key cannot be used.
var ErrCertificate = errors.New("the certificate cannot be used")

// certificateError is an [ErrCertificate] that says why and no more.
type certificateError struct{ error }

func (e *certificateError) Unwrap() error { return e.error }

func (e *certificateError) Is(target error) bool { return target == ErrCertificate }

// certificates are the server's own certificate and the authorities of its clients,
// read again when the files change. Connections that stand keep what they began with.
// Safe for concurrent use.
type certificates struct {
	certificate, key, clientCA string

	current atomic.Pointer[tlsState]
	mu      sync.Mutex
	last    [3][]byte // what the last load read, good or refused
}

// tlsState is one good load.
type tlsState struct {
	config *tls.Config
	until  time.Time
}

// openCertificates makes the first load.
func openCertificates(certificate, key, clientCA string) (*certificates, error) {
	c := &certificates{certificate: certificate, key: key, clientCA: clientCA}
	_, err := c.check()
	return c, err
}

// config returns the configuration of the listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load().config, nil },
	}
}

// until is when the certificate in force ends.
func (c *certificates) until() time.Time { return c.current.Load().until }

// check reads the files, and swaps in what they hold if they have changed and are good.
// The same bad files are an error once.
func (c *certificates) check() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	files := c.read()
	if c.current.Load() != nil && same(files, c.last) {
		return false, nil
	}
	state, err := c.parse(files)
	for range maxReads {
		if err == nil {
			break
		}
		// A certificate and the key of the next one: the volume was swapped in between.
		again := c.read()
		if same(again, files) {
			break
		}
		files = again
		state, err = c.parse(files)
	}
	c.last = files
	if err != nil {
		return false, err
	}
	c.current.Store(state)
	return true, nil
}

// maxReads is how often the files are read again because they changed meanwhile.
const maxReads = 5

// read reads all files; an error stands in the place of a content.
func (c *certificates) read() (files [3][]byte) {
	for i, path := range []string{c.certificate, c.key, c.clientCA} {
		if path == "" {
			continue
		}
		var err error
		if files[i], err = readPEM(path); err != nil {
			files[i] = []byte("error: " + err.Error())
		}
	}
	return files
}

func same(a, b [3][]byte) bool {
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (c *certificates) parse(files [3][]byte) (*tlsState, error) {
	for i, path := range []string{c.certificate, c.key, c.clientCA} {
		if rest, failed := bytes.CutPrefix(files[i], []byte("error: ")); failed {
			return nil, &certificateError{fmt.Errorf("reading %s: %s", path, rest)}
		}
	}
	pair, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return nil, &certificateError{fmt.Errorf("reading the certificate %s and its key: %w", c.certificate, err)}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{pair}}
	if c.clientCA != "" {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(files[2]) {
			return nil, fmt.Errorf("reading the clients' authorities: %s holds no certificate", c.clientCA)
		}
		// Probes have no certificate; every other request must have one, which the
		// handler sees to.
		config.ClientAuth = tls.VerifyClientCertIfGiven
		// A resumed session would not be proved with the authorities of today.
		config.SessionTicketsDisabled = true
	}
	return &tlsState{config, pair.Leaf.NotAfter}, nil
}

// readPEM reads a file with a bound.
func readPEM(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, wholefile.Pathless(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, wholefile.Pathless(err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(io.LimitReader(file, maxPEMBytes+1))
	if err == nil && len(raw) > maxPEMBytes {
		err = fmt.Errorf("it has more than %d bytes", maxPEMBytes)
	}
	return raw, err
}
