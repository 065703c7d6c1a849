package identity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
)

const spiffeSocket = "SPIFFE_ENDPOINT_SOCKET"

const spiffeAdvice = "register this workload with its SPIFFE server, and set SPIFFE_ENDPOINT_SOCKET to the agent's socket, such as unix:///run/spire/agent.sock; its tokens must name their issuer (jwt_issuer of the server), whom the certificate authority knows"

// spiffe is the SPIFFE workload API, which gives a JWT-SVID to whom it knows.
type spiffe struct{ *settings }

func (s *settings) spiffe() (provider, string, error) {
	if s.Getenv(spiffeSocket) == "" {
		return nil, "no SPIFFE workload API (" + spiffeSocket + ")", nil
	}
	return spiffe{s}, "", nil
}

func (spiffe) name() string { return "the SPIFFE workload API" }

func (spiffe) advice(string) string { return spiffeAdvice }

// fetch asks for the first identity that the workload has (SPIFFE Workload API
// section 6.2.1).
func (s spiffe) fetch(ctx context.Context, audience string) (string, error) {
	address, err := spiffeAddress(s.Getenv(spiffeSocket))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", spiffeSocket, err)
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(whole, requestTimeout)
	defer cancel()
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(address),
		workloadapi.WithDialOptions(grpc.WithNoProxy(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer))))
	if err != nil {
		return "", withHint(err, "%s", spiffeAdvice)
	}
	defer func() { _ = client.Close() }()
	svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		if ended := whole.Err(); ended != nil {
			return "", ended
		}
		return "", withHint(err, "%s", spiffeAdvice)
	}
	return svid.Marshal(), nil
}

// spiffeAddress takes a URI, or the bare path that some clients take. The API has no
// TLS, so that it must be on this machine.
func spiffeAddress(raw string) (string, error) {
	if strings.HasPrefix(raw, "/") {
		raw = "unix://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("not a URI")
	}
	if u.Scheme == "unix" || u.Scheme == "tcp" && onLoopback(u.Hostname()) {
		return raw, nil
	}
	return "", errors.New("neither a unix socket nor a tcp address of this machine")
}
