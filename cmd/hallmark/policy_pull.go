package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/source"
)

type policyPullFlags struct {
	cli.RegistryFlags
	cli.PolicySignerFlags
	out string
}

func newPolicyPullCommand(a *app) *cobra.Command {
	f := &policyPullFlags{}
	cmd := &cobra.Command{
		Use:   "pull oci://REGISTRY/REPOSITORY@sha256:… --out FILE",
		Short: "Fetch a policy from a registry into a file",
		Long: `Fetches a policy by digest, or by a tag together with who must have signed it. Nothing is
written before digest, signature and the policy itself are checked. What was fetched is
kept by digest in the user's cache, so that the same command works with --offline=all.

Exit codes: 0 written, 1 it was looked at and is not what was wanted, 2 it could not be
looked at, 64 wrong usage.`,
		Example: `  hallmark policy pull oci://registry.example/policies/prod@sha256:… -o policy.yaml
  hallmark policy pull oci://registry.example/policies/prod:v3 --policy-key policy.pub -o policy.yaml
  hallmark policy pull oci://registry.example/policies/prod:v3 -o policy.yaml \
    --policy-identity security@acme.example --policy-issuer https://accounts.google.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.policyPull(cmd.Context(), f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "out", "o", "", "the file to write, - for standard output")
	f.PolicySignerFlags.Add(flags)
	f.RegistryFlags.Add(flags)
	return cmd
}

func (a *app) policyPull(ctx context.Context, f *policyPullFlags, where string) error {
	if f.out == "" {
		return cli.Hint(cli.UsageError("nothing says where the policy goes"), "name the file with --out, or - for standard output")
	}
	fetched, err := a.FetchPolicy(ctx, where, &f.PolicySignerFlags, &f.RegistryFlags)
	if err != nil {
		return err
	}
	if _, err := cli.ParseFetched(fetched); err != nil {
		return err
	}
	if f.out == "-" {
		_, err := a.Stdout.Write(fetched.Data)
		return err
	}
	if _, err := wholefile.Write(f.out, 0o644, func(w io.Writer) error { _, err := w.Write(fetched.Data); return err }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "pulled %s%s into %s\n", source.Scheme, fetched.Reference, f.out)
	return err
}
