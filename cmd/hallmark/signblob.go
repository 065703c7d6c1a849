package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
)

func newSignBlobCommand(a *app) *cobra.Command {
	var key, passwordFile, bundle string
	cmd := &cobra.Command{
		Use:   "sign-blob FILE",
		Short: "Sign a file of any size",
		Long: `Signs a file as a message signature and writes a Sigstore bundle. The file is streamed and
read once. - is standard input; without --bundle the bundle goes to standard output.`,
		Example: `  hallmark sign-blob --key hallmark.key --bundle app.sigstore.json app.tar.gz`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			signer, err := a.loadSigner(cmd.Context(), key, passwordFile)
			if err != nil {
				return err
			}
			content, err := a.openContent(args[0])
			if err != nil {
				return err
			}
			defer content.Close()
			evidence, err := sign.Blob(cmd.Context(), content, signer)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if bundle == "" || bundle == "-" {
				_, err := fmt.Fprintf(a.stdout, "%s\n", evidence.Raw)
				return err
			}
			// A bundle is made anew at will: only a private key needs --force to go.
			if err := keys.WriteFile(bundle, append(evidence.Raw, '\n'), 0o644, true); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "signed %s (%s) with %s\nbundle %s\n", args[0], evidence.Subject, evidence.Signer, bundle)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "sign with the private key in this file")
	flags.StringVar(&passwordFile, "password-file", "", "read the key's password from a file")
	flags.StringVar(&bundle, "bundle", "", "write the bundle to this file")
	return cmd
}

// openContent opens a file to read, or standard input for "-".
func (a *app) openContent(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, undetermined(hint(fmt.Errorf("reading the content: %w", err), "check the path"))
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		file.Close()
		return nil, undetermined(hint(fmt.Errorf("reading the content: %s is a folder", name), "name a file; a folder can be signed as an archive"))
	}
	return file, nil
}
