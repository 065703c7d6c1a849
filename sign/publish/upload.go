package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// singlePost is the size up to which a blob is sent with the first request, which
// saves a second where the registry can (distribution-spec, "Pushing a blob
// monolithically", single POST). A registry that does not look at the body reads at
// most 256 KiB of it before it cuts the connection (net/http's server).
const singlePost = 128 << 10

// Retry policy of writes.
const (
	sendAttempts = 3
	busyPause    = 100 * time.Millisecond
	maxBusyPause = 30 * time.Second // of a Retry-After; longer ones are the user's to wait for
)

// maxAnswer bounds the answer to a write that is read, for its error text.
const maxAnswer = 64 << 10

// blob uploads content unless this process has done so before.
func (p *Publisher) blob(ctx context.Context, ref oci.Reference, content []byte) error {
	d := digest.FromBytes(content)
	defer p.lock(ref.Name() + "@" + d.String())()
	if p.storedAlready(ref, d) {
		return nil
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	var first []byte
	path := "blobs/uploads/"
	if len(content) <= singlePost {
		first = content
		path += "?digest=" + url.QueryEscape(d.String())
	}
	answer, text, err := p.send(ctx, ref, http.MethodPost, path, header, first)
	if err != nil {
		return fmt.Errorf("uploading %s: %w", d.Short(), err)
	}
	switch answer.StatusCode {
	case http.StatusCreated:
		p.remember(ref, d)
		return nil
	case http.StatusAccepted:
	default:
		return fmt.Errorf("uploading %s: %w", d.Short(), refusal(answer, text))
	}
	target, err := uploadTarget(answer, d)
	if err != nil {
		return fmt.Errorf("uploading %s: %w", d.Short(), err)
	}
	if answer, text, err = p.send(ctx, ref, http.MethodPut, target, header, content); err != nil {
		return fmt.Errorf("uploading %s: %w", d.Short(), err)
	}
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("uploading %s: %w", d.Short(), refusal(answer, text))
	}
	p.remember(ref, d)
	return nil
}

// uploadTarget reads where the content shall go. Another host gets no credentials
// (the client attaches them to the registry alone) and must be reached over TLS.
func uploadTarget(answer *http.Response, d digest.Digest) (string, error) {
	asked := answer.Request.URL
	target, err := asked.Parse(answer.Header.Get("Location"))
	if err != nil || answer.Header.Get("Location") == "" {
		return "", fmt.Errorf("%w: the registry names no upload location", oci.ErrUnreachable)
	}
	if target.Host != asked.Host && target.Scheme != "https" || target.Scheme != asked.Scheme && target.Scheme != "https" {
		return "", fmt.Errorf("%w: upload to %s://%s", oci.ErrRedirectRefused, target.Scheme, target.Host)
	}
	if target.Host != asked.Host && oci.InternalAddress(target.Hostname()) && !oci.InternalAddress(asked.Hostname()) {
		return "", fmt.Errorf("%w: upload to the internal address %s", oci.ErrRedirectRefused, target.Hostname())
	}
	query := target.Query()
	query.Set("digest", d.String())
	target.RawQuery = query.Encode()
	return target.String(), nil
}

// send sends one write and reads its short answer. A registry that is busy for a
// moment is asked again: each write here may be repeated, as it names its content
// by digest or is merged anew.
func (p *Publisher) send(ctx context.Context, ref oci.Reference, method, path string, header http.Header, body []byte) (*http.Response, string, error) {
	for attempt := 1; ; attempt++ {
		answer, err := p.client.Do(ctx, ref, method, path, header, bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return nil, "", err
		}
		text := readShort(answer)
		wait := busyPause << (2 * (attempt - 1))
		switch answer.StatusCode {
		case http.StatusTooManyRequests:
			if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
				wait = time.Duration(min(seconds, int(maxBusyPause/time.Second)+1)) * time.Second
			}
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			return answer, text, nil
		}
		if attempt == sendAttempts || wait > maxBusyPause {
			return answer, text, nil
		}
		if err := pause(ctx, wait); err != nil {
			return nil, "", err
		}
	}
}

// manifest puts a manifest under a digest or tag. The condition is sent as it is.
func (p *Publisher) manifest(ctx context.Context, ref oci.Reference, name, mediaType string, raw []byte, condition http.Header) (*http.Response, error) {
	header := http.Header{"Content-Type": {mediaType}}
	for key, values := range condition {
		header[key] = values
	}
	answer, text, err := p.send(ctx, ref, http.MethodPut, "manifests/"+name, header, raw)
	if err != nil {
		return nil, fmt.Errorf("writing manifest %s: %w", name, err)
	}
	switch answer.StatusCode {
	case http.StatusCreated, http.StatusOK, http.StatusAccepted:
		return answer, nil
	}
	return answer, fmt.Errorf("writing manifest %s: %w", name, refusal(answer, text))
}

func readShort(answer *http.Response) string {
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return ""
	}
	return string(text)
}

// refusal names a registry's refusal to write, with its own words cut short.
func refusal(answer *http.Response, text string) error {
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	detail := ""
	if json.Unmarshal([]byte(text), &body) == nil && len(body.Errors) > 0 {
		detail = ": " + strings.Map(printable, fmt.Sprintf("%.40s %.160s", body.Errors[0].Code, body.Errors[0].Message))
	}
	kind := oci.ErrUnreachable
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = oci.ErrUnauthorized
	case http.StatusNotFound:
		kind = oci.ErrNotFound
	}
	return fmt.Errorf("%w: %d %s%s", kind, answer.StatusCode, http.StatusText(answer.StatusCode), detail)
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// statementBytes returns one comparable form of a fact's statement.
func statementBytes(fact verify.Fact) (string, error) {
	raw, err := json.Marshal(fact.Statement)
	return string(raw), err
}
