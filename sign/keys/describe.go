package keys

import "fmt"

// Description is what a private key file says of itself without its password.
type Description struct {
	Format    Format // how it is wrapped
	Encrypted bool
	// Derivation says how the password becomes a key, such as
	// "scrypt N=65536 r=8 p=1"; empty for an unencrypted key.
	Derivation string
}

// Describe reads a private key file's wrapping; no password is asked for. An
// unencrypted key inside is not looked at: [Parse] does that. Errors are those of
// Parse.
func Describe(text []byte) (Description, error) {
	d, err := describe(text)
	if err != nil {
		return Description{}, fmt.Errorf("reading a private key: %w", err)
	}
	return d, nil
}

func describe(text []byte) (Description, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return Description{}, err
	}
	switch block.Type {
	case pemSigstore, pemCosign:
		derivation, err := cosignCost(block.Bytes)
		return Description{Format: FormatCosign, Encrypted: true, Derivation: derivation}, err
	case pemPKCS8Encrypted:
		sealed, err := readSealedKey(block.Bytes)
		if err != nil {
			return Description{}, err
		}
		return Description{Format: FormatPKCS8, Encrypted: true, Derivation: sealed.derivation}, nil
	case pemPKCS8:
		return Description{Format: FormatPKCS8}, nil
	case pemEC:
		return Description{Format: FormatSEC1}, nil
	case pemRSA:
		return Description{Format: FormatPKCS1}, nil
	}
	return Description{}, wrongBlock(block)
}
