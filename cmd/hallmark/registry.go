package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// registryFlags say how registries are reached; every verb that reaches one has
// them.
type registryFlags struct {
	allowHTTP bool
	caFile    string
	offline   oci.Reach
}

func (f *registryFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.allowHTTP, "insecure-allow-http", false, "allow registries without TLS (loopback needs no flag)")
	flags.StringVar(&f.caFile, "registry-ca", "", "trust the certificate authorities in this PEM file for registries")
	flags.Var(&f.offline, "offline", "connect to the registries of the named images only, or with --offline=all to nothing; anything else is an error")
	flags.Lookup("offline").NoOptDefVal = oci.ReachRegistry.String()
}

// client returns a registry client with the user's docker credentials.
func (f *registryFlags) client(push bool) (*oci.Client, error) {
	options, err := f.options()
	if err != nil {
		return nil, err
	}
	options.Push = push
	return oci.NewClient(options), nil
}

// options are those of a client that reads.
func (f *registryFlags) options() (oci.Options, error) {
	options := oci.Options{Keychain: authn.DefaultKeychain, InsecureHTTP: f.allowHTTP, UserAgent: "hallmark/" + version, Reach: f.offline}
	if f.offline != oci.ReachAnywhere {
		options.Keychain = offlineKeychain{authn.DefaultKeychain}
	}
	if f.caFile != "" {
		text, err := os.ReadFile(f.caFile)
		if err != nil {
			return oci.Options{}, fmt.Errorf("reading --registry-ca: %w", err)
		}
		options.RootCAs = x509.NewCertPool()
		if !options.RootCAs.AppendCertsFromPEM(text) {
			return oci.Options{}, hint(usageError("reading --registry-ca: %s holds no certificate", f.caFile), "it must be one or more PEM blocks of type CERTIFICATE")
		}
	}
	return options, nil
}

// registryError gives an error of a registry its hint and its exit code: what could
// not be looked at is undetermined.
func registryError(image string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, oci.ErrReference):
		return hint(&codeError{err: err, code: exitUsage}, "an image is named like registry.example/team/app:tag or …@sha256:…; names are lower case")
	case errors.Is(err, oci.ErrOffline):
		return undetermined(hint(err, "leave --offline away to reach that host; without a network, work on a file: hallmark bundle save makes one"))
	case errors.Is(err, oci.ErrUnauthorized):
		return undetermined(hint(err, "log in to the registry of %s, for example with: docker login; or ask for access", image))
	case errors.Is(err, oci.ErrNotFound):
		return hint(err, "check the name and the tag of %s; does the image exist?", image)
	case errors.Is(err, oci.ErrUnreachable):
		return undetermined(hint(err, "is the registry of %s up and reachable from here? Nothing was changed by asking", image))
	case errors.Is(err, oci.ErrRedirectRefused):
		return undetermined(hint(err, "the registry sends requests where credentials or trust would leak; look at its configuration"))
	}
	return err
}
