package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/hallmark-project/hallmark/attest/wording"
)

const callbackPath = "/auth/callback"

// Limits of the listener that waits for the browser.
const (
	maxCallbackHeader = 64 << 10        // a code has some hundred bytes
	callbackTimeout   = 5 * time.Second // for the browser, on the same machine
	maxCode           = 16 << 10        // a code may be a token by itself
)

// browser logs in with an authorization code (OpenID Connect Core section 3.1, RFC
// 8252), bound to this process by PKCE (RFC 7636), to this request by the state and
// to the token by the nonce. Each is 128 bits or more and made for one login.
func (p person) browser(ctx context.Context, from *issuer) (string, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	desk, err := listen(ctx, state, from.url)
	if err != nil {
		return "", fmt.Errorf("listening for the browser: %w", err)
	}
	defer desk.close()
	from.config.RedirectURL = desk.address
	login := from.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))
	if err := p.show(login); err != nil {
		if p.Flow == FlowAuto && from.config.Endpoint.DeviceAuthURL != "" {
			desk.close()
			return p.device(whole, from)
		}
		fmt.Fprintf(p.Prompt, "To log in, open this page in a browser on this machine:\n  %s\n", login)
	} else {
		fmt.Fprintf(p.Prompt, "Your browser opens the login page. If it does not:\n  %s\n", login)
	}
	code, err := desk.wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return "", withHint(fmt.Errorf("waiting for the browser: %w", err), "run the command again; on a machine without a browser use --oidc-flow device")
	}
	if err != nil {
		return "", fmt.Errorf("waiting for the browser: %w", err)
	}
	answer, err := from.config.Exchange(p.inContext(ctx), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return "", fmt.Errorf("trading the code for a token: %w", redact(brief(err), code, verifier))
	}
	return p.accept(ctx, from, answer, nonce)
}

// desk is a server on a loopback address that takes the browser's answer: the first
// one, whatever it is, and no other.
type desk struct {
	address string
	host    string
	state   string
	issuer  string
	server  *http.Server
	taken   atomic.Bool
	result  chan callback
	served  chan struct{}
}

type callback struct {
	code string
	err  error
}

// listen opens the desk. It closes with close, which must be called.
func listen(ctx context.Context, state, issuer string) (*desk, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0") // RFC 8252 section 7.3
	if err != nil {
		return nil, err
	}
	d := &desk{host: listener.Addr().String(), state: state, issuer: issuer, result: make(chan callback, 1), served: make(chan struct{})}
	d.address = "http://" + d.host + callbackPath
	d.server = &http.Server{
		Handler: d, MaxHeaderBytes: maxCallbackHeader,
		ReadTimeout: callbackTimeout, WriteTimeout: callbackTimeout, IdleTimeout: callbackTimeout,
	}
	d.server.SetKeepAlivesEnabled(false)
	go func() {
		defer close(d.served)
		_ = d.server.Serve(listener) // ends with close
	}()
	return d, nil
}

// close lets an answer that is being written go out, then ends the server.
func (d *desk) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if d.server.Shutdown(ctx) != nil {
		_ = d.server.Close()
	}
	<-d.served
}

func (d *desk) wait(ctx context.Context) (string, error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case answer := <-d.result:
		return answer.code, answer.err
	}
}

// ServeHTTP takes the redirect of the issuer (RFC 6749 section 4.1.2). What is not
// the redirect, such as a question for an icon, does not count. A name in Host other
// than the listener's own is a page that had its name point here.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path != callbackPath || r.Host != d.host {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	if d.taken.Swap(true) {
		http.Error(w, "The login has been answered already.", http.StatusGone)
		return
	}
	code, err := d.read(r.URL.RawQuery)
	if err != nil {
		http.Error(w, "The login failed. The terminal says why.", http.StatusBadRequest)
	} else {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, "The login is done. This page may be closed.")
	}
	d.result <- callback{code, err}
}

// read returns the code of an answer to this very request.
func (d *desk) read(rawQuery string) (string, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "", errors.New("the answer cannot be read")
	}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if len(query[name]) > 1 {
			return "", fmt.Errorf("the answer has %s twice", name)
		}
	}
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(d.state)) != 1 {
		return "", withHint(errors.New("the answer is not to this login (its state is another)"),
			"close older login pages and run the command again; if it happens again, a page in this browser tries to log you in as somebody else")
	}
	if iss := query.Get("iss"); iss != "" && iss != d.issuer { // RFC 9207 section 2.4
		return "", fmt.Errorf("the answer is of another issuer, %q", wording.Short(iss))
	}
	if query.Has("error") {
		return "", fmt.Errorf("the issuer refused: %s", said(query.Get("error"), query.Get("error_description")))
	}
	code := query.Get("code")
	if code == "" || len(code) > maxCode {
		return "", errors.New("the answer has no code")
	}
	return code, nil
}
