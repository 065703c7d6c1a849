package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

const (
	maxRootFile   = 1 << 20 // a TUF root.json has 10 kB
	updateTimeout = 5 * time.Minute
)

func newTrustCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Fetch, show and make trusted roots for keyless signatures",
		Long: `A trusted root says which certificate authorities, logs and timestamp authorities
keyless signatures are judged by. It is fetched once and kept in a folder; nothing that
verifies ever fetches it. The folder is $HALLMARK_TRUST_DIR, else hallmark/trust under
$XDG_DATA_HOME or ~/.local/share.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrustInitCommand(a), newTrustUpdateCommand(a), newTrustShowCommand(a), newTrustExportCommand(a), newTrustCreateCommand(a))
	return cmd
}

func newTrustInitCommand(a *app) *cobra.Command {
	var mirror, rootFile, pin string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Trust a repository and fetch its trusted root",
		Long: `Fetches the trusted root of Sigstore's public instance, or that of --mirror. For a
mirror of your own, --root names the root.json that you were given by its owner: what a
mirror says of itself is never the reason to trust it.

Exit codes: 0 done, 1 refused, 2 the mirror could not be asked, 64 wrong usage.`,
		Example: `  hallmark trust init
  hallmark trust init --mirror https://tuf.acme.example --root root.json
  hallmark trust init --mirror https://tuf.acme.example --root root.json --root-sha256 9f86d081…`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source := tuf.Source{Mirror: mirror, RootSHA256: pin}
			if rootFile != "" {
				raw, err := wholefile.ReadFile(rootFile, maxRootFile)
				if err != nil {
					return cli.Hint(fmt.Errorf("reading the root: %w", err), "--root names the root.json of the mirror's owner")
				}
				source.Root = raw
			}
			return a.fetchTrust(cmd.Context(), func(ctx context.Context, store *tuf.Store) (*tuf.State, error) {
				return store.Init(ctx, source)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&mirror, "mirror", "", "the TUF repository's URL (default: Sigstore's public instance)")
	flags.StringVar(&rootFile, "root", "", "the repository's root.json, from its owner")
	flags.StringVar(&pin, "root-sha256", "", "the SHA-256 that the file of --root must have, in hexadecimal")
	return cmd
}

func newTrustUpdateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "update",
		Short: "Fetch what is new",
		Long: `Fetches what is new in the repository that hallmark trust init named. If that fails,
what was there before stays and is used.

Exit codes: 0 done, 1 refused, 2 the mirror could not be asked, 64 wrong usage.`,
		Example: `  hallmark trust update`,
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.fetchTrust(cmd.Context(), func(ctx context.Context, store *tuf.Store) (*tuf.State, error) {
				return store.Update(ctx)
			})
		},
	}
}

// fetchTrust runs one of the two operations that use the network.
func (a *app) fetchTrust(ctx context.Context, fetch func(context.Context, *tuf.Store) (*tuf.State, error)) error {
	dir, err := tuf.DefaultDir(a.Getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	state, err := fetch(ctx, tuf.NewStore(dir))
	if err != nil {
		return trustError(err)
	}
	root, err := trust.NewRoot(trust.WithTrustedRoot(state.TrustedRoot()))
	if err != nil {
		return trustError(err)
	}
	_, err = fmt.Fprintf(a.Stdout, "trusted root  %s\nfrom          %s\ngood until    %s\nfolder        %s\n",
		root.Digest(), state.Mirror(), state.Expires().UTC().Format(time.RFC3339), dir)
	return err
}

// trustError gives an error of the trust state its hint and exit code.
func trustError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tuf.ErrUnreachable):
		return cli.Undetermined(cli.Hint(err, "check --mirror and the proxy (HTTPS_PROXY); what was fetched before is still used"))
	case errors.Is(err, tuf.ErrBusy):
		return cli.Undetermined(cli.Hint(err, "try again when it is done"))
	case errors.Is(err, tuf.ErrNoAnchor):
		return &cli.CodeError{Err: cli.Hint(err, "give --root root.json, as you have it from the mirror's owner"), Code: cli.ExitUsage}
	case errors.Is(err, tuf.ErrNoState), errors.Is(err, cli.ErrNoTrustState):
		return cli.Hint(err, "run hallmark trust init")
	case errors.Is(err, tuf.ErrRollback):
		return cli.Hint(err, "the mirror serves old files, by mistake or on purpose: ask its owner; what was fetched before is still used")
	case errors.Is(err, tuf.ErrExpired):
		return cli.Hint(err, "the mirror is no longer kept up, or this machine's clock is wrong: ask its owner; what was fetched before is still used")
	case errors.Is(err, trust.ErrRootInvalid):
		return cli.Hint(err, "nothing of it is trusted; get the file again, or run hallmark trust init")
	}
	return err
}

func newTrustExportCommand(a *app) *cobra.Command {
	var out string
	var signing bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the trusted root as one file",
		Long: `Prints the trusted_root.json that was fetched, byte for byte: for --trusted-root on
another machine, or for other tools.`,
		Example: `  hallmark trust export -o trusted_root.json
  hallmark trust export --signing-config -o signing_config.json`,
		Args: cli.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			state, err := a.TrustState()
			if err != nil {
				return trustError(err)
			}
			content := state.TrustedRoot()
			if signing {
				if content = state.SigningConfig(); content == nil {
					return cli.Hint(errors.New("the repository has no signing configuration"), "hallmark trust create makes one for an instance of your own")
				}
			}
			if out != "" {
				return keys.WriteFile(out, content, 0o644, true)
			}
			_, err = a.Stdout.Write(content)
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to this file")
	cmd.Flags().BoolVar(&signing, "signing-config", false, "the signing configuration instead")
	return cmd
}
