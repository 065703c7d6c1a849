package verifytest

import (
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"net/http"
	"time"
)

// timestamps answers POST of a request with a timestamp (RFC 3161, section 3.4).
func (s *Services) timestamps(tsa *TSA) answerFunc {
	return func(w http.ResponseWriter, r *http.Request, body []byte, wrong Wrong) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/timestamp" {
			refuse(w, http.StatusNotFound, "no such path")
			return
		}
		var request struct { // RFC 3161, section 2.4.1
			Version int
			Imprint Imprint
			Policy  asn1.ObjectIdentifier `asn1:"optional"`
			Nonce   *big.Int              `asn1:"optional"`
			Embed   bool                  `asn1:"optional"`
		}
		rest, err := asn1.Unmarshal(body, &request)
		if err != nil || len(rest) > 0 || request.Version != 1 || len(request.Imprint.Hash) != sha256.Size {
			refuse(w, http.StatusBadRequest, "Error parsing timestamp request")
			return
		}
		stamp := Stamp{TSA: tsa, At: s.Now(), Embed: request.Embed, Token: func(info *TokenInfo) {
			info.Imprint, info.Nonce = request.Imprint, request.Nonce
		}}
		switch wrong {
		case StampOfAnotherSignature:
			stamp.Token, stamp.Over = func(info *TokenInfo) { info.Nonce = request.Nonce }, []byte("another signature")
		case StampOfAnotherAuthority:
			forged := *tsa
			forged.key = newP256(s.t)
			stamp.TSA = &forged
		case StampAfterCertificateEnd:
			stamp.At = stamp.At.Add(time.Hour)
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(stamp.make(s.t, nil)) // the client may have gone
	}
}
