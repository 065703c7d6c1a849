package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Limits of one exchange with a server that gives tokens.
const (
	maxAnswer      = 1 << 20          // discovery documents and key sets have a few kB
	maxRedirects   = 3                // inside one origin: a slash at the end, a new path
	requestTimeout = 30 * time.Second // issuers answer in milliseconds
	attempts       = 3
	firstPause     = 500 * time.Millisecond
)

var (
	errRedirect = errors.New("refusing a redirect to another origin")
	errTooLarge = errors.New("the answer is larger than 1 MB")
)

// newClient returns a client on the transport of base with the rules of this package:
// no redirect leaves the origin that was asked (so that neither a credential nor the
// question of whose keys are right goes elsewhere), answers are bounded in size and
// time, and there are no cookies.
func newClient(base *http.Client) *http.Client {
	way := bounded{http.DefaultTransport, requestTimeout}
	if base != nil {
		if base.Transport != nil {
			way.RoundTripper = base.Transport
		}
		if base.Timeout > 0 {
			way.timeout = base.Timeout
		}
	}
	return &http.Client{Transport: way, CheckRedirect: sameOrigin}
}

func sameOrigin(next *http.Request, before []*http.Request) error {
	first := before[0].URL
	if next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return errRedirect
	}
	if len(before) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// bounded limits how long each answer may take and how much of it is read. It does
// what http.Client.Timeout does, but holds nothing once an answer has been read to
// its end: not every library closes what it has read.
type bounded struct {
	http.RoundTripper
	timeout time.Duration
}

// RoundTrip is [http.RoundTripper].
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(request.Context(), b.timeout)
	answer, err := b.RoundTripper.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	answer.Body = &boundedBody{answer.Body, maxAnswer, cancel}
	return answer, nil
}

type boundedBody struct {
	io.ReadCloser
	left   int
	cancel context.CancelFunc
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		n, err = b.left, errTooLarge
	}
	b.left -= n
	if err != nil {
		b.cancel()
	}
	return n, err
}

func (b *boundedBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// checkURL parses the address of a server that tokens or credentials go to. It must
// use TLS unless it is this machine.
func checkURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || strings.ContainsFunc(raw, unprintable) {
		return nil, errors.New("not a URL") // the cause quotes it, and a secret may be in it
	}
	switch {
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("a URL without a host")
	case u.User != nil:
		return nil, errors.New("a URL with a user name or password")
	case u.Scheme == "https", u.Scheme == "http" && onLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%s://%s is not https", wording.Short(u.Scheme), wording.Short(u.Host))
}

func onLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// ask sends one request for a token that may be repeated, up to three times while the server is
// not well, and decodes the answer. Secrets never show in its errors.
func (s *settings) ask(ctx context.Context, build func() (*http.Request, error), target any, secrets ...string) error {
	pause := firstPause
	for try := 1; ; try++ {
		again, err := s.askOnce(ctx, build, target)
		if err == nil {
			return nil
		}
		if !again || try == attempts || ctx.Err() != nil {
			return redact(err, secrets...)
		}
		if err := s.sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

func (s *settings) askOnce(ctx context.Context, build func() (*http.Request, error), target any) (again bool, err error) {
	request, err := build()
	if err != nil {
		return false, err
	}
	answer, err := s.client.Do(request.WithContext(ctx))
	if err != nil {
		return !errors.Is(err, errRedirect), withoutURL(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return !errors.Is(err, errTooLarge), fmt.Errorf("reading the answer of %s: %w", answer.Request.URL.Host, err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		refusal := fmt.Errorf("%s answered %s%s", answer.Request.URL.Host, wording.Short(answer.Status), saidOf(body))
		return answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode >= 500, refusal
	}
	if err := json.Unmarshal(body, target); err != nil {
		return false, fmt.Errorf("%s did not answer with the JSON that was expected", answer.Request.URL.Host)
	}
	return false, nil
}

// saidOf returns the message of a refusal, if it is one of the usual ones.
func saidOf(body []byte) string {
	var said struct {
		Message     string `json:"message"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	var words []string
	for _, text := range []string{said.Message, said.Error, said.Description} {
		if text != "" {
			words = append(words, fmt.Sprintf("%q", wording.Short(text)))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words, ", ")
}

// withoutURL drops the address from a client's error, all but its host: the query of
// an address may hold a secret.
func withoutURL(err error) error {
	var wrapped *url.Error
	if !errors.As(err, &wrapped) {
		return err
	}
	host := "the server"
	if u, parseErr := url.Parse(wrapped.URL); parseErr == nil && u.Host != "" {
		host = u.Host
	}
	return fmt.Errorf("asking %s: %w", host, wrapped.Err)
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
