// Command image packs hallmark-verify into an OCI image without Docker, gives it an
// SBOM, a signature and provenance, all made by hallmark, and has the result verified
// by hallmark-verify. `make image` runs it.
//
// The image is reproducible: the same programs and certificate authorities make the same
// digests, whenever and wherever. It holds nothing else, and runs as nobody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image: error:", err)
		stop()
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	programs    map[string]string // platform to file
	authorities string            // a PEM file, or empty
	version     string
	created     time.Time
	out         string
	hallmark    string
	verifier    string
	key         string
	source      string
	remote      string
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	index, err := pack(s)
	if err != nil {
		return err
	}
	return publish(ctx, s, index)
}

func parse(args []string) (settings, error) {
	s := settings{programs: make(map[string]string)}
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.Func("program", "PLATFORM=FILE: a static program for a platform, such as linux/arm64=bin/x; repeated", func(text string) error {
		platform, file, found := strings.Cut(text, "=")
		if !found || strings.Count(platform, "/") != 1 {
			return errors.New("want OS/ARCHITECTURE=FILE")
		}
		s.programs[platform] = file
		return nil
	})
	flags.StringVar(&s.authorities, "ca", "", "certificate authorities to put in, a PEM file; none if empty")
	flags.StringVar(&s.version, "version", "dev", "the program's version, a label")
	flags.StringVar(&s.out, "out", "bin/image", "the folder to write; .pub and -policy.yaml are written beside it")
	flags.StringVar(&s.hallmark, "hallmark", "", "the hallmark program, which makes the evidence; without it there is none")
	flags.StringVar(&s.verifier, "verifier", "", "the hallmark-verify program, which has the last word")
	flags.StringVar(&s.key, "key", "", "the key to sign with; a throw-away one is made if empty")
	flags.StringVar(&s.source, "source", ".", "the git checkout that the programs were built from")
	flags.StringVar(&s.remote, "remote", "", "where the checkout comes from, if it has no remote of the name origin")
	created := flags.String("created", "0", "Unix seconds, usually $SOURCE_DATE_EPOCH")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 || len(s.programs) == 0 || s.out == "" {
		return settings{}, errors.New("want -program, -out and no argument")
	}
	if strings.ContainsAny(s.remote, "\n\"\\") {
		return settings{}, errors.New("want an address as -remote")
	}
	seconds, err := strconv.ParseInt(*created, 10, 64)
	if err != nil {
		return settings{}, fmt.Errorf("reading -created: %w", err)
	}
	s.created = time.Unix(seconds, 0).UTC()
	return s, nil
}
