package sbom

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// ErrLimit: an image grows beyond every honest size when it is unpacked. It is
// damaged, or made to exhaust whoever unpacks it.
var ErrLimit = errors.New("limit exceeded")

// Limits on images.
const (
	maxConfigBytes = 8 << 20
	maxLayerBytes  = 64 << 30 // packed, one layer
	// maxUnpackedBytes bounds the layers of one image together; the largest images
	// of machine-learning frameworks have some 30 GB.
	maxUnpackedBytes = 64 << 30
	// maxEntries bounds the files of one image, each of which takes memory; a large
	// distribution has half a million.
	maxEntries = 2_000_000
	// A layer may unpack to freeBytes, and beyond that to maxRatio times what was
	// read: text packs to a tenth, and zeros to a thousandth.
	freeBytes = 1 << 30
	maxRatio  = 200
	// maxWindow bounds the memory of the zstd decoder; level 22 wants 128 MB.
	maxWindow = 256 << 20
)

// budget is what unpacking one image may take. It keeps the first failure, which
// stereoscope's error would else bury between paths of this machine.
type budget struct {
	mu      sync.Mutex
	bytes   int64
	entries int64
	failure error
}

func (b *budget) take(bytes, entries int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= bytes
	b.entries -= entries
	switch {
	case b.bytes < 0:
		return fmt.Errorf("%w: the image unpacks to more bytes than are read", ErrLimit)
	case b.entries < 0:
		return fmt.Errorf("%w: the image has more files than are read", ErrLimit)
	}
	return nil
}

// fail notes an error and returns it.
func (b *budget) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil {
		b.failure = err
	}
	return err
}

func (b *budget) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failure
}

// unpacked is the tar of one layer as it is unpacked. It counts, and its end is an
// error unless the packed bytes were what their descriptor says and the tar is
// what the image's config says.
type unpacked struct {
	ctx    context.Context
	layer  *layer
	budget *budget

	packed   *counted
	buffered *bufio.Reader
	plain    io.Reader
	closer   func()
	size     int64
	census   *census
	err      error
}

// counted counts the packed bytes that were read.
type counted struct {
	io.ReadCloser
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

// unpack finds the compression by the first bytes, whatever the media type says.
func unpack(ctx context.Context, packed io.ReadCloser, l *layer, b *budget) (*unpacked, error) {
	u := &unpacked{ctx: ctx, layer: l, budget: b, packed: &counted{ReadCloser: packed}, closer: func() {}}
	u.buffered = bufio.NewReaderSize(u.packed, 256<<10)
	magic, err := u.buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, u.wrap(err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		reader, err := gzip.NewReader(u.buffered)
		if err != nil {
			return nil, u.wrap(err)
		}
		u.plain = reader
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		decoder, err := zstd.NewReader(u.buffered, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, u.wrap(err)
		}
		u.plain, u.closer = decoder, decoder.Close
	default:
		u.plain = u.buffered
	}
	u.census = newCensus(b)
	return u, nil
}

func (u *unpacked) wrap(err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = fmt.Errorf("%w: %w", ErrLimit, err)
	}
	return fmt.Errorf("unpacking layer %s: %w", u.layer.diffID.Hex[:12], err)
}

// Read implements io.Reader.
func (u *unpacked) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.read(p)
	if err != nil && err != io.EOF {
		err = u.budget.fail(u.wrap(err))
		n = 0
	}
	u.err = err
	return n, err
}

func (u *unpacked) read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := u.plain.Read(p)
	u.size += int64(n)
	if limitErr := u.budget.take(int64(n), 0); limitErr != nil {
		return 0, limitErr
	}
	if u.size > freeBytes && u.size/maxRatio > u.packed.n {
		return 0, fmt.Errorf("%w: %d packed bytes become %d", ErrLimit, u.packed.n, u.size)
	}
	if countErr := u.census.write(p[:n]); countErr != nil {
		return 0, countErr
	}
	if err != io.EOF {
		return n, err
	}
	// To the true end of the packed bytes: only there their digest is checked.
	if _, err := io.Copy(io.Discard, u.buffered); err != nil {
		return 0, err
	}
	found, err := u.census.end()
	if err != nil {
		return 0, err
	}
	if found != u.layer.diffID.Hex {
		return 0, fmt.Errorf("%w: the image's config says another diff ID", oci.ErrDigestMismatch)
	}
	return n, io.EOF
}

// WriteTo implements io.WriterTo, for io.Copy to take large steps.
func (u *unpacked) WriteTo(w io.Writer) (written int64, err error) {
	buffer := make([]byte, chunkBytes)
	for {
		n, err := u.Read(buffer)
		if n > 0 {
			m, writeErr := w.Write(buffer[:n])
			written += int64(m)
			if writeErr != nil {
				return written, u.budget.fail(u.wrap(writeErr))
			}
		}
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
	}
}

// Close implements io.Closer.
func (u *unpacked) Close() error {
	u.census.end()
	u.closer()
	return u.packed.Close()
}
