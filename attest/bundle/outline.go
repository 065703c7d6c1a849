// Package bundle reads the outline of a Sigstore bundle: what it is, whom it
// names, what it says it is about. Nothing is proved by it.
//
//	outline, err := bundle.ParseOutline(raw)
//	if err != nil { … }                          // malformed, or too large
//	fmt.Println(outline.PredicateType, outline.Subjects, outline.KeyHint)
//
// It is for listings and for finding evidence again, without the weight of a
// verifier: no signature is checked, no certificate chain, no log. Only package
// verify tells what a bundle proves.
package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// MediaTypePrefix starts the media type of every Sigstore bundle.
const MediaTypePrefix = "application/vnd.dev.sigstore.bundle"

// ErrMalformed is the cause of every refusal: not a bundle, or one whose outline
// cannot be told for certain. A limit that is exceeded is [attest.ErrLimit] too.
var ErrMalformed = errors.New("malformed Sigstore bundle")

// Limits on a bundle from outside.
const (
	MaxBytes        = attest.MaxStatementBytes/3*4 + 4<<20 // the statement in base64, and its proofs
	maxCertificates = 10                                   // Sigstore's own chains have two or three
	maxProofs       = 32                                   // log entries, or timestamps; one or two each are usual
	maxFields       = 16                                   // of one object; the format has at most nine
)

// Kind tells what a bundle signs.
type Kind string

// The two kinds of content (protobuf-specs, sigstore_bundle.proto, "content").
const (
	KindDSSE    Kind = "dsse"    // an envelope with a statement
	KindMessage Kind = "message" // the artifact's digest alone
)

// Outline is what a bundle claims. Every field is untrusted.
type Outline struct {
	MediaType string
	Kind      Kind
	// PayloadType and Payload are the envelope's; Payload is the signed buffer.
	PayloadType string
	Payload     []byte
	// Statement is the payload of an in-toto envelope, nil if there is none or
	// StatementFault says why it cannot be read.
	Statement      *attest.Statement
	StatementFault error
	PredicateType  string
	// Subjects are the digests of known algorithms that the statement names.
	Subjects []digest.Digest
	// MessageDigest is the digest of a message signature, zero if it has none of
	// a known algorithm.
	MessageDigest digest.Digest
	// Signatures are the raw signatures: one, in a bundle that verifies.
	Signatures [][]byte
	// KeyHint names the key, as far as the bundle does.
	KeyHint string
	// Certificate is the signer's, nil for a key.
	Certificate *Certificate
	// LogEntries and Timestamps count what proofs lie in the bundle.
	LogEntries, Timestamps int
}

// ParseOutline reads one bundle (JSON of any version). Unknown fields, duplicate
// keys, two contents or two kinds of key material are refused, and so is more
// than the limits of this package allow. Errors wrap [ErrMalformed].
func ParseOutline(raw []byte) (*Outline, error) {
	o, err := parseOutline(raw)
	if err != nil {
		return nil, fmt.Errorf("reading a bundle's outline: %w: %w", ErrMalformed, err)
	}
	return o, nil
}

func parseOutline(raw []byte) (*Outline, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%d bytes: %w (%d)", len(raw), attest.ErrLimit, MaxBytes)
	}
	if err := attest.CheckJSON(raw); err != nil {
		return nil, err
	}
	o := &Outline{}
	material := false
	err := each(raw, func(key string, value []byte) (err error) {
		switch key {
		case "mediaType":
			o.MediaType, err = strictjson.Text(value)
		case "verificationMaterial":
			material, err = true, o.readMaterial(value)
		case "dsseEnvelope":
			err = o.readEnvelope(value)
		case "messageSignature":
			err = o.readMessage(value)
		default:
			err = errUnknownField
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !strings.HasPrefix(o.MediaType, MediaTypePrefix):
		return nil, fmt.Errorf("media type %.80q", o.MediaType)
	case o.Kind == "":
		return nil, errors.New("neither an envelope nor a message signature")
	case !material:
		return nil, errors.New("no verification material")
	}
	return o, nil
}

var errUnknownField = errors.New("unknown field")

// each calls do for the fields of an object that are not null. A field that do
// refuses is named in the error.
func each(raw []byte, do func(key string, value []byte) error) error {
	fields, err := strictjson.Object(raw, maxFields)
	if err != nil {
		return limited(err)
	}
	for _, f := range fields {
		if strictjson.IsNull(f.Value) {
			continue // protobuf's JSON mapping: as if it were missing
		}
		if err := do(f.Key, f.Value); err != nil {
			return fmt.Errorf("%.60q: %w", f.Key, err)
		}
	}
	return nil
}

// list returns the items of an array of at most limit.
func list(raw []byte, limit int) ([][]byte, error) {
	items, err := strictjson.Array(raw, limit)
	return items, limited(err)
}

func limited(err error) error {
	if errors.Is(err, strictjson.ErrMany) {
		return fmt.Errorf("%w: %w", attest.ErrLimit, err)
	}
	return err
}

func base64Text(raw []byte) ([]byte, error) {
	text, err := strictjson.Text(raw)
	if err != nil {
		return nil, err
	}
	return attest.DecodeBase64(text)
}

// setKind refuses a second content: a reader of the other would see another
// bundle.
func (o *Outline) setKind(kind Kind) error {
	if o.Kind != "" {
		return errors.New("both an envelope and a message signature")
	}
	o.Kind = kind
	return nil
}

func (o *Outline) readEnvelope(raw []byte) error {
	if err := o.setKind(KindDSSE); err != nil {
		return err
	}
	envelope, err := attest.ParseEnvelope(raw)
	if err != nil {
		return err
	}
	o.PayloadType, o.Payload = envelope.PayloadType, envelope.Payload
	for _, signature := range envelope.Signatures {
		o.Signatures = append(o.Signatures, signature.Sig)
	}
	if o.PayloadType != attest.PayloadType {
		return nil
	}
	if o.Statement, o.StatementFault = attest.ParseStatement(o.Payload); o.Statement != nil {
		o.PredicateType, o.Subjects = o.Statement.PredicateType, o.Statement.Digests()
	}
	return nil
}

// readMessage reads a message signature (sigstore_common.proto).
func (o *Outline) readMessage(raw []byte) error {
	if err := o.setKind(KindMessage); err != nil {
		return err
	}
	err := each(raw, func(key string, value []byte) (err error) {
		switch key {
		case "signature":
			var signature []byte
			signature, err = base64Text(value)
			o.Signatures = [][]byte{signature}
		case "messageDigest":
			o.MessageDigest, err = readDigest(value)
		default:
			err = errUnknownField
		}
		return err
	})
	if err == nil && (len(o.Signatures) == 0 || len(o.Signatures[0]) == 0) {
		err = errors.New("no signature")
	}
	return err
}

// readDigest reads a hash output; an algorithm of the format that package digest
// does not have gives the zero digest, and any other is refused.
func readDigest(raw []byte) (digest.Digest, error) {
	var algorithm string
	var sum []byte
	if err := each(raw, func(key string, value []byte) (err error) {
		switch key {
		case "algorithm":
			algorithm = string(value)
		case "digest":
			sum, err = base64Text(value)
		default:
			err = errUnknownField
		}
		return err
	}); err != nil {
		return digest.Digest{}, err
	}
	var prefix string
	switch algorithm { // an enumeration's name or number (ProtoJSON; sigstore_common.proto)
	case `"SHA2_256"`, "1":
		prefix = "sha256:"
	case `"SHA2_384"`, "2":
		prefix = "sha384:"
	case `"SHA2_512"`, "3":
		prefix = "sha512:"
	case "", `"HASH_ALGORITHM_UNSPECIFIED"`, "0", `"SHA3_256"`, "4", `"SHA3_384"`, "5":
		return digest.Digest{}, nil
	default:
		return digest.Digest{}, fmt.Errorf("hash algorithm %.60s", algorithm)
	}
	return digest.Parse(prefix + hex.EncodeToString(sum))
}
