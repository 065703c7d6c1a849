package verifytest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
)

// tileWidth is how many hashes or entries a full tile has (C2SP tlog-tiles).
const tileWidth = 256

// rekorV2 answers as a Rekor v2 does (rekor-tiles rekor_service.proto):
// POST /api/v2/log/entries, which says 409 and in x-log-index where an equal entry is,
// and GET of /api/v2/checkpoint and the tiles beside it (C2SP tlog-tiles).
func (s *Services) rekorV2(log *Log) answerFunc {
	shelf := s.shelf(log)
	return func(w http.ResponseWriter, r *http.Request, body []byte, wrong Wrong) {
		below, inside := strings.CutPrefix(r.URL.Path, "/api/v2/")
		switch {
		case r.Method == http.MethodPost && below == "log/entries" && inside:
			wanted := readV2(s, body)
			if wanted.leaf == nil {
				refuse(w, http.StatusBadRequest, "invalid hashedrekord request")
				return
			}
			_, entry, old := shelf.keep(wanted, wrong)
			if old {
				w.Header().Set("x-log-index", strconv.FormatInt(entry.GetLogIndex(), 10))
				refuse(w, http.StatusConflict, "an equivalent entry already exists in the transparency log")
				return
			}
			raw, err := protojson.Marshal(entry)
			if err != nil {
				s.t.Error(err)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(raw) // the client may have gone
		case r.Method == http.MethodGet && below == "checkpoint" && inside:
			_, _ = w.Write([]byte(shelf.checkpoint(wrong)))
		case r.Method == http.MethodGet && strings.HasPrefix(below, "tile/") && inside:
			tile := shelf.tile(strings.TrimPrefix(below, "tile/"), wrong)
			if tile == nil {
				refuse(w, http.StatusNotFound, "no such tile")
				return
			}
			_, _ = w.Write(tile)
		default:
			refuse(w, http.StatusNotFound, "no such path")
		}
	}
}

// readV2 reads a request and writes it as the log keeps it.
func readV2(s *Services, body []byte) record {
	var request struct {
		HashedRekordRequestV002 struct {
			Digest    []byte
			Signature struct {
				Content  []byte
				Verifier struct {
					KeyDetails      string
					X509Certificate struct{ RawBytes []byte }
				}
			}
		}
	}
	if json.Unmarshal(body, &request) != nil {
		return record{}
	}
	wanted := request.HashedRekordRequestV002
	verifier := wanted.Signature.Verifier
	return record{
		kind: HashedRekordV2, leaf: signedByDER(verifier.X509Certificate.RawBytes, wanted.Digest, wanted.Signature.Content),
		body: encodeJSON(s.t, map[string]any{"kind": "hashedrekord", "apiVersion": "0.0.2", "spec": map[string]any{"hashedRekordV002": map[string]any{
			"data": map[string]any{"algorithm": "SHA2_256", "digest": wanted.Digest},
			"signature": map[string]any{"content": wanted.Signature.Content, "verifier": map[string]any{
				"keyDetails": verifier.KeyDetails, "x509Certificate": map[string]any{"rawBytes": verifier.X509Certificate.RawBytes},
			}},
		}}}),
	}
}

// checkpoint is the log's newest, or the one before.
func (s *shelf) checkpoint(wrong Wrong) string {
	s.log.mu.Lock()
	size := len(s.log.leaves)
	if wrong == CheckpointOfBefore {
		size--
	}
	root := treeHash(s.log.leaves[:size])
	s.log.mu.Unlock()
	host := s.log.Host(s.t)
	return Checkpoint{
		Origin: host, Size: strconv.Itoa(size), Root: base64.StdEncoding.EncodeToString(root[:]),
		Signers: []Cosigner{{Name: host, By: s.log}},
	}.encode(s.t)
}

// tile is a tile of hashes ("0/000.p/7") or of entries ("entries/000.p/7"), or nil. The
// logs of tests are too small for names of more than three digits.
func (s *shelf) tile(name string, wrong Wrong) []byte {
	kind, rest, _ := strings.Cut(name, "/")
	number, partial, isPartial := strings.Cut(rest, ".p/")
	index, err := strconv.Atoi(number)
	if err != nil || len(number) != 3 {
		return nil
	}
	width := tileWidth
	if isPartial {
		if width, err = strconv.Atoi(partial); err != nil || width < 1 || width >= tileWidth {
			return nil
		}
	}
	// Before the leaves, for a new entry is on the shelf after it is in the log.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	first, span := index*tileWidth, 1
	if kind != "entries" {
		level, err := strconv.Atoi(kind)
		if err != nil || level < 0 || level > 1 {
			return nil
		}
		for range level {
			span *= tileWidth
		}
	}
	if (first+width)*span > len(s.log.leaves) {
		return nil
	}
	var tile []byte
	for i := first; i < first+width; i++ {
		if kind != "entries" {
			hash := treeHash(s.log.leaves[i*span : (i+1)*span])
			tile = append(tile, hash[:]...)
			continue
		}
		body := s.bodies[int64(i)]
		if body == nil { // an entry that a new log has
			body = fmt.Appendf(nil, "entry %d of somebody else", i)
		}
		if wrong == EntryOfAnotherSignature {
			body = append([]byte(" "), body...)
		}
		tile = append(binary.BigEndian.AppendUint16(tile, uint16(len(body))), body...)
	}
	return tile
}
