package identity

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// workloadAPI plays the SPIFFE agent of a node.
type workloadAPI struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	give func(audience []string) ([]*workload.JWTSVID, error)
}

func (w workloadAPI) FetchJWTSVID(ctx context.Context, request *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	// SPIFFE Workload Endpoint section 6: without it a confused proxy may have asked.
	if head, _ := metadata.FromIncomingContext(ctx); len(head.Get("workload.spiffe.io")) != 1 {
		return nil, status.Error(codes.InvalidArgument, "the security header is missing")
	}
	svids, err := w.give(request.Audience)
	if err != nil {
		return nil, err
	}
	return &workload.JWTSVIDResponse{Svids: svids}, nil
}

// agent serves give and returns its addresses.
func agent(t *testing.T, give func([]string) ([]*workload.JWTSVID, error)) (socket, tcp string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "agent") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket = filepath.Join(folder, "s")
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, workloadAPI{give: give})
	for _, at := range []struct{ network, address string }{{"unix", socket}, {"tcp", "127.0.0.1:0"}} {
		listener, err := net.Listen(at.network, at.address)
		if err != nil {
			t.Fatal(err)
		}
		tcp = listener.Addr().String()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(listener)
		}()
		t.Cleanup(func() { server.Stop(); <-done })
	}
	return socket, tcp
}

func one(raw string) []*workload.JWTSVID { return []*workload.JWTSVID{{Svid: raw}} }

func TestSPIFFE(t *testing.T) {
	t.Parallel()
	const id = "spiffe://example.org/builder"
	socket, tcp := agent(t, func(audience []string) ([]*workload.JWTSVID, error) {
		return append(one(unsigned(claimsFor(audience[0], id, later))), one(unsigned(claimsFor(audience[0], "spiffe://example.org/second", later)))...), nil
	})
	for _, address := range []string{"unix://" + socket, socket, "tcp://" + tcp} {
		token, err := find(t, Options{Getenv: environment(spiffeSocket, address)}).Token(t.Context(), "mine")
		if err != nil || token.Subject() != id || token.Audiences()[0] != "mine" || token.Source() != "the SPIFFE workload API" {
			t.Errorf("%s: got %v, %v", address, token, err)
		}
	}
}

func TestSPIFFERefuses(t *testing.T) {
	t.Parallel()
	const id = "spiffe://example.org/builder"
	for name, test := range map[string]struct {
		give  func([]string) ([]*workload.JWTSVID, error)
		words string
	}{
		"unknown workload": {func([]string) ([]*workload.JWTSVID, error) {
			return nil, status.Error(codes.PermissionDenied, "no identity issued")
		}, "no identity issued"},
		"no identity": {func([]string) ([]*workload.JWTSVID, error) { return nil, nil }, "no SVIDs"},
		"for another audience": {func([]string) ([]*workload.JWTSVID, error) {
			return one(unsigned(claimsFor("other", id, later))), nil
		}, "audience"},
		"expired": {func(a []string) ([]*workload.JWTSVID, error) {
			return one(unsigned(claimsFor(a[0], id, time.Unix(1, 0)))), nil
		}, "expired"},
		"CI-21 a name that is no token": {func([]string) ([]*workload.JWTSVID, error) { return one(id), nil }, "parse"},
		"without an issuer": {func(a []string) ([]*workload.JWTSVID, error) {
			return one(unsigned(`{"sub":"` + id + `","aud":"` + a[0] + `","exp":4102444800}`)), nil
		}, "iss"},
		"RE-03 a token of dots": {func([]string) ([]*workload.JWTSVID, error) { return one(strings.Repeat(".", 900<<10)), nil }, ""},
		"RE-03 a large answer":  {func([]string) ([]*workload.JWTSVID, error) { return one(strings.Repeat("a", 2<<20)), nil }, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket, _ := agent(t, test.give)
			token, err := find(t, Options{Getenv: environment(spiffeSocket, socket)}).Token(t.Context(), "")
			if err == nil || token.Raw() != "" || !strings.Contains(err.Error(), test.words) || len(err.Error()) > 500 || Hint(err) == "" {
				t.Errorf("got %v, %v, hint %q", token, err, Hint(err))
			}
		})
	}
}

func TestSPIFFEAddress(t *testing.T) {
	t.Parallel()
	for address, words := range map[string]string{
		"tcp://192.0.2.1:80": "of this machine", "tcp://agent.example:80": "of this machine", "http://127.0.0.1/": "of this machine", "agent.sock": "of this machine",
		"unix:///nonexistent/agent.sock": "agent.sock", "unix:\x00": "not a URI",
	} {
		start := time.Now()
		token, err := find(t, Options{Getenv: environment(spiffeSocket, address)}).Token(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), words) || time.Since(start) > 10*time.Second {
			t.Errorf("%q: got %v, %v after %s", address, token, err, time.Since(start))
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := find(t, Options{Getenv: environment(spiffeSocket, "/nonexistent")}).Token(ended, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}
