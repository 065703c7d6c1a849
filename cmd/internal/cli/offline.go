package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// offline applies --offline to the whole process before a command runs. The
// registry client keeps to it by itself; this stops what a dependency might do.
func (a *App) offline(cmd *cobra.Command, _ []string) error {
	flag := cmd.Flags().Lookup("offline")
	if flag == nil || a.Confine == nil {
		return nil
	}
	if reach, is := flag.Value.(*oci.Reach); is && *reach != oci.ReachAnywhere {
		a.Confine(*reach)
	}
	return nil
}

// ConfineProcess makes everything that uses the process's own transport or looks
// up a name without a client of its own fail. Only main calls it.
func ConfineProcess(reach oci.Reach) {
	refuse := func(_ context.Context, _, address string) (net.Conn, error) { return nil, reach.Refuse(address) }
	http.DefaultTransport = &http.Transport{DialContext: refuse, DialTLSContext: refuse}
	remote.DefaultTransport = http.DefaultTransport
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: refuse}
}

// maxDockerConfig bounds docker's configuration; it has some kilobytes.
const maxDockerConfig = 1 << 20

// localHelpers are credential helpers that ask the machine they run on. Others,
// such as those of the clouds, ask a server, where --offline has no say.
var localHelpers = []string{"", "desktop", "osxkeychain", "pass", "secretservice", "wincred"}

// offlineKeychain is docker's configuration without the helpers that ask servers.
type offlineKeychain struct{ authn.Keychain }

// Resolve implements authn.Keychain.
func (k offlineKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (k offlineKeychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	for _, path := range dockerConfigs() {
		raw, err := wholefile.ReadFile(path, maxDockerConfig)
		if err != nil {
			continue // the keychain itself says what is wrong with it
		}
		var config struct {
			Store   string            `json:"credsStore"`
			Helpers map[string]string `json:"credHelpers"`
		}
		if json.Unmarshal(raw, &config) != nil {
			continue
		}
		helper, special := config.Helpers[target.RegistryStr()]
		if !special {
			helper = config.Store
		}
		if !slices.Contains(localHelpers, helper) {
			return nil, fmt.Errorf("docker-credential-%s, which %s names for %s, asks a server: %w", helper, path, target.RegistryStr(), oci.ErrOffline)
		}
	}
	return authn.Resolve(ctx, k.Keychain, target)
}

// dockerConfigs are the files in which credentials may be configured, docker's and
// podman's, as the keychain looks for them.
func dockerConfigs() []string {
	var files []string
	add := func(dir, name string) {
		if dir != "" {
			files = append(files, filepath.Join(dir, name))
		}
	}
	home, _ := os.UserHomeDir()
	add(home, ".docker/config.json")
	add(os.Getenv("DOCKER_CONFIG"), "config.json")
	add(os.Getenv("REGISTRY_AUTH_FILE"), "")
	add(os.Getenv("XDG_RUNTIME_DIR"), "containers/auth.json")
	add(os.Getenv("XDG_CONFIG_HOME"), "containers/auth.json")
	add(home, ".config/containers/auth.json")
	return files
}
