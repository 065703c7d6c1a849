package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// fulcio answers POST /api/v2/signingCert (fulcio.proto, CreateSigningCertificate): a
// certificate for the key whose possession is proved by a signature over the token's
// subject.
func (s *Services) fulcio(in *Instance) answerFunc {
	return func(w http.ResponseWriter, r *http.Request, body []byte, wrong Wrong) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v2/signingCert" {
			refuse(w, http.StatusNotFound, "no such path")
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+s.Token {
			refuse(w, http.StatusUnauthorized, "There was an error processing the identity token")
			return
		}
		key := s.possessed(body)
		if key == nil {
			refuse(w, http.StatusBadRequest, "The signature supplied in the request could not be verified")
			return
		}
		authority := in.CA
		s.mu.Lock()
		leaf := s.leaf
		s.mu.Unlock()
		var public crypto.PublicKey = key
		if leaf.Valid == (Window{}) {
			leaf.Valid = Window{s.Now(), s.Now().Add(LeafLife)}
		}
		switch wrong {
		case CertificateOfAnotherKey:
			public = newP256(s.t).Public()
		case CertificateOfAnotherCA:
			authority = in.CA.Forged(s.t)
		case CertificateExpired:
			leaf.Valid = Window{s.Now().Add(-time.Hour), s.Now().Add(-time.Hour + LeafLife)}
		}
		chain := []string{string(pemCertificate(s.certify(authority, public, leaf)))}
		for _, one := range []*x509.Certificate{authority.Intermediate, authority.Root} {
			chain = append(chain, string(pemCertificate(one)))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encodeJSON(s.t, map[string]any{ // the client may have gone
			"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}},
		}))
	}
}

// possessed returns the key of a request whose proof of possession holds, else nil.
func (s *Services) possessed(body []byte) *ecdsa.PublicKey {
	var request struct {
		PublicKeyRequest struct {
			PublicKey         struct{ Algorithm, Content string }
			ProofOfPossession []byte
		}
	}
	var claims struct{ Sub string }
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s.Token, ".")[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || json.Unmarshal(body, &request) != nil {
		return nil
	}
	block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
	if block == nil {
		return nil
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil
	}
	key, is := parsed.(*ecdsa.PublicKey)
	sum := sha256.Sum256([]byte(claims.Sub))
	if !is || !ecdsa.VerifyASN1(key, sum[:], request.PublicKeyRequest.ProofOfPossession) {
		return nil
	}
	return key
}

// certify makes a certificate for a key that the caller has.
func (s *Services) certify(a *Authority, public crypto.PublicKey, l Leaf) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: l.Valid.Start, NotAfter: l.Valid.End,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: l.Emails, ExtraExtensions: l.claims(s.t),
	}
	if len(l.Emails) == 0 {
		template.URIs = []*url.URL{mustURL(s.t, DefaultURI)}
	}
	if l.Change != nil {
		l.Change(template)
	}
	if l.CT == nil {
		l.CT = []SCT{{Log: s.Instance.CT, At: l.Valid.Start}}
	}
	certificate := createCertificate(s.t, template, a.Intermediate, public, a.key)
	if len(l.CT) == 0 {
		return certificate
	}
	template.ExtraExtensions = append(template.ExtraExtensions, sctList(s.t, l.CT, certificate, a.Intermediate))
	return createCertificate(s.t, template, a.Intermediate, public, a.key)
}
