package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/bits"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
)

// Log is a transparency log: a Rekor v1 or v2, or a CT log. It is safe for
// concurrent use.
type Log struct {
	URL    string
	ID     []byte
	Window Window
	key    crypto.Signer
	public []byte // SubjectPublicKeyInfo

	mu     sync.Mutex
	leaves [][32]byte
}

// newLog makes a log with a few entries of others in it. An Ed25519 log has the
// ID of a signed note's key, which is what a Rekor v2 has (C2SP signed-note).
func newLog(t testing.TB, address string, w Window, edwards bool) *Log {
	t.Helper()
	l := &Log{URL: address, Window: w, key: newP256(t)}
	if edwards {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		l.key = private
	}
	var err error
	if l.public, err = x509.MarshalPKIXPublicKey(l.key.Public()); err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(l.public)
	if public, is := l.key.Public().(ed25519.PublicKey); is {
		id = sha256.Sum256(slices.Concat([]byte(l.Host(t)+"\n\x01"), public))
	}
	l.ID = id[:]
	for i := range 5 {
		l.leaves = append(l.leaves, hashLeaf(fmt.Appendf(nil, "entry %d of somebody else", i)))
	}
	return l
}

// Host is the log's host name: a Rekor v2's origin.
func (l *Log) Host(t testing.TB) string {
	t.Helper()
	parsed, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Hostname()
}

// proto writes the log as a trusted root has it.
func (l *Log) proto() *prototrustroot.TransparencyLogInstance {
	details := protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
	if _, is := l.key.(ed25519.PrivateKey); is {
		details = protocommon.PublicKeyDetails_PKIX_ED25519
	}
	return &prototrustroot.TransparencyLogInstance{
		BaseUrl: l.URL, HashAlgorithm: protocommon.HashAlgorithm_SHA2_256, LogId: &protocommon.LogId{KeyId: l.ID},
		PublicKey: &protocommon.PublicKey{RawBytes: l.public, KeyDetails: details, ValidFor: l.Window.proto()},
	}
}

// sign signs a message as the log does.
func (l *Log) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	var sig []byte
	var err error
	switch key := l.key.(type) {
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, message)
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(message)
		sig, err = ecdsa.SignASN1(rand.Reader, key, sum[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// add appends an entry and returns its index, the tree's size and root after it,
// and the inclusion proof (RFC 6962, section 2.1).
func (l *Log) add(body []byte) (index, size int64, root [32]byte, proof [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaves = append(l.leaves, hashLeaf(body))
	at := len(l.leaves) - 1
	return int64(at), int64(len(l.leaves)), treeHash(l.leaves), auditPath(l.leaves, at)
}

// Checkpoint is what a log says of its tree, before it is signed. The fields can
// be changed to make a log that lies, or one that writes nonsense.
type Checkpoint struct {
	Origin string
	Size   string
	Root   string
	Extra  string // further lines
	// Signers are the names and logs that sign; a name of a v1 is its host.
	Signers []Cosigner
}

// Cosigner signs a checkpoint under a name.
type Cosigner struct {
	Name string
	By   *Log
	// Forge changes the key hint and signature before it is written.
	Forge func([]byte) []byte
}

// encode writes the checkpoint as a signed note (C2SP signed-note, tlog-checkpoint).
func (c Checkpoint) encode(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for _, line := range []string{c.Origin, c.Size, c.Root} {
		if line != "" {
			text.WriteString(line + "\n")
		}
	}
	text.WriteString(c.Extra)
	note := text.String() + "\n"
	for _, signer := range c.Signers {
		raw := slices.Concat(signer.By.hint(signer.Name), signer.By.sign(t, []byte(text.String())))
		if signer.Forge != nil {
			raw = signer.Forge(raw)
		}
		note += "\u2014 " + signer.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	return note
}

// hint is the first four bytes of the key's ID under a name.
func (l *Log) hint(name string) []byte {
	if public, is := l.key.Public().(ed25519.PublicKey); is {
		sum := sha256.Sum256(slices.Concat([]byte(name+"\n\x01"), public))
		return sum[:4]
	}
	sum := sha256.Sum256(l.public)
	return sum[:4]
}

func hashLeaf(body []byte) [32]byte { return sha256.Sum256(append([]byte{0}, body...)) }

func hashNode(left, right [32]byte) [32]byte {
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// split is the largest power of two below n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

func treeHash(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	return hashNode(treeHash(leaves[:k]), treeHash(leaves[k:]))
}

func auditPath(leaves [][32]byte, at int) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	inner, aside, next := leaves[:k], leaves[k:], at
	if at >= k {
		inner, aside, next = leaves[k:], leaves[:k], at-k
	}
	sibling := treeHash(aside)
	return append(auditPath(inner, next), sibling[:])
}
