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
		API: api, Fallback: own, Now: time.Now, Warn: (&firstTime{log: log}).warn,
	})
	return askerSecrets{secrets}, err
}

// maxSaid bounds what is remembered of warnings. When it is reached, all may be said again.
const maxSaid = 1000

// firstTime logs each warning once: a namespace whose secrets may not be read is asked
// about with every Pod.
type firstTime struct {
	log  *slog.Logger
	mu   sync.Mutex
	said map[string]bool
}

func (f *firstTime) warn(err error) {
	f.mu.Lock()
	known := f.said[err.Error()]
	if f.said == nil || len(f.said) >= maxSaid {
		f.said = make(map[string]bool)
	}
	f.said[err.Error()] = true
	f.mu.Unlock()
	if !known {
		f.log.Warn("passed over pull secrets", "error", err)
	}
}

// askerSecrets asks for the secrets of an [admission.Asker].
type askerSecrets struct{ *credentials.PullSecrets }

// Keychain implements [server.PullSecrets].
func (s askerSecrets) Keychain(ctx context.Context, asker admission.Asker) (keychain authn.Keychain, id string, err error) {
	return s.ForAsker(ctx, asker.Namespace, asker.PullSecrets, asker.ServiceAccount)
}
