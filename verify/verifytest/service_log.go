package verifytest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"sync"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// record is what a client asks a log to keep, after its signature was verified.
type record struct {
	kind EntryKind
	body []byte // canonical
	leaf *x509.Certificate
}

// shelf is a log as a server has it: with the entries, and not only their hashes.
type shelf struct {
	*Services
	log *Log

	mu     sync.Mutex
	made   map[string]*protorekor.TransparencyLogEntry // by UUID
	bodies map[int64][]byte                            // by index
}

func (s *Services) shelf(log *Log) *shelf {
	return &shelf{Services: s, log: log, made: make(map[string]*protorekor.TransparencyLogEntry), bodies: make(map[int64][]byte)}
}

// keep logs a record, unless an equal one is there already.
func (s *shelf) keep(r record, wrong Wrong) (uuid string, entry *protorekor.TransparencyLogEntry, old bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uuid = uuidOf(r.body)
	if known := s.made[uuid]; known != nil {
		return uuid, known, true
	}
	log, signed := s.log, &Signed{Leaf: r.leaf}
	wanted := Entry{Kind: r.kind, Time: s.Now(), Raw: func([]byte) []byte { return r.body }}
	switch wrong {
	case EntryOfAnotherSignature:
		signed, wanted.Raw = s.Instance.Sign(s.t, Options{Message: r.kind != DSSEEntry, Entries: []Entry{}, Stamps: []Stamp{}}), nil
	case EntryOfAnotherLog:
		log = newLog(s.t, s.log.URL, s.log.Window, r.kind == HashedRekordV2)
		log.ID = s.log.ID
	case EntryOutsideOfTheTree:
		wanted.Change = func(e *protorekor.TransparencyLogEntry) { e.InclusionProof.Hashes[0] = make([]byte, sha256.Size) }
	}
	wanted.Log = log
	entry = wanted.make(s.t, signed)
	if wrong == "" {
		s.made[uuid], s.bodies[entry.GetLogIndex()] = entry, entry.GetCanonicalizedBody()
	}
	return uuid, entry, false
}

// uuidOf is a Rekor v1's name of an entry: the tree's number and the leaf's hash.
func uuidOf(body []byte) string {
	hash := hashLeaf(body)
	return "108e9186e8c5677a" + hex.EncodeToString(hash[:]) // treeID in hexadecimal
}

// signedBy reads a certificate in PEM and verifies a signature over a SHA-256 with its
// key; nil where anything is wrong with it.
func signedBy(text, sum, sig []byte) *x509.Certificate {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	return signedByDER(block.Bytes, sum, sig)
}

func signedByDER(raw, sum, sig []byte) *x509.Certificate {
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil
	}
	key, is := certificate.PublicKey.(*ecdsa.PublicKey)
	if !is || !ecdsa.VerifyASN1(key, sum, sig) {
		return nil
	}
	return certificate
}
