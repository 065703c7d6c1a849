package sbom

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync/atomic"
)

// The census works beside the unpacking, a few chunks behind.
const (
	chunkBytes = 256 << 10
	chunkCount = 8
)

// census hashes a tar that streams by and counts its entries, with the same reader
// that will index it: no tar has fewer entries for one than for the other.
type census struct {
	full, free chan []byte
	done       chan struct{}
	ended      bool
	failed     atomic.Bool
	// Set by the counting goroutine before done is closed.
	sum string
	err error
}

func newCensus(b *budget) *census {
	c := &census{full: make(chan []byte, chunkCount), free: make(chan []byte, chunkCount), done: make(chan struct{})}
	for range chunkCount {
		c.free <- make([]byte, 0, chunkBytes)
	}
	go func() {
		defer close(c.done)
		stream := &chunkReader{census: c, hash: sha256.New()}
		if c.err = count(stream, b); c.err != nil {
			c.failed.Store(true)
		}
		// What stands behind the end of the archive, or behind what is no tar, is part
		// of the sum and read by nobody; stereoscope complains where it matters.
		io.Copy(io.Discard, stream)
		c.sum = hex.EncodeToString(stream.hash.Sum(nil))
	}()
	return c
}

func count(stream io.Reader, b *budget) error {
	reader := tar.NewReader(stream)
	for {
		if _, err := reader.Next(); err != nil {
			return nil
		}
		if err := b.take(0, 1); err != nil {
			return err
		}
	}
}

// write hands bytes over. Its error is the census's own.
func (c *census) write(p []byte) error {
	for len(p) > 0 {
		if c.failed.Load() {
			_, err := c.end()
			return err
		}
		chunk := <-c.free
		n := min(len(p), chunkBytes)
		c.full <- append(chunk, p[:n]...)
		p = p[n:]
	}
	return nil
}

// end waits until everything was counted and returns the SHA-256 of the tar. It may
// be called again.
func (c *census) end() (string, error) {
	if !c.ended {
		c.ended = true
		close(c.full)
	}
	<-c.done
	return c.sum, c.err
}

// chunkReader reads what was handed over.
type chunkReader struct {
	census *census
	hash   hash.Hash
	chunk  []byte
	rest   []byte
}

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.chunk != nil {
			r.census.free <- r.chunk[:0]
			r.chunk = nil
		}
		chunk, more := <-r.census.full
		if !more {
			return 0, io.EOF
		}
		r.hash.Write(chunk)
		r.chunk, r.rest = chunk, chunk
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
