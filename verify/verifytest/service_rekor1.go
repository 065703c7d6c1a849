package verifytest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path"
	"strings"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/hallmark-project/hallmark/attest"
)

// rekorV1 answers as a Rekor v1 does (rekor openapi.yaml): POST /api/v1/log/entries for
// hashedrekord and dsse, which says 409 and where an equal entry is, and
// GET /api/v1/log/entries/{uuid}.
func (s *Services) rekorV1(log *Log) answerFunc {
	shelf := s.shelf(log)
	return func(w http.ResponseWriter, r *http.Request, body []byte, wrong Wrong) {
		const entries = "/api/v1/log/entries"
		switch {
		case r.Method == http.MethodPost && r.URL.Path == entries:
			wanted := readV1(s, body)
			if wanted.leaf == nil {
				refuse(w, http.StatusBadRequest, "the signature does not verify")
				return
			}
			uuid, entry, old := shelf.keep(wanted, wrong)
			w.Header().Set("Location", entries+"/"+uuid)
			if old {
				refuse(w, http.StatusConflict, "an equivalent entry already exists in the transparency log with UUID "+uuid)
				return
			}
			w.Header().Set("ETag", uuid)
			writeV1(s, w, http.StatusCreated, uuid, entry)
		case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, entries+"/"):
			uuid := path.Base(r.URL.Path)
			shelf.mu.Lock()
			entry := shelf.made[uuid]
			shelf.mu.Unlock()
			if wrong == EntryOfAnotherSignature {
				other := s.Instance.Sign(s.t, Options{Message: true, Stamps: []Stamp{}, Entries: []Entry{}})
				entry = Entry{Log: log, Kind: HashedRekord, Time: s.Now()}.make(s.t, other)
			}
			if entry == nil {
				refuse(w, http.StatusNotFound, "no such entry")
				return
			}
			writeV1(s, w, http.StatusOK, uuid, entry)
		default:
			refuse(w, http.StatusNotFound, "no such path")
		}
	}
}

// readV1 reads a proposed entry and writes it as the log keeps it. Its leaf is nil where
// the signature is not one.
func readV1(s *Services, body []byte) record {
	var entry struct {
		Kind string
		Spec struct {
			Data struct {
				Hash struct{ Algorithm, Value string }
			}
			Signature struct {
				Content   []byte
				PublicKey struct{ Content []byte }
			}
			ProposedContent struct {
				Envelope  string
				Verifiers [][]byte
			}
		}
	}
	if json.Unmarshal(body, &entry) != nil {
		return record{}
	}
	canonical := map[string]any{"kind": entry.Kind, "apiVersion": "0.0.1"}
	switch spec := entry.Spec; entry.Kind {
	case "hashedrekord":
		sum, err := hex.DecodeString(spec.Data.Hash.Value)
		if err != nil || spec.Data.Hash.Algorithm != "sha256" {
			return record{}
		}
		canonical["spec"] = map[string]any{
			"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum)}},
			"signature": map[string]any{"content": spec.Signature.Content, "publicKey": map[string]any{"content": spec.Signature.PublicKey.Content}},
		}
		return record{kind: HashedRekord, body: encodeJSON(s.t, canonical), leaf: signedBy(spec.Signature.PublicKey.Content, sum, spec.Signature.Content)}
	case "dsse":
		var envelope struct {
			Payload     []byte
			PayloadType string
			Signatures  []struct{ Sig []byte }
		}
		text := []byte(spec.ProposedContent.Envelope)
		if json.Unmarshal(text, &envelope) != nil || len(envelope.Signatures) != 1 || len(spec.ProposedContent.Verifiers) != 1 {
			return record{}
		}
		verifier, sig := spec.ProposedContent.Verifiers[0], envelope.Signatures[0].Sig
		canonical["spec"] = map[string]any{
			"envelopeHash": hashObject(text), "payloadHash": hashObject(envelope.Payload),
			"signatures": []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(sig), "verifier": verifier}},
		}
		sum := sha256.Sum256(attest.PAE(envelope.PayloadType, envelope.Payload))
		return record{kind: DSSEEntry, body: encodeJSON(s.t, canonical), leaf: signedBy(verifier, sum[:], sig)}
	}
	return record{}
}

// writeV1 answers with an entry in Rekor v1's form.
func writeV1(s *Services, w http.ResponseWriter, status int, uuid string, e *protorekor.TransparencyLogEntry) {
	proof := e.GetInclusionProof()
	hashes := []string{}
	for _, hash := range proof.GetHashes() {
		hashes = append(hashes, hex.EncodeToString(hash))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encodeJSON(s.t, map[string]any{uuid: map[string]any{ // the client may have gone
		"body": e.GetCanonicalizedBody(), "integratedTime": e.GetIntegratedTime(),
		"logID": hex.EncodeToString(e.GetLogId().GetKeyId()), "logIndex": e.GetLogIndex(),
		"verification": map[string]any{
			"signedEntryTimestamp": e.GetInclusionPromise().GetSignedEntryTimestamp(),
			"inclusionProof": map[string]any{
				"checkpoint": proof.GetCheckpoint().GetEnvelope(), "hashes": hashes, "logIndex": proof.GetLogIndex(),
				"rootHash": hex.EncodeToString(proof.GetRootHash()), "treeSize": proof.GetTreeSize(),
			},
		},
	}}))
}
