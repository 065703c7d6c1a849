package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// policyPushSchema names the form of the result as JSON.
const policyPushSchema = "hallmark.dev/policy-push/v1"

// pushedPolicy is the result of a push, as JSON prints it.
type pushedPolicy struct {
	Schema       string `json:"schema"`
	Reference    string `json:"reference"` // by digest, as --policy takes it
	Tag          string `json:"tag,omitempty"`
	PolicyDigest string `json:"policyDigest"`
	KeyID        string `json:"keyId"`
	Identity     string `json:"identity,omitempty"`
	Issuer       string `json:"issuer,omitempty"`
	Existing     bool   `json:"existing"`
}

type policyPushFlags struct {
	cli.RegistryFlags
	identityFlags
	output string
}

func newPolicyPushCommand(a *app) *cobra.Command {
	f := &policyPushFlags{}
	cmd := &cobra.Command{
		Use:   "push FILE|FOLDER oci://REGISTRY/REPOSITORY:TAG",
		Short: "Sign a policy and put it into a registry",
		Long: `Writes the policy in canonical form, with its keys, trust roots and included files inline,
into a registry as an artifact of type ` + source.ArtifactType + `,
signs it, and moves the tag to it last: who reads by tag never finds it unsigned. The
time of the push stands in the artifact; readers that follow a tag refuse to go back to
an older one. Run twice it adds nothing.

Give one key or identity to the policies of one tag only: whoever can write to the registry can
show readers of the tag any policy that the same signer has ever signed.

Without --key the signature is keyless, as that of hallmark sign. The line that is printed
names the policy by digest, as --policy takes it.`,
		Example: `  hallmark policy push policy.yaml oci://registry.example/policies/prod:v3 --key policy.key
  hallmark policy push policies/ oci://registry.example/policies/prod:v3`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyPush(cmd.Context(), f, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.output, "output", "text", "text or json")
	f.identityFlags.add(flags)
	f.RegistryFlags.Add(flags)
	return cmd
}

func (a *app) policyPush(ctx context.Context, f *policyPushFlags, path, to string) error {
	if f.output != "text" && f.output != "json" {
		return cli.UsageError("--output is text or json, not %q", f.output)
	}
	if err := f.identityFlags.check(); err != nil {
		return err
	}
	ref, err := source.ParseReference(to)
	if err == nil && (ref.Tag == "" || !ref.Digest.IsZero()) {
		err = fmt.Errorf("reading %q: %w: a policy is pushed under a tag", to, oci.ErrReference)
	}
	if err != nil {
		return cli.Hint(&cli.CodeError{Err: err, Code: cli.ExitUsage}, "hallmark policy push FILE oci://REGISTRY/REPOSITORY:TAG")
	}
	p, err := a.LoadPolicy(path)
	if err != nil {
		return err
	}
	signing, err := a.newSigning(ctx, &f.identityFlags, false)
	if err != nil {
		return err
	}
	signer, verifier, err := signing.signer(ctx)
	if err != nil {
		return signingError(err)
	}
	client, err := f.Client(&a.App, true)
	if err != nil {
		return err
	}
	publisher := publish.New(client)
	stored, err := publisher.StorePolicy(ctx, ref, p.YAML(), time.Now())
	if err != nil {
		return pushError(to, err)
	}
	evidence, err := sign.Image(ctx, stored.Descriptor.Digest, nil, signer)
	if err != nil {
		return signingError(fmt.Errorf("signing policy %s: %w", path, err))
	}
	attached, err := publisher.Attach(ctx, ref, stored.Descriptor, evidence, verifier)
	if err != nil {
		return pushError(to, err)
	}
	if !stored.Existing {
		if err := publisher.TagPolicy(ctx, ref, stored); err != nil {
			return pushError(to, err)
		}
	}
	result := pushedPolicy{
		Schema: policyPushSchema, Reference: source.Scheme + ref.At(stored.Descriptor.Digest).String(), Tag: ref.Tag,
		PolicyDigest: p.Digest().String(), KeyID: evidence.Signer.KeyID, Existing: stored.Existing && attached.Existing,
	}
	if certificate := evidence.Signer.Certificate; certificate != nil {
		result.Identity, result.Issuer = certificate.SAN, certificate.Issuer
	}
	return a.printPushed(result, f.output)
}

func (a *app) printPushed(r pushedPolicy, output string) error {
	if output == "json" {
		return json.NewEncoder(a.Stdout).Encode(r)
	}
	verb := "pushed"
	if r.Existing {
		verb = "pushed already"
	}
	by := ""
	if r.Identity != "" {
		by = "  by " + report.Plain(r.Identity)
	}
	_, err := fmt.Fprintf(a.Stdout, "%s %s  (%s)%s\n", verb, r.Reference, r.Tag, by)
	return err
}

// pushError gives an error of pushing its hint. A repository that does not exist yet is
// no error of the user's, so there is none for that.
func pushError(to string, err error) error {
	if errors.Is(err, oci.ErrNotFound) {
		return cli.Hint(err, "does the repository of %s exist, and may you push there?", to)
	}
	return writeError(to, err)
}
