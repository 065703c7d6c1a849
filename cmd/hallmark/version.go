package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func newVersionCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print version, Go version and the versions of the libraries that matter",
		Example: "  hallmark version --output json",
		Args:    noArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			found := map[string]string{"hallmark": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			if info, known := debug.ReadBuildInfo(); known {
				for _, module := range info.Deps {
					switch module.Path {
					case "github.com/sigstore/sigstore-go", "github.com/anchore/syft", "github.com/google/go-containerregistry", "github.com/sigstore/cosign/v2":
						found[module.Path] = module.Version
					}
				}
			}
			switch output {
			case "json":
				return json.NewEncoder(a.stdout).Encode(found)
			case "text":
			default:
				return usageError("--output is text or json, not %q", output)
			}
			fmt.Fprintf(a.stdout, "hallmark %s (%s, %s)\n", version, found["go"], found["platform"])
			for _, path := range []string{"github.com/sigstore/sigstore-go", "github.com/anchore/syft", "github.com/google/go-containerregistry", "github.com/sigstore/cosign/v2"} {
				if found[path] != "" {
					fmt.Fprintf(a.stdout, "  %s %s\n", path, found[path])
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}
