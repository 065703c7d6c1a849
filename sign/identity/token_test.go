package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// later is long after every test.
var later = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// unsigned makes a token whose signature is nonsense: nobody here checks it.
func unsigned(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature"))
}

// claimsFor are the claims of a good token.
func claimsFor(audience, subject string, expires time.Time) string {
	raw, err := json.Marshal(map[string]any{"iss": "https://issuer.example", "sub": subject, "aud": audience, "exp": expires.Unix()})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func good(subject string) string { return unsigned(claimsFor("sigstore", subject, later)) }

func TestParse(t *testing.T) {
	t.Parallel()
	token, err := Parse("\n" + unsigned(`{"iss":"https://i.example","sub":"s","aud":["a","b"],"exp":4102444800.5,"email":"me@example.com","email_verified":true,"more":{"x":[1]}}`) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if token.Issuer() != "https://i.example" || token.Subject() != "s" || token.Email() != "me@example.com" || !token.Expires().Equal(later) || fmt.Sprint(token.Audiences()) != "[a b]" {
		t.Errorf("read %v with audiences %q", token, token.Audiences())
	}
	if strings.TrimSpace(token.Raw()) != token.Raw() {
		t.Error("white space stayed")
	}
	unproved, err := Parse(unsigned(`{"iss":"i","sub":"s","aud":"a","exp":1,"email":"me@example.com","email_verified":false}`))
	if err != nil || unproved.Email() != "" {
		t.Errorf("an address that nobody proved is shown: %q, %v", unproved.Email(), err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	claims := claimsFor("sigstore", "s", later)
	body := encode([]byte(claims))
	head := encode([]byte(`{"alg":"ES256"}`))
	for name, raw := range map[string]string{
		"empty":                        " \n",
		"one part":                     "abc",
		"two parts":                    head + "." + body,
		"four parts":                   good("s") + ".x",
		"RE-03 ten megabytes of dots":  strings.Repeat(".", 10<<20),
		"RE-03 larger than 64 kB":      unsigned(strings.Repeat(" ", 64<<10) + claims),
		"RE-03 dots below the limit":   strings.Repeat(".", 60<<10),
		"RE-03 deep claims":            unsigned(`{"iss":"i","sub":"s","aud":"a","exp":1,"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}"),
		"RE-03 many audiences":         unsigned(`{"iss":"i","sub":"s","exp":1,"aud":["a"` + strings.Repeat(`,"a"`, 32) + "]}"),
		"RE-03 many claims":            unsigned(manyClaims()),
		"no signature":                 head + "." + body + ".",
		"algorithm none":               encode([]byte(`{"alg":"None"}`)) + "." + body + ".eA",
		"no algorithm":                 encode([]byte(`{}`)) + "." + body + ".eA",
		"header is no object":          encode([]byte(`[]`)) + "." + body + ".eA",
		"base64 with padding":          head + "." + body + "=.eA",
		"base64 of the other alphabet": head + "." + body + ".+/+/",
		"base64 with bits left over":   head + "." + body + ".eB",
		"line break inside":            head + "." + body[:8] + "\n" + body[8:] + ".eA",
		"claims are no JSON":           unsigned("hello"),
		"claims are a list":            unsigned(`["iss"]`),
		"claims twice":                 unsigned(claims + claims),
		"claim twice":                  unsigned(`{"iss":"i","iss":"j","sub":"s","aud":"a","exp":1}`),
		"claim in another case":        unsigned(`{"ISS":"i","sub":"s","aud":"a","exp":1}`),
		"no iss":                       unsigned(`{"sub":"s","aud":"a","exp":1}`),
		"no sub":                       unsigned(`{"iss":"i","aud":"a","exp":1}`),
		"no aud":                       unsigned(`{"iss":"i","sub":"s","exp":1}`),
		"no exp":                       unsigned(`{"iss":"i","sub":"s","aud":"a"}`),
		"iss is a number":              unsigned(`{"iss":1,"sub":"s","aud":"a","exp":1}`),
		"aud is empty":                 unsigned(`{"iss":"i","sub":"s","aud":[],"exp":1}`),
		"aud holds a number":           unsigned(`{"iss":"i","sub":"s","aud":["a",1],"exp":1}`),
		"exp is a string":              unsigned(`{"iss":"i","sub":"s","aud":"a","exp":"1"}`),
		"exp is null":                  unsigned(`{"iss":"i","sub":"s","aud":"a","exp":null}`),
		"exp is negative":              unsigned(`{"iss":"i","sub":"s","aud":"a","exp":-1}`),
		"exp is too large":             unsigned(`{"iss":"i","sub":"s","aud":"a","exp":1e300}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			token, err := Parse(raw)
			if !errors.Is(err, ErrMalformed) || token.Raw() != "" {
				t.Fatalf("accepted: %v, %v", token, err)
			}
			if len(err.Error()) > 200 {
				t.Errorf("a long message: %.300s", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func manyClaims() string {
	var b strings.Builder
	b.WriteString(`{"iss":"i","sub":"s","aud":"a","exp":1`)
	for i := range 300 {
		fmt.Fprintf(&b, `,"c%d":1`, i)
	}
	return b.String() + "}"
}

// TestTokenIsNeverPrinted is KE-15: the token is never logged.
func TestTokenIsNeverPrinted(t *testing.T) {
	t.Parallel()
	token, err := Parse(good("somebody"))
	if err != nil {
		t.Fatal(err)
	}
	holder := struct{ inner Token }{token}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "token", token, "holder", holder)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "token", token, "holder", holder)
	asJSON, err := json.Marshal(map[string]any{"token": token})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{logged.String(), string(asJSON), token.String(), fmt.Sprint(token, &token, holder, []Token{token})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T", "%p"} {
		shown = append(shown, fmt.Sprintf(verb, token), fmt.Sprintf(verb, &token), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, &holder))
	}
	signature := token.Raw()[strings.LastIndexByte(token.Raw(), '.')+1:]
	for _, text := range shown {
		for _, part := range []string{token.Raw(), signature, fmt.Sprintf("%x", token.Raw()), fmt.Sprintf("%x", signature)} {
			if strings.Contains(text, part) {
				t.Errorf("KE-15: the token is printed: %s", text)
			}
		}
	}
	if !strings.Contains(token.String(), "somebody") {
		t.Errorf("String does not say whose token it is: %s", token)
	}
	if (Token{}).String() != "no identity token" || (Token{}).Raw() != "" {
		t.Error("the zero token is something")
	}
}

// FuzzParse: whatever is accepted has the limits, reads the same again, and shows
// nothing of itself; a refusal does not quote the token.
func FuzzParse(f *testing.F) {
	f.Add(good("s"))
	f.Add(unsigned(`{"iss":"i","sub":"s","aud":["a","b"],"exp":1.5,"email":"e","email_verified":"true"}`))
	f.Add(strings.Repeat(".", 100))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := Parse(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || token.Raw() != "" || len(raw) > 40 && strings.Contains(err.Error(), raw) {
				t.Fatalf("refusal %v with token %v", err, token)
			}
			return
		}
		if len(token.Raw()) > maxToken || token.Issuer() == "" || token.Subject() == "" || len(token.Audiences()) == 0 {
			t.Fatalf("accepted %v", token)
		}
		again, err := Parse(token.Raw())
		if err != nil || again.String() != token.String() || again.Raw() != token.Raw() {
			t.Fatalf("read again as %v, %v", again, err)
		}
		if strings.Contains(fmt.Sprintf("%#v", token), token.Raw()) {
			t.Fatal("the token is printed")
		}
	})
}
