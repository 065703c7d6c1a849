package digest_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for algorithm, size := range map[string]int{"sha256": 64, "sha384": 96, "sha512": 128} {
		text := algorithm + ":" + strings.Repeat("0f", size/2)
		d, err := digest.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		if d.String() != text || d.Algorithm() != algorithm || d.Hex() != text[7:] || len(d.Bytes()) != size/2 || d.IsZero() || d.Short() != text[:19] {
			t.Errorf("%s is %v, %q, %q, %x, %v", algorithm, d, d.Algorithm(), d.Hex(), d.Bytes(), d.Short())
		}
		if h := d.New(); h == nil || h.Size() != size/2 {
			t.Errorf("%s has no hash of its size", algorithm)
		}
	}
}

// TestDS08Malformed: nothing but a full-length lower-case value is a digest.
func TestDS08Malformed(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0f", 32)
	for _, text := range []string{
		"", ":", "sha256", "sha256:", hex, ":" + hex, "sha256:" + hex[:63], "sha256:" + hex + "0", "sha256:" + strings.ToUpper(hex), "SHA256:" + hex, "sha-256:" + hex,
		"sha256:sha256:" + hex, "sha256:" + hex[:63] + "g", "sha256:" + hex[:63] + "/", "sha256:../" + hex[:61], "sha256:" + hex[:62] + "é", " sha256:" + hex, "sha256:" + hex + "\n",
		"sha256: " + hex[:63], "sha512:" + hex, "sha384:" + hex, "sha1:" + hex[:40], "md5:" + hex[:32], "gitCommit:" + hex[:40], "sha256+b64:" + hex, "sha256:" + strings.Repeat("0", 1<<20),
	} {
		d, err := digest.Parse(text)
		if !errors.Is(err, digest.ErrMalformed) || !d.IsZero() {
			t.Errorf("DS-08 %.80q is %v, %v", text, d, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestZeroDigest(t *testing.T) {
	t.Parallel()
	var zero digest.Digest
	if !zero.IsZero() || zero.String() != "" || zero.Algorithm() != "" || zero.Hex() != "" || zero.Bytes() != nil || zero.New() != nil || zero.Matches(nil) || zero.Short() == "" {
		t.Errorf("the zero digest is something: %+v", zero)
	}
	if d := digest.FromBytes(nil); d == zero || !d.Matches(nil) || d.Matches([]byte{0}) {
		t.Errorf("the digest of nothing: %v", d)
	}
	if d := digest.FromHash(md5.New()); !d.IsZero() {
		t.Errorf("an MD5 hash became %v", d)
	}
	for algorithm, d := range map[string]digest.Digest{"sha256": digest.FromHash(sha256.New()), "sha384": digest.FromHash(sha512.New384()), "sha512": digest.FromHash(sha512.New())} {
		if d.Algorithm() != algorithm || !d.Matches(nil) {
			t.Errorf("%s: %v", algorithm, d)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var got struct{ A, B digest.Digest }
	raw := `{"A":"` + digest.FromBytes(nil).String() + `","B":""}`
	if err := json.Unmarshal([]byte(raw), &got); err != nil || got.A != digest.FromBytes(nil) || !got.B.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if back, err := json.Marshal(got); err != nil || string(back) != raw {
		t.Errorf("%s, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"A":"sha256:ff"}`), &got); !errors.Is(err, digest.ErrMalformed) {
		t.Errorf("a short digest: %v", err)
	}
}

func TestMustParsePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a malformed literal is accepted")
		}
	}()
	digest.MustParse("sha256:ff")
}

func ExampleParse() {
	_, err := digest.Parse("sha256:../../etc/passwd")
	fmt.Println(err)
	d, err := digest.Parse("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	fmt.Println(d.Short(), err, d == digest.FromBytes(nil))
	// Output:
	// malformed digest: a sha256 value has 64 characters, not 16
	// sha256:e3b0c44298fc <nil> true
}

var grammar = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`)

// FuzzParse: exactly the grammar is accepted, the text is kept, and a digest that
// differs in one byte is another one.
func FuzzParse(f *testing.F) {
	f.Add(digest.FromBytes(nil).String(), uint16(9), byte('0'))
	f.Add("sha512:"+strings.Repeat("0a", 64), uint16(3), byte('2'))
	f.Fuzz(func(t *testing.T, text string, at uint16, with byte) {
		d, err := digest.Parse(text)
		if (err == nil) != (grammar.MatchString(text) && !strings.HasSuffix(text, "\n")) {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			return
		}
		if d.String() != text || d.Algorithm()+":"+d.Hex() != text || fmt.Sprintf("%x", d.Bytes()) != d.Hex() {
			t.Fatalf("%q became %q", text, d)
		}
		changed := bytes.Clone([]byte(text))
		changed[int(at)%len(changed)] = with
		other, err := digest.Parse(string(changed))
		if err == nil && (other == d) != (string(changed) == text) {
			t.Fatalf("%q and %q", text, changed)
		}
	})
}
