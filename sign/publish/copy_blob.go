package publish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/verify/oci"
)

const (
	// maxCopiedBlob bounds one blob: the largest layers, of models, have some tens
	// of gigabytes.
	maxCopiedBlob = 256 << 30
	// abandonTimeout bounds the request that throws a half upload away.
	abandonTimeout = 5 * time.Second
)

// blobs copies blobs side by side.
func (c *copying) blobs(ctx context.Context, blobs []oci.Descriptor) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCopies)
	c.progress()
	for _, d := range blobs {
		group.Go(func() error {
			if err := c.blob(groupCtx, d); err != nil {
				return fmt.Errorf("blob %s: %w", d.Digest.Short(), err)
			}
			c.progress()
			return nil
		})
	}
	return group.Wait()
}

// blob copies one: not at all, by mounting it, or through this machine.
func (c *copying) blob(ctx context.Context, d oci.Descriptor) error {
	p := c.publisher
	there := p.storedAlready(c.to, d.Digest)
	if !there {
		var err error
		if there, err = c.hasBlob(ctx, d); err != nil {
			return err
		}
	}
	if there {
		p.remember(c.to, d.Digest)
		c.done.Add(d.Size)
		return nil
	}
	var err error
	if d.Size <= singlePost && c.mountFrom() == "" {
		err = c.small(ctx, d)
	} else {
		err = c.large(ctx, d)
	}
	if oci.Foreign(d.MediaType) && errors.Is(err, oci.ErrNotFound) {
		c.note(func(r *CopyResult) { r.ForeignLeftOut++ })
		return nil
	}
	return err
}

// mountFrom is the repository to mount from, or "".
func (c *copying) mountFrom() string {
	mount := c.options.MountFrom
	if mount.Host != c.to.Host || mount.Repository == c.to.Repository {
		return ""
	}
	return mount.Repository
}

// small sends a blob with one request.
func (c *copying) small(ctx context.Context, d oci.Descriptor) error {
	raw, err := c.source.Blob(ctx, c.from, d, singlePost)
	if err != nil {
		return err
	}
	if err := c.publisher.blob(ctx, c.to, raw); err != nil {
		return err
	}
	c.done.Add(d.Size)
	c.note(func(r *CopyResult) { r.BlobsSent++; r.BytesSent += d.Size })
	return nil
}

// large mounts or streams a blob, and tries again where that may help: a stream
// cannot be rewound, so each try reads the source anew.
func (c *copying) large(ctx context.Context, d oci.Descriptor) error {
	p := c.publisher
	defer p.lock(c.to.Name() + "@" + d.Digest.String())()
	for attempt := 1; ; attempt++ {
		again, err := c.send(ctx, d)
		if err == nil {
			p.remember(c.to, d.Digest)
			return nil
		}
		if !again || attempt == sendAttempts || ctx.Err() != nil {
			return err
		}
		if err := pause(ctx, busyPause<<(2*(attempt-1))); err != nil {
			return err
		}
	}
}

// hasBlob asks whether the destination has a blob.
func (c *copying) hasBlob(ctx context.Context, d oci.Descriptor) (bool, error) {
	answer, err := c.publisher.client.Do(ctx, c.to, http.MethodHead, "blobs/"+d.Digest.String(), nil, nil, 0)
	if err != nil {
		return false, err
	}
	answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	return false, refusal(answer, "")
}

// send mounts or uploads a blob. again says that another try may succeed.
func (c *copying) send(ctx context.Context, d oci.Descriptor) (again bool, err error) {
	p := c.publisher
	path := "blobs/uploads/"
	if mount := c.mountFrom(); mount != "" {
		path += "?mount=" + url.QueryEscape(d.Digest.String()) + "&from=" + url.QueryEscape(mount)
	}
	answer, text, err := p.send(ctx, c.to, http.MethodPost, path, nil, nil)
	if err != nil {
		return false, err
	}
	switch answer.StatusCode {
	case http.StatusCreated:
		c.done.Add(d.Size)
		c.note(func(r *CopyResult) { r.BlobsMounted++ })
		return false, nil
	case http.StatusAccepted:
	default:
		return false, refusal(answer, text)
	}
	target, err := uploadTarget(answer, d.Digest)
	if err != nil {
		return false, err
	}
	answer, err = c.stream(ctx, d, target)
	switch {
	case err == nil && answer.StatusCode == http.StatusCreated:
		if err := sameDigest(answer, d.Digest); err != nil {
			return false, err
		}
		c.note(func(r *CopyResult) { r.BlobsSent++; r.BytesSent += d.Size })
		return false, nil
	case err == nil:
		again = answer.StatusCode == http.StatusUnauthorized || answer.StatusCode >= http.StatusInternalServerError
		err = refusal(answer, "")
	default:
		again = errors.Is(err, oci.ErrUnreachable)
	}
	c.abandon(ctx, target)
	if ctx.Err() != nil {
		return false, ctx.Err() // how the broken upload ended says nothing more
	}
	return again, err
}

// stream puts the blob's bytes, which are checked while they pass: the upload is
// broken off before its end if they are not those of the digest.
func (c *copying) stream(ctx context.Context, d oci.Descriptor, target string) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if d.Size <= singlePost {
		raw, err := c.source.Blob(ctx, c.from, d, singlePost)
		if err != nil {
			return nil, err
		}
		c.done.Add(d.Size)
		answer, _, err := c.publisher.send(ctx, c.to, http.MethodPut, target, header, raw)
		return answer, err
	}
	body, err := c.source.OpenBlob(ctx, c.from, d, maxCopiedBlob)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	watched := newWatched(body, &c.done)
	answer, err := c.publisher.client.Do(ctx, c.to, http.MethodPut, target, header, watched, d.Size)
	failure := watched.stop()
	if failure != nil || err != nil || answer.StatusCode != http.StatusCreated {
		watched.forget()
	}
	if failure != nil {
		// What was wrong with the source says more than how the upload ended.
		if answer != nil {
			answer.Body.Close()
		}
		return nil, failure
	}
	if err != nil {
		return nil, err
	}
	readShort(answer)
	return answer, nil
}

// abandon throws a half upload away (distribution-spec, "Cancelling an upload"),
// also when the copy itself was cancelled. It is a courtesy: a registry that does
// not take the request (distribution, once bytes have come) clears up in time.
func (c *copying) abandon(ctx context.Context, target string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	location, err := url.Parse(target)
	if err != nil {
		return
	}
	query := location.Query()
	query.Del("digest") // the rest is the registry's own, and it may need it
	location.RawQuery = query.Encode()
	answer, err := c.publisher.client.Do(ctx, c.to, http.MethodDelete, location.String(), nil, nil, 0)
	if err == nil {
		answer.Body.Close()
	}
}
