// Package stack runs a private Sigstore instance on this machine's loopback
// addresses: Fulcio (with and without a CT log), a Rekor v1, two Rekor v2, two timestamp
// authorities, an OpenID Connect issuer that also answers for real issuer URLs, and a
// TUF repository.
//
//	s, err := stack.Start(ctx, stack.Options{Programs: ".cache/bin", Dir: dir})
//	defer s.Stop()
//	config, err := s.Services().SigningConfig()
//	token, err := s.Issuer.Token(stack.Email, nil)
//
// The servers are Sigstore's own, built from the module in ../sigstore; the issuer, the
// reading side of Rekor v2 and the TUF repository live in this process. It is for tests:
// keys lie unencrypted in a folder, and what the logs hold is gone when it stops.
package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Options say where a [Stack] finds and keeps things. Both are required.
type Options struct {
	// Programs is the folder with the servers: fulcio, rekor1, rekor2, localtrillian, localtsa.
	Programs string
	// Dir is an empty folder for keys, data and logs. It shall be short: a unix socket lies in it.
	Dir string
}

// Stack is one running instance. Its fields do not change once [Start] has returned,
// and may be read by any number of goroutines.
type Stack struct {
	// Dir holds keys, data and the servers' logs (*.log). What others may be given of it:
	// fulcio-chain.pem, rekor1.pub, rekor2-0.pub, rekor2-1.pub, ct.pub, tsa0-chain.pem and
	// tsa1-chain.pem.
	Dir string
	// Issuer makes identity tokens.
	Issuer *Issuer
	// TUF is a repository with the trusted root and the signing configuration.
	TUF *Repository
	// TrustedRoot is the instance's trusted_root.json.
	TrustedRoot []byte

	services  Services
	addresses addresses
	keys      *keys
	processes []*process
	closers   []func()
}

// addresses are the host:port pairs of servers that are processes of their own.
type addresses struct {
	trillian, ct                      string
	fulcio, fulcioGRPC, fulcioMetrics string
	noCT, noCTGRPC, noCTMetrics       string
	rekor1                            string
	rekor2                            [2]rekor2Addresses
	tsa                               [2]string
	oidc, connect, repository         string
}

// rekor2Addresses are those of one Rekor v2: front is the one that clients see.
type rekor2Addresses struct{ http, grpc, metrics, front string }

// startTime bounds how long all servers together may take until they answer: one
// second on a quiet machine, fourteen were seen on a loaded one.
const startTime = 2 * time.Minute

// Start brings an instance up. When it fails, nothing is left running and the error
// holds the end of the log of the server that failed.
func Start(ctx context.Context, options Options) (*Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	s := &Stack{Dir: options.Dir}
	err := s.start(ctx, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the Sigstore instance: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, options Options) error {
	for _, step := range []func() error{
		s.makeKeys,
		s.chooseAddresses,
		s.startIssuer,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := s.startServers(ctx, options.Programs); err != nil {
		return err
	}
	s.services = s.describe()
	root, err := s.trustedRoot()
	if err != nil {
		return fmt.Errorf("making the trusted root: %w", err)
	}
	s.TrustedRoot = root
	return s.startRepository()
}

// Stop ends every server, and waits for each. It may be called more than once.
func (s *Stack) Stop() error {
	for _, p := range s.processes {
		p.stop()
	}
	s.processes = nil
	for _, stop := range s.closers {
		stop()
	}
	s.closers = nil
	return nil
}

// path names a file of the instance's folder.
func (s *Stack) path(name string) string { return filepath.Join(s.Dir, name) }

// StrangersRoot is the trusted root of an instance that does not run: with services of
// the same kinds and other keys.
func StrangersRoot(dir string) ([]byte, error) {
	s := &Stack{Dir: dir}
	if err := s.makeKeys(); err != nil {
		return nil, err
	}
	s.Issuer = &Issuer{URL: "http://127.0.0.1:1"}
	for _, address := range []*string{&s.addresses.fulcio, &s.addresses.rekor1, &s.addresses.rekor2[0].front, &s.addresses.rekor2[1].front, &s.addresses.ct, &s.addresses.tsa[0], &s.addresses.tsa[1]} {
		*address = "127.0.0.1:1"
	}
	s.services = s.describe()
	return s.trustedRoot()
}
