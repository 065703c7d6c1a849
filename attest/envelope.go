package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// ErrEnvelopeMalformed is the cause of every refusal to read an envelope.
var ErrEnvelopeMalformed = errors.New("malformed DSSE envelope")

// MaxSignatures bounds the signatures of one envelope. A Sigstore bundle has
// exactly one; in-toto layouts have a handful.
const MaxSignatures = 32

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

type wireEnvelope struct {
	PayloadType string          `json:"payloadType"`
	Payload     string          `json:"payload"`
	Signatures  []wireSignature `json:"signatures"`
}

type wireSignature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
	// Cert is accepted and ignored: some tools add it, and it proves nothing.
	Cert json.RawMessage `json:"cert,omitempty"`
}

// ParseEnvelope reads one DSSE envelope strictly: no unknown or duplicate
// field, standard padded base64 and nothing else, at least one and at most
// [MaxSignatures] signatures. Errors wrap [ErrEnvelopeMalformed] or [ErrLimit].
func ParseEnvelope(raw []byte) (*Envelope, error) {
	if len(raw) > 2*MaxStatementBytes {
		return nil, fmt.Errorf("parsing an envelope of %d bytes: %w", len(raw), ErrLimit)
	}
	var wire wireEnvelope
	if err := decodeStrict(raw, &wire); err != nil {
		return nil, fmt.Errorf("parsing an envelope: %w: %w", ErrEnvelopeMalformed, err)
	}
	if len(wire.Signatures) == 0 {
		return nil, fmt.Errorf("parsing an envelope: %w: it has no signature", ErrEnvelopeMalformed)
	}
	if len(wire.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("parsing an envelope with %d signatures: %w (%d)", len(wire.Signatures), ErrLimit, MaxSignatures)
	}
	payload, err := DecodeBase64(wire.Payload)
	if err != nil {
		return nil, fmt.Errorf("parsing an envelope: %w: payload: %w", ErrEnvelopeMalformed, err)
	}
	envelope := &Envelope{PayloadType: wire.PayloadType, Payload: payload}
	for i, s := range wire.Signatures {
		sig, err := DecodeBase64(s.Sig)
		if err != nil || len(sig) == 0 {
			return nil, fmt.Errorf("parsing an envelope: %w: signature %d is no base64 text", ErrEnvelopeMalformed, i)
		}
		envelope.Signatures = append(envelope.Signatures, EnvelopeSignature{KeyID: s.KeyID, Sig: sig})
	}
	return envelope, nil
}

// Encode returns the envelope's JSON form.
func (e *Envelope) Encode() ([]byte, error) {
	wire := wireEnvelope{PayloadType: e.PayloadType, Payload: base64.StdEncoding.EncodeToString(e.Payload)}
	for _, s := range e.Signatures {
		wire.Signatures = append(wire.Signatures, wireSignature{KeyID: s.KeyID, Sig: base64.StdEncoding.EncodeToString(s.Sig)})
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
