package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
)

// recorded is what a log entry says of the envelope that it is about.
type recorded struct {
	payloadHash []byte // SHA-256
	signature   []byte
	signer      []byte // DER of the certificate or of the public key
	certificate bool
}

// kindVersion names a kind of log entry.
type kindVersion struct{ kind, version string }

// readers read the bodies of the entries about envelopes. All are strict: an entry
// with one unknown or repeated name is no entry.
var readers = map[kindVersion]func([]byte) (recorded, error){
	{"dsse", "0.0.2"}:   readDSSEv2,
	{"dsse", "0.0.1"}:   readDSSEv1,
	{"intoto", "0.0.2"}: readIntoto,
}

// errSignatures: entries about envelopes are about one signature here, as bundles are.
var errSignatures = errors.New("it is not about exactly one signature")

// readDSSEv2 reads a Rekor v2's entry (rekor-tiles v2.2, api/proto/rekor_entry.proto).
func readDSSEv2(raw []byte) (recorded, error) {
	type rawBytes struct {
		RawBytes []byte `json:"rawBytes"`
	}
	var body struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			DSSE struct {
				PayloadHash struct {
					Algorithm string `json:"algorithm"`
					Digest    []byte `json:"digest"`
				} `json:"payloadHash"`
				Signatures []struct {
					Content  []byte `json:"content"`
					Verifier struct {
						KeyDetails  string    `json:"keyDetails"`
						Certificate *rawBytes `json:"x509Certificate"`
						PublicKey   *rawBytes `json:"publicKey"`
					} `json:"verifier"`
				} `json:"signatures"`
			} `json:"dsseV002"`
		} `json:"spec"`
	}
	if err := decodeStrict(raw, &body); err != nil {
		return recorded{}, err
	}
	record := body.Spec.DSSE
	if record.PayloadHash.Algorithm != protocommon.HashAlgorithm_SHA2_256.String() {
		return recorded{}, fmt.Errorf("a payload hash of kind %q", record.PayloadHash.Algorithm)
	}
	if len(record.Signatures) != 1 {
		return recorded{}, errSignatures
	}
	one := record.Signatures[0]
	found := recorded{payloadHash: record.PayloadHash.Digest, signature: one.Content}
	switch {
	case one.Verifier.Certificate != nil && one.Verifier.PublicKey == nil:
		found.signer, found.certificate = one.Verifier.Certificate.RawBytes, true
	case one.Verifier.PublicKey != nil && one.Verifier.Certificate == nil:
		found.signer = one.Verifier.PublicKey.RawBytes
	default:
		return recorded{}, errors.New("it names no signer, or two")
	}
	return found, nil
}

// hashValue is a hash as Rekor v1 writes it.
type hashValue struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

func (h hashValue) sha256() ([]byte, error) {
	if h.Algorithm != "sha256" {
		return nil, fmt.Errorf("a payload hash of kind %q", h.Algorithm)
	}
	return hex.DecodeString(h.Value)
}

// readDSSEv1 reads an entry of Rekor v1's kind dsse (rekor, pkg/types/dsse/v0.0.1).
func readDSSEv1(raw []byte) (recorded, error) {
	var body struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			EnvelopeHash hashValue `json:"envelopeHash"`
			PayloadHash  hashValue `json:"payloadHash"`
			Signatures   []struct {
				Signature string `json:"signature"`
				Verifier  []byte `json:"verifier"`
			} `json:"signatures"`
		} `json:"spec"`
	}
	if err := decodeStrict(raw, &body); err != nil {
		return recorded{}, err
	}
	if len(body.Spec.Signatures) != 1 {
		return recorded{}, errSignatures
	}
	found, err := readSigner(body.Spec.Signatures[0].Verifier)
	if err != nil {
		return recorded{}, err
	}
	if found.signature, err = base64.StdEncoding.DecodeString(body.Spec.Signatures[0].Signature); err != nil {
		return recorded{}, err
	}
	found.payloadHash, err = body.Spec.PayloadHash.sha256()
	return found, err
}

// readIntoto reads an entry of Rekor v1's kind intoto (rekor,
// pkg/types/intoto/v0.0.2) in its canonical form, which holds hashes only. Its
// signature is encoded twice.
func readIntoto(raw []byte) (recorded, error) {
	var body struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			Content struct {
				Envelope struct {
					PayloadType string `json:"payloadType"`
					Signatures  []struct {
						KeyID     string `json:"keyid"`
						PublicKey []byte `json:"publicKey"`
						Sig       []byte `json:"sig"`
					} `json:"signatures"`
				} `json:"envelope"`
				Hash        hashValue `json:"hash"`
				PayloadHash hashValue `json:"payloadHash"`
			} `json:"content"`
		} `json:"spec"`
	}
	if err := decodeStrict(raw, &body); err != nil {
		return recorded{}, err
	}
	if len(body.Spec.Content.Envelope.Signatures) != 1 {
		return recorded{}, errSignatures
	}
	one := body.Spec.Content.Envelope.Signatures[0]
	found, err := readSigner(one.PublicKey)
	if err != nil {
		return recorded{}, err
	}
	if found.signature, err = base64.StdEncoding.DecodeString(string(one.Sig)); err != nil {
		return recorded{}, err
	}
	found.payloadHash, err = body.Spec.Content.PayloadHash.sha256()
	return found, err
}

// readSigner reads the PEM of exactly one certificate or public key.
func readSigner(text []byte) (recorded, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return recorded{}, errors.New("the signer is not one PEM block")
	}
	switch block.Type {
	case "CERTIFICATE":
		return recorded{signer: block.Bytes, certificate: true}, nil
	case "PUBLIC KEY":
		return recorded{signer: block.Bytes}, nil
	}
	return recorded{}, fmt.Errorf("the signer is a %q", block.Type)
}
