package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxPEMFile bounds one key or chain.
const maxPEMFile = 1 << 20

type trustCreateFlags struct {
	fulcio, rekorV1, rekorV2, ctlogs, stamps []string
	issuers                                  []string
	from, dir                                string
	all                                      bool
}

func newTrustCreateCommand(a *app) *cobra.Command {
	var f trustCreateFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a trusted root and a signing configuration for an instance of your own",
		Long: `Makes trusted_root.json and signing_config.json from the URLs of your services and
the files with their certificates or keys. Each flag may stand several times.

After a comma, from=DATE and until=DATE bound what is trusted of one service: the former
key of a log stands beside its successor, with its end. Dates are inclusive.

Chains are PEM, in any order. A timestamp authority's URL without a path gets Sigstore's,
/api/v1/timestamp, in the signing configuration. Existing files are replaced.`,
		Example: `  hallmark trust create --from 2026-01-01 -o instance \
    --fulcio https://fulcio.acme.example=fulcio-chain.pem \
    --rekor-v2 https://rekor.acme.example=rekor.pub --ctlog https://ct.acme.example=ctlog.pub \
    --tsa https://tsa.acme.example=tsa-chain.pem --oidc https://login.acme.example`,
		Args: cli.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.createTrust(&f) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.fulcio, "fulcio", nil, "URL=CHAIN of a certificate authority")
	flags.StringArrayVar(&f.rekorV1, "rekor", nil, "URL=KEY of a Rekor v1 log")
	flags.StringArrayVar(&f.rekorV2, "rekor-v2", nil, "URL=KEY of a Rekor v2 log")
	flags.StringArrayVar(&f.ctlogs, "ctlog", nil, "URL=KEY of a certificate transparency log")
	flags.StringArrayVar(&f.stamps, "tsa", nil, "URL=CHAIN of a timestamp authority")
	flags.StringArrayVar(&f.issuers, "oidc", nil, "URL of an OpenID Connect issuer that people sign in at")
	flags.StringVar(&f.from, "from", "", "since when all of it is trusted: 2026-01-01 or an RFC 3339 time; required")
	flags.StringVarP(&f.dir, "out", "o", ".", "the folder for the two files")
	flags.BoolVar(&f.all, "all", false, "sign with all logs and timestamp authorities, not with any one of them")
	return cmd
}

func (a *app) createTrust(f *trustCreateFlags) error {
	instance, err := f.instance()
	if err != nil {
		return err
	}
	root, err := instance.TrustedRoot()
	if err != nil {
		return cli.Hint(err, "--fulcio and --tsa want certificate chains with their root, --rekor, --rekor-v2 and --ctlog one public key each; each key is named once")
	}
	config, err := instance.SigningConfig()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{{"trusted_root.json", root}, {"signing_config.json", config}} {
		name := filepath.Join(f.dir, file.name)
		if err := keys.WriteFile(name, file.content, 0o644, true); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "wrote %s\n", name)
	}
	return nil
}

func (f *trustCreateFlags) instance() (trust.Instance, error) {
	instance := trust.Instance{Issuers: f.issuers, All: f.all}
	if f.from == "" {
		return instance, cli.Hint(cli.UsageError("no --from was given"), "it says since when the services are trusted, such as the day on which their keys were made: --from 2026-01-01")
	}
	var err error
	if instance.From, err = parseDay(f.from); err != nil {
		return instance, cli.UsageError("--from %q is no date: %w", f.from, err)
	}
	for _, kind := range []struct {
		flag   string
		values []string
		into   *[]trust.Endpoint
	}{
		{"fulcio", f.fulcio, &instance.Fulcio},
		{"rekor", f.rekorV1, &instance.RekorV1},
		{"rekor-v2", f.rekorV2, &instance.RekorV2},
		{"ctlog", f.ctlogs, &instance.CTLogs},
		{"tsa", f.stamps, &instance.Timestamps},
	} {
		for _, value := range kind.values {
			endpoint, err := parseEndpoint(value)
			if err != nil {
				return instance, fmt.Errorf("--%s: %w", kind.flag, err)
			}
			*kind.into = append(*kind.into, endpoint)
		}
	}
	if len(instance.Fulcio)+len(instance.RekorV1)+len(instance.RekorV2)+len(instance.CTLogs)+len(instance.Timestamps) == 0 {
		return instance, cli.Hint(cli.UsageError("no service was named"), "name them with --fulcio, --rekor-v2, --ctlog and --tsa, each URL=FILE")
	}
	return instance, nil
}

// parseEndpoint reads URL=FILE[,from=DATE][,until=DATE]. A URL may have "=" in its
// path; a file may have neither "=" nor ",".
func parseEndpoint(value string) (trust.Endpoint, error) {
	parts := strings.Split(value, ",")
	cut := strings.LastIndex(parts[0], "=")
	if cut <= 0 || cut == len(parts[0])-1 {
		return trust.Endpoint{}, cli.Hint(cli.UsageError("%q is not URL=FILE", value), "an example: https://rekor.acme.example=rekor.pub,until=2026-12-31")
	}
	endpoint := trust.Endpoint{URL: parts[0][:cut]}
	for _, bound := range parts[1:] {
		name, text, _ := strings.Cut(bound, "=")
		at, err := parseDay(text)
		if err != nil {
			return endpoint, cli.UsageError("%q is no date: %w", bound, err)
		}
		switch name {
		case "from":
			endpoint.From = at
		case "until":
			if len(text) == len(time.DateOnly) {
				at = at.AddDate(0, 0, 1).Add(-time.Second) // the whole day
			}
			endpoint.Until = at
		default:
			return endpoint, cli.Hint(cli.UsageError("%q is not known behind a file", bound), "from=DATE and until=DATE are")
		}
	}
	var err error
	if endpoint.PEM, err = wholefile.ReadFile(parts[0][cut+1:], maxPEMFile); err != nil {
		return endpoint, err
	}
	return endpoint, nil
}

func parseDay(text string) (time.Time, error) {
	at, dayErr := time.Parse(time.DateOnly, text)
	if dayErr == nil {
		return at, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.Join(dayErr, err)
	}
	return at, nil
}
