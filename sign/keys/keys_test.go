package keys_test

import (
	"bytes"
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 that such keys are refused is what is tested
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/youmark/pkcs8"

	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/trust"
)

var password = []byte("marker-password-4711")

func ask(p []byte) func() ([]byte, error) { return func() ([]byte, error) { return p, nil } }

func neverAsk(t *testing.T) func() ([]byte, error) {
	return func() ([]byte, error) {
		t.Error("the password was asked for")
		return nil, nil
	}
}

// TestFormats: KE-01. Every key in every format comes back, the password is asked
// for only where it is needed, and wrong is told from corrupt.
func TestFormats(t *testing.T) {
	t.Parallel()
	for _, algorithm := range keys.Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			signer, err := keys.Generate(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			for _, format := range []keys.Format{keys.FormatCosign, keys.FormatPKCS8} {
				encoded, err := signer.Encode(format, password)
				if err != nil {
					t.Fatal(err)
				}
				again, err := keys.Parse(encoded, ask(password))
				if err != nil || again.Key().ID() != signer.Key().ID() {
					t.Errorf("KE-01 %s: %v", format, err)
				}
				_, err = keys.Parse(encoded, ask([]byte("wrong")))
				if !errors.Is(err, keys.ErrPassword) || strings.Contains(err.Error(), "wrong\"") {
					t.Errorf("KE-01 %s, wrong password: %v", format, err)
				}
				if _, err := keys.Parse(encoded, ask(nil)); !errors.Is(err, keys.ErrPassword) {
					t.Errorf("KE-01 %s, empty password: %v", format, err)
				}
				if _, err := keys.Parse(encoded, nil); !errors.Is(err, keys.ErrPasswordMissing) {
					t.Errorf("KE-01 %s, no password: %v", format, err)
				}
				cut := append([]byte(nil), encoded[:len(encoded)/2]...)
				if _, err := keys.Parse(cut, neverAsk(t)); !errors.Is(err, keys.ErrFormat) {
					t.Errorf("KE-01 %s, cut: %v", format, err)
				}
			}
			plain, err := signer.Encode(keys.FormatPKCS8, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := keys.Parse(plain, neverAsk(t)); err != nil {
				t.Errorf("KE-01 unencrypted: %v", err)
			}
		})
	}
}

// TestCosignFormat: KE-01. What is written is what the library that cosign uses
// writes, and what it writes in any of its strengths is read.
func TestCosignFormat(t *testing.T) {
	t.Parallel()
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := signer.Encode(keys.FormatCosign, password)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(encoded)
	if block == nil || block.Type != "ENCRYPTED SIGSTORE PRIVATE KEY" || len(block.Headers) > 0 || len(rest) > 0 {
		t.Fatalf("KE-01 not cosign's format: %s", encoded)
	}
	der, err := encrypted.Decrypt(block.Bytes, password)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if same, isECDSA := private.(*ecdsa.PrivateKey); err != nil || !isECDSA || !same.PublicKey.Equal(signer.Public()) {
		t.Errorf("KE-01 inside is no PKCS #8 key: %v", err)
	}
	for _, blockType := range []string{"ENCRYPTED COSIGN PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"} {
		for _, strength := range []encrypted.KDFParameterStrength{encrypted.Legacy, encrypted.Standard, encrypted.OWASP} {
			for _, secret := range [][]byte{password, {}} {
				box, err := encrypted.EncryptWithCustomKDFParameters(der, secret, strength)
				if err != nil {
					t.Fatal(err)
				}
				again, err := keys.Parse(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: box}), ask(secret))
				if err != nil || again.Key().ID() != signer.Key().ID() {
					t.Errorf("KE-01 %s, strength %d, password of %d bytes: %v", blockType, strength, len(secret), err)
				}
			}
		}
	}
}

// TestDamagedBox: KE-01. A box that no password can open is no matter of the password.
func TestDamagedBox(t *testing.T) {
	t.Parallel()
	box := func(kdf, cipher, salt, nonce, ciphertext string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: fmt.Appendf(nil,
			`{"kdf":{"name":%q,"params":{"N":65536,"r":8,"p":1},"salt":%q},"cipher":{"name":%q,"nonce":%q},"ciphertext":%q}`, kdf, salt, cipher, nonce, ciphertext)})
	}
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for name, text := range map[string][]byte{
		"another kdf":    box("argon2", "nacl/secretbox", b64(32), b64(24), b64(99)),
		"another cipher": box("scrypt", "none", b64(32), b64(24), b64(99)),
		"short nonce":    box("scrypt", "nacl/secretbox", b64(32), b64(23), b64(99)),
		"no salt":        box("scrypt", "nacl/secretbox", "", b64(24), b64(99)),
		"no ciphertext":  box("scrypt", "nacl/secretbox", b64(32), b64(24), b64(16)),
		"no base64":      box("scrypt", "nacl/secretbox", b64(32), b64(24), "%"),
		"no JSON":        pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED COSIGN PRIVATE KEY", Bytes: []byte("{")}),
	} {
		if _, err := keys.Parse(text, neverAsk(t)); !errors.Is(err, keys.ErrFormat) {
			t.Errorf("KE-01 %s: %v", name, err)
		}
	}
	if _, err := keys.Parse(box("scrypt", "nacl/secretbox", b64(32), b64(24), b64(99)), ask(password)); !errors.Is(err, keys.ErrPassword) {
		t.Errorf("KE-01 a sound box: %v", err)
	}
}

// TestCostIsBounded: KE-02. What a file wants to spend is looked at before it is spent.
func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := signer.Encode(keys.FormatCosign, password)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(encoded)
	for _, n := range []int{1, 2, 1 << 13, 1 << 14, 1 << 18, 1 << 21, 1 << 30, 65537} {
		var box map[string]map[string]any
		var rest map[string]any
		if err := json.Unmarshal(block.Bytes, &rest); err != nil {
			t.Fatal(err)
		}
		kdf, _ := json.Marshal(rest["kdf"])
		if err := json.Unmarshal([]byte(`{"kdf":`+string(kdf)+`}`), &box); err != nil {
			t.Fatal(err)
		}
		box["kdf"]["params"] = map[string]int{"N": n, "r": 8, "p": 1}
		rest["kdf"] = box["kdf"]
		raw, _ := json.Marshal(rest)
		started := time.Now()
		_, err := keys.Parse(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: raw}), neverAsk(t))
		if !errors.Is(err, keys.ErrCost) {
			t.Errorf("KE-02 scrypt N=%d: %v", n, err)
		}
		if time.Since(started) > time.Second {
			t.Errorf("KE-02 scrypt N=%d was spent", n)
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := pkcs8.MarshalPrivateKey(private, password, &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 1, HMACHash: crypto.SHA256}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Parse(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: weak}), neverAsk(t)); !errors.Is(err, keys.ErrCost) {
		t.Errorf("KE-02 PBKDF2 with 1 iteration: %v", err)
	}
}

// TestFiles: KE-04.
func TestFiles(t *testing.T) {
	t.Parallel()
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	prefix := filepath.Join(dir, "k")
	if err := signer.WritePair(prefix, keys.FormatPKCS8, nil, false); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{prefix + ".key": 0o600, prefix + ".pub": 0o644} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("KE-04 %s: %v, %v", filepath.Base(name), info.Mode(), err)
		}
	}
	before, _ := os.ReadFile(prefix + ".key")
	other, _ := keys.Generate(keys.Ed25519)
	if err := other.WritePair(prefix, keys.FormatPKCS8, nil, false); !errors.Is(err, keys.ErrExists) {
		t.Errorf("KE-04 overwriting: %v", err)
	}
	if after, _ := os.ReadFile(prefix + ".key"); !bytes.Equal(before, after) {
		t.Error("KE-04 the key was overwritten")
	}
	// Only the public file exists: the private one is not written either.
	lone := filepath.Join(dir, "lone")
	if err := os.WriteFile(lone+".pub", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := other.WritePair(lone, keys.FormatPKCS8, nil, false); !errors.Is(err, keys.ErrExists) {
		t.Errorf("KE-04 half a pair: %v", err)
	}
	if _, err := os.Stat(lone + ".key"); err == nil {
		t.Error("KE-04 half a pair was written")
	}
	// A symbolic link is neither followed nor replaced, with force neither.
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, "link.key")); err != nil {
		t.Fatal(err)
	}
	if err := other.WritePair(filepath.Join(dir, "link"), keys.FormatPKCS8, nil, false); !errors.Is(err, keys.ErrNotRegular) {
		t.Errorf("KE-04 symbolic link: %v", err)
	}
	if err := other.WritePair(filepath.Join(dir, "link"), keys.FormatPKCS8, nil, true); !errors.Is(err, keys.ErrNotRegular) {
		t.Errorf("KE-04 symbolic link with force: %v", err)
	}
	if raw, _ := os.ReadFile(victim); string(raw) != "precious" {
		t.Error("KE-04 the link was followed")
	}
	// A folder that cannot be written leaves nothing.
	if err := other.WritePair(filepath.Join(dir, "no", "such", "folder", "k"), keys.FormatPKCS8, nil, false); err == nil {
		t.Error("KE-04 a missing folder passed")
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".hallmark-*"))
	if len(left) != 0 {
		t.Errorf("KE-04 left behind: %v", left)
	}
}

// TestWeakKeys: KE-05, KE-06.
func TestWeakKeys(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, public := range map[string]crypto.PublicKey{
		"KE-05 RSA-1024":         &small.PublicKey,
		"KE-05 RSA with e=3":     &rsa.PublicKey{N: good.N, E: 3},
		"KE-05 RSA with e=1":     &rsa.PublicKey{N: good.N, E: 1},
		"KE-05 RSA of 32768 bit": &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 32767), E: 65537},
		"KE-05 P-224":            &p224.PublicKey,
		"KE-05 DSA":              &dsa.PublicKey{},
		"KE-05 nothing":          nil,
	} {
		if err := trust.CheckStrength(public); !errors.Is(err, trust.ErrKeyWeak) {
			t.Errorf("%s: %v", name, err)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(small)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Parse(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil); !errors.Is(err, trust.ErrKeyWeak) {
		t.Errorf("KE-05 a private RSA-1024: %v", err)
	}
	// KE-06: no verifier is ever made for SHA-1; what SHA-1 signed does not verify.
	sha1, err := rsa.SignPKCS1v15(rand.Reader, good, crypto.SHA1, make([]byte, 20))
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.LoadRSAPKCS1v15Verifier(&good.PublicKey, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if v.VerifySignature(bytes.NewReader(sha1), strings.NewReader("")) == nil {
		t.Error("KE-06 a SHA-1 signature passed")
	}
}

// TestHashIsTheKeys: KE-07, KE-08. The hash follows the key and nothing else.
func TestHashIsTheKeys(t *testing.T) {
	t.Parallel()
	message := []byte("message")
	for algorithm, hash := range map[keys.Algorithm]crypto.Hash{keys.ECDSAP256: crypto.SHA256, keys.ECDSAP384: crypto.SHA384, keys.RSA3072: crypto.SHA256} {
		signer, err := keys.Generate(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := signer.Sign(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		right, err := signature.LoadVerifier(signer.Public(), hash)
		if err != nil {
			t.Fatal(err)
		}
		if err := right.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)); err != nil {
			t.Errorf("KE-08 %s with %v: %v", algorithm, hash, err)
		}
		if algorithm == keys.ECDSAP384 {
			checkDowngrade(t, signer, sig, right, message)
		}
		if _, err := signer.SignDigest(t.Context(), make([]byte, 20)); err == nil {
			t.Errorf("KE-08 %s signed a digest of 20 bytes", algorithm)
		}
	}
	signer, err := keys.Generate(keys.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	pure, err := signer.Sign(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(message)
	prehashed, err := signer.SignDigest(t.Context(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	public, isEdwards := signer.Public().(ed25519.PublicKey)
	if !isEdwards {
		t.Fatal("not an Ed25519 key")
	}
	if !ed25519.Verify(public, message, pure) || ed25519.Verify(public, message, prehashed) {
		t.Error("KE-07 Ed25519 and Ed25519ph are not kept apart")
	}
	v, err := signature.LoadVerifierWithOpts(public, options.WithED25519ph())
	if err != nil {
		t.Fatal(err)
	}
	if v.VerifySignature(bytes.NewReader(prehashed), bytes.NewReader(message)) != nil || v.VerifySignature(bytes.NewReader(pure), bytes.NewReader(message)) == nil {
		t.Error("KE-07 Ed25519ph and Ed25519 are not kept apart")
	}
}

// checkDowngrade: a P-384 key's SHA-384 and SHA-256 signatures do not pass for each
// other.
func checkDowngrade(t *testing.T, signer *keys.Signer, sig []byte, right signature.Verifier, message []byte) {
	t.Helper()
	lower, err := signature.LoadVerifier(signer.Public(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	lowerSig, err := signer.WithSHA256().Sign(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	if err := lower.VerifySignature(bytes.NewReader(lowerSig), bytes.NewReader(message)); err != nil {
		t.Errorf("KE-08 WithSHA256: %v", err)
	}
	if lower.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil || right.VerifySignature(bytes.NewReader(lowerSig), bytes.NewReader(message)) == nil {
		t.Error("KE-08 one hash passed for the other")
	}
	if signer.Hash() != crypto.SHA384 || signer.WithSHA256().Hash() != crypto.SHA256 || signer.Hash() != crypto.SHA384 {
		t.Error("KE-08 WithSHA256 changed the signer that it was asked of")
	}
}

// TestOddPEM: KE-10.
func TestOddPEM(t *testing.T) {
	t.Parallel()
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	private, err := signer.Encode(keys.FormatPKCS8, nil)
	if err != nil {
		t.Fatal(err)
	}
	public := signer.Key().PEM()
	der, _ := pem.Decode(private)
	for name, test := range map[string]struct {
		text []byte
		want error
	}{
		"KE-10 empty":              {nil, keys.ErrFormat},
		"KE-10 no PEM":             {[]byte("hello"), keys.ErrFormat},
		"KE-10 two keys":           {append(append([]byte(nil), private...), private...), keys.ErrFormat},
		"KE-10 a public key":       {public, keys.ErrPublicKey},
		"KE-10 broken second key":  {append(append([]byte(nil), private...), private[:len(private)/2]...), keys.ErrFormat},
		"KE-10 broken first key":   {append(append([]byte(nil), private[:len(private)/2]...), private...), keys.ErrFormat},
		"KE-10 junk behind":        {append(append([]byte(nil), private...), "junk"...), keys.ErrFormat},
		"KE-10 junk in the DER":    {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: append(append([]byte(nil), der.Bytes...), 0)}), keys.ErrFormat},
		"KE-10 wrong label":        {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der.Bytes}), keys.ErrFormat},
		"KE-10 a certificate":      {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}), keys.ErrPublicKey},
		"KE-10 a foreign block":    {pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte{1}}), keys.ErrFormat},
		"KE-10 50 MB":              {bytes.Repeat([]byte("A"), 50<<20), keys.ErrFormat},
		"KE-10 garbage in a block": {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1, 2, 3}}), keys.ErrFormat},
	} {
		if _, err := keys.Parse(test.text, neverAsk(t)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for name, text := range map[string][]byte{
		"KE-10 a private key as public one": private, "KE-10 two public keys": append(append([]byte(nil), public...), public...), "KE-10 empty": nil,
		"KE-10 a certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}),
	} {
		if _, err := trust.ParsePublicKey(text); !errors.Is(err, trust.ErrKeyFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := signer.Encode(keys.FormatPKCS8, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	files, _ := filepath.Glob(filepath.Join("testdata", "*.pem"))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(signer.Key().PEM())
	f.Add([]byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJrZGYiOnt9fQ==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := keys.Parse(text, func() ([]byte, error) { return nil, errors.New("no password here") })
		if err != nil {
			return
		}
		if err := trust.CheckStrength(parsed.Public()); err != nil {
			t.Errorf("a weak key was taken: %v", err)
		}
	})
}

func ExampleParse() {
	signer, err := keys.Generate(keys.Ed25519)
	if err != nil {
		panic(err)
	}
	text, err := signer.Encode(keys.FormatPKCS8, []byte("secret"))
	if err != nil {
		panic(err)
	}
	again, err := keys.Parse(text, func() ([]byte, error) { return []byte("secret"), nil })
	if err != nil {
		panic(err)
	}
	fmt.Println(again.Key().Algorithm(), again.Key().ID() == signer.Key().ID())
	// Output: ed25519 true
}
