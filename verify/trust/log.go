package trust

import (
	"crypto"
	"strings"
)

// Log is one transparency log that a [Root] trusts.
type Log struct {
	ID  []byte // as bundles name it
	URL string
	Key crypto.PublicKey
	// Hash is what the log hashes before it signs.
	Hash crypto.Hash
}

// Log returns the trusted transparency log at an address, without regard to a slash
// at its end.
func (r *Root) Log(address string) (log Log, found bool) {
	if r.sigstore == nil {
		return Log{}, false
	}
	for _, known := range r.sigstore.RekorLogs() {
		if strings.TrimRight(known.BaseURL, "/") == strings.TrimRight(address, "/") {
			return Log{ID: known.ID, URL: known.BaseURL, Key: known.PublicKey, Hash: known.SignatureHashFunc}, true
		}
	}
	return Log{}, false
}
