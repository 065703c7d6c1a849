package oci

import (
	"fmt"
	"hash"
	"io"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// verified passes a stream on and refuses its end if size or digest are wrong.
// It reads to the true end of the stream, so trailing bytes are noticed.
type verified struct {
	body   io.ReadCloser
	want   Descriptor
	hash   hash.Hash
	read   int64
	limit  int64
	finish func()
}

func newVerified(body io.ReadCloser, d Descriptor, limit int64, finish func()) *verified {
	if d.Size >= 0 && d.Size < limit {
		limit = d.Size
	}
	return &verified{body: body, want: d, hash: d.Digest.New(), limit: limit, finish: finish}
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.body.Read(p)
	v.hash.Write(p[:n])
	v.read += int64(n)
	if v.read > v.limit {
		if v.want.Size >= 0 && v.limit == v.want.Size {
			return 0, fmt.Errorf("%w: more than the descriptor's %d bytes", ErrSizeMismatch, v.want.Size)
		}
		return 0, fmt.Errorf("%w: more than %d bytes", ErrLimit, v.limit)
	}
	if err == io.EOF {
		if v.want.Size >= 0 && v.read != v.want.Size {
			return 0, fmt.Errorf("%w: %d bytes, the descriptor of %s says %d", ErrSizeMismatch, v.read, v.want.Digest.Short(), v.want.Size)
		}
		if digest.FromHash(v.hash) != v.want.Digest {
			return 0, fmt.Errorf("%w: want %s", ErrDigestMismatch, v.want.Digest)
		}
		return n, io.EOF
	}
	if err != nil {
		return n, classify(err)
	}
	return n, nil
}

// Close implements io.Closer.
func (v *verified) Close() error {
	err := v.body.Close()
	if v.finish != nil {
		v.finish()
	}
	return err
}
