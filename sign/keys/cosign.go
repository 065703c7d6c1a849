package keys

import (
	"crypto/x509"
	"encoding/json"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"golang.org/x/crypto/nacl/secretbox"
)

// cosignBox is the JSON inside cosign's format, as far as it is looked at before
// anything is derived.
type cosignBox struct {
	KDF struct {
		Name   string       `json:"name"`
		Params cosignScrypt `json:"params"`
		Salt   []byte       `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

type cosignScrypt struct {
	N int `json:"N"`
	R int `json:"r"`
	P int `json:"p"`
}

// cosignCost reads what a box wants to spend, and refuses a box that cannot be
// opened with any password.
func cosignCost(raw []byte) (string, error) {
	var box cosignBox
	if err := json.Unmarshal(raw, &box); err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	switch {
	case box.KDF.Name != "scrypt" || box.Cipher.Name != "nacl/secretbox":
		return "", fmt.Errorf("%w: kdf %.20q, cipher %.20q", ErrFormat, box.KDF.Name, box.Cipher.Name)
	case len(box.Cipher.Nonce) != 24 || len(box.Ciphertext) <= secretbox.Overhead || len(box.KDF.Salt) < minSaltBytes:
		return "", fmt.Errorf("%w: a salt of %d, a nonce of %d and a ciphertext of %d bytes", ErrFormat, len(box.KDF.Salt), len(box.Cipher.Nonce), len(box.Ciphertext))
	}
	// These three are all that were ever written, and all that cosign reads.
	p := box.KDF.Params
	switch p {
	case cosignScrypt{1 << 15, 8, 1}, cosignScrypt{1 << 16, 8, 1}, cosignScrypt{1 << 17, 8, 1}:
		return fmt.Sprintf("scrypt N=%d r=%d p=%d", p.N, p.R, p.P), nil
	}
	return "", fmt.Errorf("%w: scrypt N=%d r=%d p=%d; N of 32768, 65536 or 131072 with r=8, p=1 is accepted", ErrCost, p.N, p.R, p.P)
}

// openCosign opens cosign's format.
func openCosign(box []byte, password func() ([]byte, error)) (any, error) {
	if _, err := cosignCost(box); err != nil {
		return nil, err
	}
	secret, err := ask(password)
	if err != nil {
		return nil, err
	}
	der, err := encrypted.Decrypt(box, secret)
	if err != nil {
		// The box is sound outside and authenticated inside.
		return nil, ErrPassword
	}
	return parseDER(der, x509.ParsePKCS8PrivateKey)
}
