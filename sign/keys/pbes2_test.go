package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func never(t *testing.T) func() ([]byte, error) {
	return func() ([]byte, error) {
		t.Error("the password was asked for")
		return nil, errors.New("never")
	}
}

// TestOpenSSL: KE-01. Keys as OpenSSL 3.0 writes them.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	want, err := Parse(fixture(t, "ec"), never(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"scrypt", "sha512", "sha1"} {
		got, err := Parse(fixture(t, name), func() ([]byte, error) { return []byte("fixture"), nil })
		if err != nil || got.Key().ID() != want.Key().ID() {
			t.Errorf("KE-01 %s: %v", name, err)
		}
		if _, err := Parse(fixture(t, name), func() ([]byte, error) { return []byte("Fixture"), nil }); !errors.Is(err, ErrPassword) || errors.Is(err, ErrFormat) {
			t.Errorf("KE-01 %s, wrong password: %v", name, err)
		}
		if _, err := Parse(fixture(t, name), func() ([]byte, error) { return nil, nil }); !errors.Is(err, ErrPassword) {
			t.Errorf("KE-01 %s, empty password: %v", name, err)
		}
	}
	for name, says := range map[string]string{"des3": "AES", "v1": "PBES2", "dek": "pkcs8 -topk8"} {
		if _, err := Parse(fixture(t, name), never(t)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), says) {
			t.Errorf("KE-01 %s: %v", name, err)
		}
	}
}

// sealed is an encrypted key whose every part a test can change.
type sealed struct {
	scheme, kdf, cipher asn1.ObjectIdentifier
	parameters          any
	iv, data            []byte
}

func (s sealed) encode(t testing.TB) []byte {
	t.Helper()
	der := func(value any) []byte {
		raw, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	algorithm := func(oid asn1.ObjectIdentifier, parameters any) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der(parameters)}}
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPKCS8Encrypted, Bytes: der(encryptedKeyInfo{
		Algorithm: algorithm(s.scheme, pbes2Parameters{KDF: algorithm(s.kdf, s.parameters), Cipher: algorithm(s.cipher, s.iv)}),
		Data:      s.data,
	})})
}

// TestPBES2Parameters: KE-01, KE-02. No parameter of a file makes a fault, and none
// is trusted: the password is not even asked for.
func TestPBES2Parameters(t *testing.T) {
	t.Parallel()
	type kdf struct {
		Salt      []byte
		Count     int
		KeyLength int `asn1:"optional"`
		PRF       pkix.AlgorithmIdentifier
	}
	sha256 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, Parameters: asn1.NullRawValue}
	salt := make([]byte, 16)
	base := sealed{
		scheme: oidPBES2, kdf: oidPBKDF2, cipher: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42},
		parameters: kdf{Salt: salt, Count: 2048, PRF: sha256}, iv: make([]byte, 16), data: make([]byte, 48),
	}
	with := func(change func(*sealed)) []byte {
		s := base
		change(&s)
		return s.encode(t)
	}
	pbkdf2 := func(p kdf) []byte { return with(func(s *sealed) { s.parameters = p }) }
	scrypt := func(p scryptParameters) []byte {
		return with(func(s *sealed) { s.kdf, s.parameters = oidScrypt, p })
	}
	for name, test := range map[string]struct {
		text []byte
		want error
	}{
		"KE-01 another scheme":          {with(func(s *sealed) { s.scheme = oidScrypt }), ErrFormat},
		"KE-01 another derivation":      {with(func(s *sealed) { s.kdf = oidPBES2 }), ErrFormat},
		"KE-01 another cipher":          {with(func(s *sealed) { s.cipher = oidPBES2 }), ErrFormat},
		"KE-01 AES-GCM":                 {with(func(s *sealed) { s.cipher = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46} }), ErrFormat},
		"KE-01 short vector":            {with(func(s *sealed) { s.iv = make([]byte, 15) }), ErrFormat},
		"KE-01 no vector":               {with(func(s *sealed) { s.iv = nil }), ErrFormat},
		"KE-01 no whole blocks":         {with(func(s *sealed) { s.data = make([]byte, 47) }), ErrFormat},
		"KE-01 no data":                 {with(func(s *sealed) { s.data = nil }), ErrFormat},
		"KE-01 another length":          {pbkdf2(kdf{Salt: salt, Count: 2048, KeyLength: 16, PRF: sha256}), ErrFormat},
		"KE-01 another PRF":             {pbkdf2(kdf{Salt: salt, Count: 2048, PRF: pkix.AlgorithmIdentifier{Algorithm: oidPBES2}}), ErrFormat},
		"KE-02 one iteration":           {pbkdf2(kdf{Salt: salt, Count: 1, PRF: sha256}), ErrCost},
		"KE-02 negative iterations":     {pbkdf2(kdf{Salt: salt, Count: -2048, PRF: sha256}), ErrCost},
		"KE-02 2^40 iterations":         {pbkdf2(kdf{Salt: salt, Count: 1 << 40, PRF: sha256}), ErrCost},
		"KE-02 no salt":                 {pbkdf2(kdf{Count: 2048, PRF: sha256}), ErrCost},
		"KE-02 scrypt N=1":              {scrypt(scryptParameters{Salt: salt, N: 1, R: 8, P: 1}), ErrCost},
		"KE-02 scrypt N=2^13":           {scrypt(scryptParameters{Salt: salt, N: 1 << 13, R: 8, P: 1}), ErrCost},
		"KE-02 scrypt N=2^30":           {scrypt(scryptParameters{Salt: salt, N: 1 << 30, R: 8, P: 1}), ErrCost},
		"KE-02 scrypt N no power of 2":  {scrypt(scryptParameters{Salt: salt, N: 1<<14 + 1, R: 8, P: 1}), ErrCost},
		"KE-02 scrypt r=2^30":           {scrypt(scryptParameters{Salt: salt, N: 1 << 14, R: 1 << 30, P: 1}), ErrCost},
		"KE-02 scrypt N*r overflows":    {scrypt(scryptParameters{Salt: salt, N: 1 << 62, R: 1 << 62, P: 1}), ErrCost},
		"KE-02 scrypt p=2^20":           {scrypt(scryptParameters{Salt: salt, N: 1 << 14, R: 8, P: 1 << 20}), ErrCost},
		"KE-02 scrypt p=0":              {scrypt(scryptParameters{Salt: salt, N: 1 << 14, R: 8}), ErrCost},
		"KE-02 scrypt negative N and r": {scrypt(scryptParameters{Salt: salt, N: -1 << 14, R: -8, P: 1}), ErrCost},
	} {
		if _, err := Parse(test.text, never(t)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if _, err := Describe(test.text); !errors.Is(err, test.want) {
			t.Errorf("%s: Describe: %v, want %v", name, err, test.want)
		}
	}
	// The twin with nothing changed is opened, and no password is the right one.
	asked := false
	if _, err := Parse(base.encode(t), func() ([]byte, error) { asked = true; return []byte("x"), nil }); !errors.Is(err, ErrPassword) || !asked {
		t.Errorf("KE-01 the unchanged one: %v", err)
	}
}

// TestDamageIsNoPassword: KE-01. A file that was sound once and is damaged now says
// so, with the right password.
func TestDamageIsNoPassword(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode(fixture(t, "sha512"))
	right := func() ([]byte, error) { return []byte("fixture"), nil }
	// The last block but one holds the padding's mask: damage there breaks the
	// structure's end, while its beginning still reads well.
	damaged := append([]byte(nil), block.Bytes...)
	damaged[len(damaged)-17] ^= 1
	_, err := Parse(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: damaged}), right)
	if !errors.Is(err, ErrFormat) || errors.Is(err, ErrPassword) {
		t.Errorf("KE-01 damaged: %v", err)
	}
	cut := append([]byte(nil), block.Bytes[:len(block.Bytes)-16]...)
	if _, err := Parse(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: cut}), never(t)); !errors.Is(err, ErrFormat) {
		t.Errorf("KE-01 cut: %v", err)
	}
	for i := range block.Bytes { // no changed byte makes a fault
		changed := append([]byte(nil), block.Bytes...)
		changed[i] ^= 0x55
		_, err := Parse(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: changed}), nil)
		if err == nil {
			t.Fatalf("KE-01 byte %d changed: opened without a password", i)
		}
	}
}

// TestHugePrivateKeys: KE-05. A private key too large to be checked in time is not
// checked.
func TestHugePrivateKeys(t *testing.T) {
	t.Parallel()
	for _, bits := range []uint{9 << 10, 32 << 10} {
		p := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits/2), big.NewInt(1))
		q := new(big.Int).Add(p, big.NewInt(2))
		e := big.NewInt(65537)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, big.NewInt(1)), new(big.Int).Sub(q, big.NewInt(1)))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil {
			d = big.NewInt(3)
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q}}
		one := big.NewInt(1)
		der, err := asn1.Marshal(struct {
			Version                  int
			N                        *big.Int
			E                        int
			D, P, Q, DP, DQ, Inverse *big.Int
		}{0, key.N, key.E, d, p, q, new(big.Int).Mod(d, new(big.Int).Sub(p, one)), new(big.Int).Mod(d, new(big.Int).Sub(q, one)), new(big.Int).ModInverse(q, p)})
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if _, err := Parse(pem.EncodeToMemory(&pem.Block{Type: pemRSA, Bytes: der}), never(t)); err == nil {
			t.Errorf("KE-05 RSA of %d bits was taken", bits)
		}
		if spent := time.Since(started); spent > time.Second {
			t.Errorf("KE-05 RSA of %d bits: %v", bits, spent)
		}
	}
	// The largest that is accepted fits.
	largest, err := x509.MarshalPKCS8PrivateKey(dummyRSA(t, 2048))
	if err != nil || 4*len(largest) > maxKeyDER {
		t.Errorf("RSA-8192 has about %d bytes, %d are read: %v", 4*len(largest), maxKeyDER, err)
	}
}

func dummyRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
