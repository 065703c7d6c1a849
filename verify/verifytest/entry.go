package verifytest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// EntryKind is a kind of log entry, with its version.
type EntryKind string

// The kinds of log entries.
const (
	HashedRekord   EntryKind = "hashedrekord 0.0.1"
	DSSEEntry      EntryKind = "dsse 0.0.1"
	IntotoEntry    EntryKind = "intoto 0.0.2"
	HashedRekordV2 EntryKind = "hashedrekord 0.0.2" // a Rekor v2's
	DSSEEntryV2    EntryKind = "dsse 0.0.2"         // an older Rekor v2's
)

// v2 reports whether a Rekor v2 takes the kind.
func (k EntryKind) v2() bool { return k == HashedRekordV2 || k == DSSEEntryV2 }

// Entry says how a signature is logged. Its zero value is what a usual client gets.
type Entry struct {
	Log  *Log      // nil is the instance's first log of the kind's version
	Kind EntryKind // "" is the kind that fits the signature, of a Rekor v1
	// InV2 tells that a Rekor v2 took the kind, although it is a v1's.
	InV2 bool
	// Time is the integrated time; zero is the instance's.
	Time time.Time
	// WithoutPromise and WithoutProof leave the SET or the inclusion proof away.
	// A v0.1 bundle and the legacy form have no proof unless WithProof is set.
	WithoutPromise, WithoutProof, WithProof bool
	// Of is another signature that the entry is about instead.
	Of *Signed
	// Body changes the entry before the log includes and signs it.
	Body func(map[string]any)
	// Raw replaces the entry's bytes before the log includes and signs them.
	Raw func([]byte) []byte
	// Checkpoint changes the checkpoint before the log signs it.
	Checkpoint func(*Checkpoint)
	// Change edits the finished entry.
	Change func(*protorekor.TransparencyLogEntry)
}

func (e Entry) v2() bool { return e.Kind.v2() || e.InV2 }

// treeID is the number that a Rekor v1 adds to its host name as origin.
const treeID = "1193050959916656506"

// make logs the signature.
func (e Entry) make(t testing.TB, s *Signed) *protorekor.TransparencyLogEntry {
	t.Helper()
	of := s
	if e.Of != nil {
		of = e.Of
	}
	content := e.content(t, of)
	if e.Body != nil {
		e.Body(content)
	}
	body := encodeJSON(t, content)
	if e.Raw != nil {
		body = e.Raw(body)
	}
	index, size, root, proof := e.Log.add(body)
	kind, version := e.names()
	wire := &protorekor.TransparencyLogEntry{
		LogIndex: index, LogId: &protocommon.LogId{KeyId: e.Log.ID}, CanonicalizedBody: body,
		KindVersion: &protorekor.KindVersion{Kind: kind, Version: version},
	}
	host := e.Log.Host(t)
	checkpoint := &Checkpoint{
		Origin: host, Size: strconv.FormatInt(size, 10), Root: base64.StdEncoding.EncodeToString(root[:]),
		Signers: []Cosigner{{Name: host, By: e.Log}},
	}
	if !e.v2() {
		wire.IntegratedTime = e.Time.Unix()
		checkpoint.Origin += " - " + treeID
		if !e.WithoutPromise {
			wire.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: e.Log.promise(t, wire)}
		}
	}
	if e.Checkpoint != nil {
		e.Checkpoint(checkpoint)
	}
	if !e.WithoutProof {
		wire.InclusionProof = &protorekor.InclusionProof{
			LogIndex: index, RootHash: root[:], TreeSize: size, Hashes: proof,
			Checkpoint: &protorekor.Checkpoint{Envelope: checkpoint.encode(t)},
		}
	}
	if e.Change != nil {
		e.Change(wire)
	}
	return wire
}

func (e Entry) names() (kind, version string) {
	kind, version, _ = strings.Cut(string(e.Kind), " ")
	return kind, version
}

// promise is the signed entry timestamp: a signature over the canonical JSON of
// the entry's four fields.
func (l *Log) promise(t testing.TB, e *protorekor.TransparencyLogEntry) []byte {
	t.Helper()
	return l.sign(t, encodeJSON(t, map[string]any{
		"body": e.GetCanonicalizedBody(), "integratedTime": e.GetIntegratedTime(),
		"logID": hex.EncodeToString(e.GetLogId().GetKeyId()), "logIndex": e.GetLogIndex(),
	}))
}

// content is the entry's JSON, whose keys [json.Marshal] sorts.
func (e Entry) content(t testing.TB, s *Signed) map[string]any {
	t.Helper()
	verifier := base64.StdEncoding.EncodeToString(s.verifierPEM(t))
	kind, version := e.names()
	entry := map[string]any{"kind": kind, "apiVersion": version}
	switch e.Kind {
	case DSSEEntry:
		entry["spec"] = map[string]any{
			"envelopeHash": hashObject(s.envelope(t)), "payloadHash": hashObject(s.Payload),
			"signatures": []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(s.Sig), "verifier": verifier}},
		}
	case IntotoEntry:
		twice := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(s.Sig)))
		entry["spec"] = map[string]any{"content": map[string]any{
			"envelope": map[string]any{"payloadType": s.payloadType(), "signatures": []any{map[string]any{"publicKey": verifier, "sig": twice}}},
			"hash":     hashObject(s.envelope(t)), "payloadHash": hashObject(s.Payload),
		}}
	case HashedRekordV2:
		entry["spec"] = map[string]any{"hashedRekordV002": map[string]any{
			"data":      map[string]any{"algorithm": s.algorithm().proto, "digest": s.algorithm().sum(s.message())},
			"signature": map[string]any{"content": s.Sig, "verifier": s.verifierV2(t)},
		}}
	case DSSEEntryV2:
		sum := sha256.Sum256(s.Payload)
		entry["spec"] = map[string]any{"dsseV002": map[string]any{
			"payloadHash": map[string]any{"algorithm": "SHA2_256", "digest": sum[:]},
			"signatures":  []any{map[string]any{"content": s.Sig, "verifier": s.verifierV2(t)}},
		}}
	default:
		entry["spec"] = map[string]any{
			"data":      map[string]any{"hash": map[string]any{"algorithm": s.algorithm().name, "value": hex.EncodeToString(s.algorithm().sum(s.message()))}},
			"signature": map[string]any{"content": s.Sig, "publicKey": map[string]any{"content": verifier}},
		}
	}
	return entry
}

// verifierV2 is the signer as a Rekor v2 records it.
func (s *Signed) verifierV2(t testing.TB) map[string]any {
	t.Helper()
	if s.Leaf == nil {
		return map[string]any{"keyDetails": s.algorithm().details, "publicKey": map[string]any{"rawBytes": s.publicDER(t)}}
	}
	return map[string]any{"keyDetails": s.algorithm().details, "x509Certificate": map[string]any{"rawBytes": s.Leaf.Raw}}
}

// verifierPEM is the signer as a Rekor v1 records it.
func (s *Signed) verifierPEM(t testing.TB) []byte {
	t.Helper()
	if s.Leaf == nil {
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.publicDER(t)})
	}
	return pemCertificate(s.Leaf)
}

func (s *Signed) publicDER(t testing.TB) []byte {
	t.Helper()
	raw, err := x509.MarshalPKIXPublicKey(s.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func hashObject(content []byte) map[string]any {
	sum := sha256.Sum256(content)
	return map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
}

func pemCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func encodeJSON(t testing.TB, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
