package stack

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed fulcio.yaml.tmpl
var fulcioConfig string

// startServers starts the processes, each after those that it asks at its own start:
// Rekor v1 makes a tree in Trillian, Fulcio asks every issuer for its keys.
func (s *Stack) startServers(ctx context.Context, programs string) error {
	programs, err := filepath.Abs(programs)
	if err != nil {
		return err
	}
	program := func(name string) string { return filepath.Join(programs, name) }
	a := &s.addresses
	trillian, err := s.run("localtrillian", nil, program("localtrillian"), "-grpc", a.trillian, "-http", a.ct, "-prefix", "ct",
		"-ct-key", s.path("ct.key"), "-ct-roots", s.path("fulcio-root.pem"))
	if err != nil {
		return err
	}
	waits := map[*process]string{}
	for i, address := range a.tsa {
		p, err := s.run(fmt.Sprintf("tsa%d", i), nil, program("localtsa"), "-host", "127.0.0.1", "-port", portOf(address),
			"-key", s.path(fmt.Sprintf("tsa%d.key", i)), "-chain", s.keys.tsaChains[i])
		if err != nil {
			return err
		}
		waits[p] = "http://" + address + "/api/v1/timestamp/certchain"
	}
	for i := range a.rekor2 {
		p, err := s.startRekor2(i, program("rekor2"))
		if err != nil {
			return err
		}
		waits[p] = "http://" + a.rekor2[i].http + "/healthz"
	}
	if err := trillian.ready(ctx, "http://"+a.ct+"/healthz"); err != nil {
		return err
	}
	rekor1, err := s.run("rekor1", nil, program("rekor1"), "serve", "--rekor_server.address", "127.0.0.1", "--port", portOf(a.rekor1),
		"--trillian_log_server.address", "127.0.0.1", "--trillian_log_server.port", portOf(a.trillian), "--rekor_server.signer", s.path("rekor1.key"),
		"--rekor_server.hostname", "127.0.0.1", "--enable_retrieve_api=false", "--enable_attestation_storage=false")
	if err != nil {
		return err
	}
	waits[rekor1] = "http://" + a.rekor1 + "/api/v1/log/publicKey"
	for _, variant := range []struct{ name, http, grpc, metrics, log string }{
		{"fulcio", a.fulcio, a.fulcioGRPC, a.fulcioMetrics, "http://" + a.ct + "/ct"},
		// The same authority without a CT log: its certificates hold no SCT.
		{"fulcio-noct", a.noCT, a.noCTGRPC, a.noCTMetrics, ""},
	} {
		p, err := s.startFulcio(program("fulcio"), variant.name, variant.http, variant.grpc, variant.metrics, variant.log)
		if err != nil {
			return err
		}
		waits[p] = "http://" + variant.http + "/healthz"
	}
	for p, url := range waits {
		if err := p.ready(ctx, url); err != nil {
			return err
		}
	}
	return nil
}

// startRekor2 starts one of the Rekor v2 and what stands before it.
func (s *Stack) startRekor2(number int, program string) (*process, error) {
	a := s.addresses.rekor2[number]
	name := fmt.Sprintf("rekor2-%d", number)
	data := s.path(name)
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	if err := s.startRekorFront(a, data); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(a.front)
	if err != nil {
		return nil, err
	}
	return s.run(name, nil, program, "serve", "--hostname", host, "--http-address", "127.0.0.1", "--http-port", portOf(a.http),
		"--grpc-address", "127.0.0.1", "--grpc-port", portOf(a.grpc), "--http-metrics-port", portOf(a.metrics),
		"--storage-dir", data, "--signer-filepath", s.path(name+".key"), "--checkpoint-interval", "100ms", "--batch-max-age", "20ms")
}

// startFulcio starts a Fulcio that reaches the real issuers' URLs through the proxy of
// [Issuer], with a certificate authority that exists for that alone.
func (s *Stack) startFulcio(program, name, http, grpc, metrics, log string) (*process, error) {
	parsed, err := template.New("fulcio").Parse(fulcioConfig)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, s.Issuer); err != nil {
		return nil, err
	}
	config := s.path(name + ".yaml")
	if err := os.WriteFile(config, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	environment := []string{"HTTPS_PROXY=http://" + s.addresses.connect, "SSL_CERT_FILE=" + s.path("tls-root.pem")}
	return s.run(name, environment, program, "serve", "--host", "127.0.0.1", "--port", portOf(http), "--grpc-host", "127.0.0.1", "--grpc-port", portOf(grpc),
		"--metrics-port", portOf(metrics), "--config-path", config, "--ca", "fileca", "--fileca-cert", s.keys.fulcioChain, "--fileca-key", s.path("fulcio.key"),
		// The key is not encrypted, and a passphrase is asked for all the same.
		"--fileca-key-passwd", "unused", "--fileca-watch=false", "--ct-log-url="+log, "--legacy-unix-domain-socket", s.path(name+".sock"))
}

// listen opens one of the chosen ports for a server of this process.
func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return listener, nil
}
