// Localtsa is Sigstore's timestamp authority without its metrics server, which always
// takes port 2112 of all addresses and ends the process when that is taken: so two
// authorities, or two stacks, can run on one machine.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/log"
	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

// timeout bounds reading a request and writing an answer.
const timeout = 30 * time.Second

// maxRequest bounds a request's body: a request is a hash and a nonce.
const maxRequest = 1 << 20

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "port to listen on")
	key := flag.String("key", "", "PEM file with the private key, not encrypted")
	chain := flag.String("chain", "", "PEM file with the certificates, the authority's own first")
	flag.Parse()
	for name, value := range map[string]any{
		"timestamp-signer": "file", "timestamp-signer-hash": "sha256", "file-signer-key-path": *key, "certificate-chain-path": *chain,
		"include-chain-in-response": true, "default-policy-oid": "1.3.6.1.4.1.57264.2", "max-request-body-size": maxRequest,
	} {
		viper.Set(name, value)
	}
	log.ConfigureLogger("prod")
	authority := server.NewRestAPIServer(*host, *port, []string{"http"}, false, timeout, timeout)
	if err := authority.Serve(); err != nil {
		fmt.Fprintln(os.Stderr, "localtsa:", err)
		os.Exit(1)
	}
}
