package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/youmark/pkcs8"
)

// Format is the file format of a private key.
type Format string

// The formats of private keys. All are read, whatever the file is called; the
// first two are written.
const (
	// FormatCosign is cosign's: PKCS #8 in NaCl secretbox under scrypt, in JSON, in
	// PEM. It is always encrypted and costs about 0.4 s of scrypt at each use.
	FormatCosign Format = "cosign"
	// FormatPKCS8 is PKCS #8 (RFC 5208), with PBES2 when there is a password.
	FormatPKCS8 Format = "pkcs8"
	// FormatSEC1 is an ECDSA key as RFC 5915 has it. It is not written.
	FormatSEC1 Format = "sec1"
	// FormatPKCS1 is an RSA key as RFC 8017 has it. It is not written.
	FormatPKCS1 Format = "pkcs1"
)

// PEM types of private keys.
const (
	pemSigstore       = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemCosign         = "ENCRYPTED COSIGN PRIVATE KEY"
	pemPKCS8          = "PRIVATE KEY"
	pemPKCS8Encrypted = "ENCRYPTED PRIVATE KEY"
	pemEC             = "EC PRIVATE KEY"
	pemRSA            = "RSA PRIVATE KEY"
)

// Errors of [Parse].
var (
	// ErrFormat: not exactly one private key in a known format, or a damaged file.
	ErrFormat = errors.New("not exactly one private key in a known format")
	// ErrPublicKey: this is a public key; name the private one.
	ErrPublicKey = errors.New("a public key where a private key is wanted")
	// ErrPassword: the password is wrong. Damage inside the encrypted part can look
	// the same; all other damage is [ErrFormat].
	ErrPassword = errors.New("wrong password")
	// ErrPasswordMissing: the key is encrypted and no password was given.
	ErrPasswordMissing = errors.New("the key is encrypted and there is no password")
	// ErrCost: the file asks for a key derivation that is too cheap or too dear.
	ErrCost = errors.New("key derivation cost out of bounds")
)

const (
	maxKeyBytes = 64 << 10 // RSA-8192 in cosign's format has 9 kB
	maxKeyDER   = 6 << 10  // RSA-8192 has 4.7 kB; checking a larger RSA key costs seconds
)

// Parse reads one private key. password is called at most once, and only when the
// key is encrypted and its file is sound; nil stands for "there is none". Errors
// wrap one of this package's, trust.ErrKeyWeak, or what password returned.
func Parse(text []byte, password func() ([]byte, error)) (*Signer, error) {
	private, err := parse(text, password)
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	signer, isSigner := private.(crypto.Signer)
	if !isSigner {
		return nil, fmt.Errorf("reading a private key: %w: a %T cannot sign", ErrFormat, private)
	}
	return New(signer)
}

func parse(text []byte, password func() ([]byte, error)) (any, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	switch block.Type {
	case pemSigstore, pemCosign:
		return openCosign(block.Bytes, password)
	case pemPKCS8Encrypted:
		return openPKCS8(block.Bytes, password)
	case pemPKCS8:
		return parseDER(block.Bytes, x509.ParsePKCS8PrivateKey)
	case pemEC:
		return parseDER(block.Bytes, func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) })
	case pemRSA:
		return parseDER(block.Bytes, func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) })
	}
	return nil, wrongBlock(block)
}

// wrongBlock says what a block is that is no private key.
func wrongBlock(block *pem.Block) error {
	if block.Type == "PUBLIC KEY" || block.Type == "CERTIFICATE" {
		return ErrPublicKey
	}
	return fmt.Errorf("%w: the PEM block is %.40q", ErrFormat, block.Type)
}

// onlyBlock returns the text's only PEM block. Text may stand before it, as
// OpenSSL writes it (RFC 7468 section 5.2); nothing may follow it.
func onlyBlock(text []byte) (*pem.Block, error) {
	if len(text) > maxKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, len(text))
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%w: no PEM block", ErrFormat)
	case bytes.Count(text, []byte("-----BEGIN ")) > 1:
		return nil, fmt.Errorf("%w: a second PEM block", ErrFormat)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%w: text after the PEM block", ErrFormat)
	case block.Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("%w: OpenSSL's old encryption under MD5; openssl pkcs8 -topk8 converts it", ErrFormat)
	}
	return block, nil
}

// parseDER reads one DER structure, with nothing behind it.
func parseDER(der []byte, read func([]byte) (any, error)) (any, error) {
	if len(der) > maxKeyDER {
		return nil, fmt.Errorf("%w: a key of %d bytes", ErrFormat, len(der))
	}
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &whole); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: not one DER structure", ErrFormat)
	}
	private, err := read(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return private, nil
}

func ask(password func() ([]byte, error)) ([]byte, error) {
	if password == nil {
		return nil, ErrPasswordMissing
	}
	return password()
}

// Encode returns the private key in PEM form. An empty password leaves PKCS #8
// unencrypted; cosign's format is encrypted with the empty password then.
func (s *Signer) Encode(format Format, password []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.private)
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	block := &pem.Block{Type: pemPKCS8, Bytes: der}
	switch {
	case format == FormatCosign:
		block.Type = pemSigstore
		block.Bytes, err = encrypted.Encrypt(der, password)
	case format == FormatPKCS8 && len(password) > 0:
		block.Type = pemPKCS8Encrypted
		block.Bytes, err = pkcs8.MarshalPrivateKey(s.private, password, &pkcs8.Opts{
			Cipher:  pkcs8.AES256CBC,
			KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: pbkdf2Iterations, HMACHash: crypto.SHA256},
		})
	case format != FormatPKCS8:
		return nil, fmt.Errorf("encoding a private key: %w: format %q is not written", ErrFormat, format)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}
