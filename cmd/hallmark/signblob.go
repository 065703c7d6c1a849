package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
)

func newSignBlobCommand(a *app) *cobra.Command {
	var f identityFlags
	var bundle string
	var statement bool
	cmd := &cobra.Command{
		Use:   "sign-blob FILE",
		Short: "Sign a file of any size",
		Long: `Signs a file as a message signature and writes a Sigstore bundle. The file is streamed and
read once. Ed25519 keys
make Ed25519ph, which cosign 2 does not verify with a key: use another key for files that cosign
shall verify. - is standard input; without --bundle the bundle goes to standard output.

With --statement the file is an in-toto statement, which is signed as a DSSE envelope. Its
subjects are what the bundle is then about.`,
		Example: `  hallmark sign-blob --bundle app.sigstore.json app.tar.gz      # keyless, see hallmark sign --help
  hallmark sign-blob --key hallmark.key --bundle app.sigstore.json app.tar.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if err := oneStdin("the content", args[0], f.passwordFile); err != nil {
				return err
			}
			if args[0] == "-" && f.token == "-" {
				return cli.Hint(cli.UsageError("the content and the identity token cannot both come from standard input"), "name a file for one of them")
			}
			signing, err := a.newSigning(cmd.Context(), &f, false)
			if err != nil {
				return err
			}
			content, err := a.openContent(args[0])
			if err != nil {
				return err
			}
			defer content.Close()
			signer, _, err := signing.signer(cmd.Context())
			if err != nil {
				return signingError(err)
			}
			var evidence sign.Evidence
			if statement {
				evidence, err = signStatement(cmd.Context(), content, signer)
			} else {
				evidence, err = sign.Blob(cmd.Context(), content, signer)
			}
			if err != nil {
				return signingError(fmt.Errorf("%s: %w", args[0], err))
			}
			if bundle == "" || bundle == "-" {
				_, err := fmt.Fprintf(a.Stdout, "%s\n", evidence.Raw)
				return err
			}
			if err := writeBundle(bundle, append(evidence.Raw, '\n')); err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout, "signed %s (%s) with %s\nbundle %s\n", args[0], evidence.Subject, report.Plain(evidence.Signer.String()), bundle)
			return nil
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	flags.BoolVar(&statement, "statement", false, "the file is an in-toto statement: sign it as one, about its own subjects")
	flags.StringVar(&bundle, "bundle", "", "write the bundle to this file")
	return cmd
}

// signStatement signs a file that is an in-toto statement.
func signStatement(ctx context.Context, file io.Reader, signer sign.Signer) (sign.Evidence, error) {
	raw, err := io.ReadAll(io.LimitReader(file, attest.MaxStatementBytes+1))
	if err != nil {
		return sign.Evidence{}, err
	}
	if len(raw) > attest.MaxStatementBytes {
		return sign.Evidence{}, fmt.Errorf("a statement of more than %d MB", attest.MaxStatementBytes>>20)
	}
	statement, err := attest.ParseStatement(raw)
	if err != nil {
		return sign.Evidence{}, cli.Hint(err, "the file must be one in-toto statement; without --statement any file is signed")
	}
	all := statement.Digests()
	if len(all) == 0 {
		return sign.Evidence{}, cli.Hint(errors.New("no subject has a digest of a known algorithm"), "name subjects by sha256, sha384 or sha512")
	}
	return sign.Statement(ctx, statement, all[0], signer)
}

// writeBundle writes a bundle completely or not at all. An older file is replaced:
// a bundle is made anew at will. A pipe or device, such as /dev/stdout, is written to
// and stays what it is.
func writeBundle(name string, content []byte) error {
	if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
		return keys.WriteFile(name, content, 0o644, true)
	}
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	if _, err := file.Write(content); err != nil {
		file.Close()
		return fmt.Errorf("writing the bundle: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	return nil
}

// oneStdin refuses to read two things from standard input: the second would find it
// empty, and sign that.
func oneStdin(what, name, passwordFile string) error {
	if name == "-" && passwordFile == "-" {
		return cli.Hint(cli.UsageError("%s and the password cannot both come from standard input", what), "name a file for one of them, or set HALLMARK_PASSWORD")
	}
	return nil
}

// openContent opens a file to read, or standard input for "-".
func (a *app) openContent(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.Stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, cli.Undetermined(cli.Hint(fmt.Errorf("reading the content: %w", err), "check the path"))
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		file.Close()
		return nil, cli.Undetermined(cli.Hint(fmt.Errorf("reading the content: %s is a folder", name), "name a file; a folder can be signed as an archive"))
	}
	return file, nil
}
