package evidence

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/verify"
)

// Claim is what a piece of evidence says about itself. None of it is checked:
// it is for people who look, and must never be shown without saying so.
type Claim struct {
	// Type is the predicate type in the payload, "" where there is no statement.
	Type string
	// Signer is the key's hint or the names in the certificate.
	Signer string
	// Subjects are the digests that the payload names.
	Subjects []string
	// Fault says why the piece could not be read; "" when it could.
	Fault string
}

// maxClaimedSubjects bounds the subjects that a [Claim] lists.
const maxClaimedSubjects = 20

// ReadClaim reads what a piece says about itself, without checking anything.
func ReadClaim(e verify.Evidence) Claim {
	if err := attest.CheckJSON(e.Raw); err != nil {
		return Claim{Fault: err.Error()}
	}
	var c Claim
	var err error
	switch e.Format {
	case verify.FormatBundle:
		err = c.readBundle(e.Raw)
	case verify.FormatLegacySignature:
		err = c.readSimpleSigning(e.Raw)
		c.readCertificate([]byte(e.Annotations[verify.LegacyCertificateAnnotation]))
	case verify.FormatLegacyAttestation:
		err = c.readEnvelope(e.Raw)
		c.readCertificate([]byte(e.Annotations[verify.LegacyCertificateAnnotation]))
	}
	if err != nil {
		c.Fault = err.Error()
	}
	return c
}

// wireBundle holds the fields of a Sigstore bundle that claims are read from
// (protobuf-specs, sigstore_bundle.proto).
type wireBundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
		Certificate struct {
			RawBytes []byte `json:"rawBytes"`
		} `json:"certificate"`
		Chain struct {
			Certificates []struct {
				RawBytes []byte `json:"rawBytes"`
			} `json:"certificates"`
		} `json:"x509CertificateChain"`
	} `json:"verificationMaterial"`
	Envelope struct {
		PayloadType string `json:"payloadType"`
		Payload     string `json:"payload"`
	} `json:"dsseEnvelope"`
	Message *struct {
		Digest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
	} `json:"messageSignature"`
}

func (c *Claim) readBundle(raw []byte) error {
	var wire wireBundle
	if err := json.Unmarshal(raw, &wire); err != nil {
		return fmt.Errorf("reading the bundle: %w", err)
	}
	material := wire.VerificationMaterial
	if material.PublicKey.Hint != "" {
		c.Signer = "key " + material.PublicKey.Hint
	}
	c.readDER(material.Certificate.RawBytes)
	if len(material.Chain.Certificates) > 0 {
		c.readDER(material.Chain.Certificates[0].RawBytes)
	}
	if wire.Message != nil {
		algorithm := strings.ToLower(strings.ReplaceAll(wire.Message.Digest.Algorithm, "SHA2_", "sha"))
		c.Subjects = []string{fmt.Sprintf("%s:%x", algorithm, wire.Message.Digest.Digest)}
		return nil
	}
	payload, err := base64.StdEncoding.DecodeString(wire.Envelope.Payload)
	if err != nil {
		return fmt.Errorf("reading the bundle's payload: %w", err)
	}
	return c.readStatement(payload)
}

func (c *Claim) readEnvelope(raw []byte) error {
	envelope, err := attest.ParseEnvelope(raw)
	if err != nil {
		return err
	}
	if hint := envelope.Signatures[0].KeyID; hint != "" {
		c.Signer = "key " + hint
	}
	return c.readStatement(envelope.Payload)
}

func (c *Claim) readStatement(payload []byte) error {
	statement, err := attest.ParseStatement(payload)
	if err != nil {
		return err
	}
	c.Type = statement.PredicateType
	for _, d := range statement.Digests() {
		if len(c.Subjects) == maxClaimedSubjects {
			break
		}
		c.Subjects = append(c.Subjects, d.String())
	}
	return nil
}

func (c *Claim) readSimpleSigning(raw []byte) error {
	var payload verify.SimpleSigning
	if err := json.Unmarshal(raw, &payload); err != nil {
		return fmt.Errorf("reading the simple signing payload: %w", err)
	}
	c.Subjects = []string{payload.Critical.Image.DockerManifestDigest}
	return nil
}

// readCertificate reads the names of a PEM certificate.
func (c *Claim) readCertificate(text []byte) {
	if block, _ := pem.Decode(text); block != nil {
		c.readDER(block.Bytes)
	}
}

func (c *Claim) readDER(der []byte) {
	if len(der) == 0 {
		return
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		c.Signer = "an unreadable certificate"
		return
	}
	var names []string
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	names = append(append(names, certificate.EmailAddresses...), certificate.DNSNames...)
	c.Signer = "certificate of " + strings.Join(names, ", ")
	if len(names) == 0 {
		c.Signer = "certificate without a name"
	}
}

// FromFile takes a file's content as evidence: a Sigstore bundle, or a bare DSSE
// envelope. Everything else has [verify.FormatUnknown], which no check accepts.
func FromFile(name string, raw []byte) verify.Evidence {
	e := verify.Evidence{Raw: raw, Origin: verify.Origin{Place: PlaceFile, Location: name}}
	var probe struct {
		MediaType   string `json:"mediaType"`
		PayloadType string `json:"payloadType"`
	}
	if json.Unmarshal(raw, &probe) != nil {
		return e
	}
	switch {
	case probe.MediaType != "":
		if layerFormat(probe.MediaType) == verify.FormatBundle {
			e.Format = verify.FormatBundle
		}
	case probe.PayloadType != "":
		e.Format = verify.FormatLegacyAttestation
	}
	return e
}
