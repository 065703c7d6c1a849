package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Limits of one token. They hold before anything of it is split or decoded.
const (
	maxToken     = 64 << 10 // the largest tokens of CI systems have about 3 kB
	maxClaims    = 256      // GitHub's tokens have about 30
	maxAudiences = 32       // issuers name one, seldom three
)

// ErrMalformed: not a JSON Web Token that an issuer of identities could have made;
// get another one.
var ErrMalformed = errors.New("not an OIDC identity token")

// Token is an OIDC identity token (OpenID Connect Core section 2) and what it says
// of itself. Its claims are NOT proved: the certificate authority that the token is
// sent to checks its signature. They are there to be shown, and to find a token
// that cannot serve before it is sent.
//
// No verb of package fmt and no logger prints the token itself; [Token.Raw] returns
// it. The zero Token is expired.
type Token struct {
	raw           func() string // of which fmt prints an address even where it cannot call Format: in another struct's unexported field
	issuer        string
	subject       string
	email         string
	emailVerified bool
	audiences     []string
	expires       time.Time
	source        string
}

// Parse reads the compact form of a token (RFC 7519 section 3, RFC 7515 section
// 7.1), around which white space may stand. It must have at most 64 kB, three parts,
// and the claims iss, sub, aud and exp, each once. Parse does NOT check its
// signature, whom it is for, or whether it has expired. Errors wrap [ErrMalformed]
// and never quote the token.
func Parse(raw string) (Token, error) {
	if len(raw) > maxToken {
		return Token{}, fmt.Errorf("%w: larger than %d kB", ErrMalformed, maxToken>>10)
	}
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return Token{}, fmt.Errorf("%w: empty", ErrMalformed)
	}
	if strings.Count(raw, ".") != 2 {
		return Token{}, fmt.Errorf("%w: not three parts with dots between them", ErrMalformed)
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, signature, _ := strings.Cut(rest, ".")
	if err := checkHeader(head); err != nil {
		return Token{}, err
	}
	if decoded, err := decodePart("signature", signature); err != nil {
		return Token{}, err
	} else if len(decoded) == 0 {
		return Token{}, fmt.Errorf("%w: it is not signed", ErrMalformed)
	}
	claims, err := objectOf("claims", body)
	if err != nil {
		return Token{}, err
	}
	token := Token{raw: func() string { return raw }}
	if err := token.read(claims); err != nil {
		return Token{}, err
	}
	return token, nil
}

// checkHeader refuses a token that names no algorithm or "none" (RFC 7515 section
// 4.1.1, RFC 8725 section 3.2).
func checkHeader(part string) error {
	header, err := objectOf("header", part)
	if err != nil {
		return err
	}
	algorithm, err := textOf(header, "alg")
	if err != nil {
		return err
	}
	if algorithm == "" || strings.EqualFold(algorithm, "none") {
		return fmt.Errorf("%w: it is not signed", ErrMalformed)
	}
	return nil
}

// read takes the claims that are used here; the others are the authority's.
func (t *Token) read(claims map[string][]byte) error {
	var err error
	for name, target := range map[string]*string{"iss": &t.issuer, "sub": &t.subject, "email": &t.email} {
		if *target, err = textOf(claims, name); err != nil {
			return err
		}
	}
	if t.issuer == "" || t.subject == "" {
		return fmt.Errorf("%w: claim iss or sub is missing", ErrMalformed)
	}
	// Some issuers write the text "true" (AWS Cognito does).
	verified := string(bytes.TrimSpace(claims["email_verified"]))
	t.emailVerified = verified == "true" || verified == `"true"`
	if t.audiences, err = audiencesOf(claims["aud"]); err != nil {
		return err
	}
	t.expires, err = timeOf(claims, "exp")
	return err
}

// Raw returns the token itself, which lets its holder sign as its subject: send it to
// the certificate authority and nowhere else.
func (t Token) Raw() string {
	if t.raw == nil {
		return ""
	}
	return t.raw()
}

// Issuer returns the claim iss, unproved.
func (t Token) Issuer() string { return t.issuer }

// Subject returns the claim sub, unproved.
func (t Token) Subject() string { return t.subject }

// Email returns the claim email if the token says that its issuer has proved it, else "".
func (t Token) Email() string {
	if !t.emailVerified {
		return ""
	}
	return t.email
}

// Audiences returns the claim aud, unproved.
func (t Token) Audiences() []string { return slices.Clone(t.audiences) }

// Expires returns the claim exp, in whole seconds.
func (t Token) Expires() time.Time { return t.expires }

// Source returns the name of the place that the token came from.
func (t Token) Source() string { return t.source }

// String describes the token without its text.
func (t Token) String() string {
	if t.raw == nil {
		return "no identity token"
	}
	who := t.subject
	if email := t.Email(); email != "" {
		who = email
	}
	return fmt.Sprintf("identity token of %q by %q, expires %s", wording.Short(who), wording.Short(t.issuer), t.expires.Format(time.RFC3339))
}

// Format writes [Token.String] for every verb.
func (t Token) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, t.String()) }

// LogValue is [Token.String].
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
