package credentials

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/attest/wording"
)

const (
	// maxSecrets bounds the secrets of one object; Pods name one or two.
	maxSecrets = 20
	// MaxFresh bounds how long what the API said is used again.
	MaxFresh = time.Minute
	// defaultFresh keeps a rollout of many Pods from asking for each.
	defaultFresh = 30 * time.Second
	// maxKept bounds what is kept of answers.
	maxKept = 1024
)

// name is what the API server accepts as the name of a Secret, a service account or a
// namespace (RFC 1123 subdomain). Nothing else becomes part of a URL.
var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// PullSecretOptions say how pull secrets are read.
type PullSecretOptions struct {
	// API reads the objects.
	API *API
	// Fallback has the credentials of hosts that no secret is for; nil has none. Give
	// the server's own.
	Fallback authn.Keychain
	// Fresh is how long an answer is used again, at most MaxFresh; 0 is 30 seconds.
	Fresh time.Duration
	// Now is the clock.
	Now func() time.Time
	// Warn is told of secrets that were passed over, as the kubelet passes them over:
	// those that are not there, may not be read or hold something else. Nil tells
	// nobody. It must be safe for concurrent use.
	Warn func(error)
}

// PullSecrets finds the credentials that an object's author named for its images. Safe
// for concurrent use.
//
// Secrets are read one by one by their names, in the namespace of the object, and never
// listed or watched: rights to get the named ones are all that is needed.
type PullSecrets struct {
	options PullSecretOptions
	secrets *kept[*Credentials]
	lists   *kept[[]string]
}

// NewPullSecrets returns what reads pull secrets. It asks nothing yet.
func NewPullSecrets(o PullSecretOptions) (*PullSecrets, error) {
	if o.API == nil || o.Now == nil {
		return nil, errors.New("reading pull secrets: no API or no clock was given")
	}
	if o.Fresh < 0 || o.Fresh > MaxFresh {
		return nil, fmt.Errorf("reading pull secrets: they are used again for 0 to %s, not %s", MaxFresh, o.Fresh)
	}
	if o.Fresh == 0 {
		o.Fresh = defaultFresh
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	return &PullSecrets{o, newKept[*Credentials](o.Now, o.Fresh), newKept[[]string](o.Now, o.Fresh)}, nil
}

// ForAsker returns the credentials of the secrets that an object of a namespace names;
// where it names none, of those of its service account, "" being "default". So does
// Kubernetes. Behind them stands the fallback.
//
// id is the same for the same credentials and for no others, "" where there are none.
// An error says that the API could not be asked: what the secrets hold is not known
// then, and the answer is not "none".
func (p *PullSecrets) ForAsker(ctx context.Context, namespace string, pullSecrets []string, serviceAccount string) (keychain authn.Keychain, id string, err error) {
	if namespace == "" {
		return nil, "", nil
	}
	if !name.MatchString(namespace) {
		return nil, "", fmt.Errorf("reading pull secrets: %q is no namespace", wording.Short(namespace))
	}
	if len(pullSecrets) == 0 {
		if pullSecrets, err = p.ofAccount(ctx, namespace, serviceAccount); err != nil {
			return nil, "", err
		}
	}
	if len(pullSecrets) > maxSecrets {
		return nil, "", fmt.Errorf("reading pull secrets: %d are named, at most %d are read", len(pullSecrets), maxSecrets)
	}
	all := &chain{fallback: p.options.Fallback}
	for _, secret := range pullSecrets {
		c, err := p.secret(ctx, namespace, secret)
		if err != nil {
			return nil, "", err
		}
		if c != nil && len(c.entries) > 0 {
			all.credentials = append(all.credentials, c)
			id += c.identify()
		}
	}
	if id == "" {
		return nil, "", nil
	}
	return all, id, nil
}

// chain asks one after the other; the first that has something for a repository counts.
type chain struct {
	credentials []*Credentials
	fallback    authn.Keychain
}

// Resolve implements [authn.Keychain].
func (c *chain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	for _, one := range c.credentials {
		if auth, found := one.find(target); found {
			return authn.FromConfig(auth), nil
		}
	}
	if c.fallback != nil {
		return c.fallback.Resolve(target)
	}
	return authn.Anonymous, nil
}

// ofAccount lists the secrets that a service account names.
func (p *PullSecrets) ofAccount(ctx context.Context, namespace, account string) ([]string, error) {
	if account == "" {
		account = "default"
	}
	if !name.MatchString(account) {
		p.options.Warn(fmt.Errorf("reading service account %q in %s: no such name is possible", wording.Short(account), namespace))
		return nil, nil
	}
	return p.lists.get(ctx, namespace+"/"+account, func(ctx context.Context) ([]string, error) {
		found, err := p.options.API.serviceAccount(ctx, namespace, account)
		if err = p.passOver(err); err != nil {
			return nil, err
		}
		return found, nil
	})
}

// secret returns the credentials of a secret, nil where it has none that can be used.
func (p *PullSecrets) secret(ctx context.Context, namespace, secret string) (*Credentials, error) {
	if !name.MatchString(secret) {
		p.options.Warn(fmt.Errorf("reading secret %q in %s: no such name is possible", wording.Short(secret), namespace))
		return nil, nil //nolint:nilnil // passed over
	}
	return p.secrets.get(ctx, namespace+"/"+secret, func(ctx context.Context) (*Credentials, error) {
		c, err := p.options.API.secret(ctx, namespace, secret)
		if err = p.passOver(err); err != nil {
			return nil, err
		}
		return c, nil
	})
}

// passOver tells of what is not there or may not be read, and lets other errors stand.
func (p *PullSecrets) passOver(err error) error {
	if errors.Is(err, errAbsent) {
		p.options.Warn(err)
		return nil
	}
	return err
}
