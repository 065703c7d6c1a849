package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// Bounds of PBES2 (RFC 8018) in a key file, checked before anything is spent.
const (
	pbkdf2Iterations    = 600_000    // what is written: OWASP's figure for PBKDF2-HMAC-SHA-256
	minPBKDF2Iterations = 1_000      // RFC 8018 section 4.2; OpenSSL writes 2,048
	maxPBKDF2Iterations = 10_000_000 // some seconds
	minSaltBytes        = 8          // RFC 8018 section 4.1
	maxSaltBytes        = 1 << 10
	minScryptNR         = 1 << 17 // N=2^14 r=8, which OpenSSL writes: 16 MiB
	maxScryptNR         = 1 << 21 // N=2^18 r=8: 256 MiB, about a second
	maxScryptP          = 4
)

// Object identifiers of RFC 8018 appendix C, RFC 7914 section 7 and NIST's register.
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

// pbes2KeyLength gives the key length of the ciphers that are read: AES in CBC mode.
var pbes2KeyLength = map[string]int{
	"2.16.840.1.101.3.4.1.2":  16,
	"2.16.840.1.101.3.4.1.22": 24,
	"2.16.840.1.101.3.4.1.42": 32,
}

// pbkdf2Hashes gives the pseudorandom functions that are read. HMAC-SHA-1 is the
// standard's default, and sound as a PRF.
var pbkdf2Hashes = map[string]func() hash.Hash{
	"":                    sha1.New,
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

type encryptedKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Parameters struct {
	KDF    pkix.AlgorithmIdentifier
	Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Parameters struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParameters struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

// sealedKey is an EncryptedPrivateKeyInfo whose parameters are all accepted.
type sealedKey struct {
	derivation string
	derive     func(password []byte) ([]byte, error)
	iv, data   []byte
}

// readSealedKey reads an encrypted PKCS #8 key without opening it.
func readSealedKey(der []byte) (*sealedKey, error) {
	var info encryptedKeyInfo
	if err := exactly(der, &info); err != nil {
		return nil, fmt.Errorf("%w: no EncryptedPrivateKeyInfo: %w", ErrFormat, err)
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("%w: encrypted with %s; PBES2 is accepted", ErrFormat, info.Algorithm.Algorithm)
	}
	var parameters pbes2Parameters
	if err := exactly(info.Algorithm.Parameters.FullBytes, &parameters); err != nil {
		return nil, fmt.Errorf("%w: PBES2 parameters: %w", ErrFormat, err)
	}
	s := &sealedKey{data: info.Data}
	length, known := pbes2KeyLength[parameters.Cipher.Algorithm.String()]
	if !known {
		return nil, fmt.Errorf("%w: cipher %s; AES in CBC mode is accepted, openssl pkcs8 -topk8 -v2 aes-256-cbc makes it", ErrFormat, parameters.Cipher.Algorithm)
	}
	if err := exactly(parameters.Cipher.Parameters.FullBytes, &s.iv); err != nil || len(s.iv) != aes.BlockSize {
		return nil, fmt.Errorf("%w: an initialisation vector of %d bytes", ErrFormat, len(s.iv))
	}
	if len(s.data) == 0 || len(s.data)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: %d encrypted bytes are no whole blocks", ErrFormat, len(s.data))
	}
	switch {
	case parameters.KDF.Algorithm.Equal(oidPBKDF2):
		return s, s.readPBKDF2(parameters.KDF.Parameters.FullBytes, length)
	case parameters.KDF.Algorithm.Equal(oidScrypt):
		return s, s.readScrypt(parameters.KDF.Parameters.FullBytes, length)
	}
	return nil, fmt.Errorf("%w: key derivation %s; PBKDF2 and scrypt are accepted", ErrFormat, parameters.KDF.Algorithm)
}

// exactly decodes DER that has nothing behind it.
func exactly(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes too many", len(rest))
	}
	return err
}

func (s *sealedKey) readPBKDF2(der []byte, length int) error {
	var p pbkdf2Parameters
	if err := exactly(der, &p); err != nil {
		return fmt.Errorf("%w: PBKDF2 parameters: %w", ErrFormat, err)
	}
	prf, known := pbkdf2Hashes[p.PRF.Algorithm.String()]
	if !known {
		return fmt.Errorf("%w: PBKDF2 with %s", ErrFormat, p.PRF.Algorithm)
	}
	if err := checkLengths(p.Salt, p.KeyLength, length); err != nil {
		return err
	}
	if p.Iterations < minPBKDF2Iterations || p.Iterations > maxPBKDF2Iterations {
		return fmt.Errorf("%w: PBKDF2 with %d iterations; %d to %d are accepted", ErrCost, p.Iterations, minPBKDF2Iterations, maxPBKDF2Iterations)
	}
	s.derivation = fmt.Sprintf("PBKDF2 with %d iterations", p.Iterations)
	s.derive = func(password []byte) ([]byte, error) {
		return pbkdf2.Key(prf, string(password), p.Salt, p.Iterations, length)
	}
	return nil
}

func (s *sealedKey) readScrypt(der []byte, length int) error {
	var p scryptParameters
	if err := exactly(der, &p); err != nil {
		return fmt.Errorf("%w: scrypt parameters: %w", ErrFormat, err)
	}
	if err := checkLengths(p.Salt, p.KeyLength, length); err != nil {
		return err
	}
	// Each factor is bounded before the product is formed, which then cannot overflow.
	sound := p.N > 1 && p.N <= maxScryptNR && p.N&(p.N-1) == 0 && p.R > 0 && p.R <= 64 && p.P > 0 && p.P <= maxScryptP
	if !sound || p.N*p.R < minScryptNR || p.N*p.R > maxScryptNR {
		return fmt.Errorf("%w: scrypt N=%d r=%d p=%d; N*r from %d to %d and p up to %d are accepted", ErrCost, p.N, p.R, p.P, minScryptNR, maxScryptNR, maxScryptP)
	}
	s.derivation = fmt.Sprintf("scrypt N=%d r=%d p=%d", p.N, p.R, p.P)
	s.derive = func(password []byte) ([]byte, error) {
		return scrypt.Key(password, p.Salt, p.N, p.R, p.P, length)
	}
	return nil
}

func checkLengths(salt []byte, keyLength, cipherLength int) error {
	if len(salt) < minSaltBytes || len(salt) > maxSaltBytes {
		return fmt.Errorf("%w: a salt of %d bytes; %d to %d are accepted", ErrCost, len(salt), minSaltBytes, maxSaltBytes)
	}
	if keyLength != 0 && keyLength != cipherLength {
		return fmt.Errorf("%w: a derived key of %d bytes for a cipher that takes %d", ErrFormat, keyLength, cipherLength)
	}
	return nil
}

// openPKCS8 opens an encrypted PKCS #8 key.
func openPKCS8(der []byte, password func() ([]byte, error)) (any, error) {
	sealed, err := readSealedKey(der)
	if err != nil {
		return nil, err
	}
	secret, err := ask(password)
	if err != nil {
		return nil, err
	}
	key, err := sealed.derive(secret)
	if err != nil {
		return nil, fmt.Errorf("deriving from the password: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("deriving from the password: %w", err)
	}
	plain := make([]byte, len(sealed.data))
	cipher.NewCBCDecrypter(block, sealed.iv).CryptBlocks(plain, sealed.data)
	if private, err := parseDER(unpadded(plain), x509.ParsePKCS8PrivateKey); err == nil {
		return private, nil
	}
	if startsPrivateKey(plain) {
		return nil, fmt.Errorf("%w: the encrypted part is damaged; the password is right", ErrFormat)
	}
	return nil, ErrPassword
}

// unpadded takes the padding away (RFC 8018 section 6.1.1), or returns nil where
// it is wrong. Whoever asks has the file and can try passwords at will, so that
// telling the cases apart in time gives nothing away.
func unpadded(plain []byte) []byte {
	n := int(plain[len(plain)-1])
	if n < 1 || n > aes.BlockSize || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil
	}
	return plain[:len(plain)-n]
}

// startsPrivateKey reports whether plain starts as a PrivateKeyInfo (RFC 5208
// section 5) does, which a wrong password leads to once in 2^40 times.
func startsPrivateKey(plain []byte) bool {
	if plain[0] != 0x30 {
		return false
	}
	header := 2
	if plain[1] > 0x80 {
		header += int(plain[1] & 0x7f)
	}
	version := []byte{0x02, 0x01, 0x00, 0x30} // INTEGER 0, then a SEQUENCE
	return header <= 4 && bytes.HasPrefix(plain[header:], version)
}
