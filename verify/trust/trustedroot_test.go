package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/hallmark-project/hallmark/verify/trust"
)

type object = map[string]any

func window(from, until time.Time) object {
	w := object{"start": from.Format(time.RFC3339)}
	if !until.IsZero() {
		w["end"] = until.Format(time.RFC3339)
	}
	return w
}

func certificates(members ...*member) object {
	var all []any
	for _, m := range members {
		all = append(all, object{"rawBytes": m.certificate.Raw})
	}
	return object{"certificates": all}
}

// logEntry makes an entry for a log with a new key.
func logEntry(t testing.TB, url string) object {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return object{
		"baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": object{"keyId": sum[:]},
		"publicKey": object{"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window(epoch, epoch.AddDate(1, 0, 0))},
	}
}

// trustedRoot is a complete one, in a form in which tests can break it.
func trustedRoot(t testing.TB) object {
	t.Helper()
	p := newPKI(t)
	return object{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs":     []any{logEntry(t, "https://log.test")},
		"ctlogs":    []any{logEntry(t, "https://ct.test")},
		"certificateAuthorities": []any{object{
			"uri": "https://ca.test", "certChain": certificates(p.middle, p.root), "validFor": window(epoch, time.Time{}),
		}},
		"timestampAuthorities": []any{object{
			"uri": "https://time.test", "certChain": certificates(p.stamper, p.stampRoot), "validFor": window(epoch, epoch.AddDate(2, 0, 0)),
		}},
	}
}

// at walks into objects and lists: at(root, "tlogs", 0, "publicKey").
func at(t testing.TB, in any, path ...any) object {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			in = in.(object)[step]
		case int:
			in = in.([]any)[step]
		}
	}
	found, ok := in.(object)
	if !ok {
		t.Fatalf("no object at %v", path)
	}
	return found
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTrustedRootsOfTheWildAreRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"public-good.json", "scaffolding.json", "public-key-validity.json"} {
		parsed := data.TrustedRoot(t, name)
		text, err := parsed.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.NewRoot(trust.WithTrustedRoot(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	github := trustedRoot(t)
	delete(github, "tlogs")
	delete(github, "ctlogs")
	delete(at(t, github, "timestampAuthorities", 0), "uri")
	if _, err := trust.NewRoot(trust.WithTrustedRoot(encode(t, github))); err != nil {
		t.Errorf("a root without logs, as GitHub's: %v", err)
	}
}

func TestTrustedRootIsReadStrictly(t *testing.T) {
	t.Parallel()
	if _, err := trust.NewRoot(trust.WithTrustedRoot(encode(t, trustedRoot(t)))); err != nil {
		t.Fatalf("the good twin: %v", err)
	}
	second := func(t *testing.T, list string, into object) object {
		t.Helper()
		clone := object{}
		for k, v := range at(t, into, list, 0) {
			clone[k] = v
		}
		into[list] = append(into[list].([]any), clone)
		return clone
	}
	for name, change := range map[string]func(*testing.T, object){
		"TR-16 unknown field":        func(_ *testing.T, r object) { r["extra"] = 1 },
		"TR-16 unknown nested field": func(t *testing.T, r object) { at(t, r, "tlogs", 0)["extra"] = 1 },
		"TR-16 zero authorities": func(_ *testing.T, r object) {
			for _, list := range []string{"tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"} {
				delete(r, list)
			}
		},
		"TR-16 private key inside": func(t *testing.T, r object) {
			at(t, r, "tlogs", 0)["baseUrl"] = "-----BEGIN PRIVATE KEY-----"
		},
		"TR-16 another media type": func(_ *testing.T, r object) { r["mediaType"] = "text/html" },
		"TR-09 TSA without root": func(t *testing.T, r object) {
			chain := at(t, r, "timestampAuthorities", 0, "certChain")
			chain["certificates"] = chain["certificates"].([]any)[:1]
		},
		"TR-09 TSA without chain":        func(t *testing.T, r object) { delete(at(t, r, "timestampAuthorities", 0), "certChain") },
		"TR-09 log without key":          func(t *testing.T, r object) { delete(at(t, r, "tlogs", 0), "publicKey") },
		"TR-09 log without key bytes":    func(t *testing.T, r object) { delete(at(t, r, "tlogs", 0, "publicKey"), "rawBytes") },
		"TR-09 log without log ID":       func(t *testing.T, r object) { delete(at(t, r, "tlogs", 0), "logId") },
		"TR-09 log with an empty log ID": func(t *testing.T, r object) { at(t, r, "ctlogs", 0, "logId")["keyId"] = "" },
		"TR-09 CA without certificate":   func(t *testing.T, r object) { at(t, r, "certificateAuthorities", 0)["certChain"] = object{} },
		"TR-09 CA with a broken one": func(t *testing.T, r object) {
			at(t, r, "certificateAuthorities", 0, "certChain", "certificates", 0)["rawBytes"] = []byte("x")
		},
		"TR-09 null entry":                 func(_ *testing.T, r object) { r["tlogs"] = []any{nil} },
		"TR-10 log without validity":       func(t *testing.T, r object) { delete(at(t, r, "tlogs", 0, "publicKey"), "validFor") },
		"TR-10 log without validity start": func(t *testing.T, r object) { delete(at(t, r, "tlogs", 0, "publicKey", "validFor"), "start") },
		"TR-10 CT log without start":       func(t *testing.T, r object) { delete(at(t, r, "ctlogs", 0, "publicKey", "validFor"), "start") },
		"TR-10 log ends before it begins": func(t *testing.T, r object) {
			at(t, r, "tlogs", 0, "publicKey")["validFor"] = window(epoch, epoch.Add(-time.Second))
		},
		"TR-10 CA ends before it begins": func(t *testing.T, r object) {
			at(t, r, "certificateAuthorities", 0)["validFor"] = window(epoch, epoch.Add(-time.Second))
		},
		"CA that ends in a leaf": func(t *testing.T, r object) {
			at(t, r, "certificateAuthorities", 0)["certChain"] = certificates(newPKI(t).leaf)
		},
		"CA with a weak key": func(t *testing.T, r object) {
			at(t, r, "certificateAuthorities", 0)["certChain"] = certificates(issueFor(t, weakKey(t), "weak", nil, asCA))
		},
		"log with a weak key": func(t *testing.T, r object) {
			der, err := x509.MarshalPKIXPublicKey(weakKey(t).Public())
			if err != nil {
				t.Fatal(err)
			}
			key := at(t, r, "tlogs", 0, "publicKey")
			key["rawBytes"], key["keyDetails"] = der, "PKIX_RSA_PKCS1V15_2048_SHA256"
		},
		"TR-16 too many logs": func(t *testing.T, r object) {
			for range 501 {
				r["tlogs"] = append(r["tlogs"].([]any), logEntry(t, "https://many.test"))
			}
		},
		"TR-16 too long a chain": func(t *testing.T, r object) {
			chain := at(t, r, "certificateAuthorities", 0, "certChain")
			for range 20 {
				chain["certificates"] = append(chain["certificates"].([]any), chain["certificates"].([]any)[1])
			}
		},
		"SB-10 one key is two CT logs":     func(t *testing.T, r object) { second(t, "ctlogs", r)["logId"] = object{"keyId": []byte("other")} },
		"a log stands twice":               func(t *testing.T, r object) { second(t, "tlogs", r) },
		"SB-10 one key is two logs":        func(t *testing.T, r object) { second(t, "tlogs", r)["logId"] = object{"keyId": []byte("other")} },
		"SB-11 one key is two authorities": func(t *testing.T, r object) { second(t, "timestampAuthorities", r)["uri"] = "https://else.test" },
		"SB-11 one root, one of them leafless": func(t *testing.T, r object) {
			other := second(t, "timestampAuthorities", r)
			chain := other["certChain"].(object)["certificates"].([]any)
			other["uri"], other["certChain"] = "https://else.test", object{"certificates": chain[1:]}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := trustedRoot(t)
			change(t, broken)
			r, err := trust.NewRoot(trust.WithTrustedRoot(encode(t, broken)))
			if !errors.Is(err, trust.ErrRootInvalid) || r != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

func weakKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTrustedRootTexts(t *testing.T) {
	t.Parallel()
	good := encode(t, trustedRoot(t))
	for name, text := range map[string][]byte{
		"TR-08 empty":                          nil,
		"TR-08 truncated":                      good[:len(good)/2],
		"TR-08 404 page":                       []byte("<!DOCTYPE html><title>404 Not Found</title>"),
		"TR-08 null":                           []byte("null"),
		"TR-08 empty object":                   []byte("{}"),
		"TR-16 duplicate key":                  append([]byte(`{"tlogs":[],`), good[1:]...),
		"TR-16 key twice, spelled in two ways": append([]byte(`{"certificate_authorities":[],`), good[1:]...),
		"TR-16 nested duplicate key":           bytes.Replace(good, []byte(`"baseUrl":`), []byte(`"baseUrl":"https://x.test","baseUrl":`), 1),
		"TR-16 another spelling":               bytes.Replace(good, []byte(`"tlogs":`), []byte(`"TLOGS":`), 1),
		"TR-16 broken UTF-8":                   bytes.Replace(good, []byte("log.test"), []byte("log.\xff"), 1),
		"TR-16 half a surrogate pair":          bytes.Replace(good, []byte("log.test"), []byte(`log.\ud800`), 1),
		"TR-16 deep":                           append(bytes.Repeat([]byte("["), 100_000), good...),
		"TR-16 behind the value":               append(bytes.Clone(good), "{}"...),
		"TR-16 too large":                      append(bytes.Clone(good), bytes.Repeat([]byte(" "), 8<<20)...),
		"TR-16 a private key":                  []byte("-----BEGIN EC PRIVATE KEY-----"),
	} {
		if r, err := trust.NewRoot(trust.WithTrustedRoot(text)); !errors.Is(err, trust.ErrRootInvalid) || r != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRootsAreJoined(t *testing.T) {
	t.Parallel()
	one := encode(t, trustedRoot(t))
	first, second := trust.WithTrustedRoot(one), trust.WithTrustedRoot(encode(t, trustedRoot(t)))
	authority := trust.WithAuthority(newPKI(t).authority())
	joined, err := trust.NewRoot(first, second, authority)
	if err != nil {
		t.Fatal(err)
	}
	count := map[trust.Kind]int{}
	for _, entry := range joined.Describe() {
		count[entry.Kind]++
	}
	want := map[trust.Kind]int{
		trust.KindCertificateAuthority: 3, trust.KindTimestampAuthority: 3,
		trust.KindTransparencyLog: 2, trust.KindCertificateLog: 2,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
	alike, err := trust.NewRoot(authority)
	if err != nil {
		t.Fatal(err)
	}
	if joined.Sigstore().Own || !alike.Sigstore().Own {
		t.Error("a root with an instance of Sigstore in it is taken for a private PKI, or the other way round")
	}
	turned, err := trust.NewRoot(authority, second, first, first)
	if err != nil {
		t.Fatal(err)
	}
	if joined.Digest() != turned.Digest() {
		t.Error("TR-16: the order of the options changes the digest of the root")
	}
	alone, err := trust.NewRoot(first)
	if err != nil {
		t.Fatal(err)
	}
	if alone.Digest() == joined.Digest() {
		t.Error("TR-16: roots of different content have one digest")
	}
}

func FuzzTrustedRoot(f *testing.F) {
	good := encode(f, trustedRoot(f))
	f.Add(good)
	f.Add([]byte("{}"))
	f.Add([]byte(strings.ReplaceAll(string(good), "2026", "1970")))
	f.Add(bytes.ReplaceAll(good, []byte(base64.StdEncoding.EncodeToString([]byte("0"))), nil))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := trust.NewRoot(trust.WithTrustedRoot(text))
		if (err == nil) != (r != nil) {
			t.Fatalf("root %v, error %v", r, err)
		}
		if err != nil {
			if !errors.Is(err, trust.ErrRootInvalid) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(r.Describe()) == 0 {
			t.Fatal("a root that is accepted trusts nothing")
		}
		for _, entry := range r.Describe() {
			if entry.ID == "" || entry.Algorithm == "none" {
				t.Fatalf("entry %+v", entry)
			}
		}
		r.Expires(epoch)
	})
}
