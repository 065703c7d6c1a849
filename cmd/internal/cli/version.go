package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// NewVersionCommand makes the verb that prints what a program is made of.
func NewVersionCommand(a *App) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print version, Go version and the versions of the libraries that matter",
		Example: "  " + a.Name() + " version --output json",
		Args:    NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			found := map[string]string{a.Name(): a.version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
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
				return json.NewEncoder(a.Stdout).Encode(found)
			case "text":
			default:
				return UsageError("--output is text or json, not %q", output)
			}
			fmt.Fprintf(a.Stdout, "%s %s (%s, %s)\n", a.Name(), a.version(), found["go"], found["platform"])
			for _, path := range []string{"github.com/sigstore/sigstore-go", "github.com/anchore/syft", "github.com/google/go-containerregistry", "github.com/sigstore/cosign/v2"} {
				if found[path] != "" {
					fmt.Fprintf(a.Stdout, "  %s %s\n", path, found[path])
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}
