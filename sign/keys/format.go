package keys

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/youmark/pkcs8"
)

// Format is the file format of a private key.
type Format string

// The formats that keys are written in. Both are read, whatever the file is called.
const (
	// FormatCosign is cosign's: PKCS #8 in NaCl secretbox under scrypt, in JSON, in
	// PEM. It is always encrypted and costs about 0.4 s of scrypt at each use.
	FormatCosign Format = "cosign"
	// FormatPKCS8 is PKCS #8 (RFC 5208), with PBES2 when there is a password.
	FormatPKCS8 Format = "pkcs8"
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
	// ErrFormat: not exactly one private key in a known format.
	ErrFormat = errors.New("not exactly one private key in a known format")
	// ErrPublicKey: this is a public key; name the private one.
	ErrPublicKey = errors.New("a public key where a private key is wanted")
	// ErrPassword: the password is wrong.
	ErrPassword = errors.New("wrong password")
	// ErrPasswordMissing: the key is encrypted and no password was given.
	ErrPasswordMissing = errors.New("the key is encrypted and there is no password")
	// ErrCost: the file asks for a key derivation that is too cheap or too dear.
	ErrCost = errors.New("key derivation cost out of bounds")
)

const maxKeyBytes = 64 << 10 // RSA-8192 in encrypted PEM has 7 kB

// Parse reads one private key. password is called at most once, and only when the
// key is encrypted; nil stands for "there is none". Errors wrap one of this
// package's, or trust.ErrKeyWeak.
func Parse(text []byte, password func() ([]byte, error)) (*Signer, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	var private any
	switch block.Type {
	case pemSigstore, pemCosign:
		private, err = openCosign(block.Bytes, password)
	case pemPKCS8Encrypted:
		private, err = openPKCS8(block.Bytes, password)
	case pemPKCS8:
		private, err = parsed(x509.ParsePKCS8PrivateKey(block.Bytes))
	case pemEC:
		private, err = parsed(x509.ParseECPrivateKey(block.Bytes))
	case pemRSA:
		private, err = parsed(x509.ParsePKCS1PrivateKey(block.Bytes))
	case "PUBLIC KEY", "CERTIFICATE":
		err = ErrPublicKey
	default:
		err = fmt.Errorf("%w: the PEM block is %.40q", ErrFormat, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	signer, isSigner := private.(crypto.Signer)
	if !isSigner {
		return nil, fmt.Errorf("reading a private key: %w: a %T cannot sign", ErrFormat, private)
	}
	return New(signer)
}

func parsed[K any](key K, err error) (any, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return key, nil
}

// onlyBlock returns the text's only PEM block.
func onlyBlock(text []byte) (*pem.Block, error) {
	if len(text) > maxKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, len(text))
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: no PEM block", ErrFormat)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, fmt.Errorf("%w: a second PEM block", ErrFormat)
	}
	return block, nil
}

func ask(password func() ([]byte, error)) ([]byte, error) {
	if password == nil {
		return nil, ErrPasswordMissing
	}
	return password()
}

// openCosign opens cosign's format, after a look at what the file wants to spend.
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
		// The box is authenticated: with a sound file only the password can be wrong.
		return nil, ErrPassword
	}
	return parsed(x509.ParsePKCS8PrivateKey(der))
}

// openPKCS8 opens an encrypted PKCS #8 key.
func openPKCS8(der []byte, password func() ([]byte, error)) (any, error) {
	if _, err := pkcs8Cost(der); err != nil {
		return nil, err
	}
	secret, err := ask(password)
	if err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, ErrPassword
	}
	private, err := pkcs8.ParsePKCS8PrivateKey(der, secret)
	if err != nil {
		return nil, ErrPassword
	}
	return private, nil
}

// cosignBox is the JSON inside cosign's format.
type cosignBox struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct {
			N int `json:"N"`
			R int `json:"r"`
			P int `json:"p"`
		} `json:"params"`
		Salt []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

// Bounds of scrypt in a key file. cosign has written N = 32768 and 65536.
const (
	minScryptN = 1 << 14
	maxScryptN = 1 << 20 // about 1 GiB with r = 8
)

func cosignCost(raw []byte) (string, error) {
	var box cosignBox
	if err := json.Unmarshal(raw, &box); err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	p := box.KDF.Params
	if box.KDF.Name != "scrypt" || box.Cipher.Name != "nacl/secretbox" || len(box.Cipher.Nonce) != 24 || len(box.Ciphertext) < 16 {
		return "", fmt.Errorf("%w: kdf %.20q, cipher %.20q", ErrFormat, box.KDF.Name, box.Cipher.Name)
	}
	if p.N < minScryptN || p.N > maxScryptN || p.N&(p.N-1) != 0 || p.R != 8 || p.P != 1 {
		return "", fmt.Errorf("%w: scrypt N=%d r=%d p=%d; N from %d to %d with r=8, p=1 is accepted", ErrCost, p.N, p.R, p.P, minScryptN, maxScryptN)
	}
	return fmt.Sprintf("scrypt N=%d r=%d p=%d", p.N, p.R, p.P), nil
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
		return nil, fmt.Errorf("encoding a private key: %w: format %q", ErrFormat, format)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}
