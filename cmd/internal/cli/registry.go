package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// RegistryFlags say how registries are reached; every verb that reaches one has
// them.
type RegistryFlags struct {
	// AllowHTTP is --insecure-allow-http.
	AllowHTTP bool
	// CAFile is --registry-ca.
	CAFile string
	// Reach is --offline.
	Reach oci.Reach
}

// Add adds the flags.
func (f *RegistryFlags) Add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.AllowHTTP, "insecure-allow-http", false, "allow registries without TLS (loopback needs no flag)")
	flags.StringVar(&f.CAFile, "registry-ca", "", "trust the certificate authorities in this PEM file for registries")
	flags.Var(&f.Reach, "offline", "connect to the registries of the named images only, or with --offline=all to nothing; anything else is an error")
	flags.Lookup("offline").NoOptDefVal = oci.ReachRegistry.String()
}

// Client returns a registry client with the user's docker credentials; push lets it
// write.
func (f *RegistryFlags) Client(a *App, push bool) (*oci.Client, error) {
	options, err := f.Options(a)
	if err != nil {
		return nil, err
	}
	options.Push = push
	return oci.NewClient(options), nil
}

// Options are those of a client that reads.
func (f *RegistryFlags) Options(a *App) (oci.Options, error) {
	options := oci.Options{Keychain: authn.DefaultKeychain, InsecureHTTP: f.AllowHTTP, UserAgent: a.Name() + "/" + a.version(), Reach: f.Reach}
	if f.Reach != oci.ReachAnywhere {
		options.Keychain = offlineKeychain{authn.DefaultKeychain}
	}
	if f.CAFile != "" {
		text, err := os.ReadFile(f.CAFile)
		if err != nil {
			return oci.Options{}, fmt.Errorf("reading --registry-ca: %w", err)
		}
		options.RootCAs = x509.NewCertPool()
		if !options.RootCAs.AppendCertsFromPEM(text) {
			return oci.Options{}, Hint(UsageError("reading --registry-ca: %s holds no certificate", f.CAFile), "it must be one or more PEM blocks of type CERTIFICATE")
		}
	}
	return options, nil
}

// RegistryError gives an error of a registry its hint and its exit code: what could
// not be looked at is undetermined.
func RegistryError(image string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, oci.ErrReference):
		return Hint(&CodeError{Err: err, Code: ExitUsage}, "an image is named like registry.example/team/app:tag or …@sha256:…; names are lower case")
	case errors.Is(err, oci.ErrOffline):
		return Undetermined(Hint(err, "leave --offline away to reach that host; without a network, work on a file: hallmark bundle save makes one"))
	case errors.Is(err, oci.ErrUnauthorized):
		return Undetermined(Hint(err, "log in to the registry of %s, for example with: docker login; or ask for access", image))
	case errors.Is(err, oci.ErrNotFound):
		return Hint(err, "check the name and the tag of %s; does the image exist?", image)
	case errors.Is(err, oci.ErrUnreachable):
		return Undetermined(Hint(err, "is the registry of %s up and reachable from here? Nothing was changed by asking", image))
	case errors.Is(err, oci.ErrRedirectRefused):
		return Undetermined(Hint(err, "the registry sends requests where credentials or trust would leak; look at its configuration"))
	}
	return err
}
