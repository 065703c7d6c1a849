// Stack starts the private Sigstore instance of the tests for a person, until Ctrl-C.
//
//	go run ./cmd/stack -dir /tmp/s
//
// It writes into the folder what clients need (trusted_root.json, signing configurations,
// TUF's root.json), and every minute a fresh identity token for each kind of identity.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

func main() {
	dir := flag.String("dir", "", "folder for what clients need; made when missing")
	programs := flag.String("programs", ".cache/bin", "folder with the servers, which the tests build")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *programs); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, programs string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	state, err := os.MkdirTemp("", "sigstore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	s, err := stack.Start(ctx, stack.Options{Programs: programs, Dir: state})
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := describe(s, dir); err != nil {
		return err
	}
	services := s.Services()
	fmt.Printf("fulcio %s\nfulcio without CT log %s\nrekor v2 %v\nrekor v1 %s\ntimestamps %v\nissuer %s\nTUF %s\n", services.Fulcio, services.FulcioWithoutCT,
		services.RekorV2, services.RekorV1, services.TimestampURLs(), services.OIDC, s.TUF.URL)
	for {
		if err := tokens(s, dir); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Minute):
		}
	}
}

// describe writes the files that do not change.
func describe(s *stack.Stack, dir string) error {
	files := map[string][]byte{"trusted_root.json": s.TrustedRoot, "root.json": s.TUF.Root}
	all := s.Services()
	two := all
	two.AllLogs, two.AllTSAs = true, true
	for name, services := range map[string]stack.Services{
		"": all, ".rekor1": all.V1(), ".rekor2": all.V2(), ".two": two, ".rekor1.noct": all.V1().NoCT(), ".rekor2.noct": all.V2().NoCT(),
	} {
		config, err := services.SigningConfig()
		if err != nil {
			return err
		}
		files["signing_config"+name+".json"] = config
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func tokens(s *stack.Stack, dir string) error {
	for name, profile := range map[string]stack.Profile{
		"email": stack.Email(), "github": stack.GitHub(), "github-real": stack.RealGitHub(), "gitlab": stack.GitLab(), "buildkite": stack.Buildkite(),
	} {
		token, err := s.Issuer.Token(profile, nil)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "token."+name), []byte(token), 0o600); err != nil {
			return err
		}
	}
	return nil
}
