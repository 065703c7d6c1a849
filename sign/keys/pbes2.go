package keys

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// Bounds of PBES2 (RFC 8018) in a key file.
const (
	pbkdf2Iterations    = 600_000    // OWASP's figure for PBKDF2-HMAC-SHA-256
	minPBKDF2Iterations = 1_000      // RFC 8018 section 4.2; OpenSSL writes 2,048
	maxPBKDF2Iterations = 10_000_000 // some seconds
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

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

// pkcs8Cost reads what an encrypted PKCS #8 key wants to spend, before it is spent.
func pkcs8Cost(der []byte) (string, error) {
	var info encryptedKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("%w: not an EncryptedPrivateKeyInfo", ErrFormat)
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return "", fmt.Errorf("%w: encrypted with %s; PBES2 is accepted", ErrFormat, info.Algorithm.Algorithm)
	}
	var parameters pbes2Parameters
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &parameters); err != nil {
		return "", fmt.Errorf("%w: PBES2 parameters: %w", ErrFormat, err)
	}
	switch {
	case parameters.KDF.Algorithm.Equal(oidPBKDF2):
		var kdf pbkdf2Parameters
		if _, err := asn1.Unmarshal(parameters.KDF.Parameters.FullBytes, &kdf); err != nil {
			return "", fmt.Errorf("%w: PBKDF2 parameters: %w", ErrFormat, err)
		}
		if kdf.Iterations < minPBKDF2Iterations || kdf.Iterations > maxPBKDF2Iterations {
			return "", fmt.Errorf("%w: PBKDF2 with %d iterations; %d to %d are accepted", ErrCost, kdf.Iterations, minPBKDF2Iterations, maxPBKDF2Iterations)
		}
		return fmt.Sprintf("PBKDF2 with %d iterations", kdf.Iterations), nil
	case parameters.KDF.Algorithm.Equal(oidScrypt):
		var kdf scryptParameters
		if _, err := asn1.Unmarshal(parameters.KDF.Parameters.FullBytes, &kdf); err != nil {
			return "", fmt.Errorf("%w: scrypt parameters: %w", ErrFormat, err)
		}
		if kdf.N < minScryptN || kdf.N > maxScryptN || kdf.R < 1 || kdf.R > 8 || kdf.P < 1 || kdf.P > 4 {
			return "", fmt.Errorf("%w: scrypt N=%d r=%d p=%d", ErrCost, kdf.N, kdf.R, kdf.P)
		}
		return fmt.Sprintf("scrypt N=%d r=%d p=%d", kdf.N, kdf.R, kdf.P), nil
	}
	return "", fmt.Errorf("%w: key derivation %s", ErrFormat, parameters.KDF.Algorithm)
}

// Description is what a private key file says of itself without its password.
type Description struct {
	Format    Format // how it is wrapped
	Encrypted bool
	// Derivation says how the password becomes a key, such as
	// "scrypt N=65536 r=8 p=1"; empty for an unencrypted key.
	Derivation string
}

// Describe reads a private key file's wrapping; no password is asked for.
func Describe(text []byte) (Description, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return Description{}, fmt.Errorf("reading a private key: %w", err)
	}
	var d Description
	switch block.Type {
	case pemSigstore, pemCosign:
		d = Description{Format: FormatCosign, Encrypted: true}
		d.Derivation, err = cosignCost(block.Bytes)
	case pemPKCS8Encrypted:
		d = Description{Format: FormatPKCS8, Encrypted: true}
		d.Derivation, err = pkcs8Cost(block.Bytes)
	case pemPKCS8, pemEC, pemRSA:
		d = Description{Format: FormatPKCS8}
	case "PUBLIC KEY", "CERTIFICATE":
		err = ErrPublicKey
	default:
		err = fmt.Errorf("%w: the PEM block is %.40q", ErrFormat, block.Type)
	}
	if err != nil {
		return Description{}, fmt.Errorf("reading a private key: %w", err)
	}
	return d, nil
}
