package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/credentials"
	"github.com/hallmark-project/hallmark/policy/server"
)

// ownKeychain is that of the server's own registry credentials, which are replaced while
// it runs.
type ownKeychain struct {
	mu  sync.Mutex
	now authn.Keychain
}

func (k *ownKeychain) set(now authn.Keychain) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = now
}

// Resolve implements [authn.Keychain].
func (k *ownKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	k.mu.Lock()
	now := k.now
	k.mu.Unlock()
	if now == nil {
		return authn.Anonymous, nil
	}
	return now.Resolve(target)
}

// askers finds the credentials of those who ask; nil where that is not switched on.
func (f *serveFlags) askers(a *cli.App, own authn.Keychain, log *slog.Logger) (server.PullSecrets, error) {
	if !f.pullSecrets {
		return nil, nil //nolint:nilnil // then the server's own count
	}
	api, err := credentials.InCluster(a.Getenv, f.accountDir)
	if err != nil {
		return nil, cli.Hint(err, "leave --pull-secrets away outside of a cluster; --docker-config names credentials")
	}
	secrets, err := credentials.NewPullSecrets(credentials.PullSecretOptions{
		API: api, Fallback: own, Now: time.Now, Warn: func(err error) { log.Warn("passed over pull secrets", "error", err) },
	})
	return askerSecrets{secrets}, err
}

// askerSecrets asks for the secrets of an [admission.Asker].
type askerSecrets struct{ *credentials.PullSecrets }

// Keychain implements [server.PullSecrets].
func (s askerSecrets) Keychain(ctx context.Context, asker admission.Asker) (keychain authn.Keychain, id string, err error) {
	return s.ForAsker(ctx, asker.Namespace, asker.PullSecrets, asker.ServiceAccount)
}
