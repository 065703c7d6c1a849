package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify/oci"
)

func newSignCommand(a *app) *cobra.Command {
	var f signFlags
	var pairs []string
	cmd := &cobra.Command{
		Use:   "sign IMAGE…",
		Short: "Sign images and attach the signatures",
		Long: `Signs images by digest and attaches each signature to its image. A tag is resolved once,
and the digest that it names then is signed and printed. Run twice it adds nothing.

With --key a key file signs. Without it the signature is keyless: an identity token is
exchanged for a certificate that lives minutes, the signature is written to transparency
logs and timestamped, and it is verified against the trusted root before anything is
pushed. One certificate serves all images of a command. The token comes from
--identity-token, SIGSTORE_ID_TOKEN, GitHub Actions, GitLab, Buildkite, Kubernetes, SPIFFE,
or a login in the browser. The services come from --signing-config, from single URLs, or
from what hallmark trust init has fetched. The identity becomes public in the logs.`,
		Example: `  hallmark sign registry.example/app:1.2
  hallmark sign --identity-token token.jwt --signing-config signing_config.json --trusted-root trusted_root.json IMAGE
  hallmark sign --key hallmark.key registry.example/app:1.2
  hallmark sign --key hallmark.key --recursive registry.example/app@sha256:…
  hallmark sign --key hallmark.key --format legacy -a build=42 registry.example/app:1.2`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			annotations, err := parsePairs(pairs)
			if err != nil {
				return err
			}
			s, err := a.newAttacher(cmd.Context(), &f)
			if err != nil {
				return err
			}
			return s.attachAll(cmd.Context(), args, func(ctx context.Context, signer sign.Signer, ref oci.Reference, subject oci.Descriptor) (sign.Evidence, error) {
				if f.format == formatLegacy {
					return sign.Legacy(ctx, ref.Name(), subject.Digest, annotations, signer)
				}
				return sign.Image(ctx, subject.Digest, annotations, signer)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringArrayVarP(&pairs, "annotation", "a", nil, "sign this key=value too; may be repeated")
	return cmd
}

// parsePairs reads key=value texts.
func parsePairs(pairs []string) (map[string]string, error) {
	var all map[string]string
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, cli.Hint(cli.UsageError("annotation %q is not key=value", pair), "for example: -a build=42")
		}
		if _, twice := all[key]; twice {
			return nil, cli.UsageError("annotation %q is given twice", key)
		}
		if all == nil {
			all = make(map[string]string)
		}
		all[key] = value
	}
	return all, nil
}
