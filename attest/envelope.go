package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// ErrEnvelopeMalformed is the cause of every refusal to read an envelope.
var ErrEnvelopeMalformed = errors.New("malformed DSSE envelope")

// MaxSignatures bounds the signatures of one envelope. A Sigstore bundle has
// exactly one; in-toto layouts have a handful.
const MaxSignatures = 32

// maxEnvelopeBytes is a statement of [MaxStatementBytes] in base64, and its
// signatures.
const maxEnvelopeBytes = MaxStatementBytes/3*4 + 1<<20

// Envelope is a DSSE envelope (secure-systems-lab/dsse, envelope.md). Its
// content is untrusted until package verify has checked a signature.
type Envelope struct {
	PayloadType string
	// Payload is the decoded payload: the buffer that is signed and parsed.
	Payload    []byte
	Signatures []EnvelopeSignature
}

// EnvelopeSignature is one signature over the envelope's [PAE]. KeyID is a hint
// that nothing may rely on (DSSE protocol.md, "keyid").
type EnvelopeSignature struct {
	KeyID string
	Sig   []byte
}

// ParseEnvelope reads one DSSE envelope strictly: exactly the specified fields,
// none twice, standard padded base64 and nothing else, at least one and at most
// [MaxSignatures] signatures. A signature's field "cert", which some tools add,
// is accepted and ignored: it proves nothing. The payload type is not judged
// here. Errors wrap [ErrEnvelopeMalformed] or [ErrLimit].
func ParseEnvelope(raw []byte) (*Envelope, error) {
	if len(raw) > maxEnvelopeBytes {
		return nil, fmt.Errorf("parsing an envelope of %d bytes: %w (%d)", len(raw), ErrLimit, maxEnvelopeBytes)
	}
	envelope, err := parseEnvelope(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing an envelope: %w: %w", ErrEnvelopeMalformed, err)
	}
	return envelope, nil
}

func parseEnvelope(raw []byte) (*Envelope, error) {
	if err := CheckJSON(raw); err != nil {
		return nil, err
	}
	fields, err := strictjson.Object(raw, maxFields)
	if err != nil {
		return nil, named(err)
	}
	envelope := &Envelope{}
	for _, f := range fields {
		var err error
		switch f.Key {
		case "payloadType":
			envelope.PayloadType, err = strictjson.Text(f.Value)
		case "payload":
			envelope.Payload, err = textOfBase64(f.Value)
		case "signatures":
			envelope.Signatures, err = parseSignatures(f.Value)
		default:
			err = fmt.Errorf("unknown field %.60q", f.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("%.60q: %w", f.Key, err)
		}
	}
	switch {
	case envelope.PayloadType == "":
		return nil, errors.New("it has no payload type")
	case len(envelope.Payload) == 0:
		return nil, errors.New("it has no payload")
	case len(envelope.Signatures) == 0:
		return nil, errors.New("it has no signature")
	}
	return envelope, nil
}

func parseSignatures(raw []byte) ([]EnvelopeSignature, error) {
	items, err := strictjson.Array(raw, MaxSignatures)
	if err != nil {
		return nil, named(err)
	}
	signatures := make([]EnvelopeSignature, len(items))
	for i, item := range items {
		fields, err := strictjson.Object(item, maxFields)
		if err != nil {
			return nil, fmt.Errorf("signature %d: %w", i, named(err))
		}
		for _, f := range fields {
			var err error
			switch f.Key {
			case "keyid":
				signatures[i].KeyID, err = optionalText(f.Value)
			case "sig":
				signatures[i].Sig, err = textOfBase64(f.Value)
			case "cert":
			default:
				err = fmt.Errorf("unknown field %.60q", f.Key)
			}
			if err != nil {
				return nil, fmt.Errorf("signature %d: %w", i, err)
			}
		}
		if len(signatures[i].Sig) == 0 {
			return nil, fmt.Errorf("signature %d is empty", i)
		}
	}
	return signatures, nil
}

func textOfBase64(raw []byte) ([]byte, error) {
	text, err := strictjson.Text(raw)
	if err != nil {
		return nil, err
	}
	return DecodeBase64(text)
}

// Encode returns the envelope's JSON form.
func (e *Envelope) Encode() ([]byte, error) {
	type signature struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	wire := struct {
		PayloadType string      `json:"payloadType"`
		Payload     []byte      `json:"payload"`
		Signatures  []signature `json:"signatures"`
	}{PayloadType: e.PayloadType, Payload: e.Payload}
	for _, s := range e.Signatures {
		wire.Signatures = append(wire.Signatures, signature(s))
	}
	raw, err := json.Marshal(wire)
	if err != nil {
		return nil, fmt.Errorf("encoding an envelope: %w", err)
	}
	return raw, nil
}

// PAE returns the DSSE v1 pre-authentication encoding (protocol.md, "Signature
// Definition"): the bytes that a signature is over.
func PAE(payloadType string, payload []byte) []byte {
	var pae bytes.Buffer
	pae.Grow(len(payload) + len(payloadType) + 40)
	pae.WriteString("DSSEv1 ")
	pae.WriteString(strconv.Itoa(len(payloadType)))
	pae.WriteByte(' ')
	pae.WriteString(payloadType)
	pae.WriteByte(' ')
	pae.WriteString(strconv.Itoa(len(payload)))
	pae.WriteByte(' ')
	pae.Write(payload)
	return pae.Bytes()
}

// DecodeBase64 decodes standard padded base64 (RFC 4648 section 4) and refuses
// every other dialect: URL-safe letters, missing padding, line breaks, and set
// trailing bits. Two decoders must never read one text as two payloads.
func DecodeBase64(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	// The standard decoder skips line breaks; the canonical form has none.
	if base64.StdEncoding.EncodedLen(len(raw)) != len(text) {
		return nil, errors.New("base64 text has line breaks")
	}
	return raw, nil
}
